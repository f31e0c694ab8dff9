"""
The fault catalogue: every row with what is expected of a diagnosis, and the function that injects it.

Rows stand in ``catalogue.jsonl`` (carried over on 2026-11-25 from a survey of public reports, documents and code of
2026-11-22, whose references each row keeps). A row is injected by the function that says so; see ``scene.py``.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path

import msgspec
from msgspec import Struct

from offhook.evidence.record import Recording

__all__ = ["MODULES", "Example", "Row", "examples", "injections", "injects", "playable", "rows"]

Inject = Callable[[], list[Recording]]
MODULES = ("b0", "b1", "b2", "b3", "b4", "b5", "b6", "b7_9", "stacks", "healthy")
_INJECTIONS: dict[str, Inject] = {}


class Row(Struct, frozen=True):
    """One fault, stack of faults, or healthy look-alike."""

    id: str
    title: str
    boundary: tuple[str, ...]
    verdict: str  # fault, healthy, far_end, suspected, note
    findings: tuple[str, ...]  # catalogue ids of the roots, in causal order
    known: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    wire: str = ""  # a wire that is not built yet: listed apart
    reason: str = ""  # why it is not injected but decided from a recording made by hand


class Example(Struct, frozen=True):
    """A call that shows a rule which no row leads to; its function is in ``examples.py``."""

    id: str
    rule: str
    title: str
    by_hand: str = ""  # what of its record no simulated call could leave


def injects(row: str) -> Callable[[Inject], Inject]:
    """Says which row a function injects."""

    def keep(fn: Inject) -> Inject:
        assert row not in _INJECTIONS, f"{row} is injected twice"
        _INJECTIONS[row] = fn
        return fn

    return keep


def injections() -> dict[str, Inject]:
    """Every row's injection, by id."""
    for name in MODULES:
        importlib.import_module(f"offhook.sims.faults.{name}")
    return dict(_INJECTIONS)


def playable() -> list[Row]:
    """The rows that are injected, known without importing a simulator."""
    return [row for row in rows() if not row.wire and not row.reason]


def rows() -> list[Row]:
    """The catalogue, in its order."""
    return [msgspec.json.decode(line, type=Row) for line in _lines("catalogue.jsonl")]


def examples() -> list[Example]:
    """The worked examples beside the catalogue, known without importing a simulator."""
    return [msgspec.json.decode(line, type=Example) for line in _lines("examples.jsonl")]


def _lines(name: str) -> list[bytes]:
    return [line for line in (Path(__file__).parent / name).read_bytes().splitlines() if line.strip()]
