"""
What the messages of a foreign program come to, beside the lines that are kept of them: see ``observed.py``.

Told every message as it goes by. What it cannot read it does not count. Knows the names it counts, and no wire.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from offhook.evidence.observed import CarrierOut, ProviderAudio
from offhook.wires._wire import Violation

__all__ = ["Counted"]

_DELTAS = ("response.output_audio.delta", "response.audio.delta")


def _as_far_as_readable(count: Callable[..., None]) -> Callable[..., None]:
    """A message with a number where an object should be is not counted; it is in the record, and ends nothing."""

    @functools.wraps(count)
    def safely(*args: Any) -> None:
        with contextlib.suppress(AttributeError, TypeError, ValueError, KeyError):
            count(*args)

    return safely


class Counted:
    """One call's figures."""

    def __init__(self, now: float) -> None:
        self.out = CarrierOut(now)
        self.provider = ProviderAudio(now)

    @_as_far_as_readable
    def from_carrier(self, data: bytes, now: float) -> None:
        message = _object(data)
        media = message.get("media")
        if message.get("event") == "media" and isinstance(media, dict):
            self.out.frame_in(message, media, now)
        elif message.get("event") == "mark" and isinstance(message.get("mark"), dict):
            self.out.mark_back(str(message["mark"].get("name")), now)

    @_as_far_as_readable
    def to_carrier(self, data: bytes, judged: Sequence[Violation], now: float) -> None:
        """A message of the server, with what the carrier's side found in it."""
        message = _object(data)
        audio = _audio(message.get("media"), "payload")
        if any(violation.code is not None for violation in judged) or (judged and not audio):
            self.out.refused(list(judged))
        elif message.get("event") == "media" and audio:
            self.out.media(audio, now, self.provider)
        elif message.get("event") == "mark":
            self.out.mark_sent(now)
        elif message.get("event") == "clear":
            self.out.clear(now, self.provider)

    @_as_far_as_readable
    def from_provider(self, data: bytes, now: float) -> None:
        message = _object(data)
        kind = str(message.get("type"))
        self.provider.message(kind, message, now)
        if kind in _DELTAS and (audio := _audio(message, "delta")):
            self.provider.audio(message, audio, now)
        elif kind in ("session.created", "session.updated"):
            self.provider.session(message.get("session"))
        elif kind == "input_audio_buffer.speech_started":
            self.out.speech_started(now, self.provider)

    @_as_far_as_readable
    def to_provider(self, data: bytes, now: float) -> None:
        message = _object(data)
        if message.get("type") == "input_audio_buffer.append":
            self.provider.appended(now)
            return
        self.provider.sent(str(message.get("type")), message, now)
        if message.get("type") == "conversation.item.truncate":
            self.out.truncated(message, now, self.provider)

    def figures(self) -> dict[str, Any]:
        """As the record's last line keeps them."""
        return {
            "carrier_out": self.out.figures(),
            "carrier_in": self.out.figures_in(),
            "provider": self.provider.figures(),
        }


def _object(data: bytes) -> dict[str, Any]:
    try:
        found = msgspec.json.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _audio(node: Any, name: str) -> bytes:
    given = node.get(name) if isinstance(node, Mapping) else None
    if not isinstance(given, str):
        return b""
    try:
        return base64.b64decode(given, validate=True)
    except (binascii.Error, ValueError):
        return b""
