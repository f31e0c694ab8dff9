"""
What a tool may know of its call, and ask of it.

Belongs to the tool's thread; what it asks becomes an event on the media loop. Knows no socket.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
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


async def _no_call(event: v.Event) -> v.Done:
    return v.Done("", "", "refused", "there is no call")


class CallContext:
    """
    One call, as a tool sees it. ``caller`` is the full number: do not log it (``repr`` masks it). ``transcript`` holds
    the last things that were said, oldest first; ``parameters`` the custom ones: of the webhook's own address, or of
    whoever had the call placed.
    """

    __slots__ = (
        "_ask", "_order", "agent", "call_id", "called", "caller", "direction", "parameters", "remark", "transcript",
    )  # fmt: skip

    def __init__(
        self,
        call_id: str = "",
        *,
        agent: str = "default",
        caller: str = "",
        called: str = "",
        direction: str = "inbound",
        transcript: Sequence[Turn] = (),
        parameters: Mapping[str, str] | None = None,
        ask: Callable[[v.Event], None] = _nobody,
        order: Callable[[v.Event], Awaitable[v.Done]] = _no_call,
    ) -> None:
        self.call_id = call_id
        self.agent = agent
        self.caller = caller
        self.called = called
        self.direction = direction
        self.transcript = tuple(transcript)
        self.parameters = dict(parameters or {})
        self._ask = ask
        self._order = order
        # Something for the call's record that is no result: (kind, data). Set by whoever runs the tool.
        self.remark: Callable[[str, Mapping[str, Any]], None] = lambda kind, data: None

    def __repr__(self) -> str:
        return f"<call {self.call_id} of {masked(self.caller)} with {self.agent}>"

    def ask(self, event: v.Event) -> None:
        """Ask something of the call and do not wait for it; thread-safe, never blocks."""
        self._ask(event)

    async def order(self, event: v.Event) -> v.Done:
        """Ask something of the call (one of the vocabulary's ``...Asked``), and how it went."""
        return await self._order(event)

    async def say(self, text: str) -> str:
        """Let the agent say a text word for word, once nobody speaks: heard, interrupted, failed or refused."""
        return (await self._order(v.SayAsked(text))).outcome

    async def tell(self, text: str, *, respond: bool = False) -> str:
        """Let the agent know something, and say something to it if ``respond``."""
        return (await self._order(v.InjectAsked(text, respond))).outcome

    async def transfer(self, target: str, announcement: str = "") -> str:
        """Give the caller to a number or a SIP URI: how that ended, in one word."""
        return (await self._order(v.TransferAsked(target, announcement))).outcome

    async def hold(self, on: bool) -> str:
        """Music for the caller, or the agent again."""
        return (await self._order(v.HoldAsked(on))).outcome

    async def collect_keys(self, digits: int = 20, *, secret: bool = False) -> str:
        """Keys that the caller presses, until # or so many; empty when none came. ``secret``: not told to the agent."""
        return (await self._order(v.CollectAsked(digits=digits, secret=secret))).value

    async def hang_up(self) -> None:
        """End the call politely: the caller hears the line of ``limits.operator_line``."""
        self._ask(v.EndRequested(why="tool"))


def masked(number: str) -> str:
    """A number as it may be written down."""
    return f"{number[:3]}…{number[-2:]}" if len(number) > 6 else "…"
