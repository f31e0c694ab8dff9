"""
Writes down a call from between its parts, as a tap does: what crossed the webhook, the carrier's wire and the
provider's, in the recording format that our own calls have. It changes nothing and asks nobody.

What the record can say is in ``sees``; a program that was started under observation also tells its environment, its
exceptions and its tasks ("bridge"). Knows no socket and no clock: callers pass ``now``.
"""

from __future__ import annotations

import base64
import binascii
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec

from offhook.evidence.journal import Journal
from offhook.evidence.lines import Scribe
from offhook.evidence.observed import CarrierOut, ProviderAudio
from offhook.evidence.record import Channel, Recording
from offhook.evidence.witness import ProviderWitness
from offhook.vocab import Leg
from offhook.wires import _judge
from offhook.wires._wire import ConnectRequest, redact_json
from offhook.wires.carriers import twilio
from offhook.wires.providers import _openai_judge, _xai_judge, loopback, openai, xai

__all__ = ["Observer"]

_WIRES: dict[str, Any] = {"openai": openai, "xai": xai, "loopback": loopback}
_JUDGES: dict[str, Any] = {"openai": _openai_judge.judge, "xai": _xai_judge.judge}
# Seen only where the program under test was started under observation: its log, its exceptions, its tasks.
_INSIDE = frozenset(
    ("exception", "task.exit", "bridge.loop-lag", "idle.fired", "tool", "tool.done", "tool.filler", "ending",
     "webhook.refused", "upgrade.refused", "upgrade.seen", "webhook.missed", "gate", "store.stall", "job", "worker",
     "call.unknown", "process")
)  # fmt: skip
_DELTAS = ("response.output_audio.delta", "response.audio.delta")


