"""How a server places the calls on its list (``cli/queued.py``), and calls nobody on the other."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from offhook.net.host import Host
from offhook.settings import Settings
from offhook.store.state import StoreError

if TYPE_CHECKING:
    from offhook.cli.queued import StoredQueue
    from offhook.net.queue import Queue, Rules

__all__ = ["Placing"]

log = logging.getLogger("offhook")


class Placing:
    """The store knows us as ``server``. Without a store or the carrier's REST there is nothing to do."""

    def __init__(self, host: Host, settings: Callable[[], Settings], server: str) -> None:
        self._host = host
        self._settings = settings
        self._server = server
        self._stored: StoredQueue | None = None
        self._queue: Queue | None = None
        self._task: asyncio.Task[None] | None = None

    async def start(self, *, works: bool) -> None:
        """``works``: place what is on the list; its database is then loaded beside the first calls."""
        if works:
            self._task = asyncio.create_task(self._work(), name="queue")
        else:
            await self._open()

    def take_no_more(self) -> None:
        """Begin nothing new; what was placed is followed until it is over."""
        if self._task is not None:
            self._task.cancel()

    async def stop(self) -> None:
        """After ``take_no_more`` and the end of the calls."""
        if self._task is not None:
            await asyncio.gather(self._task, return_exceptions=True)
        if self._queue is not None:
            await self._queue.finish()
        if self._stored is not None:
            self._stored.close()

    async def never(self, number: str) -> str:
        """Why nobody may call a number; "" when it may be called."""
        try:
            if self._stored is None:
                return "the do-not-call list has not been read, and without it nobody is called"
            found = await asyncio.to_thread(self._stored.never, number)
        except (OSError, StoreError) as error:
            return f"the do-not-call list cannot be read, and without it nobody is called: {error}"
        return "the number is on the do-not-call list" if found else ""

    async def _work(self) -> None:
        """Place the calls of the list."""
        from offhook.net.queue import Queue

        stored = await self._open()
        if stored is not None:
            rules = await asyncio.to_thread(self._rules)
            self._queue = Queue(self._host.outbound, stored, rules, ask_status=self._host.call_status)
            await self._queue.run()

    def _rules(self) -> Rules:
        from offhook.cli.queued import rules_of

        return rules_of(self._settings())

    async def _open(self) -> StoredQueue | None:
        """The lists of the store; None where there is no store, or no REST to place anything with."""
        if self._host.carrier.settings.rest_credentials is None:
            return None
        self._host.outbound.never = self.never

        def load() -> StoredQueue | None:
            from offhook.cli.queued import StoredQueue, table_of

            table = table_of(self._settings(), self._server)
            return None if table is None else StoredQueue(table, self._settings)

        try:
            stored = self._stored = await asyncio.to_thread(load)
        except (OSError, StoreError) as error:
            log.error("the list of calls to place cannot be read", extra={"why": str(error)[:200]})
            return None
        if stored is None:
            self._host.outbound.never = None
        return stored
