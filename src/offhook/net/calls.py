"""
The calls of this process: how many there may be, how one is made, and how all of them end.

Whoever offers a call (``webhooks.py``) has it made here; what it asks for while it runs is done by ``errands.py``.
Knows no wire by name.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

from msgspec import Struct, structs

from offhook import vocab as v
from offhook.agent.prompt import CallFacts, render
from offhook.bridge import Bridge, BridgeSettings
from offhook.evidence.journal import JournalDir
from offhook.net.call import Call
from offhook.net.clock import Clock
from offhook.net.errands import Errands
from offhook.net.metrics import Metrics
from offhook.net.parties import Carrier, Recorder

__all__ = ["Answerer", "Calls", "Limits", "Observer"]

log = logging.getLogger("offhook")

Observer = Callable[[str, v.Event | v.Note, float], None]
Outcome = Literal["wanted", "broken"]

# The carrier asks for the next document within this time after a stream; then nobody will ask again.
OUTCOME_TTL_S = 120.0


class Limits(Struct, frozen=True):
    """What this process takes on at most; each limit answers the caller and is named."""

    max_calls: int = 100
    dials_per_minute: int = 300
    start_timeout_s: float = 5.0  # Twilio sends connected and start at once
    max_sockets_without_start: int = 64
    drain_s: float = 30.0


class Answerer(Struct, frozen=True):
    """
    Who answers a call: the provider's wire, what its session is asked for, and the manners of the bridge.

    Instructions and greeting are rendered anew for every call.
    """

    provider: ModuleType
    session: Any
    greeting: str | None
    bridge: BridgeSettings
    lines: Mapping[str, bytes]


class Calls:
    """All calls of one process, on one loop; their shell (``parties.Shell``)."""

    def __init__(
        self,
        carrier: Carrier,
        answerer: Answerer,
        errands: Errands,
        *,
        journals: JournalDir,
        clock: Clock,
        limits: Limits,
        metrics: Metrics,
        recorder: Callable[[Path, float], Recorder] | None,
        observer: Observer | None,
    ) -> None:
        self.running: dict[str, Call] = {}
        self.draining = False
        self.dial, self.stop_dialling, self.hang_up = errands.dial, errands.stop_dialling, errands.hang_up
        self._carrier = carrier
        self._answerer = answerer
        self._errands = errands
        self._journals = journals
        self._clock = clock
        self._limits = limits
        self._metrics = metrics
        self._recorder = recorder
        self._observer = observer
        self._outcomes: dict[str, tuple[Outcome, float]] = {}
        self._idle = asyncio.Event()
        self._idle.set()

    def __len__(self) -> int:
        return len(self.running)

    def full(self) -> str | None:
        """Why no further call is taken now, or None."""
        if self.draining:
            return "draining"
        if len(self.running) >= self._limits.max_calls:
            return "max_calls"
        if self._errands.dials_of_last_minute() >= self._limits.dials_per_minute:
            return "dials_per_minute"
        return None

    def make(self, asked: Any) -> Call:
        """The call that a webhook offers, with its record open; nothing has been done about it yet."""
        who = self._answerer
        facts = CallFacts(
            caller_number=asked.from_,
            called_number=asked.to,
            call_id=asked.call_sid,
            direction=asked.direction,
            webhook=asked.parameters,
        )
        session = structs.replace(who.session, instructions=render(who.session.instructions, facts))
        settings = who.bridge
        if who.greeting:
            settings = structs.replace(settings, greeting=render(who.greeting, facts))
        leg = who.provider.Leg(session)
        now = self._clock.now()
        carrier = self._carrier
        journal = self._journals.open(
            asked.call_sid,
            {v.Leg.PROVIDER: leg.redact},
            now,
            {
                "call": asked.call_sid,
                "caller": carrier.wire.mask_number(asked.from_),
                "called": carrier.wire.mask_number(asked.to),
                "direction": asked.direction,
                "carrier": carrier.wire.NAME,
                "provider": who.provider.LABEL,
            },
            numbers=(asked.from_, asked.to, *(asked.parameters.get(name, "") for name in ("ForwardedFrom", "Caller"))),
        )
        bridge = Bridge(settings, who.provider.traits(session), carrier.wire.traits(carrier.settings), who.lines)
        call = Call(
            asked.call_sid,
            shell=self,
            clock=self._clock,
            bridge=bridge,
            provider_leg=leg,
            connect_request=who.provider.connect_request(session),
            journal=journal,
            recorder=self._recorder(journal.path, now) if self._recorder else None,
        )
        self.running[asked.call_sid] = call
        self._idle.clear()
        self._metrics.calls_active.set(len(self.running))
        log.info("call started", extra={"call": call.name, "provider": who.provider.NAME})
        return call

    def observe(self, call: Call, happened: v.Event | v.Note, now: float) -> None:
        if self._observer is not None:
            self._observer(call.name, happened, now - call.started_at)

    def ended(self, call: Call, end: v.EndCall) -> None:
        now = self._clock.now()
        self.running.pop(call.name, None)
        # what follows the stream is asked for after this: a caller who was told is not told again
        self._remember(call.name, "wanted" if end.wanted or call.bridge.caller_told else "broken", now)
        self._metrics.calls_active.set(len(self.running))
        self._metrics.call_ended(end.why, now - call.started_at)
        log.info(
            "call ended",
            extra={"call": call.name, "seconds": round(now - call.started_at, 1), "end": end.why},
        )
        if not self.running:
            self._idle.set()

    def _remember(self, call_sid: str, how: Outcome, now: float) -> None:
        for old in [sid for sid, (_, at) in self._outcomes.items() if at < now - OUTCOME_TTL_S]:
            del self._outcomes[old]
        self._outcomes[call_sid] = (how, now)

    def outcome(self, call_sid: str) -> Outcome:
        """Whether a call ended, or is ending, as it should; told once of a call that is over."""
        call = self.running.get(call_sid)
        if call is not None:
            return "wanted" if call.bridge.ending_wanted or call.bridge.caller_told else "broken"
        return self._outcomes.pop(call_sid, ("broken", 0.0))[0]

    async def drain(self) -> None:
        """Take no new calls, let the running ones end, then end them politely; returns when all are over."""
        self.draining = True
        if self.running:
            log.info("draining", extra={"calls": len(self.running), "seconds": self._limits.drain_s})
        await self._wait_idle(self._limits.drain_s)
        for call in list(self.running.values()):
            if call.stream_id is None:
                call.abandon("drained before its stream came")
            else:
                call.feed(v.EndRequested(why="draining"))
        # a spoken line, its mark and the carrier's stop
        await self._wait_idle(15.0)
        for call in list(self.running.values()):
            call.abandon("drained")

    async def _wait_idle(self, seconds: float) -> None:
        until = self._clock.now() + seconds
        over = asyncio.Event()
        timer = self._clock.call_at(until, over.set)
        waits = [asyncio.create_task(self._idle.wait()), asyncio.create_task(over.wait())]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            timer.cancel()
            for wait in waits:
                wait.cancel()
