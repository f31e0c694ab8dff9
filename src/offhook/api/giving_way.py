"""Heavy work on a thread beside the calls, which share the interpreter with it."""

from __future__ import annotations

import gc
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["giving_way"]

INTERVAL_S = 0.0005  # the usual is 5 ms, a quarter of a frame
_lock = threading.Lock()
_inside = 0
_before = (0.005, True)


@contextmanager
def giving_way() -> Iterator[None]:
    """
    Let the calls' loop have the interpreter ten times as soon as usual, until the last of those who work so is done.

    The collector waits as well: its rounds hold the interpreter, and nothing that is made so is garbage.
    """
    global _inside, _before
    with _lock:
        _inside += 1
        if _inside == 1:
            _before = sys.getswitchinterval(), gc.isenabled()
            sys.setswitchinterval(INTERVAL_S)
            gc.disable()
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if not _inside:
                sys.setswitchinterval(_before[0])
                if _before[1]:
                    gc.enable()
