"""
Something to hear while a tool runs: a cue or a line of our own, or words that the agent is asked to say.

Only into silence: never over the agent, never over the caller. Knows nothing of what tools do.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from offhook.bridge.responses import Responses
from offhook.bridge.state import State, Stream

if TYPE_CHECKING:
    from offhook.bridge.tools import Run

__all__ = ["Filler"]

CUE = "cue"
_SAY = "say:"
_AGAIN_S = 0.5  # somebody speaks: look again


class Filler:
    """One call's fillers; ``open_runs`` are the tools that the caller waits for."""

    __slots__ = ("_open_runs", "_responses", "_s", "_said")

    def __init__(self, state: State, responses: Responses, open_runs: Callable[[], Sequence[Run]]) -> None:
        self._s = state
        self._responses = responses
        self._open_runs = open_runs
        self._said: set[str] = set()  # fillers in words, of this wait: said once, then the cue

    def look(self, now: float) -> None:
        """A tool began or ended."""
        runs = [run for run in self._open_runs() if run.policy.filler and run.policy.filler_ms]
        if not runs:
            self._s.deadlines.met("filler")
            self._said.clear()
        elif "filler" not in self._s.deadlines:
            self._s.at("filler", now + min(run.policy.filler_ms for run in runs) / 1000, self._due)

    def _due(self, now: float) -> None:
        """So long a silence is enough; but it may be none."""
        s = self._s
        runs = [run for run in self._open_runs() if run.policy.filler and run.policy.filler_ms]
        if not runs or s.stream is not Stream.OPEN or s.ending is not None:
            return
        run = min(runs, key=lambda run: run.began)
        every = s.settings.filler_every_s if run.filler else run.policy.filler_ms / 1000
        due = max(run.began, s.playback.idle_at()) + every
        if self._responses.caller_speaking or self._responses.busy or s.shut:
            due = max(due, now + _AGAIN_S)
        if due > now + 0.001:
            s.at("filler", due, self._due)
            return
        run.filler = True
        self._give(run.policy.filler, round((now - run.began) * 1000), run.name, now)
        s.at("filler", now + s.settings.filler_every_s, self._due)

    def _give(self, filler: str, waited_ms: int, name: str, now: float) -> None:
        s = self._s
        if filler in self._said and filler != CUE:
            filler = CUE
        self._said.add(filler)
        s.note("tool.filler", ms=waited_ms, name=name, what=filler[:60])
        if filler.startswith(_SAY):
            self._responses.ask(now, f"Say only this to the caller, and call no tool: {filler.removeprefix(_SAY)}")
        elif s.lines.get(filler):
            s.play(f"line:{filler}", s.lines[filler], now)
            s.last_word_at = now
        else:
            s.note("line.missing", name=filler[:60])
