"""
Sync functions in threads of their own: one that never returns holds nothing up but itself.

Not asyncio's pool: its threads are waited for when the process ends, and a stuck one would keep it for ever. A thread
cannot be stopped either: what nobody waits for any more is a *stray*, named with its stack while it runs, and
only so many of one tool may run. A thread whose function has returned soon gets the next one: to start one costs more
than most tools.
"""

from __future__ import annotations

import asyncio
import contextvars
import queue
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
IDLE_S = 10.0  # so long a thread waits for the next function
_NOT_THEIRS = (str(Path(asyncio.__file__).parent), threading.__file__, str(Path(__file__).parent))

T = TypeVar("T")
INLINE: ContextVar[bool] = ContextVar("inline", default=False)  # in virtual time: run it where it is called


class _Run:
    """One function and the thread that it is run by."""

    __slots__ = ("goes_on", "name", "thread", "work")

    def __init__(self, name: str, work: Callable[[], None]) -> None:
        self.name = name
        self.work = work
        self.thread: threading.Thread | None = None
        self.goes_on = True


class Stray(Struct):
    """A run that nobody waits for any more."""

    name: str
    run: _Run
    since: float
    name_at: float = 0.0  # when it is to be named again

    @property
    def thread(self) -> threading.Thread:
        assert self.run.thread is not None
        return self.run.thread


_lock = threading.Lock()
_runs: WeakKeyDictionary[asyncio.Task[Any], _Run] = WeakKeyDictionary()
_strays: list[Stray] = []
_idle: list[_Hand] = []


class _Hand:
    """A thread that runs one function after another, until there has been none for a while."""

    def __init__(self, first: _Run) -> None:
        self._next: queue.SimpleQueue[_Run] = queue.SimpleQueue()
        self.thread = threading.Thread(target=self._turn, daemon=True)
        self.take(first)
        self.thread.start()

    def take(self, run: _Run) -> None:
        run.thread = self.thread
        self.thread.name = run.name
        self._next.put(run)

    def _turn(self) -> None:
        run: _Run | None = self._next.get()
        while run is not None:
            contextvars.Context().run(run.work)
            run.goes_on = False
            with _lock:
                _idle.append(self)
            run = self._another()

    def _another(self) -> _Run | None:
        try:
            return self._next.get(timeout=IDLE_S)
        except queue.Empty:
            with _lock:
                if self in _idle:
                    _idle.remove(self)
                    return None
            return self._next.get()  # it was given one just now


def _start(run: _Run) -> None:
    with _lock:
        hand = _idle.pop() if _idle else None
    if hand is None:
        _Hand(run)
    else:
        hand.take(run)


def strays() -> list[Stray]:
    """Those that still run."""
    with _lock:
        _strays[:] = [stray for stray in _strays if stray.run.goes_on]
        return list(_strays)


def give_up(name: str, task: asyncio.Future[Any]) -> str:
    """Nobody waits for ``task`` any more: where its thread stands; empty where it has none."""
    run = _runs.get(task) if isinstance(task, asyncio.Task) else None
    if run is None or run.thread is None or not run.goes_on:
        return ""
    with _lock:
        _strays.append(Stray(name, run, time.monotonic()))
    return stack_of(run.thread) or "no line of its own"


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

    def do() -> None:
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

    run = _Run(name, do)
    task = asyncio.current_task()
    if task is not None:
        _runs[task] = run
    _start(run)
    return await done
