"""
Where a call can break, in causal order: what stands earlier can make what stands later fail, not the reverse.
And what a rule says of itself and of a call.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from offhook.diagnosis.facts import Fact

__all__ = ["BOUNDARIES", "Finding", "Proof", "Rule", "Severity"]

BOUNDARIES: tuple[str, ...] = (
    "settings", "webhook", "carrier-stream", "bridge", "provider-connect", "provider-session", "media", "turns",
    "tools", "records", "call-control", "far-end",
)  # fmt: skip

Severity = Literal["fault", "suspicion", "far-end", "note"]
Proof = Literal["proven", "consistent with", "not provable from here"]

# The milestone that a fault at a boundary stops, where the rule does not say it closer.
_BREAKS = {
    "settings": "M0", "webhook": "M2", "carrier-stream": "M6", "bridge": "M10", "provider-connect": "M8",
    "provider-session": "M9", "media": "M15", "turns": "M12", "tools": "M18", "records": "M19", "call-control": "M19",
    "far-end": "M19",
}  # fmt: skip


class Finding(Struct, frozen=True, kw_only=True):
    """One thing that is wrong, or worth knowing."""

    rule: str
    boundary: str
    catalogue: str  # the row of the fault catalogue that was decided; "" for a fault that is not in it
    severity: Severity
    proof: Proof
    sentence: str
    fix: str
    line: int  # of the record
    observable: str
    lie: str = ""  # what the carrier, the provider or the logs say instead
    field: str = ""  # of the guilty message
    at_ms: float | None = None  # None: true of the whole call
    breaks: str = ""  # the milestone that cannot be met with it
    explains: tuple[str, ...] = ()
    would_hit_next: bool = False  # real, but hidden by an earlier one

    @property
    def blames(self) -> bool:
        """Whether it makes the call anything else than healthy."""
        return self.severity in ("fault", "suspicion")


class Rule(Struct, frozen=True):
    """
    What a rule module says of itself.

    ``explains`` names findings that are symptoms of this one: rule ids, ``boundary/*``, or ``carrier:31951``. ``needs``
    is what the recorder must have seen for the rule to be asked at all. ``breaks`` is the milestone that the
    fault stops; it orders findings and says which unmet milestone is explained.
    """

    id: str
    title: str
    decides: tuple[str, ...] = ()
    explains: tuple[str, ...] = ()
    lies: str = ""
    source: str = ""
    since: str = ""
    needs: tuple[str, ...] = ()
    breaks: str = ""

    @property
    def boundary(self) -> str:
        return self.id.partition("/")[0]

    def finding(
        self,
        at: Fact | int,
        sentence: str,
        fix: str,
        *,
        observable: str,
        severity: Severity = "fault",
        proof: Proof = "proven",
        lie: str | None = None,
        field: str = "",
        catalogue: str | None = None,
        would_hit_next: bool = False,
    ) -> Finding:
        """What was found; ``at`` is the guilty fact, or a line number for what is true of the whole call."""
        return Finding(
            rule=self.id, boundary=self.boundary, severity=severity, proof=proof, sentence=sentence, fix=fix,
            line=at if isinstance(at, int) else at.line, at_ms=None if isinstance(at, int) else at.at_ms,
            observable=observable, lie=self.lies if lie is None else lie, field=field, explains=self.explains,
            catalogue=catalogue if catalogue is not None else (self.decides[0] if len(self.decides) == 1 else ""),
            breaks=self.breaks or _BREAKS[self.boundary], would_hit_next=would_hit_next,
        )  # fmt: skip
