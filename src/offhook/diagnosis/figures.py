"""
The figures that an observer between the parts wrote into a record's last line, read with care: a record may come from
anywhere. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct

from offhook.diagnosis.evidence import Evidence
from offhook.diagnosis.facts import Fact

__all__ = [
    "BargeIn",
    "barge_ins",
    "hung_up_by_us",
    "interruptions",
    "last_sent_ms",
    "number",
    "spoke_ms",
    "unplayed_ms",
]

NEAR_MS = 60.0  # a report of speech and what it did are noted in one moment


class BargeIn(Struct, frozen=True):
    """The provider heard the caller while the agent could be heard."""

    at_ms: float
    ahead_ms: float = 0.0  # audio that was at the carrier and not yet played
    clear_after_ms: float | None = None
    late_frames: int = 0  # of the response that was cut off, sent behind the clear
    response: str | None = None
    truncated_ms: float | None = None  # how much of the item was said to be heard
    item_ms: float | None = None  # how much it holds


def number(figures: Mapping[str, Any], name: str) -> float | None:
    """A figure; None where nobody counted it."""
    value = figures.get(name)
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def barge_ins(view: Evidence) -> list[tuple[BargeIn, Fact]]:
    """Barge-ins, each with the provider's message that began it."""
    given = view.carrier_out.figures.get("barge_ins")
    found = []
    for one in given if isinstance(given, list) else ():
        try:
            barge = msgspec.convert(one, BargeIn, strict=False)
        except msgspec.ValidationError:
            continue
        near = min(view.provider.speech, key=lambda fact: abs(fact.at_ms - barge.at_ms), default=None)
        found.append((barge, near or Fact(line=1, at_ms=barge.at_ms)))
    return found


def interruptions(view: Evidence) -> list[tuple[float, float | None]]:
    """
    When the agent was interrupted, and for how many ms the provider heard the caller then; None while it still did.

    Of an observer's figures, or of what our own bridge noted.
    """
    given = view.provider.figures.get("speech")
    if isinstance(given, list):
        spoken = [(number(one, "at_ms"), number(one, "stopped_ms")) for one in given if isinstance(one, dict)]
        began = {one.at_ms for one, _ in barge_ins(view)}
        return [(at, None if end is None else end - at) for at, end in spoken if at is not None and at in began]
    noted = [line.at_ms for line in view.recording.notes("barge-in")]
    found: list[tuple[float, float | None]] = []
    for heard in view.provider.speech:
        if any(abs(at - heard.at_ms) <= NEAR_MS for at in noted):
            stopped = next((one.at_ms for one in view.provider.speech_stopped if one.line > heard.line), None)
            found.append((heard.at_ms, None if stopped is None else stopped - heard.at_ms))
    return found


def last_sent_ms(view: Evidence) -> float | None:
    """When the last audio was sent to the carrier."""
    return number(view.carrier_out.figures, "last_ms")


def hung_up_by_us(view: Evidence) -> bool:
    """Whether the program ended the call: asked the carrier to, or closed a stream that the carrier had not stopped."""
    stop, closed = view.carrier_in.stop, view.closed("carrier")
    asked = any(rest.op == "hang-up" and (stop is None or rest.at_ms <= stop.at_ms) for rest in view.rest)
    closes = closed is not None and closed.by == "us" and (stop is None or closed.line < stop.line)
    return asked or closes


def unplayed_ms(view: Evidence) -> float:
    """How much the caller had not heard when the program closed the stream; 0 where that is not known."""
    closed = view.closed("carrier")
    if closed is None or closed.by != "us":
        return 0.0
    stop = view.carrier_in.stop
    if stop is not None and stop.at_ms <= closed.at_ms:
        return 0.0  # nobody was there any more to hear it
    until = number(view.carrier_out.figures, "plays_until_ms")
    counted = until - closed.at_ms if until is not None else 0.0
    return max(counted, view.ending.unplayed_ms if view.ending is not None else 0.0)


def spoke_ms(view: Evidence) -> float | None:
    """When the caller first spoke: by the carrier's frames, else by the provider's turn detection."""
    counted = number(view.recording.summary("carrier_in"), "spoke_ms")
    if counted is not None:
        return counted
    return view.provider.speech[0].at_ms if view.provider.speech else None
