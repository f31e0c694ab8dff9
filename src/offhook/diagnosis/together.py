"""
Several calls of one process, judged together: what is the same in all of them is no accident. Pure.

A rule that can say something of several calls offers ``find_together(views)``.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import structs

from offhook.diagnosis.boundaries import Finding
from offhook.diagnosis.engine import explained_by, rule_modules
from offhook.diagnosis.evidence import Evidence
from offhook.diagnosis.report import Report, report
from offhook.evidence.record import Recording

__all__ = ["report_all"]


def report_all(calls: Sequence[Recording]) -> list[Report]:
    """The report of each call, with what only all of them together show."""
    reports = [report(call) for call in calls]
    if len(calls) < 2:
        return reports
    views = [Evidence.of(call) for call in calls]
    for module in rule_modules():
        for n, finding in getattr(module, "find_together", lambda views: ())(views):
            reports[n] = _with(reports[n], finding)
    return reports


def _with(made: Report, found: Finding) -> Report:
    """A report with one root more, which explains what it explains."""
    kept = [root for root in made.roots if not explained_by(root, found)]
    gone = [root for root in made.roots if explained_by(root, found)]
    return structs.replace(
        made,
        verdict="broken",
        because="; ".join(finding.sentence for finding in (found, *kept)),
        roots=(found, *kept),
        symptoms=(*gone, *made.symptoms),
    )
