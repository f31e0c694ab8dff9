"""
What kind of mistake a message to the carrier has: one place that reads violations, asked by the rules of the carrier's
stream. Pure.
"""

from __future__ import annotations

from typing import Literal

from offhook.diagnosis.evidence import Evidence
from offhook.diagnosis.facts import Violation

__all__ = ["Mistake", "mistake", "mistakes", "share"]

Mistake = Literal[
    "misspelt id", "too early", "foreign id", "binary", "event", "mark", "payload", "file header", "one-way", "other"
]


def mistake(violation: Violation) -> Mistake:
    """The kind of one violation on the carrier's wire."""
    got, field = violation.got, violation.field or ""
    if "<Start>" in got:
        return "one-way"
    if violation.message == "frame" and "binary" in got:
        return "binary"
    if field == "streamSid":
        return _of_the_id(got)
    if violation.message not in ("media", "mark", "clear", "frame") or field == "event":
        return "event"
    if violation.message in ("mark", "clear"):
        return "mark"
    if "file header" in got:
        return "file header"
    return "payload" if "payload" in field else "other"


def _of_the_id(got: str) -> Mistake:
    if "before start" in got:
        return "too early"
    if got.strip("'\"").startswith(("MZ", "ST")):
        return "foreign id"
    return "misspelt id" if got.strip("'\"").lower().replace("_", "") == "streamsid" else "other"


def mistakes(view: Evidence, kind: Mistake) -> list[Violation]:
    """The messages of the program under test that have this mistake, in order."""
    return [v for v in view.violations if v.leg == "carrier" and v.outbound and mistake(v) == kind]


def share(view: Evidence, found: list[Violation]) -> str:
    """How many messages it were, as far as they were counted."""
    names = {f"{v.message}:{v.field or v.got}"[:60] for v in found}
    bad = view.carrier_out.bad
    if not bad:  # nobody counted: as many as were kept
        return f"{len(found)} messages"
    n = max(sum(count for name, count in bad.items() if name in names), len(found))
    marks = view.carrier_out.figures.get("marks")
    sent = view.carrier_out.audio.frames + (int(marks.get("sent") or 0) if isinstance(marks, dict) else 0)
    # a dial counts audio before the carrier has judged it, the others only what the carrier took
    dialled = view.recording.begin.get("source") == "dial"
    return f"{n} of {max(n, sent) if dialled else n + sent} messages"