class Observer:
    """One call's record. ``begin`` facts come from who starts the call; ``recording()`` closes and reads it."""

    def __init__(
        self,
        now: float,
        *,
        source: str = "tap",
        sees: Sequence[str] = ("webhook", "carrier", "provider"),
        boot: Mapping[str, Any] | None = None,
        provider: str = "",
    ) -> None:
        self.began = now
        self._begin: dict[str, Any] = {
            "began": "2026-11-25T12:00:00Z", "call": "", "caller": "", "called": "", "direction": "inbound",
            "carrier": "twilio", "provider": provider, "source": source, "sees": list(sees), "boot": dict(boot or {}),
        }  # fmt: skip
        scribe = Scribe(now, {Leg.CARRIER: twilio.redact, Leg.PROVIDER: _redact})
        self.journal = Journal("observed", Path("observed"), now, scribe, self._begin)
        self.out = CarrierOut(now)
        self.provider = ProviderAudio(now)
        self.last = now
        self._peer: Any = None
        self._ours: dict[str, Any] = {}  # the ends of the program under test
        self._ended: dict[str, Any] = {}
        self._closed = {"carrier": False, "provider": False}
        self._opened_at = {"carrier": now, "provider": now}

    # --------------------------------------------------------------------------------- the webhook leg

    def call_placed(self, call_sid: str, direction: str, form: Mapping[str, str]) -> None:
        self._begin |= {
            "call": call_sid, "direction": direction,
            "caller": twilio.mask_number(form["From"]), "called": twilio.mask_number(form["To"]),
        }  # fmt: skip
        self.journal._pending[0][2].update(self._begin)

    def note(self, kind: str, now: float, **data: Any) -> None:
        """Something that was seen; what only the program itself can know is left out where it was not asked."""
        self.last = now
        if kind not in _INSIDE or "bridge" in self._begin["sees"]:
            self.journal.note(kind, now, **data)

    def judged_by(self, peer: Any) -> None:
        """Whose judgement of the server's messages is written down; ``stream`` says it otherwise."""
        self._peer = peer

    def document(self, body: bytes, code: str | None, why: str, now: float) -> None:
        """What a TwiML document says, and whether the carrier takes it."""
        said: dict[str, Any] = {"ok": code is None, "code": code, "why": why}
        try:
            root = ET.fromstring(body)
        except ET.ParseError:
            self.note("twiml", now, **said)
            return
        names = [element.tag for element in root]
        at = next((n for n, element in enumerate(root) if element.tag in ("Connect", "Start")), None)
        if at is None:
            self.note("twiml", now, **said, verb=names[0] if names else "", unknown=_unknown(root))
            return
        stream = next((child for child in root[at] if child.tag.lower() == "stream"), None)
        following = root[at + 1] if at + 1 < len(root) else None
        given: dict[str, str] = dict(stream.attrib) if stream is not None else {}
        url = urlsplit(given.get("url", ""))
        keys = [pair.partition("=")[0] for pair in url.query.split("&") if pair]
        pause = following is not None and following.tag == "Pause"
        children = list(stream) if stream is not None else []
        self.note(
            "twiml", now, **said, verb=root[at].tag, track=given.get("track"),
            stream={"scheme": url.scheme, "host": url.hostname or "", "port": _port(given.get("url", "")),
                    "path": url.path, "query_keys": keys},
            next_verb=following.tag if following is not None else None,
            next_pause_s=float(following.get("length", "1")) if following is not None and pause else None,
            parameters=[child.get("name", "") for child in children if child.tag == "Parameter"],
            action=bool(root[at].get("action")), unknown=_unknown(root),
        )  # fmt: skip

    # ---------------------------------------------------------------------------------- the carrier leg

    def stream(self, mine: Any, theirs: Any, peer: Any) -> None:
        """A media stream is up: everything on it is seen from now on."""
        self._peer = peer
        self._opened_at["carrier"] = self.last
        now = mine.process.now
        self._ours["carrier"] = theirs
        self._closed["carrier"] = False
        self.out.new_stream()
        theirs.watch = lambda data, binary: self.from_carrier(data, binary, now())

    def from_carrier(self, data: bytes, binary: bool, now: float) -> None:
        self.last = now
        message = _json_of(data, binary)
        media = message.get("media") if message.get("event") == "media" else None
        if not isinstance(media, dict):
            if message.get("event") == "mark":
                self.journal.mark(Channel.FROM_CARRIER, data, now)
                self.out.mark_back(str((message.get("mark") or {}).get("name")), now)
            else:
                self.journal.frame(Channel.FROM_CARRIER, data, now, binary)
            return
        payload = str(media.get("payload", "")).encode()
        self.out.frame_in(message, media, now)
        self.journal.audio(0, payload, _size(payload), now, data)

    def to_carrier(self, data: bytes, binary: bool, now: float) -> None:
        """A message of the server, after the carrier's side judged it."""
        self.last = now
        message = _json_of(data, binary)
        event = message.get("event")
        judged = list(self._peer.violations)
        self._peer.violations.clear()
        for violation in judged:
            self.journal.violation(violation, Channel.TO_CARRIER, now)
        refused = any(violation.code is not None for violation in judged) or (judged and not _payload(message))
        payload = _payload(message)
        if event == "media" and payload and not refused:
            n_bytes = _size(payload)
            self.journal.audio(1, payload, n_bytes, now, data)
            if not self.journal.meters[1].frames % 5 or n_bytes > 400:
                self.journal.meters[1].look(payload)
            self.out.media(base64.b64decode(payload), now, self.provider)
            return
        if event == "mark" and not refused:
            self.journal.mark(Channel.TO_CARRIER, data, now)
            self.out.mark_sent(now)
            return
        self.journal.frame(Channel.TO_CARRIER, data, now, binary)
        if refused:
            self.out.refused(judged)
        elif event == "clear":
            self.out.clear(now, self.provider)

    # --------------------------------------------------------------------------------- the provider leg

    def dial(self, request: ConnectRequest, now: float, via_proxy: str | None = None) -> None:
        """The server begins to dial a provider."""
        url = urlsplit(request.url)
        query = dict(pair.partition("=")[::2] for pair in url.query.split("&") if pair)
        self.note("dial.begun", now, attempt=self.provider.dialled())
        self.note(
            "dial.request", now, scheme=url.scheme, host=url.hostname or "", port=url.port, path=url.path,
            query={"model": query["model"]} if "model" in query else {}, query_keys=sorted(query),
            header_names=[name for name, _ in request.headers], via_proxy=via_proxy,
        )  # fmt: skip

    def session(self, client: Any, theirs: Any, wire: str) -> None:
        """A provider connection is up."""
        now = client.process.now
        self._opened_at["provider"] = now()
        self._closed["provider"] = False
        self.provider.opened(now())
        leg = _WIRES[wire].Leg(_WIRES[wire].SessionSettings(api_key=""))
        self._ours["provider"] = client
        witness = ProviderWitness(self.journal, leg, _JUDGES.get(wire), _differences)
        client.watch = lambda data, binary: self._from_provider(witness, data, binary, now())
        theirs.watch = lambda data, binary: self._to_provider(witness, data, binary, now())

    def _from_provider(self, witness: ProviderWitness, data: bytes, binary: bool, now: float) -> None:
        self.last = now
        witness.said(data, now, binary=binary)
        message = _json_of(data, binary)
        kind = str(message.get("type"))
        self.provider.message(kind, message, now)
        if kind in _DELTAS and isinstance(message.get("delta"), str):
            self.provider.audio(message, base64.b64decode(message["delta"]), now)
        elif kind in ("session.created", "session.updated"):
            self.provider.session(message.get("session"))
        elif kind == "input_audio_buffer.speech_started":
            self.out.speech_started(now, self.provider)

    def _to_provider(self, witness: ProviderWitness, data: bytes, binary: bool, now: float) -> None:
        self.last = now
        witness.heard(data, now, binary=binary)
        message = _json_of(data, binary)
        if message.get("type") == "input_audio_buffer.append":
            self.provider.appended(now)
            return
        self.provider.sent(str(message.get("type")), message, now)
        if message.get("type") == "conversation.item.truncate":
            self.out.truncated(message, now, self.provider)

    def closed(self, leg: str, code: int | None, reason: str, by: str, now: float) -> None:
        """
        A connection is gone. ``by`` is told from the peer's side: "them" is the program under test.
        """
        if self._closed[leg]:
            return
        self._closed[leg] = True
        code = None if code == 1006 else code  # nobody sends it
        if by == "nobody" and leg in self._ours and self._ours[leg].by == "us":
            by = "them"  # TCP ended without a close frame, and it was the program that let it go
        self.last = now
        who = {"us": "them", "them": "us"}.get(by, by)  # "us" in the record is the program under test
        age = round(now - self._opened_at[leg], 2)
        self.note("close", now, leg=leg, code=code, reason=reason[:80], by=who, age_s=age, clean=code is not None)
        self.note(f"{leg}.closed", now, code=code, reason=reason[:80], by=who)

    # ------------------------------------------------------------------------------------------ the end

    def ending(self, **data: Any) -> None:
        """What the program under test said of its own end, where it can be heard."""
        self._ended |= data

    def recording(self, now: float, *, cut: bool = False) -> Recording:
        """The call as it was seen; ``cut``: whoever watched died with it."""
        counters = self.journal.counters()
        lines = self.journal.scribe.lines(self.journal.take())
        if not cut:
            summary = {**self._ended, "carrier_out": self.out.figures(), "carrier_in": self.out.figures_in(),
                       "provider": self.provider.figures()}  # fmt: skip
            lines += self.journal.scribe.lines([("counters", now, counters), ("end", now, summary)])
        return Recording.parse(lines)


