"""
The compiled part, where there is one: the way of every frame in C (native/), which straight.py goes in Python.

It is built with the package where a C compiler is at hand, and missing where none was. Knows nothing else.
"""

from __future__ import annotations

from collections.abc import Callable

from offhook.evidence.recording import AnyTape
from offhook.evidence.tape import Tape

__all__ = ["hot", "path_of_frames", "tape"]

try:
    from offhook import _hot as hot
except ImportError:
    hot = None  # type: ignore[assignment]


def path_of_frames(wanted: bool) -> tuple[str, str]:
    """Which way frames go in this process, "compiled" or "python", and a word on why."""
    if hot is None:
        return "python", "the compiled part was not built: reinstall where a C compiler is"
    if not wanted:
        return "python", "the compiled part is switched off"
    return "compiled", "built for this machine"


def tape(wanted: bool) -> Callable[[float], AnyTape]:
    """What makes a recording's tapes: compiled ones take frames without Python."""
    return hot.Tape if hot is not None and wanted else Tape
