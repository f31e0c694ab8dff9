"""
From evidence to findings: every rule asked, symptoms behind their roots, the carrier's codes behind both, and an
unmet milestone that nothing explains as "boundary known, cause unknown". Pure; never asks the bridge.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from fnmatch import fnmatchcase
from functools import cache
from types import ModuleType

from msgspec import Struct

from offhook.diagnosis import rules
from offhook.diagnosis.boundaries import BOUNDARIES, Finding, Rule
from offhook.diagnosis.evidence import Evidence
from offhook.diagnosis.ladder import IDS, Step, first_unmet, ladder
from offhook.diagnosis.unexplained import alerts, excused, unexplained

__all__ = ["Diagnosis", "causal", "diagnose", "explained_by", "find_rule", "rule_modules"]

# A symptom may be noted this much before its root: two notes of one instant have no order.
SAME_INSTANT_MS = 250.0


class Diagnosis(Struct, frozen=True):
    """What the evidence of one call says."""

    view: Evidence
    steps: tuple[Step, ...]
    roots: tuple[Finding, ...]  # faults and suspicions that nothing else explains, in causal order
    symptoms: tuple[Finding, ...]  # those that a root explains
    others: tuple[Finding, ...]  # far end and notes


@cache
def rule_modules() -> tuple[ModuleType, ...]:
    """Every rule, found in the folders of ``rules``: a folder is a boundary, a file is a fault."""
    found: list[ModuleType] = []
    for folder in pkgutil.iter_modules(rules.__path__):
        package = importlib.import_module(f"{rules.__name__}.{folder.name}")
        names = [module.name for module in pkgutil.iter_modules(package.__path__) if not module.name.startswith("_")]
        found += [importlib.import_module(f"{package.__name__}.{name}") for name in names]
    return tuple(sorted(found, key=lambda module: _order(module.RULE)))


def find_rule(rule_id: str) -> ModuleType | None:
    """The module of a rule by its id."""
    return next((module for module in rule_modules() if module.RULE.id == rule_id), None)


def _order(rule: Rule) -> tuple[int, str]:
    return BOUNDARIES.index(rule.boundary), rule.id


def diagnose(view: Evidence) -> Diagnosis:
    """All findings of a call, roots apart from symptoms."""
    found = sorted((one for one in _ask(view) if not excused(view, one)), key=causal)
    steps = ladder(view)
    blamed = [finding for finding in found if finding.blames]
    roots = _seen_through(_roots(blamed))
    symptoms = [finding for finding in blamed if finding not in roots]
    left = unexplained(view, steps, roots, first_unmet(steps))
    if left is not None:
        (symptoms if any(explained_by(left, root) for root in roots) else roots).append(left)
    alone, explained = alerts(view, roots, found)
    return Diagnosis(
        view=view,
        steps=steps,
        roots=tuple(sorted([*roots, *alone], key=causal)),
        symptoms=tuple(sorted([*symptoms, *explained], key=causal)),
        others=tuple(one for one in found if not one.blames and not any(_explains(root, one) for root in roots)),
    )


def _ask(view: Evidence) -> Iterator[Finding]:
    for module in rule_modules():
        rule: Rule = module.RULE
        if view.saw(*rule.needs):
            yield from module.find(view)


def causal(finding: Finding) -> tuple[bool, int, float, int]:
    """The order in which faults are to be mended: what hides others first."""
    return (finding.would_hit_next, IDS.index(finding.breaks), finding.at_ms or 0.0, BOUNDARIES.index(finding.boundary))


def _roots(blamed: list[Finding]) -> list[Finding]:
    """Findings that no other explains; of two that explain each other the earlier stands."""
    return [
        finding
        for n, finding in enumerate(blamed)
        if not any(
            _explains(other, finding) and not (n < m and _explains(finding, other)) for m, other in enumerate(blamed)
        )
    ]


def _seen_through(roots: list[Finding]) -> list[Finding]:
    """Without what could only say "not provable from here", where what lies behind was proven to be broken."""
    last = BOUNDARIES.index("turns")
    behind = [
        one
        for one in roots
        if one.severity == "fault" and one.proof == "proven" and BOUNDARIES.index(one.boundary) < last
    ]
    return [one for one in roots if one.proof != "not provable from here" or not behind]


def explained_by(rule: Rule | Finding, root: Rule | Finding) -> bool:
    """Whether there is an edge from ``root`` to ``rule``."""
    name = rule.rule if isinstance(rule, Finding) else rule.id
    return any(fnmatchcase(name, pattern) for pattern in root.explains)


def _explains(root: Finding, other: Finding) -> bool:
    """Whether ``other`` is a symptom of ``root``: there is an edge, and root was not later."""
    if root.rule == other.rule or root.would_hit_next or other.would_hit_next or not explained_by(other, root):
        return False
    if root.at_ms is None or other.at_ms is None:
        return True
    return root.at_ms <= other.at_ms + SAME_INSTANT_MS
