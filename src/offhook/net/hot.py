"""
The compiled part, where there is one: the way of every frame in C (native/), which straight.py goes in Python.

It is built with the package where a C compiler is at hand, and missing where none was. Knows nothing else.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

from offhook.evidence.recording import AnyTape
from offhook.evidence.tape import Tape

__all__ = ["hot", "nudge", "path_of_frames", "tape"]

_why_not = "the compiled part was not built: reinstall where a C compiler is"


def _is_stale(built_of: str | None, native: Path) -> bool:
    """Whether a library in a checkout is not of the C sources beside it, as after a pull; "" was compiled by hand."""
    if built_of == "" or not (native / "module.c").exists():
        return False
    digest = hashlib.sha256()
    for path in sorted(native.glob("*.[ch]")):  # as native/build.py does
        digest.update(path.read_bytes())
    return built_of != digest.hexdigest()[:16]


try:
    from offhook import _hot as hot
except ImportError:
    hot = None  # type: ignore[assignment]
else:
    if _is_stale(getattr(hot, "SOURCES", None), Path(__file__).parents[3] / "native"):
        hot = None  # type: ignore[assignment]
        _why_not = "the compiled part is of other C sources than those beside it: make lint builds it anew"


# Wakes a loop that reads this socket, and does not give the interpreter away as a write by Python does.
nudge: Callable[[int], None] | None = None if hot is None else hot.nudge


def path_of_frames(wanted: bool) -> tuple[str, str]:
    """Which way frames go in this process, "compiled" or "python", and a word on why."""
    if hot is None:
        return "python", _why_not
    if not wanted:
        return "python", "the compiled part is switched off"
    return "compiled", "built for this machine"


def tape(wanted: bool) -> Callable[[float], AnyTape]:
    """What makes a recording's tapes: compiled ones take frames without Python."""
    return hot.Tape if hot is not None and wanted else Tape
