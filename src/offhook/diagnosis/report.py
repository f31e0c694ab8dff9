"""
The verdict on a call, for people and for programs. Pure but for ``judge``, which reads the record's file.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import msgspec
from msgspec import Struct

from offhook.diagnosis.boundaries import Finding, Hop, hops
from offhook.diagnosis.engine import findings, roots
from offhook.evidence.files import read
from offhook.evidence.record import Recording

__all__ = ["Report", "judge", "report"]


class Report(Struct, frozen=True):
    """What became of a call."""

    verdict: Literal["healthy", "broken", "not proven"]
    because: str
    hops: tuple[Hop, ...]
    roots: tuple[Finding, ...]
    others: tuple[Finding, ...]
    call: Recording

    def as_data(self) -> dict[str, Any]:
        """For programs."""
        return {
            "verdict": self.verdict,
            "because": self.because,
            "boundaries": msgspec.to_builtins(self.hops),
            "findings": msgspec.to_builtins(self.roots),
            "others": msgspec.to_builtins(self.others),
            "summary": self.call.end,
        }


def judge(path: Path) -> Report:
    """The report on a record. Raises RecordingError."""
    return report(read(path))


def report(call: Recording) -> Report:
    """Healthy only where nothing is broken, the end was wanted, and the record says so."""
    found = findings(call)
    faults = roots(found)
    others = tuple(finding for finding in found if finding not in faults)
    verdict: Literal["healthy", "broken", "not proven"]
    end = (call.end or {}).get("end", {})
    if any(fault.proof == "proven" for fault in faults):
        verdict, because = "broken", "; ".join(fault.sentence for fault in faults)
    elif faults:
        verdict, because = "not proven", "; ".join(f"{fault.proof}: {fault.sentence}" for fault in faults)
    elif not end.get("wanted"):
        verdict = "not proven"
        because = f"the call ended unwanted ({end.get('why') or 'no end'}) and no rule explains it: boundary unknown"
    else:
        verdict, because = "healthy", _evidence(call)
    return Report(verdict, because, tuple(hops(call, found)), tuple(faults), others, call)


def _evidence(call: Recording) -> str:
    """Why a call counts as healthy: the observables, not the absence of complaints."""
    summary = call.end or {}
    marks, counts = summary.get("marks", {}), summary.get("counts", {})
    wire = summary.get("carrier_wire", {})
    said = [f"ended by: {summary.get('end', {}).get('why')}"]
    if any(note.data.get("id") == "M9" for note in call.notes("milestone")):
        said.append("session applied = asked" if not any(call.notes("session.difference")) else "session confirmed")
    said.append(f"{summary.get('frames_from_carrier', 0)} frames in, {wire.get('lost', 0)} lost")
    if marks.get("sent"):
        said.append(
            f"{marks.get('played')} of {marks['sent']} marks played, {marks.get('flushed')} flushed by barge-in"
        )
    dropped = counts.get("early_dropped_bytes", 0) + counts.get("uplink_dropped_bytes", 0)
    said.append("no caller audio dropped" if not dropped else f"{dropped // 8} ms of caller audio dropped")
    return "; ".join(said)
