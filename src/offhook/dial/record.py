"""
The recording of a dialled call: what was asked, what came back, both directions of the stream, as the carrier saw it.

The format is that of our own calls, with source "dial"; what lies behind the server is seen only where it is our fakes.
"""

from __future__ import annotations

import binascii
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import msgspec

from offhook.evidence.counted import Counted
from offhook.evidence.journal import Journal, JournalDir
from offhook.evidence.record import Channel
from offhook.evidence.recording import StereoRecorder
from offhook.sims.twiml import Document
from offhook.sims.webhook import Answer
from offhook.vocab import Leg
from offhook.wires._wire import Violation
from offhook.wires.carriers import twilio

__all__ = ["CallRecord"]


class CallRecord:
    """
    One call on its way to disk. ``signature`` is the dimension in which signatures were made wrong, or empty.

    ``behind``: the provider's side is seen as well (behind.py).
    """

    def __init__(
        self, journals: JournalDir, now: float, *, call_sid: str, form: Mapping[str, str], kind: str, signed: bool,
        signature: str = "", audio: bool = False, behind: bool = False,
    ) -> None:  # fmt: skip
        facts = {
            "call": call_sid, "direction": "inbound", "carrier": "twilio", "source": "dial",
            "sees": [*(["webhook"] if kind == "webhook" else []), "carrier", *(["provider"] if behind else [])],
            "caller": twilio.mask_number(form.get("From", "")), "called": twilio.mask_number(form.get("To", "")),
        }  # fmt: skip
        self.journal: Journal = journals.open(call_sid, {Leg.CARRIER: twilio.redact}, now, facts)
        self._signature = {"present": signed and signature != "missing", "ok": None, "variant": signature or None}
        self._hooks = 0
        self.counted = Counted(now)  # of the provider only where it is one of our fakes
        self._out = self.counted.out
        self._provider = self.counted.provider
        self._stereo: StereoRecorder | None = None
        if audio:
            self._stereo = StereoRecorder(self.journal.path.with_suffix(".wav"), now)
            journals.each_round(self._stereo.each_round)

    @property
    def path(self) -> Path:
        return self.journal.path

    def frame(self, to_server: bool, data: bytes, now: float, binary: bool) -> None:
        """A message crossed the wire."""
        channel = Channel.FROM_CARRIER if to_server else Channel.TO_CARRIER
        message = {} if binary else _json(data)
        kind, media = message.get("event"), message.get("media")
        payload = _payload(media) if kind == "media" and isinstance(media, dict) else b""
        if not payload or not isinstance(media, dict):
            self._control(channel, kind, data, now, binary)
            return
        audio = binascii.a2b_base64(payload)
        self.journal.audio(int(channel), payload, len(audio), now, data)
        meter = self.journal.meters[channel]
        if to_server:
            self._out.frame_in(message, media, now)
        else:
            self._out.media(audio, now, self._provider)
            if not meter.frames % 5:
                meter.look(payload)  # the bridge measures what goes out as it comes in; here nothing else does
        if self._stereo is not None:
            (self._stereo.caller if to_server else self._stereo.agent)(payload, len(audio), now)

    def _control(self, channel: Channel, kind: Any, data: bytes, now: float, binary: bool) -> None:
        """A message that is no audio."""
        if kind == "mark":
            self.journal.mark(int(channel), data, now)
            if channel is Channel.FROM_CARRIER:
                self._out.mark_back("", now)
            else:
                self._out.mark_sent(now)
            return
        self.journal.frame(channel, data, now, binary)
        if kind == "clear" and channel is Channel.TO_CARRIER:
            self._out.clear(now, self._provider)
            if self._stereo is not None:
                self._stereo.clear(now)

    def violation(self, violation: Violation, now: float) -> None:
        """The server broke the contract: "us" is the program under test."""
        self.journal.violation(violation, Channel.TO_CARRIER, now)
        self._out.refused([violation])

    def webhook(self, answer: Answer, now: float, *, retried: bool, redirects: int) -> None:
        self._hooks += 1
        request = answer.request
        self.journal.note(
            "webhook", now, n=self._hooks, method=request.method, **_where(request.url),
            call_sid=dict(parse_qsl(request.body.decode(errors="replace"))).get("CallSid", self.journal.name),
            status=answer.status, ms=answer.ms, content_type=answer.content_type, bytes=len(answer.body),
            signature=self._signature, redirected=[answer.location.partition("?")[0]] if answer.location else [],
            retry=retried, code=answer.code, why=answer.why, after_redirects=redirects,
        )  # fmt: skip

    def document(self, document: Document | None, answer: Answer, now: float) -> None:
        """What the answer told the carrier to do."""
        if document is None:
            return
        verb = document.stream
        names = [each.name for each in document.verbs]
        after = document.verbs[names.index(verb.name) + 1 :] if verb is not None else ()
        pause = next((each.attributes.get("length", "1") for each in after if each.name == "Pause"), None)
        self.journal.note(
            "twiml", now, ok=document.refused is None, code=answer.code, why=answer.why,
            verb=verb.name if verb is not None else (names[0] if names else ""),
            stream=_where(verb.stream_url) if verb is not None else None,
            track=verb.stream_attributes.get("track", "inbound_track") if verb is not None else None,
            next_verb=after[0].name if after else None, next_pause_s=int(pause) if pause and pause.isdigit() else None,
            action=bool(verb is not None and verb.attributes.get("action")),
            parameters=sorted(verb.parameters) if verb is not None else [], unknown=list(document.unknown),
            complaints=[msgspec.to_builtins(complaint) for complaint in document.complaints],
        )  # fmt: skip

    def upgrade(self, url: str, status: int | None, ms: float, why: str, now: float) -> None:
        headers = {"upgrade": "websocket", "connection": "Upgrade"}
        self.journal.note(
            "upgrade",
            now,
            **_where(url),
            status=status or 0,
            ms=ms,
            why=why,
            headers=headers,
            signature=self._signature,
        )

    def note(self, kind: str, now: float, **data: Any) -> None:
        self.journal.note(kind, now, **data)

    def close(self, now: float, summary: Mapping[str, Any]) -> None:
        figures: dict[str, Any] = {"carrier_out": self._out.figures(), "carrier_in": self._out.figures_in()}
        if self._provider.dials:
            figures["provider"] = self._provider.figures()
        if self._stereo is not None:
            figures["recording"] = self._stereo.close(now)
        self.journal.close(now, {**summary, **figures})


def _where(url: str) -> dict[str, Any]:
    """A URL as it may be written down: the names of its query, never their values."""
    parts = urlsplit(url)
    return {
        "scheme": parts.scheme, "host": parts.hostname, "port": parts.port, "path": parts.path,
        "query_keys": sorted({name for name, _ in parse_qsl(parts.query, keep_blank_values=True)}),
    }  # fmt: skip


def _json(data: bytes) -> dict[str, Any]:
    try:
        message = msgspec.json.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return {}
    return message if isinstance(message, dict) else {}


def _payload(media: Mapping[str, Any]) -> bytes:
    """The payload of a media message, when it is base64; empty for everything else."""
    given = media.get("payload")
    if not isinstance(given, str):
        return b""
    try:
        binascii.a2b_base64(given.encode(), strict_mode=True)
    except (binascii.Error, UnicodeEncodeError):
        return b""
    return given.encode()
