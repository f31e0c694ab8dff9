"""
Twilio Media Streams, our side: the media stream here; settings and facts, messages, webhook and signature, TwiML and
REST in the ``_twilio_*`` files beside it, whose public names are this module's. The other side is ``_twilio_peer.py``.
Knows messages, order and refusals; knows nothing of providers, sockets or time.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Sequence
from typing import Any, Literal
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from offhook import vocab as v
from offhook.wires._wire import CarrierWay, LocalProtocolError, Violation, near_miss
from offhook.wires.carriers._twilio_caller import own_parameters, vouches
from offhook.wires.carriers._twilio_document import describe
from offhook.wires.carriers._twilio_messages import (
    FIELDS,
    KNOWN_EVENTS,
    USUAL_MARK,
    USUAL_MEDIA,
    Connected,
    Dtmf,
    FromCarrier,
    Mark,
    Media,
    MediaFormat,
    Start,
    Stop,
    decode,
    redact,
)
from offhook.wires.carriers._twilio_rest import create_call, end_call, list_numbers, point_number, show_call, transfer
from offhook.wires.carriers._twilio_settings import (
    AUDIO,
    DOCUMENT_BYTES,
    ENCODING,
    MAX_UNPLAYED_S,
    MESSAGES,
    NAME,
    REST_BASE,
    SETTINGS_HEADER,
    SIGNATURE_HEADER,
    WITHHELD,
    CarrierSettings,
    mask_number,
)
from offhook.wires.carriers._twilio_twiml import after, answer, not_put_through, refuse, reject
from offhook.wires.carriers._twilio_webhook import (
    SignatureResult,
    Webhook,
    WebhookError,
    check_signature,
    parse_webhook,
    sign,
    signed_data,
)

__all__ = [
    "AUDIO", "DOCUMENT_BYTES", "ENCODING", "FRAME_BYTES", "KNOWN_EVENTS", "MAX_MESSAGE_BYTES", "MAX_PARAMETERS_BYTES",
    "MAX_UNPLAYED_S", "NAME", "REST_BASE", "SETTINGS_HEADER", "SIGNATURE_HEADER", "WITHHELD", "CarrierSettings",
    "Connected", "Dtmf", "FromCarrier", "Leg", "Mark", "Media", "MediaFormat", "SignatureResult", "Start", "Stop",
    "Webhook", "WebhookError", "after", "answer", "check_signature", "create_call", "describe", "end_call",
    "list_numbers", "mask_number", "media_path", "not_put_through", "own_parameters", "parse_webhook", "point_number",
    "redact", "refuse", "reject", "show_call", "sign", "signed_data", "traits", "transfer", "vouches",
]  # fmt: skip

MAX_MESSAGE_BYTES = 1024 * 1024
MAX_PARAMETERS_BYTES = 64 * 1024
# File headers that are played as noise when they stand before the audio (same page, garbled audio).
_MAGIC = (b"RIFF", b"fLaC", b"ID3", b"OggS", b".snd")
_MAGIC_B64 = tuple(base64.b64encode(magic)[: len(magic) * 8 // 6] for magic in _MAGIC)
_B64 = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=")
_B64_BYTES = bytes(_B64)
FRAME_BYTES = 160  # 20 ms, in every capture
_FRAME_TEXT = 216  # the same as base64, which then ends in "=="
_USUAL_AFTER = 10  # so many of one shape in a row
_HOLES_KEPT = 64  # skipped numbers that are waited for: more than a second of frames
_SEQUENCE_MOST = 2**53  # of a usual message: any JSON reader keeps it exactly
_LOOKED_AT = 3  # frames of ours whose audio is looked at before it is sent
_json = msgspec.json.Encoder()


def traits(settings: CarrierSettings) -> v.CarrierTraits:
    """The manners of this carrier."""
    rest = settings.rest_credentials is not None
    return v.CarrierTraits(name=NAME, returns_marks=True, clears=True, ends_by_rest=rest)


def media_path(settings: CarrierSettings) -> str:
    """Where the media stream is served: the advertised path, prefix of the public URL included."""
    return urlsplit(settings.public_url).path.rstrip("/") + settings.media_path


class Leg:
    """Our side of one media stream."""

    usual_bytes = FRAME_BYTES

    __slots__ = (
        "_bidirectional", "_counts", "_frames", "_handlers", "_holes", "_mark_head", "_media_head", "_next_sequence",
        "_next_text", "_sent_frames", "_stopped", "_usual_run", "call_id", "stream_id", "violations",
    )  # fmt: skip

    def __init__(self, settings: CarrierSettings, *, bidirectional: bool = True) -> None:
        self.violations: list[Violation] = []
        self.stream_id: str | None = None
        self.call_id: str | None = None
        self._bidirectional = bidirectional  # what our own TwiML asked for; ``tracks`` does not tell
        self._stopped = False
        self._next_sequence = 0  # 0: none seen yet
        self._next_text = ""
        self._frames = 0
        self._usual_run = 0  # frames of the usual shape since the last one of another
        self._holes: list[int] = []  # numbers that were skipped and may still come
        self._counts = dict.fromkeys(("lost", "reordered", "outbound_track", "other_stream"), 0)
        self._media_head = self._mark_head = b""
        self._sent_frames = 0
        self._handlers: dict[type, Callable[[Any], v.Event]] = {
            Connected: lambda message: v.StreamConnected(),
            Start: self._on_start,
            Mark: lambda message: v.MarkReturned(name=message.mark.name),
            Dtmf: self._on_dtmf,
            Stop: self._on_stop,
        }

    def counters(self) -> dict[str, int]:
        """What was counted on this stream."""
        return {**self._counts, "frames": self._frames}

    # ----------------------------------------------------------------------------------------- receive

    def receive(self, data: bytes, now: float, *, binary: bool = False) -> v.Event:
        """The event that a message stands for. Never raises."""
        if binary:
            return self._broken("frame", None, "a binary frame", "JSON in a text frame")
        try:
            message = decode(data)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            return self._strange(data, error)
        if type(message) is Media and message.streamSid == self.stream_id:
            return self._on_media(message)
        if type(message) is Mark and message.streamSid == self.stream_id:
            if message.sequenceNumber is not None:
                self._count(message.sequenceNumber)
            return v.MarkReturned(message.mark.name)
        if len(data) > MAX_MESSAGE_BYTES:
            return self._broken("frame", None, f"{len(data)} bytes", f"at most {MAX_MESSAGE_BYTES}")
        return self._take(message)

    def usual(self, data: bytes) -> bytes | None:
        """
        The payload of a frame that is like those before it: next in sequence, 20 ms, the caller's; counted.

        None for everything else: ``receive`` has to read it, and nothing has changed.
        """
        try:
            message = decode(data)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return None
        if (
            type(message) is Media
            and message.sequenceNumber == self._next_text
            and message.streamSid == self.stream_id
            and self._usual_run > _USUAL_AFTER
        ):
            media = message.media
            payload = media.payload.encode()
            if (
                len(payload) == _FRAME_TEXT
                and payload[-2] == 61
                and not payload.translate(None, _B64_BYTES)
                and media.track == "inbound"
            ):
                self._frames += 1
                self._next_sequence = n = self._next_sequence + 1
                self._next_text = str(n)
                return payload
        return None

    def way(self) -> CarrierWay | None:
        """What usual messages of this stream look like; None while nothing may be sent."""
        if self.stream_id is None or self._stopped or not self._bidirectional:
            return None
        media, mark = (self._media_head, b'"}}'), (self._mark_head + b'"', b'"}}')
        return CarrierWay(USUAL_MEDIA, USUAL_MARK, self.stream_id, _FRAME_TEXT, FRAME_BYTES, media, mark)

    def expects(self) -> int:
        """The sequence number of the next usual message; 0 while frames are not usual."""
        usual = self._usual_run > _USUAL_AFTER and self._next_text
        return self._next_sequence if usual and 0 < self._next_sequence < _SEQUENCE_MOST else 0

    def came(self, frames: int, marks: int) -> None:
        """Usual messages went by unread, next in sequence."""
        self._frames += frames
        self._next_sequence = n = self._next_sequence + frames + marks
        self._next_text = str(n)

    def plays_unread(self) -> bool:
        """Whether audio may be sent without a look at it, as ``play`` does after the first frames."""
        return self._sent_frames >= _LOOKED_AT and not self._stopped

    def played(self, frames: int) -> None:
        """Frames were sent so."""
        self._sent_frames += frames

    def _take(self, message: FromCarrier) -> v.Event:
        sid = getattr(message, "streamSid", None)
        if self.stream_id is not None and sid is not None and sid != self.stream_id:
            if type(message) is Start:
                return self._broken("start", None, "a second start", "one start a stream")
            self._counts["other_stream"] += 1
            return self._broken(_tag(message), "streamSid", f"{sid[:40]!r}", f"{self.stream_id!r}, as in start")
        if type(message) is Media:
            if self.stream_id is None:
                return self._broken("media", None, "media before start", "start first")
            return self._on_media(message)
        number = getattr(message, "sequenceNumber", None)
        if number is not None:
            self._count(number)
        return self._handlers[type(message)](message)

    def _count(self, number: str | int) -> None:
        try:
            n = int(number)
        except ValueError:
            self._broken("message", "sequenceNumber", repr(number)[:40], "an integer")
            return
        wanted = self._next_sequence
        if wanted and n != wanted:
            if n < wanted:
                self._counts["reordered"] += 1
                if n in self._holes:  # it is late, not lost
                    self._holes.remove(n)
                    self._counts["lost"] -= 1
                return
            self._counts["lost"] += n - wanted
            self._holes += range(max(wanted, n - _HOLES_KEPT), n)
            del self._holes[:-_HOLES_KEPT]
        self._next_sequence = n + 1
        self._next_text = str(n + 1)

    def _on_media(self, message: Media) -> v.Event:
        number = message.sequenceNumber
        if number is not None:
            self._count(number)
        media = message.media
        if media.track != "inbound":
            self._counts["outbound_track"] += 1
            return v.Harmless(leg=v.Leg.CARRIER, tag=f"media:{media.track[:20]}")
        payload = media.payload.encode()
        n_text = len(payload)
        self._frames += 1
        if n_text & 3 or not n_text or payload.translate(None, _B64_BYTES):
            self._usual_run = 0
            return self._bad_payload(n_text)
        n_bytes = n_text // 4 * 3
        if payload[-1] == 61:
            n_bytes -= 2 if payload[-2] == 61 else 1
        self._usual_run = self._usual_run + 1 if n_bytes == FRAME_BYTES else 0
        return v.CallerAudio(payload, n_bytes)

    def _bad_payload(self, n_text: int) -> v.Event:
        if n_text == 0:
            return self._broken("media", "media.payload", "nothing", "at least one byte")
        return self._broken("media", "media.payload", "text that is not base64", "padded base64")

    def _on_start(self, message: Start) -> v.Event:
        body = message.start
        sid = message.streamSid or body.streamSid
        if self.stream_id is not None:
            return self._broken("start", None, "a second start", "one start a stream")
        if not sid:
            return self._broken("start", "streamSid", "nothing", "the stream's id")
        parameters = {name: str(value) for name, value in (body.customParameters or {}).items()}
        if sum(len(name) + len(value) for name, value in parameters.items()) > MAX_PARAMETERS_BYTES:
            return self._broken(
                "start", "start.customParameters", "too much", f"at most {MAX_PARAMETERS_BYTES} characters"
            )
        audio = self._audio(body.mediaFormat)
        if audio is None:
            return v.Malformed(leg=v.Leg.CARRIER, why=str(self.violations[-1]))
        self.stream_id, self.call_id = sid, body.callSid
        quoted = _json.encode(sid)
        self._media_head = b'{"event":"media","streamSid":%b,"media":{"payload":"' % quoted
        self._mark_head = b'{"event":"mark","streamSid":%b,"mark":{"name":' % quoted
        return v.StreamStarted(stream_id=sid, call_id=body.callSid, audio=audio, parameters=parameters)

    def _audio(self, given: MediaFormat | None) -> v.AudioFormat | None:
        if given is None:
            return AUDIO.value  # undocumented, but one look-alike leaves it out
        try:
            shape = (given.encoding.lower(), int(given.sampleRate), int(given.channels))
        except ValueError:
            shape = (given.encoding, -1, -1)
        if shape == (ENCODING.value, 8000, 1):
            return AUDIO.value
        self._broken(
            "start", "start.mediaFormat",
            f"{given.encoding[:40]} {given.sampleRate} Hz, {given.channels} channel(s)",
            f"{ENCODING.value} 8000 Hz, 1 channel",
        )  # fmt: skip
        return None

    def _on_dtmf(self, message: Dtmf) -> v.Event:
        digit = message.dtmf.digit
        if len(digit) != 1 or digit not in "0123456789*#ABCD":
            return self._broken("dtmf", "dtmf.digit", f"a text of {len(digit)} characters", "one of 0-9 * #")
        return v.KeyPressed(digit=digit)

    def _on_stop(self, message: Stop) -> v.Event:
        self._stopped = True
        return v.StreamStopped()

    def _strange(self, data: bytes, error: Exception) -> v.Event:
        """A message that does not fit its type: unknown, a near miss that can be read, or broken."""
        try:
            decoded = msgspec.json.decode(data)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return self._broken("frame", None, f"{len(data)} bytes that are not JSON", "one JSON object")
        if not isinstance(decoded, dict):
            return self._broken("frame", None, f"a JSON {type(decoded).__name__}", "one JSON object")
        event = decoded.get("event")
        if not isinstance(event, str):
            return self._broken("message", "event", repr(event)[:40], "the name of an event")
        if event not in KNOWN_EVENTS:
            return v.Unknown(leg=v.Leg.CARRIER, tag=event[:60])
        seen = len(self.violations)
        mended = self._mend(event, decoded)
        if len(self.violations) > seen:
            try:
                return self._take(msgspec.convert(mended, FromCarrier, strict=False))
            except (msgspec.MsgspecError, RecursionError) as again:
                error = again
        where = re.search(r"`\$\.?([^`]*)`", str(error))
        return self._broken(event, where[1] or None if where else None, str(error)[:120], "the documented shape")

    def _mend(self, event: str, decoded: dict[str, Any]) -> dict[str, Any]:
        """Rename near misses of documented fields, each recorded as the violation it is."""
        outer, inner = FIELDS.get(event, ((), ()))
        mended = self._rename(event, "", outer, decoded)
        body = mended.get(event)
        if isinstance(body, dict):
            mended[event] = self._rename(event, f"{event}.", inner, body)
        return mended

    def _rename(self, event: str, prefix: str, wanted: Sequence[str], given: dict[str, Any]) -> dict[str, Any]:
        renamed = dict(given)
        for name in wanted:
            if name in renamed:
                continue
            miss = near_miss(name, [key for key in renamed if key not in wanted])
            if miss is not None:
                renamed[name] = renamed.pop(miss)
                self.violations.append(
                    _violation(event, prefix + name, f"'{miss}'", f"'{name}'", by="peer", accepted=True)
                )
        return renamed

    def _broken(self, message: str, field: str | None, got: str, wanted: str) -> v.Event:
        violation = _violation(message, field, got, wanted, by="peer")
        self.violations.append(violation)
        return v.Malformed(leg=v.Leg.CARRIER, why=str(violation))

    # -------------------------------------------------------------------------------------------- send

    def send(self, command: v.Command) -> list[bytes]:
        """The messages of ``command``, exactly as documented. Raises LocalProtocolError."""
        if type(command) is v.PlayAudio:
            return [self.play(command.payload)]
        if type(command) is v.SetMark:
            return [self.mark(command.name)]
        if type(command) is v.ClearPlayback:
            self._check_order("clear")
            return [_json.encode(_ClearOut(self._sid()))]
        raise TypeError(f"no message of this wire carries {type(command).__name__}")

    def play(self, payload: bytes) -> bytes:
        """The message that carries a piece of the agent's speech (base64 text). Raises LocalProtocolError."""
        if self._sent_frames < _LOOKED_AT or not payload:
            self._check_payload(payload)
        if self._stopped or not self._media_head:
            self._check_order("media")
        self._sent_frames += 1
        return self._media_head + payload + b'"}}'

    def mark(self, name: str) -> bytes:
        """The message that asks for a receipt. Raises LocalProtocolError."""
        if self._stopped or not self._mark_head or not self._bidirectional:
            self._check_order("mark")
        if not name:
            raise self._local("mark", "mark.name", "''", "a name")
        return self._mark_head + _json.encode(name) + b"}}"

    def _sid(self) -> str:
        assert self.stream_id is not None  # _check_order saw to it
        return self.stream_id

    def _check_order(self, message: str) -> None:
        if self.stream_id is None:
            raise self._local(message, "streamSid", "no stream yet", "start first", "31951")
        if self._stopped:
            raise self._local(message, None, "a message after stop", "nothing after stop")
        if not self._bidirectional:
            raise self._local(message, None, "a message on a <Start> stream", "a <Connect> stream", "31924")

    def _check_payload(self, payload: bytes) -> None:
        self._check_order("media")
        if not payload:
            raise self._local("media", "media.payload", "nothing", "audio")
        if len(payload) % 4 or payload.translate(None, _B64_BYTES):
            raise self._local("media", "media.payload", "text that is not padded base64", "base64", "31951")
        if payload.startswith(_MAGIC_B64):
            raise self._local("media", "media.payload", "a file header", "raw PCMU")

    def _local(
        self, message: str, field: str | None, got: str, wanted: str, code: str | None = None
    ) -> LocalProtocolError:
        return LocalProtocolError(_violation(message, field, got, wanted, by="us", code=code))

    # ------------------------------------------------------------------------------------------ redact

    def redact(self, data: bytes, *, binary: bool = False, digits: bool = False) -> dict[str, Any]:
        """A message of either direction as it may be written down: no audio, no secrets, no numbers, no keys."""
        return redact(data, binary=binary, digits=digits)


class _ClearOut(Struct, tag_field="event", tag="clear"):
    streamSid: str


def _tag(message: FromCarrier) -> str:
    return str(type(message).__struct_config__.tag)


def _violation(
    message: str,
    field: str | None,
    got: str,
    wanted: str,
    *,
    by: Literal["us", "peer"],
    code: str | None = None,
    accepted: bool = False,
) -> Violation:
    return Violation(
        wire=NAME, message=message, field=field, got=got, wanted=wanted, source=MESSAGES, by=by,
        code=code, accepted=accepted,
    )  # fmt: skip
