"""
Sync functions in threads of their own: one that never returns holds nothing up but itself.

Not asyncio's pool: its threads are waited for when the process ends, and a stuck one would keep it for ever. A thread
cannot be stopped either: one that nobody waits for any more is a *stray*, named with its stack while it runs, and
only so many of one tool may run.
"""

from __future__ import annotations

import asyncio
import sys
import threading
import time
import traceback
from collections.abc import Callable
from contextvars import ContextVar
from pathlib import Path
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from msgspec import Struct

__all__ = ["INLINE", "MOST_STRAY", "Stray", "give_up", "in_thread", "runs_on", "stack_of", "strays"]

MOST_STRAY = 4  # of one tool: then it is busy, and whoever wrote it has something to mend
STACK_LINES = 6
_NOT_THEIRS = (str(Path(asyncio.__file__).parent), threading.__file__, str(Path(__file__).parent))

T = TypeVar("T")
INLINE: ContextVar[bool] = ContextVar("inline", default=False)  # in virtual time: run it where it is called


class Stray(Struct):
    """A thread that nobody waits for any more."""

    name: str
    thread: threading.Thread
    since: float
    name_at: float = 0.0  # when it is to be named again


_lock = threading.Lock()
_threads: WeakKeyDictionary[asyncio.Task[Any], threading.Thread] = WeakKeyDictionary()
_strays: list[Stray] = []


def strays() -> list[Stray]:
    """Those that still run."""
    with _lock:
        _strays[:] = [stray for stray in _strays if stray.thread.is_alive()]
        return list(_strays)


def give_up(name: str, task: asyncio.Future[Any]) -> str:
    """Nobody waits for ``task`` any more: where its thread stands; empty where it has none."""
    thread = _threads.get(task) if isinstance(task, asyncio.Task) else None
    if thread is None or not thread.is_alive():
        return ""
    with _lock:
        _strays.append(Stray(name, thread, time.monotonic()))
    return stack_of(thread) or "no line of its own"


def runs_on(name: str) -> str:
    """Why a tool takes no more: too many of its runs are strays. Empty where it does."""
    own = [stray for stray in strays() if stray.name == name]
    if len(own) < MOST_STRAY:
        return ""
    longest = max(time.monotonic() - stray.since for stray in own)
    place = stack_of(own[0].thread)
    return f"{len(own)} runs that were given up still go on, one for {longest:.0f} s more, at {place}"


def stack_of(thread: threading.Thread) -> str:
    """Where a thread stands, in code that is neither asyncio's nor ours: innermost first."""
    frame = sys._current_frames().get(thread.ident or 0)
    frames = traceback.extract_stack(frame) if frame is not None else []
    own = [frame for frame in frames if not frame.filename.startswith(_NOT_THEIRS)]
    lines = [f"{each.filename.rpartition('/')[2]}:{each.lineno} {each.name}" for each in own[-STACK_LINES:]]
    return " < ".join(reversed(lines))


async def in_thread(name: str, work: Callable[[], T]) -> T:
    """What ``work`` returns or raises. Whoever stops waiting leaves it running: a thread cannot be stopped."""
    if INLINE.get():
        return work()
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def settle(result: Any, error: BaseException | None) -> None:
        if done.done():
            return
        if error is not None:
            done.set_exception(error)
        else:
            done.set_result(result)

    def run() -> None:
        result: Any = None
        error: BaseException | None = None
        try:
            result = work()
        except BaseException as raised:  # it is the waiting task's to judge
            error = RuntimeError("StopIteration") if isinstance(raised, StopIteration) else raised
        try:
            loop.call_soon_threadsafe(settle, result, error)
        except RuntimeError:
            pass  # the loop is closed: nobody waits any more

    thread = threading.Thread(target=run, name=name, daemon=True)
    task = asyncio.current_task()
    if task is not None:
        _threads[task] = thread
    thread.start()
    return await done
