"""
What is to be told of a call, to whom, and how often it is tried. Data; knows no settings file, no store and no network.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from msgspec import Struct

__all__ = ["EVENTS", "Hook", "Job", "Outcome", "Run", "pause_s"]

EVENTS = ("call.ended", "call.died", "call.broken")
# Between two tries; the last one stands for all that follow. Eight tries are some ten hours.
_PAUSES_S = (5.0, 30.0, 120.0, 600.0, 3600.0, 7200.0, 10800.0, 14400.0)


class Job(Struct, frozen=True, kw_only=True):
    """One thing to do for one call. ``key`` is the same at every try, and for the same call and hook for ever."""

    id: int
    hook: str
    call: str
    record: str
    key: str
    payload: str
    tries: int  # this one among them
    queued_at: int  # ms since 1970


class Outcome(Struct, frozen=True):
    """How a try went. ``last``: no further one would end otherwise."""

    ok: bool
    why: str = ""
    last: bool = False
    after_s: float | None = None  # the other side asked for so much time
    result: str = ""  # of a summary


Run = Callable[[Job], Awaitable[Outcome]]


class Hook(Struct, frozen=True, kw_only=True):
    """
    Something that happens after calls. ``repeatable``: a second try that was no retry does no harm, for whoever is
    told can tell by the key that it is the same again.
    """

    name: str
    kind: str  # webhook, command, transcript, summary, upload
    run: Run
    events: tuple[str, ...] = ("call.ended", "call.died")
    agents: tuple[str, ...] = ()
    deadline_s: float = 30.0
    retries: int = 8
    delay_s: float = 0.0
    repeatable: bool = True
    numbers: bool = False  # in full
    redact: bool = True
    where: str = ""  # as a person is told: host or program

    def wants(self, call: Mapping[str, Any]) -> str:
        """The event by which this hook is told of a call; empty where it is not."""
        if self.agents and call["agent"] not in self.agents:
            return ""
        happened = ["call.died" if call["state"] == "died" else "call.ended"]
        if call["verdict"] == "broken":
            happened.append("call.broken")
        return next((event for event in happened if event in self.events), "")


def pause_s(tries: int, asked_s: float | None, share: float) -> float:
    """How long until the next try; ``share`` (0 to 1) spreads those that failed together."""
    pause = _PAUSES_S[min(tries, len(_PAUSES_S)) - 1]
    return max(pause * (0.9 + 0.2 * share), min(asked_s or 0.0, 3600.0))
