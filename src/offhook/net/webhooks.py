"""
What the carrier's webhooks are answered: a call that comes in, what follows its stream, and what a stream came to.

Every refusal answers the caller in the carrier's own document and is named. Knows no framework (``app.py`` does HTTP)
and no wire by name.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from msgspec import structs

from offhook import vocab as v
from offhook.net.answerer import Declined
from offhook.net.call import Call
from offhook.net.calls import Calls
from offhook.net.clock import Clock
from offhook.net.echo import CHECK_FIELD
from offhook.net.gate import Answer, Gate, Refused
from offhook.net.metrics import Metrics
from offhook.net.notes import RequestNotes
from offhook.net.outbound import FINAL, Outbound
from offhook.net.parties import Carrier
from offhook.net.streams import Streams

__all__ = ["Webhooks"]

log = logging.getLogger("offhook")

Headers = Sequence[tuple[str, str]]


class Webhooks:
    """The carrier's requests by HTTP, answered; each takes method, path with query, headers and body as they came."""

    def __init__(
        self,
        carrier: Carrier,
        gate: Gate,
        calls: Calls,
        streams: Streams,
        outbound: Outbound,
        *,
        clock: Clock,
        notes: RequestNotes,
        metrics: Metrics,
    ) -> None:
        self._carrier = carrier
        self._gate = gate
        self._calls = calls
        self._streams = streams
        self._outbound = outbound
        self._clock = clock
        self._notes = notes
        self._metrics = metrics

    def voice(self, method: str, path_qs: str, headers: Headers, body: bytes) -> Answer:
        """A call that comes in: the document that opens a stream, or a refusal with its reason."""
        try:
            asked = self._gate.webhook(method, path_qs, headers, body)
        except Refused as refused:
            return refused.answer
        if CHECK_FIELD in asked.parameters:
            return self._check(asked)
        began = self._clock.now()
        full = self._calls.full()
        if full is not None:
            self._metrics.refused(full)
            log.warning("call refused", extra={"call": asked.call_sid, "why": full})
            self._notes.refused("webhook", method, path_qs, headers, 200, **self._calls.declined(asked, full))
            return self._refuse("draining" if full == "draining" else "busy")
        call = self._calls.running.get(asked.call_sid)
        placed = self._outbound.of(asked)
        if placed is not None:
            asked = self._outbound.known(placed, asked)
        if call is None:
            facts = self._calls.facts(asked)
            if placed is not None:
                facts = structs.replace(facts, agent=placed.options.agent)
            who = self._calls.answer_for(facts)
            if isinstance(who, Declined):
                return self._decline(who, asked, method, path_qs, headers)
            if placed is not None:
                who = self._outbound.dress(placed, who)
            call = self._calls.make(asked, who)
            if placed is not None:
                self._outbound.answered(placed, call)
            call.feed(v.CallOffered())
            self._calls.brief(call, who)
        else:  # the carrier repeats a webhook whose answer it did not get: same call, same answer
            call.journal.note("webhook.repeated", self._clock.now())
        who = self._calls.answerers[asked.call_sid]
        document = self._document(asked, who.fallback_say)
        signed = self._carrier.settings.auth != "none"
        self._notes.hook(
            call.journal, method, path_qs, {name.lower(): value for name, value in headers}, began,
            status=200, content_type="text/xml", bytes=len(document), retry=call.offered,
            signature={"present": True, "ok": True} if signed else {"present": False},
        )  # fmt: skip
        if not call.offered:
            self._notes.document(call.journal, document)
        call.offered = True
        return Answer(200, document)

    def after(self, method: str, path_qs: str, headers: Headers, body: bytes) -> Answer:
        """What follows the stream: the spoken fallback, unless the end was wanted or the caller was told already."""
        try:
            asked = self._gate.webhook(method, path_qs, headers, body)
        except Refused as refused:
            return refused.answer
        how, say = self._calls.outcome(asked.call_sid)
        return Answer(200, self._carrier.wire.after(self._carrier.saying(say), how))

    def status(self, method: str, path_qs: str, headers: Headers, body: bytes) -> Answer:
        """The carrier's own word about a stream, kept in the call's record."""
        try:
            asked = self._gate.webhook(method, path_qs, headers, body)
        except Refused as refused:
            return refused.answer
        call = self._calls.running.get(asked.call_sid)
        wanted = ("StreamSid", "StreamEvent", "StreamError", "CallStatus")
        data = {name: asked.parameters[name] for name in wanted if name in asked.parameters}
        if call is not None:
            call.journal.note("carrier.status", self._clock.now(), **data)
            return Answer(204, b"")
        self._notes.late(asked.call_sid, "carrier.status", **data)
        if "StreamError" in data:
            log.warning("stream error after the call", extra={"call": asked.call_sid, **data})
        return Answer(204, b"")

    def about_call(self, what: str, method: str, path_qs: str, headers: Headers, body: bytes) -> Answer:
        """What becomes of a call beside its stream: ``what`` is transfer or leg, status or machine."""
        try:
            asked = self._gate.webhook(method, path_qs, headers, body)
        except Refused as refused:
            return refused.answer
        # a leg has an id of its own; its parent's stands in the address that we gave, which is signed
        call = self._calls.running.get(asked.own.get("of", asked.call_sid))
        given = asked.parameters
        if what == "transfer":
            return self._after_transfer(call, asked)
        placed = self._outbound.of(asked)
        if what == "machine":
            self._outbound.machine(placed, asked, call)
        elif what == "leg" and call is not None and given.get("CallStatus") in ("in-progress", "answered"):
            call.feed(v.TransferAnswered())
        elif what == "status":
            if placed is not None:
                self._outbound.status(placed, asked, call)
            if call is not None and asked.status in FINAL:
                self._note_status(call, asked)
                call.feed(v.CallGone(asked.status))
        return Answer(204, b"")

    def _note_status(self, call: Call, asked: Any) -> None:
        sip = asked.parameters.get("SipResponseCode", "")
        call.journal.note(
            "call.status", self._clock.now(), status=asked.status, direction=asked.direction,
            answered_by=asked.parameters.get("AnsweredBy", ""), sip=int(sip) if sip.isdigit() else None,
        )  # fmt: skip

    def _after_transfer(self, call: Call | None, asked: Any) -> Answer:
        """The leg to whom a caller was given is over: back to the agent, told that nobody came, or the end."""
        if call is None:  # it has ended meanwhile
            return Answer(200, self._carrier.wire.after(self._carrier.settings, "wanted"))
        given = asked.parameters
        seconds = given.get("DialCallDuration", "")
        sip = given.get("DialSipResponseCode", "")
        call.feed(
            v.TransferFinished(
                how=given.get("DialCallStatus", "failed"),
                detail=f"SIP {sip}" if sip else "",
                seconds=int(seconds) if seconds.isdigit() else None,
            )
        )
        wire, settings = self._carrier.wire, self._carrier.settings
        if call.bridge.after_transfer == "agent" and call.ended is None:
            return Answer(200, self._document(asked, self._calls.answerers[call.name].fallback_say))
        if call.bridge.after_transfer == "line":
            return Answer(200, wire.not_put_through(settings))
        return Answer(200, wire.after(settings, "wanted"))

    def _check(self, asked: Any) -> Answer:
        """Answer a check as a call would be answered; the stream that follows is an echo."""
        if self._calls.draining:
            return self._refuse("draining")
        if not self._streams.expect_echo(asked.call_sid):
            return self._refuse("busy")
        log.info("check answered", extra={"what": asked.parameters[CHECK_FIELD][:40]})
        return Answer(200, self._document(asked))

    def _document(self, asked: Any, fallback_say: str = "") -> bytes:
        """The document that opens the stream of a call."""
        settings, ticket = self._carrier.saying(fallback_say), self._streams.ticket(asked.call_sid)
        document: bytes = self._carrier.wire.answer(settings, asked, ticket, asked.own)
        return document

    def _decline(self, who: Declined, asked: Any, method: str, path_qs: str, headers: Headers) -> Answer:
        """Nobody takes this call: the reason on record, the caller told or not even answered."""
        self._metrics.refused("declined")
        log.warning("call declined", extra={"call": asked.call_sid, "why": who.why, "detail": who.detail})
        said = self._calls.declined(asked, who.why, who.detail)
        self._notes.refused("webhook", method, path_qs, headers, 200, **said)
        if who.say is None:
            return Answer(200, self._carrier.wire.reject())
        return Answer(200, self._carrier.wire.refuse(self._carrier.saying(who.say), "declined"))

    def _refuse(self, why: str) -> Answer:
        return Answer(200, self._carrier.wire.refuse(self._carrier.settings, why))
