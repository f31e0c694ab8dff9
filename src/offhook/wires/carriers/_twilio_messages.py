"""The messages of a Twilio media stream as the wire spells them, and as they may be written down."""

from __future__ import annotations

import re
from typing import Any

import msgspec
from msgspec import Struct

from offhook import vocab as v
from offhook.wires._wire import Usual, clean_text
from offhook.wires.carriers._twilio_settings import mask_number

__all__ = [
    "FIELDS", "KNOWN_EVENTS", "USUAL_MARK", "USUAL_MEDIA", "Connected", "Dtmf", "DtmfBody", "FromCarrier", "Mark",
    "MarkBody", "Media", "MediaBody", "MediaFormat", "Start", "StartBody", "Stop", "decode", "redact",
]  # fmt: skip

_SECRET_PARAMETERS = ("token", "secret", "password", "key")
_NUMBER = re.compile(r"\+?\d{7,}")
_FIGURES = ("chunk", "timestamp", "sequencenumber")  # texts of digits that are no phone number
_MAX_TEXT = 500  # a custom parameter has at most so many characters, name and value together


class MediaFormat(Struct):
    encoding: str = ""
    sampleRate: int | str = 0
    channels: int | str = 0


class StartBody(Struct):
    callSid: str = ""
    accountSid: str = ""
    streamSid: str = ""
    tracks: list[str] = []
    mediaFormat: MediaFormat | None = None
    customParameters: dict[str, Any] | None = None


class MediaBody(Struct, gc=False):
    payload: str
    track: str = "inbound"
    timestamp: str | int | None = None
    chunk: str | int | None = None


class MarkBody(Struct):
    name: str


class DtmfBody(Struct):
    digit: str
    track: str = ""


class Connected(Struct, tag_field="event", tag="connected"):
    protocol: str = ""
    version: str = ""


class Start(Struct, tag_field="event", tag="start"):
    start: StartBody
    streamSid: str = ""
    sequenceNumber: str | int | None = None


class Media(Struct, tag_field="event", tag="media", gc=False):
    media: MediaBody
    streamSid: str
    sequenceNumber: str | int | None = None


class Mark(Struct, tag_field="event", tag="mark"):
    mark: MarkBody
    streamSid: str
    sequenceNumber: str | int | None = None


class Dtmf(Struct, tag_field="event", tag="dtmf"):
    dtmf: DtmfBody
    streamSid: str
    sequenceNumber: str | int | None = None


class Stop(Struct, tag_field="event", tag="stop"):
    streamSid: str
    sequenceNumber: str | int | None = None


FromCarrier = Connected | Start | Media | Mark | Dtmf | Stop
KNOWN_EVENTS = ("connected", "start", "media", "mark", "dtmf", "stop")
decode = msgspec.json.Decoder(FromCarrier).decode
# Where the exact spelling of a field is looked for when a message does not fit: event -> names on each level.
FIELDS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "start": (("streamSid", "start"), ("callSid", "streamSid", "mediaFormat", "customParameters")),
    "media": (("streamSid", "media"), ("payload",)),
    "mark": (("streamSid", "mark"), ("name",)),
    "dtmf": (("streamSid", "dtmf"), ("digit",)),
    "stop": (("streamSid",), ()),
}


# A frame and a mark's receipt as every capture has them; what differs in anything is read by ``decode``.
USUAL_MEDIA = (
    Usual("event", "is", "media"), Usual("sequenceNumber", "next"), Usual("media.track", "is", "inbound"),
    Usual("media.chunk", "any", optional=True), Usual("media.timestamp", "any", optional=True),
    Usual("media.payload", "audio"), Usual("streamSid", "own"),
)  # fmt: skip
USUAL_MARK = (
    Usual("event", "is", "mark"), Usual("sequenceNumber", "next"), Usual("streamSid", "own"),
    Usual("mark.name", "numbered"),
)  # fmt: skip


def redact(data: bytes, *, binary: bool = False, digits: bool = False) -> dict[str, Any]:
    """A message as it may be written down; pressed keys only where ``digits`` says so."""
    if binary:
        return {"binary_bytes": len(data)}
    try:
        message = msgspec.json.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return {"not_json_bytes": len(data)}
    if not isinstance(message, dict):
        return {"not_an_object": type(message).__name__}
    return {name: _masked(name, value, digits) for name, value in message.items()}


def _masked(name: str, value: object, digits: bool) -> Any:
    """A field, however deep: a misspelt message must not let out what the right one hides."""
    lower = name.lower()
    if isinstance(value, dict):
        return {inner: _masked(inner, part, digits) for inner, part in value.items()}
    if isinstance(value, list):
        return [_masked(name, part, digits) for part in value]
    if lower == "payload" or (isinstance(value, str) and len(value) > _MAX_TEXT):
        return f"<{len(str(value))} characters>"
    if any(word in lower for word in _SECRET_PARAMETERS):
        return "***"
    if lower in ("digit", "digits") and not digits:
        return v.MASKED
    if isinstance(value, str):
        return mask_number(value) if lower not in _FIGURES and _NUMBER.fullmatch(value) else clean_text(value)
    return value
