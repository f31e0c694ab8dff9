"""Runs of the isolated checks: one at a time, each in a process of its own, told step by step."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Literal

from offhook.api.live import Hub

__all__ = ["Busy", "Checking", "Run"]

log = logging.getLogger("offhook")

KEPT = 20
MOST_STEPS = 2000

RunChecks = Callable[[Sequence[str], bool, bool, Callable[[Mapping[str, Any]], None]], Awaitable[None]]


class Busy(Exception):
    """Checks are running already."""


class Run:
    """One run: what was asked for, and what has come of it."""

    def __init__(self, names: Sequence[str], live: bool, full: bool) -> None:
        self.id = secrets.token_hex(6)
        self.names, self.live, self.full = list(names), live, full
        self.state: Literal["running", "over", "failed"] = "running"
        self.began_at = round(time.time() * 1000)
        self.over_at: int | None = None
        self.steps: list[Mapping[str, Any]] = []
        self.outcomes: list[Mapping[str, Any]] = []
        self.why = ""

    def view(self) -> dict[str, Any]:
        return {
            "id": self.id, "names": self.names, "live": self.live, "full": self.full, "state": self.state,
            "began_at": self.began_at, "over_at": self.over_at, "steps": list(self.steps),
            "outcomes": list(self.outcomes), "why": self.why,
        }  # fmt: skip


class Checking:
    """The runs of this server; on the loop. What they come to is also told to ``hub``."""

    def __init__(self, run: RunChecks, hub: Hub) -> None:
        self._run = run
        self._hub = hub
        self._runs: deque[Run] = deque(maxlen=KEPT)
        self._task: asyncio.Task[None] | None = None

    def runs(self) -> list[Run]:
        """The newest first."""
        return list(reversed(self._runs))

    def boundaries(self) -> list[dict[str, Any]]:
        """Of each check the outcome that was last, and when."""
        last: dict[str, dict[str, Any]] = {}
        for run in self._runs:
            for outcome in run.outcomes:
                told = {name: outcome.get(name) for name in ("check", "boundary", "verdict", "sentence")}
                last[str(outcome.get("check"))] = {**told, "at": run.over_at or run.began_at}
        return list(last.values())

    def begin(self, names: Sequence[str], *, live: bool, full: bool) -> Run:
        """Raises Busy."""
        if self._task is not None and not self._task.done():
            raise Busy
        run = Run(names, live, full)
        self._runs.append(run)
        self._task = asyncio.create_task(self._go(run))
        return run

    async def _go(self, run: Run) -> None:
        def told(line: Mapping[str, Any]) -> None:
            kind = line.get("kind")
            kept = run.steps if kind == "step" else run.outcomes
            if len(kept) < MOST_STEPS:
                kept.append({name: value for name, value in line.items() if name != "kind"})
            self._hub.publish("check", "", {"run": run.id, **line})

        try:
            await self._run(run.names, run.live, run.full, told)
            run.state = "over"
        except Exception as error:
            log.exception("checks failed", extra={"run": run.id})
            run.state, run.why = "failed", f"{type(error).__name__}: {error}"[:200]
        run.over_at = round(time.time() * 1000)
        self._hub.publish("check", "", {"run": run.id, "kind": "over", "state": run.state, "why": run.why})

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
