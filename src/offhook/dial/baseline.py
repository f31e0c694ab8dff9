"""
A run beside an earlier one: what got worse, and the refusal to compare runs that are not alike. Pure but for ``read``.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from offhook.dial.plan import Plan

__all__ = ["BaselineError", "Compared", "compare", "identity", "read"]

# A figure is worse when it grew by this share and by so many ms: single calls differ that much on a quiet machine.
WORSE_SHARE = 0.25
WORSE_MS = 30.0
_FIGURES = ("webhook_ms", "upgrade_ms", "first_audible_ms")


class BaselineError(Exception):
    """A file that holds no earlier run."""


class Compared(Struct, frozen=True):
    """What the comparison said."""

    refused: tuple[str, ...]  # in what the runs are unlike
    worse: tuple[str, ...]
    lines: tuple[str, ...]


def identity(plan: Plan, calls: int) -> dict[str, Any]:
    """What must be equal for two runs to be compared. Ports and hosts may differ: the same server elsewhere."""
    scenario = hashlib.sha256(msgspec.json.encode(plan.scenario) + repr(plan.presses).encode()).hexdigest()[:12]
    return {
        "scenario": plan.scenario.name or scenario, "scenario_hash": scenario,
        "faults": sorted(map(str, plan.faults)), "calls": calls, "target": plan.kind, "local": plan.local,
        "seed": plan.seed, "signed": bool(plan.token),
    }  # fmt: skip


def read(path: Path) -> dict[str, Any]:
    """Raises BaselineError."""
    try:
        data = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise BaselineError(f"--baseline {path}: cannot be read: {error}") from None
    if not isinstance(data, dict) or not isinstance(data.get("run"), dict):
        raise BaselineError(f"--baseline {path}: wanted the JSON of an earlier dial (--save FILE)")
    return data


def compare(old: dict[str, Any], new: dict[str, Any]) -> Compared:
    """Worse figures, new findings and failed statements; nothing at all when the runs are unlike."""
    before, now = old["run"], new["run"]
    unlike = tuple(
        f"{key}: {before.get(key)!r} then, {now.get(key)!r} now"
        for key in sorted({*before, *now})
        if before.get(key) != now.get(key)
    )
    if sorted(set(old) & {"call", "load", "statements"}) != sorted(set(new) & {"call", "load", "statements"}):
        unlike += ("kind of run",)
    if unlike:
        return Compared(unlike, (), ("baseline: not compared, the runs are unlike:", *(f"  {text}" for text in unlike)))
    worse = [*_slower(_figures(old), _figures(new)), *_found(old, new), *_failed(old, new)]
    lines = [f"  worse: {text}" for text in worse] or ["  nothing worse"]
    return Compared((), tuple(worse), ("baseline:", *lines))


def _figures(data: dict[str, Any]) -> dict[str, float]:
    if "load" in data:
        given = data["load"].get("percentiles", {})
        return {f"{name} {p}": value for name, row in given.items() for p, value in row.items() if value is not None}
    figures = data.get("call", {}).get("figures", {})
    found = {name: figures[name] for name in _FIGURES if figures.get(name) is not None}
    for name in ("latencies_ms", "clear_ms"):
        if figures.get(name):
            found[f"{name} max"] = max(figures[name])
    return found


def _slower(before: dict[str, float], now: dict[str, float]) -> list[str]:
    return [
        f"{name}: {before[name]:.0f} ms then, {value:.0f} ms now"
        for name, value in now.items()
        if name in before and value > before[name] * (1 + WORSE_SHARE) and value > before[name] + WORSE_MS
    ]


def _found(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    def named(data: dict[str, Any]) -> dict[tuple[str, str], str]:
        rows = data.get("call", {}).get("findings", []) + data.get("load", {}).get("findings", [])
        return {(f["statement"], f["sentence"]): f["sentence"] for f in rows if f["severity"] != "note"}

    return [f"new: {text}" for key, text in named(new).items() if key not in named(old)]


def _failed(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    before = {row["id"]: row["result"] for row in old.get("statements", [])}
    return [
        f"{row['id']}: {before[row['id']]} then, fail now"
        for row in new.get("statements", [])
        if row["result"] == "fail" and before.get(row["id"], "fail") != "fail"
    ]