_AUDIO_FIELDS = {
    "input_audio_buffer.append": "audio",
    "response.output_audio.delta": "delta",
    "response.audio.delta": "delta",
}


def _redact(data: bytes, *, binary: bool = False) -> Mapping[str, Any]:
    return redact_json(data, _AUDIO_FIELDS, binary=binary)


def _differences(asked: Any, echo: Any) -> Iterable[tuple[str, str, str | None]]:
    """A field that is left out of the echo says nothing at a real provider, an audio format apart."""
    for found in _judge.differences(asked, echo):
        if found.got is not None or "format" in found.field:
            yield found.field, found.asked, found.got


def _unknown(root: ET.Element) -> list[str]:
    known = {name.lower(): name for name in ("Response", "Connect", "Start", "Stream", "Parameter", "Say", "Pause",
             "Hangup", "Play", "Redirect", "Reject", "Dial", "Stop")}  # fmt: skip
    return [element.tag for element in root.iter() if known.get(element.tag.lower()) != element.tag][:8]


def _port(url: str) -> int | None:
    try:
        return urlsplit(url).port
    except ValueError:
        return None


def _json_of(data: bytes, binary: bool) -> dict[str, Any]:
    if binary:
        return {}
    try:
        found = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _payload(message: Mapping[str, Any]) -> bytes:
    media = message.get("media")
    given = media.get("payload") if isinstance(media, dict) else None
    if not isinstance(given, str):
        return b""
    try:
        binascii.a2b_base64(given.encode(), strict_mode=True)
    except (binascii.Error, UnicodeEncodeError):
        return b""
    return given.encode()


def _size(payload: bytes) -> int:
    return len(payload) * 3 // 4 - payload[-2:].count(b"=")
