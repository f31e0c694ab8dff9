"""
What calls ask of the process around them: a provider's connection, the carrier's REST.

Each errand is a task beside the path of audio; what came of it goes back to its call as an event. Knows no wire by
name.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any

from msgspec import structs

from offhook import vocab as v
from offhook.net import client, rest
from offhook.net.call import Call
from offhook.net.clock import Clock
from offhook.net.handover import Next
from offhook.net.metrics import Metrics
from offhook.net.notes import RequestNotes
from offhook.net.parties import Carrier
from offhook.wires._wire import ConnectRequest, RestRequest

__all__ = ["Errands"]

log = logging.getLogger("offhook")


class Errands:
    """Every call's errands. ``dialler`` and ``send_rest`` are replaced where there is no network."""

    def __init__(
        self,
        carrier: Carrier,
        *,
        clock: Clock,
        notes: RequestNotes,
        metrics: Metrics,
        dial_options: Mapping[str, Any],
        dialler: Callable[..., Awaitable[Any]] = client.dial,
        send_rest: Callable[..., Awaitable[rest.RestResult]] = rest.send,
        rest_proxy: Callable[[str], str | None] = lambda url: None,
    ) -> None:
        self._carrier = carrier
        self._clock = clock
        self._notes = notes
        self._metrics = metrics
        self._dial_options = dial_options
        self._dialler = dialler
        self._send_rest = send_rest
        self._rest_proxy = rest_proxy
        self._dials: dict[str, asyncio.Task[None]] = {}
        self._next_dials: dict[str, asyncio.Task[None]] = {}
        self._briefings: dict[str, asyncio.Task[None]] = {}
        self._dial_times: deque[float] = deque()
        self._rests: set[asyncio.Task[None]] = set()
        self.options_of: Callable[[Call], Mapping[str, Any]] = lambda call: {}  # of one call's answerer
        self.carrier_of: Callable[[Call], Carrier] = lambda call: self._carrier

    def dials_of_last_minute(self) -> int:
        """How many provider connections were asked for."""
        now = self._clock.now()
        while self._dial_times and self._dial_times[0] < now - 60:
            self._dial_times.popleft()
        return len(self._dial_times)

    def dial(self, call: Call, attempt: int) -> None:
        self._dial_times.append(self._clock.now())
        task = asyncio.get_running_loop().create_task(self._dial(call), name=f"dial {call.name}")
        self._dials[call.name] = task
        task.add_done_callback(lambda done: self._dialled(call, done))

    def _dialled(self, call: Call, task: asyncio.Task[None]) -> None:
        if self._dials.get(call.name) is task:
            del self._dials[call.name]
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("defect while dialling", extra={"call": call.name}, exc_info=error)
            call.feed(v.DialFailed(phase="dial", cause=f"defect: {type(error).__name__}"))

    async def _dial(self, call: Call) -> None:
        def on_phase(phase: str, ms: float) -> None:
            call.journal.note("dial.phase", self._clock.now(), phase=phase, ms=round(ms, 2))

        request: ConnectRequest = call.connect_request
        options = {**self._dial_options, **self.options_of(call)}
        self._notes.dial(call.journal, request, options.get("proxy"))
        try:
            await self._dialler(request, call.provider, on_phase=on_phase, **options)
        except client.DialError as error:
            self._metrics.dial_failed(error.phase)
            call.feed(v.DialFailed(phase=error.phase, cause=str(error), status=error.status, retryable=error.retryable))

    def dial_next(self, call: Call, next_: Next) -> None:
        """Open the session of an agent that is to take over; it is told of on its own way."""
        self._dial_times.append(self._clock.now())
        task = asyncio.get_running_loop().create_task(self._dial_next(call, next_), name=f"dial next {call.name}")
        self._next_dials[call.name] = task
        task.add_done_callback(lambda done: self._next_dials.pop(call.name, None))

    async def _dial_next(self, call: Call, next_: Next) -> None:
        options = {**self._dial_options, **next_.who.dial_options}
        try:
            await self._dialler(next_.connect_request, next_, on_phase=lambda phase, ms: None, **options)
        except client.DialError as error:
            self._metrics.dial_failed(error.phase)
            if call.next is next_:
                call.feed(v.NextFailed(f"{error.phase}: {error}"))

    def stop_redialling(self, call: Call) -> None:
        task = self._next_dials.pop(call.name, None)
        if task is not None:
            task.cancel()

    def stop_dialling(self, call: Call) -> None:
        task = self._dials.pop(call.name, None)
        if task is not None:
            task.cancel()

    def brief(self, call: Call, brief: Callable[[], Awaitable[v.Briefed]]) -> None:
        """Find out about the caller while the provider is dialled; given up when the call ends."""
        task = asyncio.get_running_loop().create_task(self._brief(call, brief), name=f"brief {call.name}")
        self._briefings[call.name] = task
        task.add_done_callback(lambda done: self._briefings.pop(call.name, None))

    async def _brief(self, call: Call, brief: Callable[[], Awaitable[v.Briefed]]) -> None:
        began = self._clock.now()
        try:
            found = await brief()
        except Exception as error:  # a defect of ours: the call goes on without
            log.error("defect while looking up a caller", extra={"call": call.name}, exc_info=error)
            found = v.Briefed(outcome="failed", source="", ms=0.0, detail=f"defect: {type(error).__name__}")
        call.feed(structs.replace(found, ms=(self._clock.now() - began) * 1000))

    def stop_briefing(self, call: Call) -> None:
        task = self._briefings.pop(call.name, None)
        if task is not None:
            task.cancel()

    def hang_up(self, call: Call, why: str) -> None:
        self._begin(self._hang_up(call), f"hang up {call.name}")

    def _begin(self, errand: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.get_running_loop().create_task(errand, name=name)
        self._rests.add(task)
        task.add_done_callback(self._rests.discard)

    async def _hang_up(self, call: Call) -> None:
        carrier = self.carrier_of(call)
        request = carrier.wire.end_call(carrier.settings, call.name)
        result = await self.rest("hang-up", request, call)
        call.feed(v.HangUpFinished(ok=result.done, detail=result.detail))

    def transfer(self, call: Call, asked: v.Transfer) -> None:
        """Give a call to somebody else."""
        self._begin(self._transfer(call, asked), f"transfer {call.name}")

    async def _transfer(self, call: Call, asked: v.Transfer) -> None:
        carrier = self.carrier_of(call)
        request = carrier.wire.transfer(carrier.settings, call.name, asked.target, round(asked.ring_s))
        result = await self.rest("update", request, call)
        call.feed(v.TransferAccepted(ok=result.done, detail=result.detail))

    async def rest(self, op: str, request: RestRequest, call: Call | None = None) -> rest.RestResult:
        """Ask something of the carrier, and write down what came of it."""
        began = self._clock.now()
        result = await self._send_rest(request, proxy=self._rest_proxy(request.url))
        if call is not None:
            now = self._clock.now()
            call.journal.note(
                "rest.result", now, op=op, done=result.done, status=result.status, code=result.code,
                ms=round((now - began) * 1000), detail=result.detail,
            )  # fmt: skip
        return result

    async def finish(self) -> None:
        """Let the last calls to the carrier's REST end."""
        if self._rests:
            await asyncio.wait(self._rests, timeout=5)
