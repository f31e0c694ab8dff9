"""
The disk that records go to, proven without a call (C12): write, sync, room, and what is left of a call that died; and
the database: it opens, has the right schema, and gives back what is written, within a deadline.

Proves both now; not how they behave under the load of many calls.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import threading
import time
from pathlib import Path

from offhook.checks._check import Ask, Check, Trail
from offhook.evidence.journal import JournalDir
from offhook.evidence.record import Channel, Recording

__all__ = ["CHECK"]

SLOW_MS = 250.0  # one line and its sync; the writer's round is every 500 ms
CALLS_KEPT = 200  # room for at least so many calls of a usual size, 100 kB with what is rare in them
CALL_BYTES = 100_000
DATABASE_S = 20.0  # longer than the database's own deadlines, which say more


async def run(ask: Ask, trail: Trail) -> str:
    folder = ask.records
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise trail.fail(
            "directory", f"{folder}: {error.strerror}", fix="set record.dir to a directory of yours", decides="F-154"
        ) from None
    trail.proven("directory", f"{folder} [{ask.settings.origin('record.dir')}]")
    _write(folder, trail)
    _room(ask, folder, trail)
    _recover(folder, trail)
    await _database(ask, folder, trail)
    return (
        f"records are written to {folder}, a call that dies leaves a readable one, and the store takes what it is given"
    )


def _write(folder: Path, trail: Trail) -> None:
    path = folder / f".offhook-check-{os.getpid()}"
    began = time.perf_counter()
    try:
        with path.open("wb") as file:
            file.write(b"x" * 4096)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        trail.broken("write", f"{error.strerror}", fix="free room or mend the permissions", decides="F-154")
        return
    finally:
        path.unlink(missing_ok=True)
    ms = (time.perf_counter() - began) * 1000
    if ms > SLOW_MS:
        trail.unproven(
            "write",
            f"4 kB and a sync took {ms:.0f} ms",
            ms=ms,
            fix="use a local disk; calls are not held up, but the last seconds of a killed process are lost",
        )
    else:
        trail.proven("write", "4 kB and a sync", ms=ms)


def _room(ask: Ask, folder: Path, trail: Trail) -> None:
    free = shutil.disk_usage(folder).free
    cap = ask.settings["record.max_mb"] * 1024 * 1024
    wanted = min(cap, CALLS_KEPT * CALL_BYTES)
    if free < wanted:
        trail.broken(
            "room",
            f"{free // 1_000_000} MB free, wanted {wanted // 1_000_000} MB",
            decides="F-154",
            fix="free room, or set record.dir to another disk",
        )
    else:
        trail.proven("room", f"{free // 1_000_000} MB free; the oldest records go first beyond {cap // 1_000_000} MB")


def _recover(folder: Path, trail: Trail) -> None:
    """A call of which the process died: its record must be readable up to the last whole line."""
    directory = folder / f".offhook-check-{os.getpid()}.d"
    journals = JournalDir(directory)
    try:
        journal = journals.open("check", {}, 0.0, {"call": "check"})
        journal.frame(Channel.FROM_CARRIER, b'{"event":"connected"}', 0.02)
        journals.flush()
        (path,) = directory.glob("*.jsonl")
        raw = path.read_bytes() + b'{"k":"note","t":40,"not'  # where the process died
        call = Recording.parse(raw.split(b"\n"))
    except (OSError, ValueError) as error:
        trail.broken("recovery", f"{type(error).__name__}: {error}", fix="report it", decides="F-155")
        return
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    if call.end is None and len(list(call.messages())) == 1:
        trail.proven("recovery", "a record whose process died is read up to its last whole line, and has no end")
    else:
        trail.broken("recovery", "a cut-off record is not read as one", fix="report it", decides="F-155")


async def _database(ask: Ask, folder: Path, trail: Trail) -> None:
    given = ask.settings["store.url"].reveal().strip()
    if given == "off":
        trail.proven("database", "store.url is off: calls are found by their records alone")
        return
    from offhook.store.database import default_url
    from offhook.store.proof import Proof, prove

    steps: asyncio.Queue[Proof | None] = asyncio.Queue()
    loop = asyncio.get_running_loop()

    def work() -> None:
        try:
            for step in prove(given or default_url(folder)):
                loop.call_soon_threadsafe(steps.put_nowait, step)
        finally:
            with contextlib.suppress(RuntimeError):  # nobody waits any more
                loop.call_soon_threadsafe(steps.put_nowait, None)

    # a thread that nobody has to wait for: what a dead server keeps may be kept for minutes
    threading.Thread(target=work, name="check database", daemon=True).start()
    try:
        async with asyncio.timeout(DATABASE_S):
            while (step := await steps.get()) is not None:
                decides = "F-154" if step.state == "broken" else ""
                trail.add(step.name, step.state, step.detail, ms=step.ms, fix=step.fix, decides=decides)
    except TimeoutError:
        fix = "see whether the database's server, its disk or what is between hangs"
        trail.broken("database", f"no answer within {DATABASE_S:g} s", fix=fix, decides="F-154")


CHECK = Check(
    name="store",
    boundary="records",
    proves="the directory of records and the database: write, sync, room, schema, and what a killed process leaves",
    cannot="disk and database under the load of many calls",
    run=run,
)
