"""
A program that is started after a call: the document on its standard input and in a file, facts in its environment.

It runs in a process group of its own, gets a deadline, and what it leaves behind is ended and proven dead. What it says
on standard error is why it failed.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from msgspec import Struct

from offhook.after import archive
from offhook.after.hook import Job, Outcome, Run
from offhook.agent.tools.process import Program

__all__ = ["Command", "command"]

_ERR_CHARS = 200


class Command(Struct, frozen=True, kw_only=True):
    """What is run. ``archive_dir``: it wants its call as gptme-voice archived it, and the variables that one set."""

    argv: Sequence[str]
    env: Mapping[str, str] = {}
    cwd: str | None = None
    deadline_s: float = 300.0
    records: Path = Path()
    archive_dir: Path | None = None


def command(given: Command) -> Run:
    async def run(job: Job) -> Outcome:
        folder = Path(tempfile.mkdtemp(prefix="offhook-hook-"))  # 0700: transcripts are nobody else's
        try:
            return await _run(given, job, folder)
        finally:
            await asyncio.to_thread(shutil.rmtree, folder, True)

    return run


async def _run(given: Command, job: Job, folder: Path) -> Outcome:
    document = json.loads(job.payload)
    path = folder / "call.json"
    path.write_text(job.payload, encoding="utf-8")
    arguments: list[str] = []
    env = {**_facts(given, job, document, path)}
    if given.archive_dir is not None:
        try:
            kept = await asyncio.to_thread(archive.write, given.archive_dir, document)
        except OSError as error:
            return Outcome(False, f"{given.archive_dir}: {error.strerror}")
        arguments = [str(kept)]
        env |= _as_gptme(document, kept)
    program = Program([*given.argv, *arguments], env={**env, **given.env}, cwd=given.cwd)
    try:
        await program.start(job.payload.encode())
    except OSError as error:
        return Outcome(False, f"{given.argv[0]}: {os.strerror(error.errno or 0)}")
    try:
        status = await asyncio.wait_for(program.wait(), given.deadline_s)
    except TimeoutError:
        ended = await program.end()
        return Outcome(False, f"not done within {given.deadline_s:g} s; {ended.how} ({ended.signals})")
    except asyncio.CancelledError:
        await program.end()
        raise
    ended = await program.end()
    if not ended.proven:
        return Outcome(False, f"it ended, and left processes that cannot be ended: {ended.how}", last=True)
    if status == 0:
        return Outcome(True)
    words = " | ".join(line for line in program.stderr.splitlines() if line.strip())[-_ERR_CHARS:]
    how = f"exit {status}" if status >= 0 else f"killed by signal {-status}"
    return Outcome(False, how + (f": {words}" if words else ""))


def _facts(given: Command, job: Job, document: Mapping[str, Any], path: Path) -> dict[str, str]:
    data = document["data"]
    recording = data["recording"] or {}
    return {
        "OFFHOOK_EVENT": document["type"], "OFFHOOK_CALL": job.call, "OFFHOOK_AGENT": data["agent"],
        "OFFHOOK_RECORD": str(given.records / f"{job.record}.jsonl"), "OFFHOOK_PAYLOAD": str(path),
        "OFFHOOK_RECORDING": str(given.records / recording["file"]) if recording.get("file") else "",
        "OFFHOOK_VERDICT": data["verdict"], "OFFHOOK_KEY": job.key, "OFFHOOK_TRY": str(job.tries),
    }  # fmt: skip


def _as_gptme(document: Mapping[str, Any], kept: Path) -> dict[str, str]:
    """
    The variables of gptme-voice's post-call command, each with what it meant there.

    Source: gptme-contrib, packages/gptme-voice, realtime/server.py, _run_post_call_command (read 2026-11-25). The
    unit's name, which only its own scheduler used, is made in the same way.
    """
    caller = archive.caller_of(document["data"])
    unit = hashlib.sha256(caller.encode() + b"\0" + str(kept).encode()).hexdigest()[:12]
    return {
        "GPTME_VOICE_POST_CALL_JSON": str(kept), "GPTME_VOICE_POST_CALL_JSONS": json.dumps([str(kept)]),
        "GPTME_VOICE_CALLER_ID": caller, "GPTME_VOICE_POST_CALL_UNIT_NAME": f"gptme-voice-post-call-{unit}",
    }  # fmt: skip
