"""
Twilio Media Streams, their side: the messages the carrier sends, and its judgement of what it is sent.

Refuses what the carrier refuses, with its code, once per stream as the carrier logs it, and adds what the carrier
withholds: which message, which field. What the carrier takes without a word though it helps nobody (a WAV
header, PCM16, an empty payload) is reported without a code. Knows no sockets and no time.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct

from offhook.wires._wire import Violation, near_miss
from offhook.wires.carriers.twilio import NAME

__all__ = ["Cleared", "Marked", "Peer", "Played"]

_SHAPES = "twilio.com/docs/voice/media-streams/websocket-messages"
_ERRORS = "twilio.com/docs/api/errors"
_MAGIC = (b"RIFF", b"fLaC", b"ID3", b"OggS", b".snd")
MAX_VIOLATIONS = 5000  # of a stream; more only count
_json = msgspec.json.Encoder()


class Played(Struct, frozen=True):
    """Audio to append to the playout buffer."""

    audio: bytes


class Marked(Struct, frozen=True):
    """A mark to append to the playout buffer."""

    name: str


class Cleared(Struct, frozen=True):
    """The playout buffer is to be emptied."""


class Peer:
    """
    The carrier's side of one media stream.

    ``bidirectional`` is False for a stream made with ``<Start>``. With ``tolerant`` extra fields pass, as public
    servers report they do; the documentation lists them as a cause of 31951.
    """

    def __init__(
        self, stream_sid: str, call_sid: str, account_sid: str, *, bidirectional: bool = True, tolerant: bool = False
    ) -> None:
        self.stream_sid = stream_sid
        self.violations: list[Violation] = []
        self.refused = 0  # violations, those that are not kept included
        self.logged: list[str] = []  # codes as the customer's debugger would show them: each once a stream
        self._call_sid = call_sid
        self._account_sid = account_sid
        self._bidirectional = bidirectional
        self._tolerant = tolerant
        self._sequence = 0
        self._chunk = 0
        self._started = False

    # -------------------------------------------------------------------------------- what it sends

    def connected(self) -> bytes:
        return _json.encode({"event": "connected", "protocol": "Call", "version": "1.0.0"})

    def fork(self) -> None:
        """This is a stream made with ``<Start>``: nothing may be sent on it."""
        self._bidirectional = False

    def start(self, parameters: Mapping[str, str]) -> bytes:
        self._started = True
        return self._message(
            "start",
            start={
                "accountSid": self._account_sid,
                "streamSid": self.stream_sid,
                "callSid": self._call_sid,
                "tracks": ["inbound"],
                "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
                "customParameters": dict(parameters),
            },
        )

    def media(self, audio: bytes, timestamp_ms: int, track: str = "inbound") -> bytes:
        self._chunk += 1
        return self._message(
            "media",
            media={
                "track": track,
                "chunk": str(self._chunk),
                "timestamp": str(timestamp_ms),
                "payload": base64.b64encode(audio).decode(),
            },
        )

    def skip(self) -> None:
        """A message was lost on the way: its number is gone."""
        self._sequence += 1
        self._chunk += 1

    def dtmf(self, digit: str) -> bytes:
        return self._message("dtmf", dtmf={"track": "inbound_track", "digit": digit})

    def mark(self, name: str) -> bytes:
        return self._message("mark", mark={"name": name})

    def stop(self) -> bytes:
        return self._message("stop", stop={"accountSid": self._account_sid, "callSid": self._call_sid})

    def _message(self, event: str, **body: Any) -> bytes:
        self._sequence += 1
        return _json.encode(
            {"event": event, "sequenceNumber": str(self._sequence), "streamSid": self.stream_sid, **body}
        )

    # ------------------------------------------------------------------------------ what it is sent

    def receive(self, data: bytes, now: float, *, binary: bool = False) -> Played | Marked | Cleared | None:
        """What a message of the server does; None when it is refused. Never raises."""
        if binary:
            return self._refuse("frame", None, "a binary frame", "JSON in a text frame", "31950")
        try:
            message = msgspec.json.decode(data)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return self._refuse("frame", None, "text that is not JSON", "one JSON object", "31951")
        if not isinstance(message, dict):
            return self._refuse("frame", None, f"a JSON {type(message).__name__}", "one JSON object", "31951")
        event = message.get("event")
        if event not in ("media", "mark", "clear"):
            return self._refuse(str(event)[:40], "event", repr(event)[:60], "media, mark or clear", "31951")
        if not self._bidirectional:
            return self._refuse(event, None, "a message on a <Start> stream", "nothing", "31924")
        if not self._started:
            return self._refuse(event, "streamSid", "a message before start", "start first", "31951")
        return self._judge(event, message)

    def _judge(self, event: str, message: dict[str, Any]) -> Played | Marked | Cleared | None:
        wanted = {"event", "streamSid"} | ({event} if event != "clear" else set())
        if not self._keys(event, "", message, wanted):
            return None
        if message["streamSid"] != self.stream_sid:
            got = repr(message["streamSid"])[:60]
            return self._refuse(event, "streamSid", got, f"{self.stream_sid!r}, as in start", "31951")
        if event == "clear":
            return Cleared()
        body = message[event]
        key = "payload" if event == "media" else "name"
        if not isinstance(body, dict):
            return self._refuse(event, event, repr(body)[:40], f"an object with {key}", "31951")
        if not self._keys(event, f"{event}.", body, {key}):
            return None
        value = body[key]
        if not isinstance(value, str):
            return self._refuse(event, f"{event}.{key}", repr(value)[:40], "text", "31951")
        if event == "mark":
            if not value:
                return self._refuse(event, "mark.name", "''", "a name", "31951")
            return Marked(value)
        return self._audio(value)

    def _keys(self, event: str, prefix: str, given: dict[str, Any], wanted: set[str]) -> bool:
        """Whether an object has exactly its documented keys; a misspelt one is named."""
        for name in sorted(wanted - set(given)):
            miss = near_miss(name, given)
            got = f"'{miss}'" if miss else "nothing"
            self._refuse(event, prefix + name, got, f"'{name}'", "31951")
            return False
        extra = sorted(set(given) - wanted)
        if extra:
            self._refuse(event, prefix + extra[0], "an unexpected field", "the documented fields only",
                         None if self._tolerant else "31951")  # fmt: skip
            return self._tolerant
        return True

    def _audio(self, payload: str) -> Played | None:
        if not payload:
            return self._refuse("media", "media.payload", "nothing", "audio", None)
        try:
            audio = binascii.a2b_base64(payload.encode(), strict_mode=True)
        except (binascii.Error, UnicodeEncodeError):
            return self._refuse("media", "media.payload", "text that is not base64", "padded base64", "31951")
        if len(audio) >= 40 and len(audio) % 4 == 0 and _is_base64(audio):
            return self._refuse("media", "media.payload", "base64 of base64", "base64 of PCMU", "31951")
        if audio.startswith(_MAGIC):  # the carrier plays it: as noise
            self._refuse("media", "media.payload", f"a file header {audio[:4]!r}", "raw PCMU", None)
        if b"\x00" * 161 in audio:
            self._refuse("media", "media.payload", "a run of zero bytes (full scale)", "0xFF for silence", None)
        return Played(audio)

    def _refuse(self, message: str, field: str | None, got: str, wanted: str, code: str | None) -> None:
        source = _SHAPES if code is None else f"{_ERRORS}/{code}"
        self.refused += 1
        if code is not None and code not in self.logged:
            self.logged.append(code)
        if len(self.violations) >= MAX_VIOLATIONS:
            return
        self.violations.append(
            Violation(
                wire=NAME, message=message, field=field, got=got, wanted=wanted, source=source, by="us", code=code
            )
        )


_ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/="


def _is_base64(audio: bytes) -> bool:
    return not audio.translate(None, _ALPHABET)
