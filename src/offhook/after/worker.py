"""
Who does what is to be done after calls: one thread beside everything else, with a loop of its own.

It looks into the outbox when a call was stored, when something is due, and now and then. What hangs is ended at its
deadline, what fails is tried again, what goes on failing is given up and stays visible; nothing of it touches a call.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import Future
from typing import Any, TypeVar

from sqlalchemy.exc import SQLAlchemyError

from offhook.after.hook import Hook, Job, Outcome, pause_s
from offhook.after.queue import SUMMARY, Queue
from offhook.agent.aside import Aside
from offhook.agent.tools.threads import in_thread
from offhook.store.database import reason
from offhook.store.state import NoStoreYet

__all__ = ["Worker"]

log = logging.getLogger("offhook")

AT_ONCE = 8
AT_ONCE_OF_ONE = 3  # a hook that hangs leaves room for the others
LOOK_S = 15.0
SOON_S = 0.3  # after a call was stored: its transaction ends a moment later
LEASE_S = 120.0  # beyond the deadline; only another machine's claim is judged by time
STOP_S = 5.0
T = TypeVar("T")
TIDY_S = 3600.0


class Worker:
    """
    ``open_queue()`` is called on a thread of its own and may raise; ``lives(server)`` says whether a process does, None
    where nobody knows. ``tidy()`` is called now and then, on a thread.
    """

    def __init__(
        self,
        open_queue: Callable[[], Queue],
        hooks: Mapping[str, Hook],
        lives: Callable[[str], bool | None],
        *,
        counted: Callable[[str, str], None] = lambda hook, outcome: None,
        tidy: Callable[[], None] = lambda: None,
        share: Callable[[], float] = random.random,
    ) -> None:
        self.hooks = hooks
        self._open = open_queue
        self._lives = lives
        self._counted = counted
        self._tidy = tidy
        self._share = share
        self._queue: Queue | None = None
        self._aside = Aside("offhook-after")
        self._main: Future[None] | None = None
        self._running: dict[int, tuple[str, asyncio.Task[None]]] = {}
        self._woken: asyncio.Event | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._failing: dict[str, str] = {}  # by hook, since it last worked
        self._tidy_at = 0.0
        self._stopping = False
        self._counts: dict[str, int] = {}
        self._store_why = ""
        self._away = 0  # rounds without the store

    # Any thread may call these, and none of them waits.

    def start(self) -> None:
        self._main = self._aside.submit(self._run)
        self._main.add_done_callback(self._ended)

    def _ended(self, main: Future[None]) -> None:
        """Its rounds catch what may be caught: whatever ended it, nothing is done any more, and that is said."""
        if self._stopping or main.cancelled():
            return
        error = main.exception()
        self._store_why = f"its thread has died of {type(error).__name__}; a restart goes on"
        log.critical("nothing is done after calls any more; calls go on", exc_info=error)

    def wake(self) -> None:
        """Something was queued."""
        if self._loop is not None and self._woken is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: it is found at the next start
                self._loop.call_soon_threadsafe(self._woken.set)

    def state(self) -> dict[str, Any]:
        """For /readyz: what waits, what was given up, and which hooks fail and why."""
        failing = {name: why for name, why in sorted(self._failing.items())}
        said: dict[str, Any] = {"names": sorted(name.lstrip(":") for name in self.hooks), **self._counts}
        if failing:
            said["failing"] = failing
        return said | ({"why": self._store_why} if self._store_why else {})

    def stop(self) -> None:
        """Let what runs end, for a moment; what is left goes on at the next start, or is named there."""
        if self._main is None:
            return
        with contextlib.suppress(Exception):
            self._aside.submit(self._end).result(timeout=STOP_S + 5)
        self._aside.stop()

    # The rest runs on the loop.

    async def _run(self) -> None:
        self._loop, self._woken = asyncio.get_running_loop(), asyncio.Event()
        pause = 0.0
        while not self._stopping:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._woken.wait(), pause)
                self._woken.clear()
                await asyncio.sleep(SOON_S)
            pause = await self.round()

    async def round(self) -> float:
        """One look; how long until the next."""
        try:
            if self._queue is None:
                self._queue = await self._db(self._open)
                await self._adopt(self._queue)
            return await self._begin(self._queue)
        except Exception as error:  # the store is away: its own thread says so, and it is tried again
            why = reason(error) if isinstance(error, SQLAlchemyError) else f"{type(error).__name__}: {error}"
            begins = isinstance(error, NoStoreYet) and not self._away  # the writer is making it just now
            if not begins:
                if why != self._store_why:
                    log.warning("what is to be done after calls waits for the store", extra={"why": why})
                self._store_why = why
            self._away += 1
            return min(LOOK_S, float(2**self._away) / 2)

    async def _begin(self, queue: Queue) -> float:
        if time.monotonic() >= self._tidy_at:
            self._tidy_at = time.monotonic() + TIDY_S
            await self._db(self._tidy)
            await self._adopt(queue)
        room = AT_ONCE - len(self._running)
        busy = Counter(name for name, _ in self._running.values())
        due = await self._db(lambda: queue.due(list(self._running), 4 * AT_ONCE)) if room > 0 else []
        for job in due:
            if room <= 0 or self._stopping:
                break
            if busy[job.hook] >= AT_ONCE_OF_ONE:
                continue
            hook = self.hooks.get(job.hook)
            lease_s = (hook.deadline_s if hook is not None else 0.0) + LEASE_S
            if await self._db(lambda job=job, lease_s=lease_s: queue.claim(job, lease_s)):  # type: ignore[misc]
                self._task(job, self._work(queue, job, hook))
                room, busy[job.hook] = room - 1, busy[job.hook] + 1
        self._counts = await self._db(queue.counts)
        self._store_why, self._away = "", 0
        next_at = await self._db(queue.next_due)
        in_s: float = LOOK_S if next_at is None else next_at / 1000 - time.time()
        return min(LOOK_S, max(0.05, in_s)) if room > 0 or not due else LOOK_S

    async def _adopt(self, queue: Queue) -> None:
        """What dead processes were at work on."""
        for job in await self._db(lambda: queue.orphans(self._lives)):
            hook = self.hooks.get(job.hook)
            if hook is not None and not hook.repeatable:
                why = "the server ended while it ran; whether it was done is not known, and it is not begun twice"
                await self._give_up(queue, job, why)
            else:
                await self._db(lambda job=job: queue.again(job, 0.0, "the server ended in the middle"))  # type: ignore[misc]
        await self._db(queue.release)

    def _task(self, job: Job, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._running[job.id] = (job.hook, task)

        def over(done: asyncio.Task[None]) -> None:
            self._running.pop(job.id, None)
            if not done.cancelled() and (error := done.exception()) is not None:
                log.error("the store did not take how a hook ended", extra={"hook": job.hook, "why": str(error)[:200]})
            if self._woken is not None:
                self._woken.set()

        task.add_done_callback(over)

    async def _work(self, queue: Queue, job: Job, hook: Hook | None) -> None:
        if hook is None:
            await self._settle(queue, job, None, Outcome(False, "no such hook in the settings any more", last=True))
            return
        try:
            async with asyncio.timeout(hook.deadline_s + 10.0):  # each has its own; this one is for what forgets it
                outcome = await hook.run(job)
        except TimeoutError:
            outcome = Outcome(False, f"not done within {hook.deadline_s:g} s")
        except asyncio.CancelledError:
            await self._broken_off(queue, job, hook)
            raise
        except Exception as error:  # a defect of ours
            log.error("defect in what is done after a call", extra={"hook": job.hook}, exc_info=error)
            outcome = Outcome(False, f"defect: {type(error).__name__}: {str(error)[:100]}")
        await self._settle(queue, job, hook, outcome)

    async def _settle(self, queue: Queue, job: Job, hook: Hook | None, outcome: Outcome) -> None:
        name = job.hook.lstrip(":")
        if outcome.ok:
            if self._failing.pop(name, None) is not None:
                log.info("a hook works again", extra={"hook": name, "call": job.call, "tries": job.tries})
            if hook is not None and hook.kind == "summary":
                await self._closed(lambda: queue.summarized(job.record, outcome.result, ""))
            await self._closed(lambda: queue.done(job, keep=hook is not None and hook.kind == "upload"))
            self._counted(name, "done")
            return
        if name not in self._failing:
            log.warning("a hook fails", extra={"hook": name, "call": job.call, "try": job.tries, "why": outcome.why})
        self._failing[name] = _short(outcome.why)
        self._counted(name, "failed")
        if hook is None or outcome.last or job.tries > hook.retries:
            await self._give_up(queue, job, outcome.why)
        else:
            pause = pause_s(job.tries, outcome.after_s, self._share())
            await self._closed(lambda: queue.again(job, pause, outcome.why))

    async def _give_up(self, queue: Queue, job: Job, why: str) -> None:
        name = job.hook.lstrip(":")
        log.error(
            "a hook was given up", extra={"hook": name, "call": job.call, "tries": job.tries, "why": why,
                                          "again": f"offhook hooks retry {job.id}"},
        )  # fmt: skip
        self._failing[name] = _short(why)
        self._counted(name, "given up")
        if job.hook == SUMMARY:
            await self._closed(lambda: queue.summarized(job.record, None, why))
        await self._closed(lambda: queue.give_up(job, why))

    async def _broken_off(self, queue: Queue, job: Job, hook: Hook) -> None:
        """The process ends: what may be done again is, by the next one."""
        if hook.repeatable:
            await self._closed(lambda: queue.again(job, 0.0, "the server stopped in the middle", counted=False))
        else:
            await self._give_up(queue, job, "the server stopped while it ran; it was ended, and is not begun twice")

    async def _end(self) -> None:
        self._stopping = True
        if self._woken is not None:
            self._woken.set()
        tasks = [task for _, task in self._running.values()]
        if tasks:
            _, left = await asyncio.wait(tasks, timeout=STOP_S)
            for task in left:
                task.cancel()
            if left:
                await asyncio.wait(left, timeout=STOP_S)

    async def _closed(self, work: Callable[[], None]) -> None:
        """How something ended, into the store: as often as it takes, for what was done must not be done again."""
        pause = 1.0
        while True:
            try:
                await self._db(work)
                return
            except SQLAlchemyError as error:
                log.warning("the store does not take how a hook ended; tried again", extra={"why": reason(error)})
                await asyncio.sleep(pause)
                pause = min(pause * 2, LOOK_S)

    async def _db(self, work: Callable[[], T]) -> T:
        """A statement on a thread: a database may hang, and deadlines must not hang with it."""
        return await in_thread("offhook-after store", work)


def _short(why: str) -> str:
    """Why, without what the other side said: /readyz is for anybody."""
    return why.partition(": ")[0][:200]
