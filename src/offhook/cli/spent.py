"""What calls have cost today before this process began, read from the store for the day's cap (``net/spending.py``)."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from offhook.cli.stored import OFF, reader, store_url
from offhook.net.spending import DAY_S, Spending
from offhook.settings import Settings
from offhook.store.state import CallFilter, StoreError

__all__ = ["SpentBefore"]

log = logging.getLogger("offhook")

FIRST_S = 2.0  # a server's start waits so long for a database that does not answer
AGAIN_S = 5.0


class SpentBefore:
    """
    ``detail`` tells how the store is: what a process that died left half-written is stored a moment after the start,
    so it is looked at again until the store has caught up.
    """

    def __init__(
        self, settings: Settings, directory: Path, spending: Spending, detail: Callable[[], Mapping[str, Any]],
        unix: Callable[[], float] = time.time,
    ) -> None:  # fmt: skip
        self._settings = settings
        self._directory = directory
        self._spending = spending
        self._detail = detail
        self._began_ms = round(unix() * 1000)  # calls that begin later are counted by this process itself
        self._midnight_ms = int(unix() // DAY_S) * DAY_S * 1000
        self._said = ""

    async def look(self, wait_s: float = FIRST_S) -> bool:
        """Ask the store once; whether it told."""
        try:
            usd, unknown = await asyncio.wait_for(asyncio.to_thread(self._read), wait_s)
        except (StoreError, OSError, TimeoutError) as error:
            self._say("what today's calls cost before this start is unknown: the day's cap counts from now on",
                      why=str(error)[:200] or f"the store did not answer within {wait_s:g} s")  # fmt: skip
            return False
        self._spending.spent_before(usd)
        if unknown:
            self._say("calls of today before this start have a cost that is not known in full", calls=unknown)
        return True

    async def keep_looking(self, every_s: float = AGAIN_S) -> None:
        """Until the store has told, and has all that earlier processes left."""
        if store_url(self._settings, self._directory) == OFF:
            return
        while True:
            how = self._detail()
            caught_up = how["state"] == "ok" and not how["waiting"]
            if await self.look(every_s) and caught_up:
                return
            await asyncio.sleep(every_s)

    def _read(self) -> tuple[float, int]:
        """On a thread. Raises StoreError."""
        if store_url(self._settings, self._directory) == OFF:
            raise StoreError("there is no store (store.url = off)")
        store = reader(self._settings, self._directory)
        if store is None:
            return 0.0, 0  # nothing was stored yet
        try:
            found = store.totals(CallFilter(since_at=self._midnight_ms, until_at=self._began_ms))
        finally:
            store.close()
        return float(found["usd"] or 0.0), int(found["unknown"] or 0)

    def _say(self, text: str, **more: Any) -> None:
        if text != self._said:
            self._said = text
            log.warning(text, extra=more)
