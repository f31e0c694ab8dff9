"""
What a session object says, whichever provider's shape it has: model, voice, formats, turn detection.

Reads GA, beta and xAI shapes by their own field names; None where a shape does not say. Pure.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any, Literal

from offhook.diagnosis.evidence import Evidence
from offhook.diagnosis.facts import Session

__all__ = ["audio_format", "bytes_per_frame", "endpoint", "told", "turn_detection", "voice", "wire"]

Side = Literal["input", "output"]
# Bytes that 20 ms take; what the beta shape called its formats.
_BETA = {"g711_ulaw": ("audio/pcmu", 8000), "g711_alaw": ("audio/pcma", 8000), "pcm16": ("audio/pcm", 24000)}
_HOSTS = (("openai.com", "openai"), ("x.ai", "xai"), ("azure.com", "azure"), ("googleapis.com", "gemini"))


def wire(view: Evidence) -> str:
    """Whose realtime wire it is: by the host that was dialled, else by the record's own word; "" if unknown."""
    for dial in view.dials:
        host = dial.request.host if dial.request is not None else ""
        for end, name in _HOSTS:
            if host == end or host.endswith("." + end):
                return name
    said = str(view.recording.begin.get("provider") or view.boot.provider).lower()
    return next((name for name in ("openai", "xai", "loopback") if name in said), "")


def endpoint(name: str) -> str:
    """The dated endpoint of a provider whose wire is known."""
    module = importlib.import_module(f"offhook.wires.providers.{name}")
    return str(module.ENDPOINT.value)


def audio_format(session: Mapping[str, Any], side: Side) -> tuple[str, int] | None:
    """Type and rate of one direction."""
    beta = session.get(f"{side}_audio_format")
    if isinstance(beta, str):
        return _BETA.get(beta)
    audio = session.get("audio")
    half = audio.get(side) if isinstance(audio, Mapping) else None
    given = half.get("format") if isinstance(half, Mapping) else None
    if not isinstance(given, Mapping) or not isinstance(given.get("type"), str):
        return None
    rate = given.get("rate")
    phone = given["type"] in ("audio/pcmu", "audio/pcma")
    return given["type"], rate if isinstance(rate, int) and not isinstance(rate, bool) else 8000 if phone else 24000


def bytes_per_frame(form: tuple[str, int]) -> int:
    """Bytes of 20 ms."""
    return form[1] // 50 * (2 if form[0] == "audio/pcm" else 1)


def voice(session: Mapping[str, Any]) -> str | None:
    """The voice, where either shape has it."""
    audio = session.get("audio")
    half = audio.get("output") if isinstance(audio, Mapping) else None
    nested = half.get("voice") if isinstance(half, Mapping) else None
    found = nested if nested is not None else session.get("voice")
    return found if isinstance(found, str) else None


def turn_detection(session: Mapping[str, Any]) -> Mapping[str, Any] | None | Literal["unsaid"]:
    """Turn detection: an object, None where it is off, "unsaid" where the session does not speak of it."""
    audio = session.get("audio")
    half = audio.get("input") if isinstance(audio, Mapping) else None
    for place in (half, session):
        if isinstance(place, Mapping) and "turn_detection" in place:
            given = place["turn_detection"]
            return given if isinstance(given, Mapping) else None
    return "unsaid"


def told(view: Evidence, *, first: bool = False) -> Session | None:
    """The session as the provider last (or first) confirmed it; its greeting where it confirmed nothing."""
    echoes = [session for session in view.provider.sessions if session.kind == "updated"]
    created = [session for session in view.provider.sessions if session.kind == "created"]
    found = echoes or created
    return (found[0] if first else found[-1]) if found else None
