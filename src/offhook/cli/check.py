"""``offhook check``: the isolated checks, side by side; all of them report, whatever the others find."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from msgspec import to_builtins

from offhook.checks._check import Ask, Check, Outcome, Step
from offhook.checks.registry import NAMES, checks, run_all
from offhook.settings import Settings

__all__ = ["run"]

MARKS = {"proven": "+", "broken": "x", "not proven": "?"}
COLORS = {"proven": "32", "broken": "31", "not proven": "33"}
EXIT = {"proven": 0, "broken": 1, "not proven": 3}


def run(
    settings: Settings,
    names: Sequence[str],
    records: Path,
    *,
    live: bool = False,
    full: bool = False,
    as_json: bool = False,
    as_lines: bool = False,
    watch_s: float | None = None,
) -> int:
    """Run the checks of these names, all where none is given. 0 proven, 1 broken, 2 usage, 3 not proven."""
    logging.getLogger("offhook").addHandler(logging.NullHandler())  # what is wrong stands in the checks themselves
    strange = [name for name in names if name not in NAMES]
    if strange:
        sys.stderr.write(f"offhook: there is no check {strange[0]!r}; there are: {', '.join(NAMES)}\n")
        return 2
    chosen = checks(list(dict.fromkeys(names)) or NAMES)
    screen = _Lines() if as_lines else _Screen(as_json)
    if live:
        for check in chosen:
            cost = check.costs(settings)
            if cost:
                screen.say(f"{check.name} costs {cost}")
    ask = Ask(settings, records, live=live, full=full, on_step=screen.step)
    try:
        if watch_s is None:
            return _verdict(asyncio.run(run_all(chosen, ask, screen.outcome)), screen)
        return _watch(ask, chosen, screen, watch_s)
    except KeyboardInterrupt:
        return 130


def _verdict(outcomes: list[Outcome], screen: _Screen) -> int:
    screen.report(outcomes)
    return max((EXIT[outcome.verdict] for outcome in outcomes), key=lambda code: (code == 1, code), default=0)


class _Screen:
    """What people see: a block a check as soon as it is over, and what is still running."""

    def __init__(self, as_json: bool) -> None:
        self._json = as_json
        self._tty = sys.stdout.isatty() and not as_json
        self._color = self._tty and not os.environ.get("NO_COLOR")

    def say(self, text: str) -> None:
        (sys.stderr if self._json else sys.stdout).write(text + "\n")

    def step(self, check: str, step: Step) -> None:
        """Progress: the step that was made last, on one line that is overwritten."""
        if self._tty:
            sys.stdout.write(f"\r\x1b[K  {check}: {step.name}"[:100])
            sys.stdout.flush()

    def outcome(self, outcome: Outcome) -> None:
        if self._json:
            return
        head = "\r\x1b[K" if self._tty else ""
        sys.stdout.write(f"{head}{self._mark(outcome.verdict)} {outcome.check:<12} {outcome.sentence}\n")
        for step in outcome.steps:
            took = f"{step.ms:7.0f} ms" if step.ms is not None else " " * 10
            sys.stdout.write(f"    {self._mark(step.state)} {step.name:<16} {took}  {step.detail}\n")
            if step.fix and step.state != "proven":
                sys.stdout.write(f"{'':35}fix: {step.fix}\n")
        sys.stdout.flush()

    def _mark(self, state: str) -> str:
        mark = MARKS[state]
        return f"\x1b[{COLORS[state]}m{mark}\x1b[0m" if self._color else mark

    def report(self, outcomes: list[Outcome]) -> None:
        if self._json:
            sys.stdout.write(json.dumps({"checks": [outcome.as_data() for outcome in outcomes]}, indent=1) + "\n")
            return
        if len(outcomes) < 2:
            return
        counts = {state: [o.check for o in outcomes if o.verdict == state] for state in MARKS}
        said = [f"{len(names)} {state}" + (f" ({', '.join(names)})" if state != "proven" else "")
                for state, names in counts.items() if names]  # fmt: skip
        sys.stdout.write("\n" + "; ".join(said) + "\n")

    def drift(self, at: str, check: str, before: str, now: str) -> None:
        if self._json:
            sys.stdout.write(json.dumps({"at": at, "check": check, "before": before, "now": now}) + "\n")
        else:
            sys.stdout.write(f"{at}  {check}: was {before}\n{'':22}now {now}\n")
        sys.stdout.flush()


class _Lines(_Screen):
    """What programs see that want each step when it is made: a JSON object a line."""

    def __init__(self) -> None:
        super().__init__(True)

    def step(self, check: str, step: Step) -> None:
        self._line("step", {"check": check, **to_builtins(step)})

    def outcome(self, outcome: Outcome) -> None:
        self._line("outcome", outcome.as_data())

    def report(self, outcomes: list[Outcome]) -> None: ...

    def _line(self, kind: str, data: dict[str, Any]) -> None:
        sys.stdout.write(json.dumps({"kind": kind, **data}) + "\n")
        sys.stdout.flush()


def _watch(ask: Ask, chosen: Sequence[Check], screen: _Screen, every_s: float) -> int:
    """Again and again, telling only what has changed: a peer that takes or refuses something else than before."""
    seen: dict[str, str] = {}
    quiet = Ask(ask.settings, ask.records, live=ask.live, full=ask.full)
    while True:
        began = time.monotonic()
        outcomes = asyncio.run(run_all(chosen, quiet))
        at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        for outcome in outcomes:
            for name, now in _observed(outcome):
                before = seen.get(name)
                if before is not None and before != now:
                    screen.drift(at, name, before, now)
                seen[name] = now
        broken = [outcome.check for outcome in outcomes if outcome.verdict == "broken"]
        screen.say(f"{at}  {len(outcomes)} checks, " + (f"broken: {', '.join(broken)}" if broken else "nothing broken"))
        time.sleep(max(0.0, every_s - (time.monotonic() - began)))


def _observed(outcome: Outcome) -> list[tuple[str, str]]:
    """What is compared from round to round: each step's state, and its words where it is not proven."""
    return [
        (f"{outcome.check}/{step.name}", step.state + (f": {step.detail}" if step.state != "proven" else ""))
        for step in outcome.steps
    ]
