"""
What only the program itself can know of a call: its timers, its store, its jobs, its process. Knows no rule.
"""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from offhook.diagnosis import facts as f
from offhook.evidence.record import Recording

__all__ = ["Blocked", "Idle", "Inside", "Job", "Joined", "Order", "ProcessEvent", "Stall", "Unmet", "read_inside"]


class Idle(f.Fact, frozen=True, kw_only=True):
    """An idle timer fired; ``pending``: while the agent could still be heard, or a tool was running."""

    after_s: float = 0.0
    pending: bool = False
    agent_audio_pending: bool = False
    ahead_ms: float = 0.0
    tools: int = 0


class Stall(f.Fact, frozen=True, kw_only=True):
    """The store did not take a write at once; ``beside``: the write was made on a thread that no call waits for."""

    ms: float = 0.0
    error: str = ""
    beside: bool = False


class Job(f.Fact, frozen=True, kw_only=True):
    """Work beside or after the call: "queued", "done", "lost" with its server."""

    id: str = ""
    name: str = ""
    state: str = ""


class ProcessEvent(f.Fact, frozen=True, kw_only=True):
    """The program got a "signal", or began ("start") again."""

    event: str = ""
    signal: str = ""
    calls: int = 0


class Unmet(f.Fact, frozen=True, kw_only=True):
    """The bridge itself missed the act to a claim; ``did`` is what it did about it."""

    claim: str = ""
    words: str = ""
    did: str = ""


class Order(f.Fact, frozen=True, kw_only=True):
    """Something was asked of the call from outside."""

    what: str = ""


class Blocked(f.Fact, frozen=True, kw_only=True):
    """A tool held up the loop that it ran on, which was not the media loop."""

    name: str = ""
    ms: float = 0.0
    stack: str = ""


class Loop(f.Fact, frozen=True, kw_only=True):
    """Results in a row that a model went on with, and nobody said a word; then it was not asked any more."""

    n: int = 0


class Joined(f.Fact, frozen=True, kw_only=True):
    """A tool call that was made again, and got the first one's result."""

    name: str = ""


class Inside(Struct, frozen=True):
    """One call's inner events; all empty where the recorder could not see them."""

    idle: tuple[Idle, ...] = ()
    stalls: tuple[Stall, ...] = ()
    jobs: tuple[Job, ...] = ()
    process: tuple[ProcessEvent, ...] = ()
    fillers: tuple[f.Fact, ...] = ()  # something to hear while a tool runs
    unmet: tuple[Unmet, ...] = ()
    orders: tuple[Order, ...] = ()
    blocked: tuple[Blocked, ...] = ()
    joined: tuple[Joined, ...] = ()
    loops: tuple[Loop, ...] = ()
    typed: tuple[f.Fact, ...] = ()  # lines that the caller wrote

    def again(self) -> Iterator[tuple[str, Joined, int]]:
        """The tools that were called again with the same arguments: the first time, and how often."""
        for name in dict.fromkeys(call.name for call in self.joined):
            calls = [call for call in self.joined if call.name == name]
            yield name, calls[0], len(calls)


def read_inside(call: Recording) -> Inside:
    """The notes of these kinds."""
    return Inside(
        idle=tuple(f.read(Idle, line) for line in call.notes("idle.fired")),
        stalls=tuple(f.read(Stall, line) for line in call.notes("store.stall")),
        jobs=tuple(f.read(Job, line) for line in call.notes("job")),
        process=tuple(f.read(ProcessEvent, line) for line in call.notes("process")),
        fillers=tuple(f.read(f.Fact, line) for line in call.notes("tool.filler")),
        unmet=tuple(f.read(Unmet, line) for line in call.notes("claim.unmet")),
        orders=tuple(f.read(Order, line) for line in call.notes("control.asked")),
        blocked=tuple(f.read(Blocked, line) for line in call.notes("tool.blocks")),
        joined=tuple(f.read(Joined, line) for line in call.notes("tool.joined")),
        loops=tuple(f.read(Loop, line) for line in call.notes("tool.loop")),
        typed=tuple(f.read(f.Fact, line) for line in call.notes("typed")),
    )
