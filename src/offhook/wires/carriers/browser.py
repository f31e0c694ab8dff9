"""
A person at a screen as a carrier: the microphone and speakers of a browser or a terminal, and their keyboard.

The protocol is our own and documented in ``docs/talk.md``; the other side is ``_browser_peer.py``, the console's
``talk`` module and ``offhook talk``. Knows messages, order and refusals; knows nothing of providers, sockets or time.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Literal

import msgspec
from msgspec import Struct

from offhook import vocab as v
from offhook.wires._wire import Fact, LocalProtocolError, Violation, clean_text

NAME = "browser"

# ------------------------------------------------------------------------------------------------ facts

_OURS = "docs/talk.md"
_CHECKED = "2026-11-25"

AUDIO = Fact(v.PCMU_8K, _OURS, _CHECKED)
ENCODING = Fact("PCMU", _OURS, _CHECKED)
VERSION = Fact(1, _OURS, _CHECKED)
CLIENTS = Fact(("browser", "terminal"), _OURS, _CHECKED)
MAX_TEXT = Fact(2000, _OURS, _CHECKED)  # characters of one typed line
MEDIA_PATH = Fact("/api/talk/stream", _OURS, _CHECKED)
MAX_MESSAGE_BYTES = 64 * 1024
FRAME_BYTES = 160  # 20 ms
_FRAME_TEXT = 216  # the same as base64, which then ends in "=="
_B64_BYTES = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/="
_USUAL_AFTER = 10  # frames of one shape in a row


class CarrierSettings(Struct, frozen=True):
    """This wire needs to be told nothing: a ticket says whose call a stream is."""

    fallback_say: str = ""


def traits(settings: CarrierSettings) -> v.CarrierTraits:
    """The manners of this carrier."""
    return v.CarrierTraits(name=NAME, returns_marks=True, clears=True, ends_by_rest=False, shows=True)


def mask_number(number: str) -> str:
    """Who called, or was called, as it may be shown: there are no numbers here, only agents."""
    return number or "a screen"


class Talk(Struct, frozen=True):
    """A call that somebody at a screen asks for; what a webhook is to other carriers."""

    call_sid: str
    to: str  # the agent
    from_: str = ""
    let_in: bool = True  # by the API: lists of numbers do not concern them
    direction: str = "inbound"
    parameters: Mapping[str, str] = {}
    own: Mapping[str, str] = {}


def vouches(parameters: Mapping[str, str]) -> tuple[bool, str]:
    """Whether the caller is who they say: whoever shows a ticket was let in by the API, but is no number."""
    return False, "somebody whom the API let in"


# --------------------------------------------------------------------------------------------- messages


class AudioForm(Struct, frozen=True):
    encoding: str
    rate: int


class Start(Struct, tag_field="event", tag="start"):
    callId: str
    ticket: str
    version: int
    audio: AudioForm
    agent: str = ""
    client: str = "browser"
    deviceRate: int = 0  # of the microphone, before it was resampled


class Media(Struct, tag_field="event", tag="media", gc=False):
    audio: str
    seq: int


class Mark(Struct, tag_field="event", tag="mark"):
    name: str
    flushed: bool = False  # cleared away: what stood before it was not heard


class Dtmf(Struct, tag_field="event", tag="dtmf"):
    digit: str


class Text(Struct, tag_field="event", tag="text"):
    text: str


class Stop(Struct, tag_field="event", tag="stop"):
    pass


class MediaOut(Struct, tag_field="event", tag="media"):
    audio: str


class MarkOut(Struct, tag_field="event", tag="mark"):
    name: str


class ClearOut(Struct, tag_field="event", tag="clear"):
    pass


class Said(Struct, tag_field="event", tag="said"):
    who: Literal["caller", "agent"]
    text: str


FromCarrier = Start | Media | Mark | Dtmf | Text | Stop
_KNOWN = {str(message.__struct_config__.tag) for message in FromCarrier.__args__}
_decode = msgspec.json.Decoder(FromCarrier).decode
_json = msgspec.json.Encoder()


# -------------------------------------------------------------------------------------------------- leg


class Leg:
    """Our side of one stream."""

    usual_bytes = FRAME_BYTES

    __slots__ = ("_counts", "_frames", "_next", "_stopped", "_usual_run", "call_id", "stream_id", "violations")

    def __init__(self, settings: CarrierSettings) -> None:
        self.violations: list[Violation] = []
        self.stream_id: str | None = None
        self.call_id: str | None = None
        self._stopped = False
        self._next = 1
        self._frames = 0
        self._usual_run = 0
        self._counts = dict.fromkeys(("lost", "typed"), 0)

    def counters(self) -> dict[str, int]:
        """What was counted on this stream."""
        return {**self._counts, "frames": self._frames}

    # ----------------------------------------------------------------------------------------- receive

    def receive(self, data: bytes, now: float, *, binary: bool = False) -> v.Event:
        """The event that a message stands for. Never raises."""
        if binary:
            return self._broken("frame", None, "a binary frame", "JSON in a text frame")
        if len(data) > MAX_MESSAGE_BYTES:
            return self._broken("frame", None, f"{len(data)} bytes", f"at most {MAX_MESSAGE_BYTES}")
        try:
            message = _decode(data)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            return self._unread(data, str(error))
        if type(message) is Start:
            return self._on_start(message)
        if self.stream_id is None:
            return self._broken(_tag(message), None, "a message before start", "start first")
        return self._HANDLERS[type(message)](self, message)

    def usual(self, data: bytes) -> bytes | None:
        """
        The payload of a frame that is like those before it: next in sequence, 20 ms; counted.

        None for everything else: ``receive`` has to read it, and nothing has changed.
        """
        if self._usual_run <= _USUAL_AFTER:
            return None
        try:
            message = _decode(data)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return None
        if type(message) is Media and message.seq == self._next:
            payload = message.audio.encode()
            if len(payload) == _FRAME_TEXT and payload[-2] == 61 and not payload.translate(None, _B64_BYTES):
                self._frames += 1
                self._next += 1
                return payload
        return None

    def way(self) -> None:
        """There are few calls from screens: nothing of them is read by compiled code."""

    def expects(self) -> int:
        return 0

    def came(self, frames: int, marks: int) -> None:
        """Never called: see ``way``."""

    def plays_unread(self) -> bool:
        return False

    def played(self, frames: int) -> None:
        """Never called: see ``way``."""

    def _on_start(self, message: Start) -> v.Event:
        if self.stream_id is not None:
            return self._broken("start", None, "a second start", "one start a stream")
        if message.version != VERSION.value:
            return self._broken("start", "version", str(message.version), str(VERSION.value))
        audio = message.audio
        if (audio.encoding, audio.rate) != (ENCODING.value, 8000):
            got = f"{audio.encoding[:20]} {audio.rate} Hz"
            return self._broken("start", "audio", got, f"{ENCODING.value} 8000 Hz")
        if message.client not in CLIENTS.value:
            return self._broken("start", "client", repr(message.client[:20]), " or ".join(CLIENTS.value))
        self.stream_id = self.call_id = message.callId
        told = {"token": message.ticket, "agent": message.agent, "client": message.client}
        return v.StreamStarted(message.callId, message.callId, AUDIO.value, told)

    def _on_media(self, message: Media) -> v.Event:
        if message.seq > self._next:
            self._counts["lost"] += message.seq - self._next
        self._next = message.seq + 1
        payload = message.audio.encode()
        n_text = len(payload)
        self._frames += 1
        if n_text & 3 or not n_text or payload.translate(None, _B64_BYTES):
            self._usual_run = 0
            return self._broken("media", "audio", f"{n_text} characters", "padded base64")
        n_bytes = n_text // 4 * 3 - payload[-2:].count(b"=")
        self._usual_run = self._usual_run + 1 if n_bytes == FRAME_BYTES else 0
        return v.CallerAudio(payload, n_bytes)

    def _on_mark(self, message: Mark) -> v.Event:
        return v.MarkReturned(message.name)

    def _on_dtmf(self, message: Dtmf) -> v.Event:
        if len(message.digit) != 1 or message.digit not in "0123456789*#ABCD":
            return self._broken("dtmf", "digit", f"a text of {len(message.digit)} characters", "one of 0-9 * #")
        return v.KeyPressed(message.digit)

    def _on_text(self, message: Text) -> v.Event:
        text = message.text.strip()
        if not text or len(text) > MAX_TEXT.value:
            return self._broken("text", "text", f"{len(text)} characters", f"1 to {MAX_TEXT.value}")
        self._counts["typed"] += 1
        return v.CallerTyped(text)

    def _on_stop(self, message: Stop) -> v.Event:
        self._stopped = True
        return v.StreamStopped()

    _HANDLERS: Mapping[type, Callable[[Any, Any], v.Event]] = {
        Media: _on_media, Mark: _on_mark, Dtmf: _on_dtmf, Text: _on_text, Stop: _on_stop,
    }  # fmt: skip

    def _unread(self, data: bytes, error: str) -> v.Event:
        """Of a type that this wire has not, or broken: nothing is read by guessing, both ends are ours."""
        try:
            message = msgspec.json.decode(data)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return self._broken("frame", None, f"{len(data)} bytes that are not JSON", "one JSON object")
        event = message.get("event") if isinstance(message, dict) else None
        if not isinstance(event, str):
            return self._broken("message", "event", repr(event)[:40], "the name of an event")
        if event not in _KNOWN:
            return v.Unknown(leg=v.Leg.CARRIER, tag=event[:60])
        where = re.search(r"`\$\.?([^`]*)`|field `(\w+)`", error)
        return self._broken(event, (where[1] or where[2]) if where else None, error[:120], "the documented shape")

    def _broken(self, message: str, field: str | None, got: str, wanted: str) -> v.Event:
        violation = _violation(message, field, got, wanted, by="peer")
        self.violations.append(violation)
        return v.Malformed(leg=v.Leg.CARRIER, why=str(violation))

    # -------------------------------------------------------------------------------------------- send

    def send(self, command: v.Command) -> list[bytes]:
        """The messages of ``command``, exactly as documented. Raises LocalProtocolError."""
        match command:
            case v.PlayAudio(payload=payload):
                return [self.play(payload)]
            case v.SetMark(name=name):
                return [self.mark(name)]
            case v.ClearPlayback():
                self._check_order("clear")
                return [_json.encode(ClearOut())]
            case v.Show(who=who, text=text):
                self._check_order("said")
                return [_json.encode(Said(who, text))]
        raise TypeError(f"no message of this wire carries {type(command).__name__}")

    def play(self, payload: bytes) -> bytes:
        """The message that carries a piece of the agent's speech (base64 text). Raises LocalProtocolError."""
        self._check_order("media")
        if not payload or len(payload) % 4 or payload.translate(None, _B64_BYTES):
            raise self._local("media", "audio", f"{len(payload)} characters", "padded base64")
        return b'{"event":"media","audio":"' + payload + b'"}'

    def mark(self, name: str) -> bytes:
        """The message that asks for a receipt. Raises LocalProtocolError."""
        self._check_order("mark")
        if not name:
            raise self._local("mark", "name", "''", "a name")
        return _json.encode(MarkOut(name))

    def _check_order(self, message: str) -> None:
        if self.stream_id is None:
            raise self._local(message, None, "no stream yet", "start first")
        if self._stopped:
            raise self._local(message, None, "a message after stop", "nothing after stop")

    def _local(self, message: str, field: str | None, got: str, wanted: str) -> LocalProtocolError:
        return LocalProtocolError(_violation(message, field, got, wanted, by="us"))

    def redact(self, data: bytes, *, binary: bool = False, digits: bool = False) -> dict[str, Any]:
        """A message of either direction as it may be written down; pressed keys only where ``digits`` says so."""
        return redact(data, binary=binary, digits=digits)


