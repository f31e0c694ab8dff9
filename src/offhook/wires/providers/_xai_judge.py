"""
xAI Grok voice: what a client did wrong, from the messages alone, for whoever only looks on. Keeps no state.

This provider ignores in silence what it does not know, so the echo of a session tells more than its errors.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from offhook.wires import _judge
from offhook.wires._wire import Violation
from offhook.wires.providers.xai import MODELS, NAME

__all__ = ["MOVED", "SOURCE", "judge", "refused"]

SOURCE = MODELS.source
# Where the same setting stands at this provider (docs.x.ai voice agent, session.update; checked 2026-11-22).
MOVED = {
    "audio.output.voice": "voice, at the top of the session",
    "audio.input.turn_detection": "turn_detection, at the top of the session",
    "input_audio_format": "audio.input.format, as {'type': 'audio/pcmu'}",
    "output_audio_format": "audio.output.format, as {'type': 'audio/pcmu'}",
    "input_audio_transcription": "audio.input.transcription",
    "model": "?model= in the URL",
}
_KNOWN = frozenset(
    (
        "session.update", "input_audio_buffer.append", "input_audio_buffer.commit", "input_audio_buffer.clear",
        "conversation.item.create", "conversation.item.truncate", "conversation.item.delete", "response.create",
        "response.cancel",
    )
)  # fmt: skip


def refused(message: Any, error: Mapping[str, Any]) -> Violation:
    """The violation behind an error event."""
    benign = ("no active response found", "is already shorter than", "already has an active response")
    found = _judge.refused(NAME, message, error, source=SOURCE)
    return msgspec.structs.replace(found, accepted=any(text in str(error.get("message")) for text in benign))


def judge(data: bytes, *, binary: bool = False) -> list[Violation]:
    """What is wrong with the shape of a client's message. Binary frames are audio here. Never raises."""
    if binary:
        return []
    try:
        message = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return [Violation(NAME, "frame", None, "text that is not JSON", "one JSON object", SOURCE, "us")]
    kind = message.get("type") if isinstance(message, dict) else None
    if kind not in _KNOWN:
        return [Violation(NAME, "message", "type", repr(kind)[:60], "a documented event", SOURCE, "us")]
    return []
