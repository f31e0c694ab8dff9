"""
What only the program itself can know of a call: its timers, its store, its jobs, its process. Knows no rule.
"""

from __future__ import annotations

from msgspec import Struct

from offhook.diagnosis import facts as f
from offhook.evidence.record import Recording

__all__ = ["Idle", "Inside", "Job", "ProcessEvent", "Stall", "read_inside"]


class Idle(f.Fact, frozen=True, kw_only=True):
    """An idle timer fired; ``pending``: while the agent could still be heard, or a tool was running."""

    after_s: float = 0.0
    pending: bool = False
    agent_audio_pending: bool = False
    ahead_ms: float = 0.0
    tools: int = 0


class Stall(f.Fact, frozen=True, kw_only=True):
    """The store did not take a write at once."""

    ms: float = 0.0
    error: str = ""


class Job(f.Fact, frozen=True, kw_only=True):
    """Work after the call: "queued", "done"."""

    id: str = ""
    state: str = ""


class ProcessEvent(f.Fact, frozen=True, kw_only=True):
    """The program got a "signal", or began ("start") again."""

    event: str = ""
    signal: str = ""
    calls: int = 0


class Inside(Struct, frozen=True):
    """One call's inner events; all empty where the recorder could not see them."""

    idle: tuple[Idle, ...] = ()
    stalls: tuple[Stall, ...] = ()
    jobs: tuple[Job, ...] = ()
    process: tuple[ProcessEvent, ...] = ()
    fillers: tuple[f.Fact, ...] = ()  # something to hear while a tool runs


def read_inside(call: Recording) -> Inside:
    """The notes of these kinds."""
    return Inside(
        idle=tuple(f.read(Idle, line) for line in call.notes("idle.fired")),
        stalls=tuple(f.read(Stall, line) for line in call.notes("store.stall")),
        jobs=tuple(f.read(Job, line) for line in call.notes("job")),
        process=tuple(f.read(ProcessEvent, line) for line in call.notes("process")),
        fillers=tuple(f.read(f.Fact, line) for line in call.notes("tool.filler")),
    )
