"""
Where a call can break, in causal order: what stands earlier can make what stands later fail, not the reverse.
"""

from collections.abc import Iterator
from typing import Literal

from msgspec import Struct

from offhook.evidence.record import Recording

__all__ = ["BOUNDARIES", "Finding", "Hop", "Rule", "hops"]

BOUNDARIES: tuple[str, ...] = (
    "settings", "webhook", "carrier-stream", "bridge", "provider-connect", "provider-session", "media", "turns",
    "tools", "records", "call-control", "far-end",
)  # fmt: skip

# Boundary -> the milestones that prove it, with what each one observed.
_PROOFS: dict[str, tuple[str, ...]] = {
    "webhook": ("M1",),
    "carrier-stream": ("M5", "M6", "M7"),
    "provider-connect": ("M8",),
    "provider-session": ("M9",),
    "media": ("M10", "M14", "M15", "M17"),
    "turns": ("M11", "M12"),
    "call-control": ("M20",),
}


class Finding(Struct, frozen=True):
    """One thing that is wrong, or worth knowing."""

    rule: str
    boundary: str
    severity: Literal["fault", "note"]
    proof: Literal["proven", "consistent with", "not provable from here"]
    sentence: str
    fix: str
    line: int  # of the record
    observable: str
    explains: tuple[str, ...] = ()


class Rule(Struct, frozen=True):
    """What a rule module says of itself."""

    id: str
    title: str
    explains: tuple[str, ...] = ()  # findings that are symptoms of this one
    source: str = ""
    since: str = ""

    @property
    def boundary(self) -> str:
        return self.id.partition("/")[0]

    def finding(
        self,
        line: int,
        sentence: str,
        fix: str,
        *,
        observable: str,
        severity: Literal["fault", "note"] = "fault",
        proof: Literal["proven", "consistent with", "not provable from here"] = "proven",
    ) -> Finding:
        return Finding(
            rule=self.id, boundary=self.boundary, severity=severity, proof=proof, sentence=sentence, fix=fix, line=line,
            observable=observable, explains=self.explains,
        )  # fmt: skip


class Hop(Struct, frozen=True):
    """One boundary of one call."""

    boundary: str
    state: Literal["proven", "broken", "not reached", "not proven"]
    observable: str


def hops(call: Recording, findings: list[Finding]) -> Iterator[Hop]:
    """A line per boundary, as mtr prints hops."""
    reached = {str(line.data["id"]): line for line in call.notes("milestone")}
    broken_before = False
    for boundary in BOUNDARIES:
        own = [finding for finding in findings if finding.boundary == boundary and finding.severity == "fault"]
        proofs = [reached[mid] for mid in _PROOFS.get(boundary, ()) if mid in reached]
        wanted = _PROOFS.get(boundary, ())
        if own:
            broken_before = True
            yield Hop(boundary, "broken", own[0].observable)
        elif boundary == "settings":
            yield _settings(call)
        elif boundary == "records":
            ended = call.end is not None
            yield Hop(boundary, "proven" if ended else "not proven", "the record is whole" if ended else "no end")
        elif proofs:
            yield Hop(boundary, "proven", "; ".join(f"{p.data['what']} at {p.at_ms / 1000:.2f} s" for p in proofs))
        elif wanted:
            yield Hop(boundary, "not reached" if broken_before else "not proven", "")
        elif boundary == "tools" and any(call.notes("tool")):
            names = ", ".join(str(note.data.get("name")) for note in call.notes("tool"))
            yield Hop(boundary, "proven", f"asked for: {names}")
        elif boundary == "bridge":
            yield Hop(boundary, "proven", "no exception, no blocked loop")


def _settings(call: Recording) -> Hop:
    boot = call.begin.get("boot", {})
    said = f"{boot.get('provider')}, model {boot.get('model')}, voice {boot.get('voice')}"
    return Hop("settings", "proven" if boot else "not proven", said if boot else "no settings in the record")
