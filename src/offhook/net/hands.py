"""
The calls' tools: what each agent has, runs of them off this loop, and what came of them brought back as events.

Everything here happens on the media loop and takes no time; the box runs tools on threads of its own. Knows no tool.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import Any, Protocol

from offhook import vocab as v
from offhook.agent.prompt import CallFacts
from offhook.agent.tools.context import CallContext, Turn
from offhook.evidence.journal import JournalDir
from offhook.net.call import Call
from offhook.net.clock import Clock

__all__ = ["Box", "Hands"]

log = logging.getLogger("offhook")

TURNS_KEPT = 40


class Box(Protocol):
    """Runs tools. All methods but the callbacks' effects are the media loop's; none of them waits."""

    def specs(self, names: Sequence[str] | None) -> tuple[v.ToolSpec, ...]: ...
    def policies(self, names: Sequence[str] | None) -> Mapping[str, v.ToolPolicy]: ...
    def post(self, act: Callable[..., object], *args: Any) -> None: ...
    def run(
        self,
        asked: v.RunTool,
        call: CallContext,
        answer: Callable[[v.ToolFinished], None],
        remark: Callable[[str, Mapping[str, Any]], None],
    ) -> None: ...
    def wait(self, work: Coroutine[Any, Any, v.Done]) -> Awaitable[v.Done]: ...
    def call_ended(self, call_id: str) -> None: ...


class Hands:
    """Every call's tools. What ends after its call is joined to the call's record."""

    def __init__(self, box: Box, clock: Clock, journals: JournalDir) -> None:
        self._box = box
        self._clock = clock
        self._journals = journals
        self.order: Callable[[Call, v.Event], Coroutine[Any, Any, v.Done]] | None = None  # set by who has the calls
        self._turns: dict[str, deque[Turn]] = {}
        self._facts: dict[str, tuple[CallFacts, str]] = {}

    def specs(self, names: Sequence[str] | None = None) -> tuple[v.ToolSpec, ...]:
        """The tools of an agent, as they are now; None: all there are."""
        return self._box.specs(names)

    def policies(self, names: Sequence[str] | None = None) -> Mapping[str, v.ToolPolicy]:
        return self._box.policies(names)

    def begin(self, call_id: str, facts: CallFacts, agent: str = "default") -> None:
        """A call that may run tools."""
        self._facts[call_id] = (facts, agent)
        self._turns[call_id] = deque(maxlen=TURNS_KEPT)

    def heard(self, call_id: str, happened: v.Event | v.Note) -> None:
        """Keep what was said, for tools that want to know."""
        turns = self._turns.get(call_id)
        if turns is None:
            return
        if isinstance(happened, v.CallerTranscript) and happened.final:
            turns.append(Turn("caller", happened.text))
        elif isinstance(happened, v.AgentTranscript) and happened.final:
            turns.append(Turn("agent", happened.text))

    def run(self, call: Call, asked: v.RunTool) -> None:
        """Start a tool; ToolFinished is fed to the call."""
        known = self._facts.get(call.name)
        facts, agent = known if known is not None else (CallFacts("", "", call.name, "inbound", {}), "default")
        context = CallContext(
            call.name, agent=agent, caller=facts.caller_number, called=facts.called_number, direction=facts.direction,
            transcript=self._turns.get(call.name, ()), ask=lambda event: self._box.post(call.feed, event),
            order=lambda event: self._ordered(call, event),
        )  # fmt: skip
        self._box.run(
            asked, context,
            lambda finished: self._finished(call, asked, finished),
            lambda kind, data: self._remark(call, kind, data),
        )  # fmt: skip

    async def _ordered(self, call: Call, event: v.Event) -> v.Done:
        """On the tool's loop: the order goes to this one, and its answer comes back."""
        assert self.order is not None
        return await self._box.wait(self.order(call, event))

    def _finished(self, call: Call, asked: v.RunTool, finished: v.ToolFinished) -> None:
        if call.ended is not None:
            data = {"id": asked.tool_call_id, "name": asked.name, "outcome": finished.outcome}
            self._journals.late(call.name, "tool.late", self._clock.now(), **data)
            return
        call.feed(finished)

    def _remark(self, call: Call, kind: str, data: Mapping[str, Any]) -> None:
        """Something to know of a tool that is no result: a blocked thread, a program's last words."""
        if call.ended is None:
            call.journal.note(kind, self._clock.now(), **data)
        else:
            self._journals.late(call.name, kind, self._clock.now(), **data)

    def ended(self, call_id: str) -> None:
        self._turns.pop(call_id, None)
        if self._facts.pop(call_id, None) is not None:
            self._box.call_ended(call_id)
