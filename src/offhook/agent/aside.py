"""
A thread beside the calls, with a loop of its own: what is slow, or may hang, happens there and never on the media loop.

Functions that are not ``async`` get a thread each, as a daemon: one that never returns holds nobody up, neither the
loop nor the end of the process. There are at most ``most_threads`` of them; who finds none free is told so by name.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

from offhook.agent.tools.threads import in_thread

__all__ = ["Aside", "Busy"]

T = TypeVar("T")
STOP_S = 1.0


class Busy(Exception):
    """All threads for plain functions are held."""

    def __init__(self, held_by: dict[str, int]) -> None:
        super().__init__(held_by)
        self.held_by = held_by

    def __str__(self) -> str:
        by = ", ".join(f"{name} ({n})" for name, n in self.held_by.items())
        return f"no thread is free: functions that do not return hold all of them: {by}"


class Aside:
    """One such thread; started when it is first needed."""

    def __init__(self, name: str = "offhook-aside", most_threads: int = 16) -> None:
        self._name = name
        self._most = most_threads
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._running: dict[str, int] = {}

    def submit(self, work: Callable[[], Coroutine[Any, Any, T]]) -> Future[T]:
        """Run ``work()`` there; its result for any thread."""
        return asyncio.run_coroutine_threadsafe(work(), self._started())

    def _started(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(target=_run, args=(self._loop,), name=self._name, daemon=True)
                self._thread.start()
            return self._loop

    async def plain(self, function: Callable[..., T], *args: Any) -> T:
        """Call a function that is not ``async`` in a thread of its own; to be awaited in ``work``. Raises Busy."""
        name = getattr(function, "__qualname__", type(function).__name__)
        with self._lock:
            if sum(self._running.values()) >= self._most:
                raise Busy(dict(self._running))
            self._running[name] = self._running.get(name, 0) + 1
        # whoever stops waiting leaves the thread running, and counted until it returns
        return await in_thread(f"{self._name} {name}", lambda: self._counted(name, function, args))

    def _counted(self, name: str, function: Callable[..., T], args: tuple[Any, ...]) -> T:
        try:
            return function(*args)
        finally:
            with self._lock:
                self._running[name] -= 1
                if not self._running[name]:
                    del self._running[name]

    def stop(self) -> None:
        """End the loop and what runs on it; a function that does not return is left behind."""
        with self._lock:
            loop, self._loop = self._loop, None
        if loop is not None and self._thread is not None:
            loop.call_soon_threadsafe(loop.stop)
            self._thread.join(STOP_S)


def _run(loop: asyncio.AbstractEventLoop) -> None:
    """The thread: the loop until it is stopped, then the end of what it still waited for."""
    try:
        loop.run_forever()
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        if left:
            loop.run_until_complete(asyncio.wait(left, timeout=STOP_S))
    finally:
        loop.close()
