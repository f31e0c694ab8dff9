"""
Calls that this process places: asked for by REST, followed by the carrier's callbacks, answered by an agent.

A call that is picked up becomes a call like any other, by its webhook. One that the carrier refuses, or that nobody
takes, leaves a record all the same. Knows no wire by name and no agent.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Literal

from msgspec import Struct, field, structs

from offhook import vocab as v
from offhook.agent.prompt import PARAMETER_CHARS, PARAMETER_NAME, CallFacts
from offhook.evidence.journal import JournalDir
from offhook.net.answerer import Answerer, Declined
from offhook.net.call import Call
from offhook.net.calls import Calls
from offhook.net.clock import Clock
from offhook.net.errands import Errands
from offhook.net.parties import Carrier

__all__ = ["FINAL", "PARAMETER_CHARS", "PARAMETER_NAME", "Options", "Outbound", "Placed"]

log = logging.getLogger("offhook")

FINAL = ("completed", "busy", "no-answer", "failed", "canceled")
KEPT = 500  # calls that are over, for whoever asks how they went
SILENT_S = 30.0  # the carrier's last word about a call comes within seconds of the ring time's end
LOOK_S = 10.0
OWN = "placed"  # the name under which a webhook's address says which call of ours it is

# What ``Calls.full`` says, for whoever asked for a call.
_FULL = {
    "draining": "it is being stopped",
    "spend_day": "the spend cap of the day is reached (limits.spend_day_usd); the next day begins at midnight UTC",
    "max_calls": "as many run as may (limits.max_calls)",
    "dials_per_minute": "the provider was dialled as often in the last minute as may be (limits.dials_per_minute)",
}


class Options(Struct, frozen=True):
    """How a call is placed, and what whoever answers is met with."""

    from_: str = ""
    agent: str = ""
    ring_s: int = 30
    hello_s: float = 3.0
    machine: Literal["off", "detect", "beep"] = "detect"  # what the carrier's own detection is asked for
    voicemail: Literal["talk", "hang_up", "message"] = "hang_up"
    message: str = ""
    machine_sure: float = 0.9  # our own ear's word counts from here on
    send_digits: str = ""
    parameters: Mapping[str, str] = {}  # custom ones: told as {{parameter.NAME}}, given to tools, sent to the stream


class Placed(Struct):
    """A call that was asked for, and what became of it."""

    id: str
    to: str
    options: Options
    sid: str = ""
    status: str = "asked"  # refused, or the carrier's: queued initiated ringing in-progress, then one of FINAL
    code: int | None = None  # of a refusal
    http: int | None = None
    detail: str = ""
    answered_by: str = ""
    seconds: int | None = None
    sip: str = ""
    history: list[tuple[float, str]] = field(default_factory=list)  # seconds since it was asked for, status
    asked_at: float = 0.0
    ms: int = 0  # that the carrier took to answer the request

    @property
    def over(self) -> bool:
        return self.status in FINAL or self.status == "refused"


_MACHINE = {"off": "", "detect": "Enable", "beep": "DetectMessageEnd"}
_ORDER = ("asked", "queued", "initiated", "ringing", "in-progress")
Watch = Callable[[Placed], None]


class Outbound:
    """``watch(placed)`` hears of every change of a call's status."""

    def __init__(self, carrier: Carrier, errands: Errands, calls: Calls, *, journals: JournalDir, clock: Clock) -> None:
        self.placed: dict[str, Placed] = {}
        self.watchers: list[Watch] = []
        # Why a number may not be called; "" when it may. A list that cannot be read lets nobody be called.
        self.never: Callable[[str], Awaitable[str]] | None = None
        self._carrier = carrier
        self._errands = errands
        self._calls = calls
        self._journals = journals
        self._clock = clock
        self._over: dict[str, asyncio.Event] = {}
        self._own_number = ""  # the account's only one
        self._ids: dict[str, str] = {}  # by the carrier's id of the call
        self._answered: set[str] = set()  # those for which the carrier asked what to do

    # ------------------------------------------------------------------------------------------ asking

    async def place(self, to: str, options: Options) -> Placed:
        """Ask for a call. Returns when the carrier has taken or refused it; never raises for what the carrier does."""
        placed = Placed(secrets.token_hex(8), to, options, asked_at=self._clock.now())
        self.placed[placed.id] = placed
        self._over[placed.id] = asyncio.Event()
        placed.detail = self._why_not(placed)
        if not placed.detail and self.never is not None:
            placed.detail = await self.never(to)
        if not placed.detail and not options.from_:
            placed.detail = await self._find_from(placed)
            options = placed.options
        if placed.detail:
            self._change(placed, "refused")
            return placed
        wire, settings = self._carrier.wire, self._carrier.settings
        request = wire.create_call(
            settings, to, options.from_, {OWN: placed.id}, ring_s=options.ring_s,
            machine=_MACHINE[options.machine], send_digits=options.send_digits,
        )  # fmt: skip
        result = await self._errands.rest("create", request)
        placed.ms = round((self._clock.now() - placed.asked_at) * 1000)
        placed.http, placed.code = result.status, result.code
        placed.detail = "" if result.done else result.detail
        sid = result.data.get("sid")
        if not result.done or not isinstance(sid, str):
            self._change(placed, "refused")
            self._record(placed)
            return placed
        placed.sid = sid
        self._ids[sid] = placed.id
        if placed.status == "asked":  # a callback may be quicker than the answer to the request
            self._change(placed, "queued")
        self._clock.call_at(self._clock.now() + options.ring_s + SILENT_S, lambda: self._silent(placed))
        return placed

    async def _find_from(self, placed: Placed) -> str:
        """The number that the call shows, where the account has but one; why there is none, or ""."""
        if not self._own_number:
            request = self._carrier.wire.list_numbers(self._carrier.settings)
            result = await self._errands.rest("numbers", request)
            rows = result.data.get("incoming_phone_numbers", [])
            if not result.done:
                return f"the account's numbers cannot be read: {result.detail}"
            if len(rows) != 1:
                return (
                    f"outbound.from is not set, and the account has {len(rows)} numbers: say which one calls show "
                    "(`offhook numbers` lists them)"
                )
            self._own_number = str(rows[0].get("phone_number", ""))
        placed.options = structs.replace(placed.options, from_=self._own_number)
        return ""

    def _why_not(self, placed: Placed) -> str:
        """Why a call is not even asked for; "" when it is."""
        full = self._calls.full()
        if full is not None:
            return f"this server takes no further call: {_FULL.get(full, full)}"
        if not self._carrier.wire.traits(self._carrier.settings).ends_by_rest:
            return "the carrier's REST is not set up: it wants the account and its token"
        facts = CallFacts(
            caller_number=placed.options.from_, called_number=placed.to, call_id="", direction="outbound-api",
            webhook={}, parameters=placed.options.parameters, agent=placed.options.agent,
        )  # fmt: skip
        who = self._calls.answer_for(facts)
        return f"no agent for it: {who.detail or who.why}" if isinstance(who, Declined) else ""

    async def over(self, placed: Placed) -> None:
        """Wait until the call is over, or never came about."""
        await self._over[placed.id].wait()

    async def cancel(self, placed: Placed) -> None:
        """Take a call back that nobody has answered yet."""
        if placed.sid and placed.status in ("queued", "initiated", "ringing"):
            request = self._carrier.wire.end_call(self._carrier.settings, placed.sid, ringing=True)
            await self._errands.rest("hang-up", request)

    async def stop(self) -> None:
        """The server stops: what rings is taken back."""
        for placed in [one for one in self.placed.values() if not one.over]:
            await self.cancel(placed)

    # --------------------------------------------------------------------------------------- following

    def of(self, asked: Any) -> Placed | None:
        """Whose webhook or callback it is: by what we wrote into its address, which is signed."""
        found = self.placed.get(asked.own.get(OWN, ""))
        return found or self.placed.get(self._ids.get(asked.call_sid, ""))

    def known(self, placed: Placed, asked: Any) -> Any:
        """The webhook of a call of ours, with what was said of it when it was asked for."""
        rest = {name: value for name, value in asked.own.items() if name != OWN}
        return structs.replace(asked, own={**placed.options.parameters, **rest})

    def dress(self, placed: Placed, who: Answerer) -> Answerer:
        """The agent as it meets somebody whom we called."""
        options = placed.options
        bridge = structs.replace(
            who.bridge, hello_s=options.hello_s, machine=options.voicemail, machine_message=options.message,
            machine_sure=options.machine_sure,
        )  # fmt: skip
        return structs.replace(who, bridge=bridge)

    def answered(self, placed: Placed, call: Call) -> None:
        """Somebody picked up: the call's own record learns how it came about."""
        now = self._clock.now()
        self._answered.add(placed.id)
        self._notes(placed, lambda kind, **data: call.journal.note(kind, now, **data))
        if placed.status != "in-progress":  # its callback may have come first
            self._change(placed, "in-progress")
        self._look_for_end(placed, call)

    def _look_for_end(self, placed: Placed, call: Call) -> None:
        """The carrier says when a call is over; where it does not, our own end of it counts after a while."""
        if placed.over:
            return
        if call.ended is not None and placed.detail:
            self._change(placed, "completed")
            return
        if call.ended is not None:
            placed.detail = "the carrier did not tell its end"  # unless it does until the next look
        self._clock.call_at(self._clock.now() + LOOK_S, lambda: self._look_for_end(placed, call))

    def status(self, placed: Placed, asked: Any, call: Call | None) -> None:
        """The carrier tells how the call goes; callbacks may come in any order."""
        given = asked.parameters
        status = asked.status
        placed.sip = given.get("SipResponseCode", placed.sip)
        placed.answered_by = given.get("AnsweredBy", placed.answered_by)
        seconds = given.get("CallDuration", "")
        placed.seconds = int(seconds) if seconds.isdigit() else placed.seconds
        if placed.over or (status in _ORDER and _ORDER.index(status) <= _rank(placed.status)):
            return
        taken = "in-progress" in (old for _, old in placed.history)
        self._change(placed, status)
        if status == "in-progress":
            self._clock.call_at(self._clock.now() + SILENT_S, lambda: self._unasked(placed))
        if placed.over and not taken and call is None:
            self._record(placed)

    def _unasked(self, placed: Placed) -> None:
        """Somebody took the call, and the carrier asked nobody what to do with it: whoever waits must not for ever."""
        if not placed.over and placed.id not in self._answered:
            placed.detail = "the carrier told that it was answered and asked nothing: is the webhook reachable?"
            self._change(placed, "failed")
            self._record(placed)

    def machine(self, placed: Placed | None, asked: Any, call: Call | None) -> None:
        """The carrier's detection has decided who picked up."""
        who, ms = asked.parameters.get("AnsweredBy", "unknown"), asked.parameters.get("MachineDetectionDuration", "")
        if placed is not None:
            placed.answered_by = who
            self._tell(placed)
        if call is not None:
            call.journal.note(
                "call.status", self._clock.now(), status="in-progress", direction="outbound-api", answered_by=who
            )
            call.feed(v.PartyDetected(who, int(ms) if ms.isdigit() else None))

    def _silent(self, placed: Placed) -> None:
        if not placed.over and placed.status != "in-progress":
            placed.detail = "the carrier told nothing more of it: is the status callback reachable?"
            self._change(placed, "failed")
            self._record(placed)

    def _change(self, placed: Placed, status: str) -> None:
        placed.status = status
        placed.history.append((round(self._clock.now() - placed.asked_at, 2), status))
        why = {"why": placed.detail} if status == "refused" else {}
        log.info("outbound call", extra={"placed": placed.id, "call": placed.sid, "status": status, **why})
        self._tell(placed)
        if placed.over:
            self._over[placed.id].set()
            self._forget()

    def _tell(self, placed: Placed) -> None:
        for watch in self.watchers:
            watch(placed)

    def _forget(self) -> None:
        over = [id_ for id_, placed in self.placed.items() if placed.over]
        for id_ in over[: max(0, len(over) - KEPT)]:
            self._ids.pop(self.placed[id_].sid, None)
            del self.placed[id_], self._over[id_]
            self._answered.discard(id_)

    # ------------------------------------------------------------------------------------------ record

    def _notes(self, placed: Placed, note: Callable[..., None]) -> None:
        options = placed.options
        note(
            "rest.result", op="create", done=placed.status != "refused", status=placed.http, code=placed.code,
            ms=placed.ms, detection=_MACHINE[options.machine],  # never the kind that blocks the call
        )  # fmt: skip
        for at_s, status in placed.history[1:]:
            note("call.status", status=status, direction="outbound-api", sip=_int(placed.sip), at_s=at_s)

    def _record(self, placed: Placed) -> None:
        """A call that never was one: who was called when, and why nothing came of it."""
        wire, now = self._carrier.wire, self._clock.now()
        begin = {
            "call": placed.sid or placed.id, "caller": wire.mask_number(placed.options.from_),
            "called": wire.mask_number(placed.to), "direction": "outbound-api", "carrier": wire.NAME, "provider": "",
            "agent": placed.options.agent,
        }  # fmt: skip
        numbers = (placed.options.from_, placed.to)
        journal = self._journals.open(placed.sid or placed.id, {}, now, begin, numbers=numbers)
        self._notes(placed, lambda kind, **data: journal.note(kind, now, **data))
        why = f"outbound call {placed.status}" + (f": {placed.code}" if placed.code else "")
        journal.close(now, {"end": {"wanted": placed.status == "canceled", "why": why}})


def _rank(status: str) -> int:
    return _ORDER.index(status) if status in _ORDER else len(_ORDER)


def _int(text: str) -> int | None:
    return int(text) if text.isdigit() else None
