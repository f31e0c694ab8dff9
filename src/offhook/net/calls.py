"""
The calls of this process: how many there may be, how one is made, and how all of them end.

Whoever offers a call (``webhooks.py``) has it made here; what it asks for while it runs is done by ``errands.py``.
Knows no wire by name.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from msgspec import Struct, structs

from offhook import vocab as v
from offhook.agent.prompt import CallFacts
from offhook.bridge import Bridge, BridgeSettings
from offhook.evidence.journal import JournalDir
from offhook.evidence.record import SCREENS
from offhook.net.answerer import Answerer, AnswerFor, Declined, Farewell
from offhook.net.asks import Asks
from offhook.net.call import Call
from offhook.net.clock import Clock
from offhook.net.errands import Errands
from offhook.net.handover import Next
from offhook.net.hands import Hands
from offhook.net.metrics import Metrics
from offhook.net.parties import Carrier, Recorder
from offhook.net.spending import Spending
from offhook.net.tail import Tail

__all__ = ["BEGUN", "OVER", "Calls", "Limits", "Observer"]

log = logging.getLogger("offhook")

Observer = Callable[[str, v.Event | v.Note, float], None]
Outcome = Literal["wanted", "broken"]
BEGUN, OVER = "call.begun", "call.over"  # notes for the observer alone: a call is there, and is gone

TAKE_OVER = "You take over this call from another agent, who has been heard by the caller. What was said last:\n"
TAIL_TURNS = 12
MOST_CHARS = 60_000  # of instructions with what was said; providers take more

# The carrier asks for the next document within this time after a stream; then nobody will ask again.
OUTCOME_TTL_S = 120.0


class Limits(Struct, frozen=True):
    """What this process takes on at most; each limit answers the caller and is named."""

    max_calls: int = 100
    dials_per_minute: int = 300
    start_timeout_s: float = 5.0  # Twilio sends connected and start at once
    max_sockets_without_start: int = 64
    drain_s: float = 30.0


class Calls:
    """All calls of one process, on one loop; their shell (``parties.Shell``)."""

    def __init__(
        self,
        carrier: Carrier,
        answer_for: AnswerFor,
        errands: Errands,
        *,
        journals: JournalDir,
        clock: Clock,
        limits: Limits,
        metrics: Metrics,
        recorder: Callable[[Path, float], Recorder] | None,
        observer: Observer | None,
        hands: Hands | None = None,
        number_id: Callable[[str], str] = lambda number: "",
        unix: Callable[[], float] = time.time,
        spending: Spending | None = None,
    ) -> None:
        self._unix = unix
        self._spending = spending
        self.running: dict[str, Call] = {}
        self.answerers: dict[str, Answerer] = {}  # of the running calls
        self._tails: dict[str, Tail] = {}
        self._facts: dict[str, CallFacts] = {}
        self.carriers: dict[str, Carrier] = {}  # likewise: who brought them
        self.draining = False
        self.streams_up = 0
        errands.options_of = lambda call: self.answerers[call.name].dial_options
        errands.carrier_of = lambda call: self.carriers.get(call.name, carrier)
        self.dial, self.stop_dialling, self.hang_up = errands.dial, errands.stop_dialling, errands.hang_up
        self.transfer, self.stop_redialling = errands.transfer, errands.stop_redialling
        self._carrier = carrier
        self.answer_for = answer_for  # replaced when the agents change; running calls keep theirs
        self._errands = errands
        self._journals = journals
        self._clock = clock
        self._limits = limits
        self._metrics = metrics
        self._recorder = recorder
        self._observer = observer
        self._hands = hands
        self._number_id = number_id
        self._outcomes: dict[str, tuple[Outcome, float, str]] = {}
        self._asks = Asks()
        if hands is not None:
            hands.order = self._asks.ask
        self._idle = asyncio.Event()
        self._idle.set()

    def __len__(self) -> int:
        return len(self.running)

    def full(self) -> str | None:
        """Why no further call is taken now, or None."""
        if self.draining:
            return "draining"
        if self._spending is not None and self._spending.full:
            return "spend_day"
        if len(self.running) >= self._limits.max_calls:
            return "max_calls"
        if self._errands.dials_of_last_minute() >= self._limits.dials_per_minute:
            return "dials_per_minute"
        return None

    def dials_of_last_minute(self) -> int:
        return self._errands.dials_of_last_minute()

    def find(self, name: str) -> Call | None:
        """A running call, by the carrier's name for it or by its record's."""
        call = self.running.get(name)
        return call or next((one for one in tuple(self.running.values()) if one.journal.path.stem == name), None)

    def facts(self, asked: Any, carrier: Carrier | None = None) -> CallFacts:
        """What a webhook tells of its call."""
        verified, said = (carrier or self._carrier).wire.vouches(asked.parameters)
        return CallFacts(
            caller_number=asked.from_,
            called_number=asked.to,
            call_id=asked.call_sid,
            direction=asked.direction,
            webhook=asked.parameters,
            parameters=asked.own,
            verified=verified,
            attestation=said,
            let_in=carrier is not None and carrier is not self._carrier and asked.let_in,
        )

    def parties(self, asked: Any, carrier: Carrier) -> dict[str, Any]:
        """Whose call it is, as a record begins: numbers masked, and told apart by a keyed hash."""
        return {
            "call": asked.call_sid,
            "caller": carrier.wire.mask_number(asked.from_),
            "called": carrier.wire.mask_number(asked.to),
            "caller_id": self._number_id(asked.from_),
            "called_id": self._number_id(asked.to),
            "direction": asked.direction,
            "carrier": carrier.wire.NAME,
        }

    def declined(self, asked: Any, why: str, detail: str = "") -> dict[str, Any]:
        """What the record of a call is begun and noted with that nobody takes."""
        return {
            "begin": self.parties(asked, self._carrier), "numbers": _numbers(asked),
            "why": why, "detail": detail, "call_sid": asked.call_sid,
        }  # fmt: skip

    def make(self, asked: Any, who: Answerer, carrier: Carrier | None = None) -> Call:
        """
        The call that a webhook offers, with its record open; nothing has been done about it yet.

        ``carrier`` brings it, where that is not the one with the webhooks.
        """
        carrier = carrier or self._carrier
        session, settings = self._equipped(who)
        facts = self.facts(asked, carrier)
        if self._hands is not None:
            self._hands.begin(asked.call_sid, facts, who.agent)
        leg = who.provider.Leg(session)
        now = self._clock.now()
        journal = self._journals.open(
            asked.call_sid,
            {v.Leg.PROVIDER: leg.redact},
            now,
            {
                **self.parties(asked, carrier),
                "provider": who.provider.LABEL,
                "agent": who.agent,
                "boot": who.boot,
            },
            numbers=_numbers(asked),
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
        for kind, data in who.notes.items():
            journal.note(kind, now, **data)
        self.running[asked.call_sid] = call
        self.answerers[asked.call_sid] = who
        self._facts[asked.call_sid] = facts
        if self._spending is not None:
            self._spending.begin(call, who, phone=carrier.wire.NAME not in SCREENS)
        self._tails[asked.call_sid] = Tail()
        self.carriers[asked.call_sid] = carrier
        self._idle.clear()
        self._metrics.calls_active.set(len(self.running))
        log.info("call started", extra={"call": call.name, "agent": who.agent, "provider": who.provider.NAME})
        self._tell_begin(call, asked, who, session)
        return call

    def _equipped(self, who: Answerer) -> tuple[Any, BridgeSettings]:
        """An answerer's session and manners with the tools that it has now."""
        session, settings = who.session, who.bridge
        if self._hands is not None:
            session = structs.replace(session, tools=(*session.tools, *self._hands.specs(who.tools)))
            settings = structs.replace(settings, tools=self._hands.policies(who.tools))
        may_hang_up = any(tool.name == "hang_up" for tool in session.tools)
        return session, structs.replace(settings, unix_s=self._unix() - self._clock.now(), may_hang_up=may_hang_up)

    def redial(self, call: Call, agent: str) -> None:
        """Another agent is to take over a call: its session is opened, and knows the last of what was said."""
        who = self.answer_for(structs.replace(self._facts[call.name], agent=agent))
        if isinstance(who, Declined):
            call.feed(v.NextFailed(who.detail or who.why))
            return
        session, settings = self._equipped(who)
        if self._hands is not None:
            self._hands.promised(call.name)
        talk = "\n".join(f"{name}: {text}" for name, text in self._tails[call.name].said()[-TAIL_TURNS:])
        session = structs.replace(session, instructions=f"{session.instructions}\n\n{TAKE_OVER}{talk}"[:MOST_CHARS])
        call.next = Next(call, who, who.provider.Leg(session), who.provider.connect_request(session))
        call.feed(v.NextDialled(who.agent, who.provider.traits(session), settings))
        self._errands.dial_next(call, call.next)

    def handed_over(self, call: Call, next_: Next) -> None:
        """Another agent speaks in a call from here on."""
        who = self.answerers[call.name] = next_.who
        if self._spending is not None:
            self._spending.begin(call, who, phone=self.carriers[call.name].wire.NAME not in SCREENS)
        if self._hands is not None:
            self._hands.begin(call.name, self._facts[call.name], who.agent)
        log.info("handed over", extra={"call": call.name, "agent": who.agent, "provider": who.provider.NAME})

    def _tell_begin(self, call: Call, asked: Any, who: Answerer, session: Any) -> None:
        if self._observer is not None:
            wire = self.carriers[call.name].wire
            mask = wire.mask_number
            told = {
                "record": call.journal.path.stem, "agent": who.agent, "why": who.why, "direction": asked.direction,
                "caller": mask(asked.from_), "called": mask(asked.to), "carrier": wire.NAME,
                "provider": who.provider.LABEL, "wire": who.provider.NAME, "model": session.model,
                "voice": session.voice,
            }  # fmt: skip
            self._observer(call.name, v.Note(BEGUN, told), 0.0)

    def brief(self, call: Call, who: Answerer) -> None:
        """Find out about the caller, if that is asked for; the provider is being dialled meanwhile."""
        if who.brief is not None and call.ended is None:
            self._errands.brief(call, who.brief)

    def run_tool(self, call: Call, asked: v.RunTool) -> None:
        if self._hands is not None:
            self._hands.run(call, asked)

    def observe(self, call: Call, happened: v.Event | v.Note, now: float) -> None:
        if self._hands is not None:
            self._hands.heard(call.name, happened)
        if self._spending is not None:
            self._spending.heard(call, happened)
        if call.name in self._tails:
            self._tails[call.name].hear(happened)
        if self._observer is not None:
            self._observer(call.name, happened, now - call.started_at)

    async def ask(self, call_sid: str, event: v.Event) -> v.Done:
        """
        Ask something of a running call, as an API or a tool does, and wait for how it went.

        ``event`` is one of the vocabulary's ``...Asked``; its ``id`` is given here. What the call does raises nothing.
        """
        return await self._asks.ask(self.running.get(call_sid), event)

    def done(self, call: Call, answer: v.Done) -> None:
        self._asks.done(call.name, answer)

    def ended(self, call: Call, end: v.EndCall) -> None:
        self._asks.ended(call.name)
        now = self._clock.now()
        self.running.pop(call.name, None)
        who = self.answerers.pop(call.name)
        self.carriers.pop(call.name, None)
        self._errands.stop_briefing(call)
        tail = self._tails.pop(call.name, None)
        self._facts.pop(call.name, None)
        if self._spending is not None:
            self._spending.ended(call)
        if who.farewell is not None and tail is not None:
            cut = {item["item"]: item["heard_text"] for item in call.bridge.summary()["items"]}
            who.farewell(Farewell(end, tail.said(cut)))
        if self._hands is not None:
            self._hands.ended(call.name)
        # what follows the stream is asked for after this: a caller who was told is not told again
        self._remember(call.name, "wanted" if end.wanted or call.bridge.caller_told else "broken", now, who)
        self._metrics.calls_active.set(len(self.running))
        self._metrics.call_ended(end.why, now - call.started_at)
        if self._observer is not None:
            self._observer(call.name, v.Note(OVER, {"why": end.why, "wanted": end.wanted}), now - call.started_at)
        log.info(
            "call ended",
            extra={"call": call.name, "seconds": round(now - call.started_at, 1), "end": end.why},
        )
        if not self.running:
            self._idle.set()

    def _remember(self, call_sid: str, how: Outcome, now: float, who: Answerer) -> None:
        for old in [sid for sid, (_, at, _) in self._outcomes.items() if at < now - OUTCOME_TTL_S]:
            del self._outcomes[old]
        self._outcomes[call_sid] = (how, now, who.fallback_say)

    def outcome(self, call_sid: str) -> tuple[Outcome, str]:
        """
        Whether a call ended, or is ending, as it should, and its agent's own fallback line.

        Told once of a call that is over.
        """
        call = self.running.get(call_sid)
        if call is not None:
            wanted = call.bridge.ending_wanted or call.bridge.caller_told
            return "wanted" if wanted else "broken", self.answerers[call_sid].fallback_say
        how, _, say = self._outcomes.pop(call_sid, ("broken", 0.0, ""))
        return how, say

    async def drain(self) -> None:
        """Take no new calls, let the running ones end, then end them politely; returns when all are over."""
        self.draining = True
        if self.running:
            log.info("draining", extra={"calls": len(self.running), "seconds": self._limits.drain_s})
        await self.idle(self._limits.drain_s)
        for call in list(self.running.values()):
            if call.stream_id is None and not call.bridge.away:
                call.abandon("drained before its stream came")
            else:
                call.feed(v.EndRequested(why="draining"))
        # a spoken line, its mark and the carrier's stop
        await self.idle(15.0)
        for call in list(self.running.values()):
            call.abandon("drained")

    async def idle(self, seconds: float) -> None:
        """Wait until no call runs, at most so long."""
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


def _numbers(asked: Any) -> tuple[str, ...]:
    """Every number that a webhook names, for its record to mask."""
    return asked.from_, asked.to, *(asked.parameters.get(name, "") for name in ("ForwardedFrom", "Caller"))
