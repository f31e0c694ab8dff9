"""
The one clock of a process.

Everything that waits takes a ``Clock``, so that a test can run minutes in seconds.
"""

import asyncio
from collections.abc import Callable
from typing import Protocol

__all__ = ["Clock", "Handle", "LoopClock"]


class Handle(Protocol):
    """Something that was planned and can be called off."""

    def cancel(self) -> None: ...


class Clock(Protocol):
    """Seconds that only grow, and calls at a later time."""

    def now(self) -> float: ...

    def call_at(self, when: float, fn: Callable[[], None]) -> Handle: ...


class LoopClock:
    """
    The event loop's own clock, ``rate`` times as fast.

    ``rate`` is 1.0 except in tests of what takes minutes.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, rate: float = 1.0) -> None:
        self._loop = loop
        self._rate = rate
        self._zero = loop.time()
        if rate == 1.0:
            self.now = loop.time  # type: ignore[method-assign]  # one Python frame less on every message

    def now(self) -> float:
        return self._zero + (self._loop.time() - self._zero) * self._rate

    def call_at(self, when: float, fn: Callable[[], None]) -> Handle:
        return self._loop.call_at(self._zero + (when - self._zero) / self._rate, fn)
