"""
From a recording to its findings: every rule asked, symptoms behind their roots. Pure; never asks the bridge.
"""

from offhook.diagnosis.boundaries import BOUNDARIES, Finding
from offhook.diagnosis.rules import RULES
from offhook.evidence.record import Recording

__all__ = ["findings", "roots"]


def findings(call: Recording) -> list[Finding]:
    """Everything the rules find, in causal order, then in the record's."""
    found = [finding for rule in RULES for finding in rule.find(call)]
    return sorted(found, key=lambda finding: (BOUNDARIES.index(finding.boundary), finding.line))


def roots(found: list[Finding]) -> list[Finding]:
    """The faults that no other finding explains: three stacked faults are three roots."""
    faults = [finding for finding in found if finding.severity == "fault"]
    explained = {symptom for finding in faults for symptom in finding.explains}
    return [finding for finding in faults if finding.rule not in explained]
