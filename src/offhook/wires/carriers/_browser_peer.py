"""
A person at a screen, their side: the messages of the browser or terminal, and what it takes.

Refuses everything that the console's own code would not understand, and says which field. Knows no sockets and no time.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any

import msgspec
from msgspec import Struct

from offhook.wires._wire import Violation
from offhook.wires.carriers.browser import ENCODING, NAME, VERSION

__all__ = ["Cleared", "Marked", "Peer", "Played", "Shown"]

_OURS = "docs/talk.md"
_json = msgspec.json.Encoder()
_FIELDS: dict[str, dict[str, type]] = {
    "media": {"audio": str}, "mark": {"name": str}, "clear": {}, "said": {"who": str, "text": str},
}  # fmt: skip


class Played(Struct, frozen=True):
    """Audio to append to what is being played."""

    audio: bytes


class Marked(Struct, frozen=True):
    """A mark to append behind it."""

    name: str


class Cleared(Struct, frozen=True):
    """What is being played is to stop, and what waits to go."""


class Shown(Struct, frozen=True):
    """Words to show."""

    who: str
    text: str


class Peer:
    """The other side of one stream."""

    def __init__(self, call_id: str, ticket: str, *, agent: str = "", client: str = "browser") -> None:
        self.violations: list[Violation] = []
        self._start = {
            "event": "start", "callId": call_id, "ticket": ticket, "version": VERSION.value, "agent": agent,
            "client": client, "audio": {"encoding": ENCODING.value, "rate": 8000},
        }  # fmt: skip
        self._seq = 0
        self._started = False

    # -------------------------------------------------------------------------------- what it sends

    def start(self) -> bytes:
        self._started = True
        return _json.encode(self._start)

    def media(self, audio: bytes) -> bytes:
        self._seq += 1
        return _json.encode({"event": "media", "seq": self._seq, "audio": base64.b64encode(audio).decode()})

    def mark(self, name: str, *, flushed: bool = False) -> bytes:
        return _json.encode({"event": "mark", "name": name, **({"flushed": True} if flushed else {})})

    def dtmf(self, digit: str) -> bytes:
        return _json.encode({"event": "dtmf", "digit": digit})

    def text(self, text: str) -> bytes:
        return _json.encode({"event": "text", "text": text})

    def stop(self) -> bytes:
        return b'{"event":"stop"}'

    # ------------------------------------------------------------------------------ what it is sent

    def receive(self, data: bytes, *, binary: bool = False) -> Played | Marked | Cleared | Shown | None:
        """What a message of the server does; None when it is refused. Never raises."""
        if binary:
            return self._refuse("frame", None, "a binary frame", "JSON in a text frame")
        try:
            message = msgspec.json.decode(data)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return self._refuse("frame", None, "text that is not JSON", "one JSON object")
        event = message.get("event") if isinstance(message, dict) else None
        if not isinstance(event, str) or event not in _FIELDS:
            return self._refuse(str(event)[:40], "event", repr(event)[:60], " or ".join(_FIELDS))
        if not self._started:
            return self._refuse(event, None, "a message before start", "start first")
        return self._judge(event, message)

    def _judge(self, event: str, message: dict[str, Any]) -> Played | Marked | Cleared | Shown | None:
        for name, kind in _FIELDS[event].items():
            value = message.get(name)
            if not isinstance(value, kind) or not value:
                return self._refuse(event, name, repr(value)[:40], "text")
        for extra in sorted(set(message) - {"event", *_FIELDS[event]}):
            return self._refuse(event, extra, "an unexpected field", "the documented fields only")
        if event == "clear":
            return Cleared()
        if event == "mark":
            return Marked(message["name"])
        if event == "said":
            return self._words(message["who"], message["text"])
        try:
            return Played(binascii.a2b_base64(message["audio"].encode(), strict_mode=True))
        except (binascii.Error, UnicodeEncodeError):
            return self._refuse("media", "audio", "text that is not base64", "padded base64")

    def _words(self, who: str, text: str) -> Shown | None:
        if who not in ("caller", "agent"):
            return self._refuse("said", "who", repr(who)[:20], "caller or agent")
        return Shown(who, text)

    def _refuse(self, message: str, field: str | None, got: str, wanted: str) -> None:
        self.violations.append(
            Violation(wire=NAME, message=message, field=field, got=got, wanted=wanted, source=_OURS, by="us")
        )
