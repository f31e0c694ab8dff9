"""
Calls that are to be placed later: at a time, a few at once, again when nobody took them, and never to who said no.

The list is kept by whoever gives a ``QueueStore``, and outlives this process; this file decides. A call that was being
placed when a process died is never placed again by guess: the carrier is asked what became of it. Knows no database and
no wire by name.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, Protocol

from msgspec import Struct, structs

from offhook.net.outbound import FINAL, Options, Outbound, Placed

__all__ = ["Entry", "Queue", "QueueStore", "Rules", "State", "outcome_of"]

log = logging.getLogger("offhook")

State = Literal["waiting", "calling", "done", "given up", "refused", "cancelled", "blocked", "unknown"]
LOOK_S = 2.0
# One call a second is what an account may place by default (twilio.com/docs/voice/limitations-and-edge-cases).
APART_S = 1.0
SOON_S = 60.0
TOO_MANY = (20429, 10004)  # the carrier's own limits: nothing is wrong with the number


class Rules(Struct, frozen=True):
    """After which outcome a call is placed again, and when; what is not named, or 0, is not."""

    concurrency: int = 1
    tries: int = 3
    again_s: Mapping[str, float] = {}


class Entry(Struct, frozen=True):
    """A call on the list. ``number`` is empty once it is over."""

    id: str
    number: str
    options: Options
    due: float  # seconds since 1970
    state: State = "waiting"
    tries: int = 0
    most_tries: int = 3
    sid: str = ""  # of the last try
    status: str = ""  # its outcome
    detail: str = ""


class QueueStore(Protocol):
    """Keeps the list; every method may wait for a disk and is called off the loop. Raises StoreBusy and the like."""

    def claim(self, now: float) -> Entry | None:
        """The next that is due, now being placed by this process and by no other."""
        ...

    def save(self, entry: Entry) -> None: ...
    def left_over(self) -> Sequence[Entry]:
        """Those that a process which is gone was placing."""
        ...

    def never(self, number: str) -> bool:
        """Whether nobody may be called under this number."""
        ...


def outcome_of(placed: Placed) -> str:
    """What a try came to, in the words of ``Rules.again_s``."""
    if placed.status == "refused":
        return "limit" if placed.code in TOO_MANY or (placed.http or 0) >= 500 or placed.http is None else "refused"
    if placed.status == "completed" and placed.answered_by.startswith(("machine", "fax")):
        return "completed" if placed.options.voicemail == "message" else "machine"
    return placed.status


class Queue:
    """Places what is due. ``ask_status(sid)`` is the carrier's word about a call that was left over."""

    def __init__(
        self,
        outbound: Outbound,
        store: QueueStore,
        rules: Rules,
        *,
        ask_status: Callable[[str], Any],
        unix: Callable[[], float] = time.time,
        off_loop: Callable[..., Any] = asyncio.to_thread,
        sleep: Callable[[float], Any] = asyncio.sleep,
    ) -> None:
        self.running: dict[str, Entry] = {}
        self.why = ""  # the list cannot be read: said once, and when it can again
        self._outbound = outbound
        self._store = store
        self._rules = rules
        self._ask_status = ask_status
        self._unix = unix
        self._off_loop, self._sleep = off_loop, sleep
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Until it is cancelled. What cannot be read now is tried again."""
        swept = False
        while True:
            try:
                if not swept:
                    await self.sweep()
                    swept = True
                placed = len(self.running) < self._rules.concurrency and await self.step()
                self._says("")
            except Exception as error:  # the store's own: calls go on, the list waits
                self._says(f"{type(error).__name__}: {str(error)[:200]}")
                placed = False
            await self._sleep(APART_S if placed else LOOK_S)

    async def finish(self, seconds: float = 5.0) -> None:
        """Let what was placed be written down; a call that goes on is asked about at the next start."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=seconds)
        for task in list(self._tasks):
            task.cancel()

    def _says(self, why: str) -> None:
        if why and not self.why:
            log.error("the list of calls to place cannot be read", extra={"why": why})
        elif self.why and not why:
            log.warning("the list of calls to place is read again")
        self.why = why

    async def sweep(self) -> None:
        """What a process that died was placing: the carrier knows what became of it."""
        for entry in await self._off_loop(self._store.left_over):
            status = await self._ask_status(entry.sid) if entry.sid else ""
            if status in FINAL:
                await self._settle(entry, status, "the process that placed it died")
            else:
                detail = f"the process that placed it died; the carrier says {status or 'nothing'}"
                await self._off_loop(self._store.save, structs.replace(entry, state="unknown", detail=detail))

    async def step(self) -> bool:
        """Place the next that is due; False where there is none."""
        entry = await self._off_loop(self._store.claim, self._unix())
        if entry is None:
            return False
        if await self._off_loop(self._store.never, entry.number):
            blocked = structs.replace(entry, state="blocked", detail="on the do-not-call list")
            await self._off_loop(self._store.save, blocked)
            return False
        self.running[entry.id] = entry
        task = asyncio.get_running_loop().create_task(self._place(entry), name=f"queued call {entry.id}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return True

    async def _place(self, entry: Entry) -> None:
        try:
            placed = await self._outbound.place(entry.number, entry.options)
            entry = structs.replace(entry, sid=placed.sid)
            if placed.sid:  # from here on the carrier can be asked, should this process die
                await self._off_loop(self._store.save, entry)
                await self._outbound.over(placed)
            await self._settle(entry, outcome_of(placed), placed.detail)
        except Exception as error:
            log.error("a queued call could not be followed", extra={"entry": entry.id}, exc_info=error)
        finally:
            self.running.pop(entry.id, None)

    async def _settle(self, entry: Entry, outcome: str, detail: str) -> None:
        """Again, done, or given up."""
        tried = entry.tries if outcome == "limit" else entry.tries + 1
        made = structs.replace(entry, tries=tried, status=outcome, detail=detail[:200])
        wait_s = SOON_S if outcome == "limit" else self._rules.again_s.get(outcome, 0.0)
        if wait_s > 0 and tried < entry.most_tries:
            made = structs.replace(made, state="waiting", due=self._unix() + wait_s)
        elif outcome == "completed":
            made = structs.replace(made, state="done")
        else:
            made = structs.replace(made, state="refused" if outcome == "refused" else "given up")
        await self._off_loop(self._store.save, made)
        log.info("queued call", extra={"entry": entry.id, "outcome": outcome, "state": made.state, "tries": tried})