def redact(data: bytes, *, binary: bool = False, digits: bool = False) -> dict[str, Any]:
    """A message as it may be written down: no audio, no ticket, and what was said stands elsewhere in the record."""
    if binary:
        return {"binary_bytes": len(data)}
    try:
        message = msgspec.json.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return {"not_json_bytes": len(data)}
    if not isinstance(message, dict):
        return {"not_an_object": type(message).__name__}
    return {name: _masked(name, value, digits) for name, value in message.items()}


def _masked(name: str, value: Any, digits: bool) -> Any:
    """A field, however deep: a misspelt message must not let out what the right one hides."""
    if isinstance(value, dict):
        return {str(inner): _masked(str(inner), part, digits) for inner, part in value.items()}
    if isinstance(value, list):
        return [_masked(name, part, digits) for part in value]
    lower = name.lower()
    if "ticket" in lower or "token" in lower:
        return "***"
    if lower == "digit" and not digits:
        return v.MASKED
    if isinstance(value, str):
        hidden = lower in ("audio", "text", "payload") or len(value) > 200
        return f"<{len(value)} characters>" if hidden else clean_text(value)
    return value


def _tag(message: Any) -> str:
    return str(type(message).__struct_config__.tag)


def _violation(message: str, field: str | None, got: str, wanted: str, *, by: Literal["us", "peer"]) -> Violation:
    return Violation(wire=NAME, message=message, field=field, got=got, wanted=wanted, source=_OURS, by=by)
