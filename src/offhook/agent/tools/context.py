"""
What a tool may know of its call, and ask of it.

Belongs to the tool's thread; what it asks becomes an event on the media loop. Knows no socket.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from msgspec import Struct

from offhook import vocab as v

__all__ = ["CallContext", "Turn"]


class Turn(Struct, frozen=True):
    """Something that was said."""

    who: Literal["caller", "agent"]
    text: str


def _nobody(event: v.Event) -> None:
    """Asks of a tool that is run without a call."""


class CallContext:
    """
    One call, as a tool sees it. ``caller`` is the full number: do not log it (``repr`` masks it). ``transcript`` holds
    the last things that were said, oldest first.
    """

    __slots__ = ("_ask", "agent", "call_id", "called", "caller", "direction", "remark", "transcript")

    def __init__(
        self,
        call_id: str = "",
        *,
        agent: str = "default",
        caller: str = "",
        called: str = "",
        direction: str = "inbound",
        transcript: Sequence[Turn] = (),
        ask: Callable[[v.Event], None] = _nobody,
    ) -> None:
        self.call_id = call_id
        self.agent = agent
        self.caller = caller
        self.called = called
        self.direction = direction
        self.transcript = tuple(transcript)
        self._ask = ask
        # Something for the call's record that is no result: (kind, data). Set by whoever runs the tool.
        self.remark: Callable[[str, Mapping[str, Any]], None] = lambda kind, data: None

    def __repr__(self) -> str:
        return f"<call {self.call_id} of {masked(self.caller)} with {self.agent}>"

    def ask(self, event: v.Event) -> None:
        """Ask something of the call that none of the methods below says; thread-safe, never blocks."""
        self._ask(event)

    async def hang_up(self) -> None:
        """End the call politely: the agent is cut short, and the caller told that the time is up."""
        self._ask(v.EndRequested(why="operator"))


def masked(number: str) -> str:
    """A number as it may be written down."""
    return f"{number[:3]}…{number[-2:]}" if len(number) > 6 else "…"
