"""
How many calls and requests were refused without a record of their own, minute by minute, in a file beside the records.

Anybody can send a server what it refuses, so it writes a few of them down a minute and counts the rest here: that
nothing is silent. Numbers and times only; two files of a bounded size, the older one is dropped.
"""

from __future__ import annotations

import json
from pathlib import Path

from msgspec import Struct

__all__ = ["Unrecorded", "append", "total"]

_NAME = "unrecorded.log"
_MAX_BYTES = 256 * 1024  # some five thousand minutes


class Unrecorded(Struct, frozen=True):
    """Calls of the carrier's that nobody took, and requests that were refused whoever sent them."""

    calls: int = 0
    requests: int = 0


def append(directory: Path, at: float, seen: Unrecorded) -> None:
    """Add what one minute had. Raises OSError."""
    path = directory / _NAME
    directory.mkdir(parents=True, exist_ok=True)
    if path.exists() and path.stat().st_size > _MAX_BYTES:
        path.replace(path.with_suffix(".log.1"))
    with path.open("a", encoding="utf-8") as file:  # first the line end: what a killed server tore stays alone
        file.write("\n" + json.dumps({"at": round(at), "calls": seen.calls, "requests": seen.requests}))


def total(directory: Path, since: float) -> Unrecorded:
    """What is counted from ``since`` on, in seconds since 1970; a torn line is left out. Raises OSError."""
    calls = requests = 0
    for name in (f"{_NAME}.1", _NAME):
        path = directory / name
        for line in path.read_text("utf-8").splitlines() if path.exists() else ():
            try:
                row = json.loads(line)
            except ValueError:
                continue
            if row["at"] >= since:
                calls, requests = calls + row["calls"], requests + row["requests"]
    return Unrecorded(calls, requests)
