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
    """
    0: nothing is left of it; 3: something is, and is named. Raises EraseError, StoreError.

    What lies outside of this machine goes first: were the rows gone, nobody would know that it is there.
    """
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
    outside = _outside(settings, url, directory, hashed, call) if there else []
    resumes = FileResumes(directory / RESUMES, number_hash(settings, directory))
    resumable = resumes.forget(caller) if caller else resumes.forget_call(call)
    done = erase(url if there else None, directory, caller_id=hashed, call=call, number=normal(caller))
    if as_json:
        sys.stdout.write(
            json.dumps({**msgspec.to_builtins(done), "resume": resumable, "outside": outside}, indent=1) + "\n"
        )
        return 3 if done.left or done.running else 0
    for name in done.calls:
        sys.stdout.write(f"call     {name}\n")
    for table, n in done.rows.items():
        sys.stdout.write(f"rows     {n} of {table}\n")
    for name in done.files:
        sys.stdout.write(f"file     {name}\n")
    for name in outside:
        sys.stdout.write(f"outside  {name}\n")
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


def _outside(settings: Settings, url: str, directory: Path, caller_id: str, call: str) -> list[str]:
    """Remove recordings in a bucket, and archives that hooks were given. Raises EraseError, StoreError."""
    from sqlalchemy.exc import SQLAlchemyError

    from offhook.after.bucket import BucketError
    from offhook.after.remote import forget
    from offhook.cli.after import plan_of
    from offhook.store.database import engine, reason, shown
    from offhook.store.state import StoreError

    target = engine(url)
    try:
        return forget(target, plan_of(settings, directory), caller_id=caller_id, call=call)
    except BucketError as error:
        raise EraseError(f"{error}; nothing was erased: mend that, and erase again") from None
    except OSError as error:
        raise EraseError(f"{error.filename}: {error.strerror}; nothing of the records was erased") from None
    except SQLAlchemyError as error:
        raise StoreError(f"{shown(url)}: {reason(error)}") from error
    finally:
        target.dispose()
