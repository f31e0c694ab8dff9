"""``offhook erase``: forget a caller or a call, and prove it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import msgspec

from offhook.agent.resume import FileResumes
from offhook.cli.places import RESUMES, data_dir
from offhook.cli.stored import OFF, number_hash, store_url
from offhook.evidence.numbers import normal
from offhook.settings import Settings

__all__ = ["EraseError", "run"]


class EraseError(Exception):
    """What was asked cannot be done."""


def run(settings: Settings, *, caller: str, call: str, as_json: bool) -> int:
    """0: nothing is left of it; 3: something is, and is named. Raises EraseError, StoreError."""
    if bool(caller) == bool(call):
        raise EraseError("wanted --caller NUMBER or --call ID")
    if caller and sum(char.isdigit() for char in caller) < 7:
        raise EraseError(f"--caller: got {caller!r}, wanted the whole number, as +14155550100")
    directory = data_dir(settings)
    if not directory.is_dir():
        raise EraseError(f"no records in {directory}")
    from offhook.store.erase import erase

    url = store_url(settings, directory)
    is_file = url.startswith("sqlite:///")
    there = url != OFF and not (is_file and not Path(url.removeprefix("sqlite:///")).exists())
    hashed = number_hash(settings, directory)(caller) if caller else ""
    resumes = FileResumes(directory / RESUMES)
    resumable = bool(caller) and resumes.forget(normal(caller))
    done = erase(url if there else None, directory, caller_id=hashed, call=call, number=normal(caller))
    if as_json:
        sys.stdout.write(json.dumps({**msgspec.to_builtins(done), "resume": resumable}, indent=1) + "\n")
        return 3 if done.left or done.running else 0
    for name in done.calls:
        sys.stdout.write(f"call     {name}\n")
    for table, n in done.rows.items():
        sys.stdout.write(f"rows     {n} of {table}\n")
    for name in done.files:
        sys.stdout.write(f"file     {name}\n")
    if resumable:
        sys.stdout.write("resume   the end of a call that was cut off\n")
    for name in done.running:
        sys.stdout.write(f"running  {name}: erase it when the call is over\n")
    for name in done.left:
        sys.stdout.write(f"left     {name} still has something of it\n")
    if not done.left and not done.running:
        what = f"{len(done.calls)} call(s) erased" if done.calls else "nothing there to erase"
        sys.stdout.write(f"{what}; {directory} has been searched, and nothing of it is left\n")
    return 3 if done.left or done.running else 0
