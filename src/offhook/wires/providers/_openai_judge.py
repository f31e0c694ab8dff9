"""
OpenAI Realtime: what a client did wrong, from the messages alone, for whoever only looks on. Keeps no state.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from offhook.wires import _judge
from offhook.wires._wire import Violation
from offhook.wires.providers._openai_peer import said_of
from offhook.wires.providers.openai import BENIGN_CODES, DEAD_MODELS, MODELS, NAME

__all__ = ["MOVED", "SOURCE", "judge", "refused"]

SOURCE = MODELS.source
# Where a field of the retired beta shape stands now (openai-python 3.54.0: types/beta/realtime against types/realtime).
MOVED = {
    "session.voice": "session.audio.output.voice",
    "session.modalities": "session.output_modalities",
    "session.input_audio_format": "session.audio.input.format, as {'type': 'audio/pcmu'}",
    "session.output_audio_format": "session.audio.output.format, as {'type': 'audio/pcmu'}",
    "session.input_audio_transcription": "session.audio.input.transcription",
    "session.input_audio_noise_reduction": "session.audio.input.noise_reduction",
    "session.turn_detection": "session.audio.input.turn_detection",
    "session.max_response_output_tokens": "session.max_output_tokens",
    "session.speed": "session.audio.output.speed",
    "session.temperature": "no temperature: the GA shape has none",
}
_OF_THE_REQUEST = {
    "invalid_api_key": ("Authorization", "'Bearer ' and a key that this account has"),
    "missing_model": ("?model=", "one of " + ", ".join(MODELS.value)),
    "invalid_model": ("?model=", "one of " + ", ".join(MODELS.value)),
    "model_not_found": ("?model=", "a model that this account may use"),
    "beta_api_shape_disabled": ("OpenAI-Beta", "no such header: the beta shape ended 2026-05-07"),
}


def refused(message: Any, error: Mapping[str, Any]) -> Violation:
    """The violation behind an error event; ``message`` None when it is about the request itself."""
    code = str(error.get("code"))
    if message is None and code in _OF_THE_REQUEST:
        field, wanted = _OF_THE_REQUEST[code]
        source = DEAD_MODELS.source if "model" in code else SOURCE
        return Violation(NAME, "upgrade", field, code, wanted, source, "us", code=code)
    param = error.get("param")
    moved = MOVED.get(str(param)) if code == "unknown_parameter" else None
    found = _judge.refused(NAME, message, error, source=SOURCE, wanted=moved)
    return msgspec.structs.replace(found, accepted=code in BENIGN_CODES.value)


def judge(data: bytes, *, binary: bool = False) -> list[Violation]:
    """What is wrong with the shape of a client's message. Never raises."""
    if binary:
        return [Violation(NAME, "frame", None, "a binary frame", "JSON in a text frame", SOURCE, "us")]
    try:
        message = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return [Violation(NAME, "frame", None, "text that is not JSON", "one JSON object", SOURCE, "us")]
    if not isinstance(message, dict):
        return [Violation(NAME, "frame", None, "no JSON object", "one JSON object", SOURCE, "us")]
    if message.get("type") == "input_audio_buffer.append" and isinstance(message.get("audio"), str):
        return []
    error = said_of(message)
    return [] if error is None else [refused(message, error)]
