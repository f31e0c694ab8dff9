"""
Jobs that died with their server: begun, and neither done nor cancelled when the process was gone.

What is said of them is a note in the call's record, so that show, the verdict and the store read it there. Knows no
database.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from offhook.evidence.files import read
from offhook.evidence.outbox import append
from offhook.evidence.record import Recording, RecordingError

__all__ = ["lost_jobs", "tell_of_lost"]

_encode = msgspec.json.Encoder().encode
_OVER = ("done", "lost")


def lost_jobs(call: Recording) -> list[dict[str, Any]]:
    """A note for each job without an end; none where all have one."""
    over = {line.text("id") for line in call.notes("job") if line.text("state") in _OVER}
    return [
        {
            "k": "note", "t": call.last_ms, "note": "job", "id": line.text("id"), "name": line.text("name"),
            "state": "lost", "outcome": "lost with the server", "queued_ms": line.at_ms,
        }
        for line in call.notes("job")
        if line.text("state") == "queued" and line.text("id") not in over
    ]  # fmt: skip


def tell_of_lost(paths: Iterable[Path]) -> list[Path]:
    """
    Say it in whole records of servers that died; those where there was something to say.

    A delegate may work on when its caller has left: its call is whole, and yet its end is missing.
    """
    told = []
    for path in paths:
        try:
            call = read(path)
            lost = lost_jobs(call) if call.end is not None else []
            if lost:
                stat = path.stat()
                append(path, [_encode(line) for line in lost])
                os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))  # it is as old as the call
                told.append(path)
        except (FileNotFoundError, RecordingError):
            continue  # removed meanwhile, or no record
    return told
