"""
The one form of an isolated check: what it proves, what it costs, and the steps it went through.

A check needs none of the others: it is given settings, goes through its steps, and never stops the rest. Knows no
wire, no network and no terminal.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Literal

from msgspec import Struct, to_builtins

from offhook.settings import Settings

__all__ = ["Ask", "Check", "Outcome", "State", "Step", "Stop", "Trail"]

State = Literal["proven", "broken", "not proven"]
_RANK: dict[State, int] = {"broken": 0, "not proven": 1, "proven": 2}


class Step(Struct, frozen=True):
    """One thing that a check looked at."""

    name: str
    state: State
    ms: float | None
    detail: str
    fix: str = ""
    decides: tuple[str, ...] = ()  # ids of the fault catalogue that this step named


class Outcome(Struct, frozen=True):
    """What a check proved of its boundary."""

    check: str
    boundary: str
    verdict: State
    sentence: str
    steps: tuple[Step, ...]

    def as_data(self) -> dict[str, Any]:
        """For programs."""
        data: dict[str, Any] = to_builtins(self)
        return data


class Ask(Struct, frozen=True):
    """What a check is given. ``live`` admits what costs money; ``full`` admits what takes minutes."""

    settings: Settings
    records: Path
    live: bool = False
    full: bool = False
    on_step: Callable[[str, Step], None] = lambda check, step: None


class Stop(Exception):
    """A step broke, and nothing after it can be judged."""


class Trail:
    """The steps of one run of a check, told as they are made."""

    def __init__(self, ask: Ask, check: str) -> None:
        self._ask = ask
        self._check = check
        self._began = time.monotonic()
        self.steps: list[Step] = []

    def add(
        self, name: str, state: State, detail: str, *, ms: float | None = None, fix: str = "", decides: str = ""
    ) -> None:
        """One more step; ``ms`` is what it took. ``decides`` names catalogue ids, separated by spaces."""
        took = round(ms, 1) if ms is not None else None
        step = Step(name, state, took, detail, fix, tuple(decides.split()))
        self.steps.append(step)
        self._ask.on_step(self._check, step)

    def proven(self, name: str, detail: str, *, ms: float | None = None) -> None:
        self.add(name, "proven", detail, ms=ms)

    def unproven(self, name: str, detail: str, *, fix: str = "", ms: float | None = None) -> None:
        self.add(name, "not proven", detail, ms=ms, fix=fix)

    def broken(self, name: str, detail: str, *, fix: str, ms: float | None = None, decides: str = "") -> None:
        self.add(name, "broken", detail, ms=ms, fix=fix, decides=decides)

    def fail(self, name: str, detail: str, *, fix: str, ms: float | None = None, decides: str = "") -> Stop:
        """A broken step that ends the check: ``raise trail.fail(...)``."""
        self.broken(name, detail, fix=fix, ms=ms, decides=decides)
        return Stop(name)


class Check(Struct, frozen=True):
    """A check as it is listed. ``run`` adds steps to its trail and returns the sentence for a proven boundary."""

    name: str
    boundary: str
    proves: str
    cannot: str  # what it cannot prove
    run: Callable[[Ask, Trail], Awaitable[str]]
    costs: Callable[[Settings], str] = lambda settings: ""  # said before --live is spent; empty: it costs nothing
    timeout_s: float = 60.0

    async def outcome(self, ask: Ask) -> Outcome:
        """Run it. Whatever happens inside, there is an outcome."""
        trail = Trail(ask, self.name)
        sentence = ""
        try:
            async with asyncio.timeout(self.timeout_s if not ask.full else self.timeout_s + 120):
                sentence = await self.run(ask, trail)
        except Stop:
            pass  # the step that broke says why
        except TimeoutError:
            trail.unproven(
                "time", f"not over after {self.timeout_s:g} s", fix="run it alone, and look at the last step"
            )
        except Exception as error:  # a defect of the check is no verdict on the boundary
            trail.unproven("check", f"{type(error).__name__}: {error}"[:200], fix="report it: this check has a defect")
        return self._judged(trail, sentence)

    def _judged(self, trail: Trail, sentence: str) -> Outcome:
        worst = min(trail.steps, key=lambda step: _RANK[step.state], default=None)
        if worst is None:
            return Outcome(self.name, self.boundary, "not proven", "nothing was looked at", ())
        if worst.state != "proven":
            sentence = f"{worst.name}: {worst.detail}"
        return Outcome(self.name, self.boundary, worst.state, sentence, tuple(trail.steps))
