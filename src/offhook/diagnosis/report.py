"""
The verdict on a call, for people and for programs. Pure but for ``judge``, which reads the record's file.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import msgspec
from msgspec import Struct

from offhook.diagnosis.boundaries import BOUNDARIES, Finding
from offhook.diagnosis.engine import Diagnosis, diagnose
from offhook.diagnosis.evidence import Evidence
from offhook.diagnosis.ladder import IDS, NOT_PART, Step
from offhook.evidence.files import read
from offhook.evidence.record import Line, Recording

__all__ = ["EXIT", "Hop", "Report", "Verdict", "judge", "report"]

Verdict = Literal["healthy", "broken", "suspected", "not proven"]
EXIT: dict[Verdict, int] = {"healthy": 0, "broken": 1, "suspected": 3, "not proven": 3}
EXCERPT = 3  # lines before the guilty one


class Hop(Struct, frozen=True):
    """One boundary of one call."""

    boundary: str
    state: Literal["proven", "broken", "suspected", "not reached", "not proven", "not part"]  # of such a call
    observable: str


class Report(Struct, frozen=True):
    """What became of a call."""

    verdict: Verdict
    because: str
    hops: tuple[Hop, ...]
    steps: tuple[Step, ...]
    roots: tuple[Finding, ...]
    symptoms: tuple[Finding, ...]
    others: tuple[Finding, ...]
    call: Recording

    @property
    def catalogue(self) -> tuple[str, ...]:
        """The rows of the fault catalogue that were decided, in causal order."""
        return tuple(finding.catalogue for finding in self.roots if finding.catalogue)

    @property
    def line(self) -> str:
        """The verdict as one line, for logs and lists."""
        if not self.roots:
            return f"{self.verdict}: {self.because}"
        return f"{self.verdict}: " + "; ".join(f"{finding.rule}: {finding.sentence}" for finding in self.roots)

    def excerpt(self, finding: Finding) -> list[Line]:
        """The guilty line and those before it."""
        at = next((n for n, line in enumerate(self.call.lines) if line.number >= finding.line), 0)
        return list(self.call.lines[max(0, at - EXCERPT) : at + 1])

    def rows(self) -> tuple[dict[str, Any], ...]:
        """The roots, as the store keeps them."""
        kept = ("rule", "boundary", "proof", "sentence", "fix", "line")
        return tuple({name: getattr(one, name) for name in kept} for one in self.roots)

    def as_data(self) -> dict[str, Any]:
        """For programs."""
        return {
            "verdict": self.verdict,
            "exit": EXIT[self.verdict],
            "because": self.because,
            "boundaries": msgspec.to_builtins(self.hops),
            "ladder": msgspec.to_builtins(self.steps),
            "findings": msgspec.to_builtins(self.roots),
            "symptoms": msgspec.to_builtins(self.symptoms),
            "others": msgspec.to_builtins(self.others),
            "summary": self.call.end,
        }


def judge(path: Path) -> Report:
    """The report on a record. Raises RecordingError."""
    return report(read(path))


def report(call: Recording) -> Report:
    """Healthy only where nothing is broken and what had to be met was seen to be met."""
    found = diagnose(Evidence.of(call))
    verdict, because = _verdict(found)
    return Report(
        verdict=verdict, because=because, hops=tuple(_hops(found)), steps=found.steps, roots=found.roots,
        symptoms=found.symptoms, others=found.others, call=call,
    )  # fmt: skip


def _verdict(found: Diagnosis) -> tuple[Verdict, str]:
    said = "; ".join(
        finding.sentence if finding.proof == "proven" else f"{finding.proof}: {finding.sentence}"
        for finding in found.roots
    )
    if any(root.severity == "fault" and root.proof == "proven" and not root.would_hit_next for root in found.roots):
        return "broken", said
    if any(not root.rule.endswith("/unexplained") and not root.rule.startswith("carrier:") for root in found.roots):
        return "suspected", said
    if found.roots:
        return "not proven", said
    if found.view.recording.live:
        return "not proven", "the call is still running; nothing is broken so far"
    met = {step.id for step in found.steps if step.state == "met"}
    if not met & {"M6", "M9"} and not _no_call(found):
        past = next((one.sentence for one in found.others if one.rule == "records/stream-past-the-tap"), "")
        return "not proven", past or "this record shows too little of a call to say that it was well"
    return "healthy", _evidence(found)


def _no_call(found: Diagnosis) -> bool:
    """Whether there never was a call to diagnose: the caller had left before a stream could start, or was refused."""
    if found.view.dialled.stops and IDS.index(found.view.dialled.stops) <= IDS.index("M6"):
        return True
    if found.view.not_taken:
        return True
    upgrade = next(step for step in found.steps if step.id == "M4")
    asked = bool(found.view.hooks) or "M1" in found.view.marks
    return asked and upgrade.state == "not due"


def _evidence(found: Diagnosis) -> str:
    """Why a call counts as healthy: the observables, not the absence of complaints."""
    view, said = found.view, []
    if view.dialled.refused or (view.dialled.stops and _no_call(found)):
        return view.dialled.why
    if _no_call(found):
        return "no call to diagnose: " + next(step.why for step in found.steps if step.id == "M4")
    said += [view.dialled.why] if view.dialled.why else []
    far = [finding.sentence for finding in found.others if finding.severity == "far-end"]
    said += far[:1]
    if view.ending is not None and view.ending.why:
        said.append(f"ended by: {view.ending.why.removeprefix('ended by ')}")
    met = {step.id for step in found.steps if step.state == "met"}
    if "M9" in met:
        said.append("session applied = asked" if not view.differences else "session confirmed")
    if view.saw("carrier"):
        said.append(f"{view.carrier_in.audio.frames} frames in, {view.carrier_in.lost} lost")
    out = view.carrier_out
    if out.marks_sent:
        said.append(f"{out.marks_played} of {out.marks_sent} marks played, {out.marks_flushed} flushed by barge-in")
    counts = view.recording.summary("counts")
    if counts:
        dropped = sum(int(counts.get(name) or 0) for name in ("early_dropped_bytes", "uplink_dropped_bytes"))
        said.append("no caller audio dropped" if not dropped else f"{dropped // 8} ms of caller audio dropped")
    return "; ".join(said)


def _hops(found: Diagnosis) -> Iterator[Hop]:
    """A line per boundary, as mtr prints hops."""
    broken_before = False
    blames = [*found.roots, *found.symptoms]
    for boundary in BOUNDARIES:
        own = [finding for finding in blames if finding.boundary == boundary and not finding.would_hit_next]
        steps = [step for step in found.steps if step.boundary == boundary and step.state != "not seen"]
        met = [step for step in steps if step.state == "met"]
        if own:
            broken_before = True
            sure = any(finding.proof == "proven" and finding.severity == "fault" for finding in own)
            yield Hop(boundary, "broken" if sure else "suspected", own[0].observable)
        elif boundary == "records":
            ended = found.view.recording.end is not None
            yield Hop(boundary, "proven" if ended else "not proven", "the record is whole" if ended else "no end")
        elif steps and all(step.why.startswith(NOT_PART) for step in steps):
            yield Hop(boundary, "not part", steps[0].why.removeprefix(NOT_PART).lstrip(": "))
        elif met and not any(step.state == "unmet" for step in steps):
            yield Hop(boundary, "proven", "; ".join(map(_said, met)))
        elif any(step.state == "unmet" for step in steps) or (broken_before and steps and boundary != "tools"):
            yield Hop(boundary, "not reached" if broken_before else "not proven", "")
        elif boundary not in ("far-end", "tools"):
            why = next((step.why for step in steps if step.why), "") or "not seen from here"
            yield Hop(boundary, "not proven", why)


def _said(step: Step) -> str:
    at = f" at {max(0.0, step.at_ms) / 1000:.2f} s" if step.at_ms is not None and step.id != "M0" else ""
    return (step.why or step.what) + at
