"""
A provider as its dated facts say it was, or will be, on a day: which models it served, what answered for a name.
Pure; what no fact tells of a day is said, and is as it is today.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct

from offhook.wires._wire import Fact
from offhook.wires.providers import _openai_messages, _xai_peer, openai, xai

__all__ = ["Profile", "profile"]


class Profile(Struct, frozen=True):
    """``knobs`` are the Peer's; ``said``: what differs from today, with its source; ``untold``: what is not known."""

    day: str
    knobs: Mapping[str, Any] = {}
    said: tuple[str, ...] = ()
    untold: tuple[str, ...] = ()


def profile(provider: str, day: str) -> Profile:
    """The provider on ``day`` (YYYY-MM-DD). Raises ValueError that says what was wanted."""
    try:
        day = datetime.date.fromisoformat(day).isoformat()
    except ValueError:
        raise ValueError(f"--profile {day}: wanted a day as YYYY-MM-DD") from None
    makers = {"openai": _openai, "xai": _xai}
    if provider not in makers:
        raise ValueError(f"--profile {day}: {provider} is our own and has no history; there are {', '.join(makers)}")
    return makers[provider](day)


def _held(fact: Fact[Any], day: str) -> bool:
    """Whether a fact that has an end had not ended on that day."""
    return fact.until is None or day < fact.until


def _source(fact: Fact[Any]) -> str:
    return f"({fact.source}, checked {fact.checked})"


def _openai(day: str) -> Profile:
    knobs: dict[str, Any] = {}
    said, untold = [], []
    dead = openai.DEAD_MODELS
    if _held(dead, day):
        knobs |= {"models": (*openai.MODELS.value, *dead.value), "dead": ()}
        said.append(f"models served until {dead.until}: {', '.join(dead.value)} {_source(dead)}")
    if _held(_openai_messages.BETA_NAMES, day):
        untold.append("the beta shape of that time (header OpenAI-Beta): a client that asks for it is refused as today")
    transcriber = openai.TRANSCRIPTION_MODEL
    if not _held(transcriber, day):
        knobs["dead_transcribers"] = (transcriber.value,)
        said.append(
            f"transcription model not served since {transcriber.until}: {transcriber.value} {_source(transcriber)}"
        )
    untold.append("when each of today's models was launched")
    return Profile(day, knobs, tuple(said), tuple(untold))


def _xai(day: str) -> Profile:
    """What "latest" meant tells when a model came: it was not served before that."""
    history = xai.LATEST_MODEL_HISTORY
    came = {fact.value: before.until or "" for before, fact in zip(history, history[1:], strict=False)}
    came[history[0].value] = history[0].checked
    not_yet = sorted((name for name, since in came.items() if day < since), key=came.__getitem__)
    latest = _answered_latest(history, day)
    models = tuple(name for name in _xai_peer.SERVED if name not in not_yet)
    knobs: dict[str, Any] = {"models": models, "latest": latest, "bare_model": latest}
    said = [f"not yet served: {name} (came {came[name]}; {xai.LATEST_MODEL.source})" for name in not_yet]
    if latest != xai.LATEST_MODEL.value:
        said.append(f"grok-voice-latest is answered by {latest}")
    bare = next((fact for fact in xai.MODEL_QUERY_HISTORY if fact.value is None and _held(fact, day)), None)
    if bare is not None:
        knobs["bare_model"] = _xai_peer.FALLBACK_MODEL.value
        said.append(f"a URL without ?model= is what documents show; {knobs['bare_model']} answers it {_source(bare)}")
    superseded = [fact for fact in xai.DEPRECATED_MODELS if _held(fact, day) and fact.value not in not_yet]
    if superseded:
        said.append(f"not superseded yet: {', '.join(f'{fact.value} (until {fact.until})' for fact in superseded)}")
    return Profile(day, knobs, tuple(said), ("when the models that were never the latest came",))


def _answered_latest(history: Sequence[Fact[str]], day: str) -> str:
    if day < history[0].checked:
        return _xai_peer.FALLBACK_MODEL.value
    return next(fact.value for fact in history if _held(fact, day))
