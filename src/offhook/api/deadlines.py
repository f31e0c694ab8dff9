"""
What was waited for in a call, and whether it came: missed deadlines as the bridge noted them, met ones by the
milestones that they lead to. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from offhook.evidence.record import Line, Recording

__all__ = ["deadlines"]

# The bridge's expectations whose beginning and end are milestones: name, from the latest of these, until, whose leg.
_WAITS = (
    ("stream after webhook", ("M1",), "M5", "carrier"),
    ("start", ("M5",), "M6", "carrier"),
    ("first caller frame", ("M6",), "M7", "carrier"),
    ("first message", ("M8",), "M8a", "provider"),
    ("session configured", ("M8", "M8a"), "M9", "provider"),
    ("greeting audio", ("M6", "M9"), "M14", "provider"),
    ("first mark", ("M15",), "M17", "carrier"),
)


def deadlines(call: Recording) -> list[dict[str, Any]]:
    """Each with when it was decided and how long that took, in the order of time."""
    missed = [_missed(line) for line in call.notes("deadline.missed")]
    known = {one["name"] for one in missed}
    return sorted([*missed, *(one for one in _met(call) if one["name"] not in known)], key=lambda one: one["at_ms"])


def _missed(line: Line) -> dict[str, Any]:
    waited = line.data.get("waited_ms")
    return {"n": line.number, "at_ms": line.at_ms, "name": line.text("name"), "met": False,
            "leg": "", "waited_ms": float(waited) if isinstance(waited, (int, float)) else None}  # fmt: skip


def _met(call: Recording) -> Iterator[dict[str, Any]]:
    if (call.begin.get("source") or "bridge") != "bridge":
        return  # whoever else records waits for nothing
    reached = {line.text("id"): line for line in reversed(list(call.notes("milestone")))}
    for name, begins, end, leg in _WAITS:
        if end not in reached or not all(begin in reached for begin in begins) or _never(name, call, reached):
            continue
        began, ended = max(reached[begin].at_ms for begin in begins), reached[end]
        if began <= ended.at_ms:
            yield {"n": ended.number, "at_ms": ended.at_ms, "name": name, "met": True, "leg": leg,
                   "waited_ms": round(ended.at_ms - began, 1)}  # fmt: skip


def _never(name: str, call: Recording, reached: dict[str, Line]) -> bool:
    """What nobody waits for: a confirmation that this provider never sends, a greeting where the caller spoke first."""
    if name == "session configured":
        return any(True for _ in call.notes("session.unconfirmed"))
    if name == "greeting audio":
        return "M11" in reached and reached["M11"].at_ms < reached["M14"].at_ms
    return False
