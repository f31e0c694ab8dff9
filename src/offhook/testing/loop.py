"""
An event loop on a thread of its own, so that ordinary tests can use what is asynchronous.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

__all__ = ["Background"]

T = TypeVar("T")


class Background:
    """``run`` waits for a coroutine on the loop's thread; ``stop`` ends both."""

    def __init__(self) -> None:
        import aiofastnet

        self.loop = aiofastnet.patch_loop(asyncio.new_event_loop())
        self._thread = threading.Thread(target=self.loop.run_forever, name="offhook.testing", daemon=True)
        self._thread.start()

    def run(self, what: Coroutine[Any, Any, T], timeout_s: float = 60.0) -> T:
        return asyncio.run_coroutine_threadsafe(what, self.loop).result(timeout_s)

    def stop(self) -> None:
        async def settle() -> None:
            left = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
            for task in left:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)

        self.run(settle())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(5)
        self.loop.close()
