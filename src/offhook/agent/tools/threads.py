"""
Sync functions in threads of their own: one that never returns holds nothing up but itself.

Not asyncio's pool: its threads are waited for when the process ends, and a stuck one would keep it for ever.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, TypeVar

__all__ = ["INLINE", "in_thread"]

T = TypeVar("T")
INLINE: ContextVar[bool] = ContextVar("inline", default=False)  # in virtual time: run it where it is called


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

    threading.Thread(target=run, name=name, daemon=True).start()
    return await done
