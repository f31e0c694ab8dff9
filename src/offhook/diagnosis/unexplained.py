"""
What no rule explains: a milestone that was not met, an end that nobody wanted, a code of the carrier. The boundary is
named, the cause is said to be unknown. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

from msgspec import structs

from offhook.diagnosis.boundaries import Finding
from offhook.diagnosis.evidence import Evidence
from offhook.diagnosis.facts import Alert
from offhook.diagnosis.ladder import IDS, Step

__all__ = ["alerts", "excused", "unexplained"]

CHECKS = {
    "settings": "offhook check settings",
    "webhook": "offhook check webhook",
    "carrier-stream": "offhook check stream",
    "bridge": "offhook check stream",
    "provider-connect": "offhook check provider",
    "provider-session": "offhook check provider --live",
    "media": "offhook check provider --live",
    "turns": "offhook check provider --live",
}

# The family of a code says at which boundary the carrier stood (twilio.com/docs/api/errors, checked 2026-11-22).
_FAMILIES = (
    ("319", "carrier-stream", "M5"),
    ("1175", "webhook", "M3"),
    ("11", "webhook", "M2"),
    ("12", "webhook", "M3"),
    ("10", "call-control", "M1"),
    ("13", "call-control", "M1"),
    ("21", "call-control", "M1"),
    ("15", "call-control", "M19"),
    ("20", "call-control", "M19"),
    ("32", "call-control", "M19"),
)
ALWAYS_ON_CLOSE = "31921"  # Twilio logs it whenever the server ends the stream, wanted or not


def alerts(view: Evidence, roots: Sequence[Finding], found: Sequence[Finding]) -> tuple[list[Finding], list[Finding]]:
    """
    The carrier's own codes: those that stand alone (boundary known, cause unknown), and those that are symptoms.

    A code of a stream is a symptom of any root; another one of roots at or before its own milestone, and of those
    that name it. Left out: the entry that every stream gets that was ended on purpose.
    """
    closed = view.closed("carrier")
    intended = closed is not None and closed.by == "us" and view.ending is not None and view.ending.wanted is not False
    far = any(finding.severity == "far-end" for finding in found)
    alone: list[Finding] = []
    symptoms: list[Finding] = []
    for alert in {alert.code: alert for alert in reversed(view.alerts)}.values():
        if alert.code == ALWAYS_ON_CLOSE and intended and not roots:
            continue
        finding = _alert(alert)
        if any(_explained(finding, root) for root in roots):
            symptoms.append(finding)
        elif not far and not excused(view, finding):
            alone.append(finding)
    return alone, symptoms


def excused(view: Evidence, finding: Finding) -> bool:
    """Whether a finding tells of what a dial did wrong on purpose."""
    return any(fnmatchcase(finding.rule, pattern) for pattern in view.dialled.excuses)


def _explained(alert: Finding, root: Finding) -> bool:
    if root.would_hit_next:
        return False
    by_order = alert.boundary == "carrier-stream" or IDS.index(root.breaks) <= IDS.index(alert.breaks)
    return by_order or alert.rule in root.explains


def _alert(alert: Alert) -> Finding:
    boundary, breaks = next(((b, m) for head, b, m in _FAMILIES if alert.code.startswith(head)), ("webhook", "M1"))
    said = f": {alert.text}" if alert.text else ""
    return Finding(
        rule=f"carrier:{alert.code}", boundary=boundary, catalogue="", severity="suspicion", proof="consistent with",
        line=alert.line, breaks=breaks, observable=f"alert {alert.code}",
        sentence=f"The carrier logged {alert.code}{said}. Boundary known, cause unknown.",
        fix=f"`offhook explain {alert.code}` says what it can mean; `{CHECKS.get(boundary, 'offhook check settings')}`",
    )  # fmt: skip


def unexplained(
    view: Evidence, steps: tuple[Step, ...], roots: Sequence[Finding], broken: Step | None
) -> Finding | None:
    """The first unmet milestone, a fault that a dial saw, or an unwanted end, where no root stands at or before it."""
    if view.recording.live:
        return None  # what has not come may come yet
    if view.dialled.faults and not any(root.severity == "fault" and root.proof == "proven" for root in roots):
        return _dialled(view, broken)
    if broken is not None:
        if any(IDS.index(root.breaks) <= IDS.index(broken.id) or root.boundary == broken.boundary for root in roots):
            return None
        return _unmet(view, steps, broken)
    if roots:
        return None
    ending = view.ending
    never = next(step for step in steps if step.id == "M4").state == "not due"  # the caller left while it rang
    if ending is not None and ending.wanted is False and not never and not view.dialled.refused:
        return _finding(
            _boundary_of(ending.why), "M19", ending.line, f"the call ended unwanted ({ending.why or 'no reason'})",
            observable=f"end: {ending.why}",
        )  # fmt: skip
    return None


def _dialled(view: Evidence, broken: Step | None) -> Finding:
    """What a simulated carrier saw of a server and no rule tells from the messages alone."""
    boundary, breaks = (broken.boundary, broken.id) if broken is not None else ("carrier-stream", "M19")
    said = view.dialled.faults[0]
    found = _finding(
        boundary, breaks, max(line.number for line in view.recording.lines), said, observable="seen by the dial"
    )
    return structs.replace(found, severity="fault", proof="proven", sentence=said[:1].upper() + said[1:] + ".")


def _unmet(view: Evidence, steps: tuple[Step, ...], broken: Step) -> Finding:
    before = [step for step in steps[: IDS.index(broken.id)] if step.state == "met"]
    last = before[-1] if before else None
    blind = [step.id for step in steps[: IDS.index(broken.id)] if step.state == "not seen"]
    said = f"{broken.what} did not happen ({broken.why or 'no trace of it'})"
    said += f"; the last thing that did: {last.what}" if last else "; nothing before it was seen"
    line = broken.line or max((step.line for step in before), default=0) or view.recording.lines[-1].number
    return _finding(
        broken.boundary, broken.id, line, said, observable=f"{broken.id} unmet: {broken.what}", blind=bool(blind)
    )


def _finding(boundary: str, breaks: str, line: int, said: str, *, observable: str, blind: bool = False) -> Finding:
    check = CHECKS.get(boundary)
    fix = f"`{check}` proves that boundary alone; " if check else ""
    return Finding(
        rule=f"{boundary}/unexplained", boundary=boundary, catalogue="", severity="suspicion",
        proof="not provable from here" if blind else "consistent with", breaks=breaks, line=line,
        sentence=f"Boundary known, cause unknown: {said}.",
        fix=fix + "`offhook trace` shows the messages around it",
        observable=observable,
    )  # fmt: skip


def _boundary_of(why: str) -> str:
    """Which boundary an ending's reason speaks of."""
    for word, boundary in (
        ("provider", "provider-session"), ("session", "provider-session"), ("responses", "turns"),
        ("carrier", "carrier-stream"), ("stream", "carrier-stream"), ("drain", "settings"),
    ):  # fmt: skip
        if word in why:
            return boundary
    return "bridge"
