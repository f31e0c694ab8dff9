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

    def __init__(self, box: Box | None, clock: Clock, journals: JournalDir) -> None:
        self._box = box  # what the next call gets; a call keeps what it has
        self._boxes: dict[str, list[Box]] = {}  # by call, all that it has had; the last one it has
        self._coming: dict[str, Box | None] = {}  # by call, of the agent that is to take over
        self._clock = clock
        self._journals = journals
        self.order: Callable[[Call, v.Event], Coroutine[Any, Any, v.Done]] | None = None  # set by who has the calls
        self._turns: dict[str, deque[Turn]] = {}
        self._facts: dict[str, tuple[CallFacts, str]] = {}

    def exchange(self, box: Box | None) -> None:
        """From now on calls get the tools of this box; those that run keep theirs."""
        self._box = box

    def uses(self, box: Box) -> bool:
        """Whether a running call has tools of this box."""
        return any(box in boxes for boxes in self._boxes.values()) or box in self._coming.values()

    def specs(self, names: Sequence[str] | None = None) -> tuple[v.ToolSpec, ...]:
        """The tools of an agent, as they are now; None: all there are."""
        return self._box.specs(names) if self._box is not None else ()

    def policies(self, names: Sequence[str] | None = None) -> Mapping[str, v.ToolPolicy]:
        return self._box.policies(names) if self._box is not None else {}

    def promised(self, call_id: str) -> None:
        """An agent that is to take over a call was told of the tools as they are now: it shall have these."""
        self._coming[call_id] = self._box

    def begin(self, call_id: str, facts: CallFacts, agent: str = "default") -> None:
        """A call that may run tools, or its next agent."""
        box = self._coming.pop(call_id, self._box)
        if box is not None:
            had = self._boxes.setdefault(call_id, [])
            had[:] = [*(one for one in had if one is not box), box]
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
        had = self._boxes.get(call.name)
        box = had[-1] if had else self._box
        assert box is not None, "no tool was offered"
        known = self._facts.get(call.name)
        facts, agent = known if known is not None else (CallFacts("", "", call.name, "inbound", {}), "default")
        context = CallContext(
            call.name, agent=agent, caller=facts.caller_number, called=facts.called_number, direction=facts.direction,
            transcript=self._turns.get(call.name, ()), parameters=facts.parameters,
            ask=lambda event: box.post(call.feed, event),
            order=lambda event: self._ordered(box, call, event),
        )  # fmt: skip
        box.run(
            asked, context,
            lambda finished: self._finished(call, asked, finished),
            lambda kind, data: self._remark(call, kind, data),
        )  # fmt: skip

    async def _ordered(self, box: Box, call: Call, event: v.Event) -> v.Done:
        """On the tool's loop: the order goes to this one, and its answer comes back."""
        assert self.order is not None
        return await box.wait(self.order(call, event))

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
        self._facts.pop(call_id, None)
        self._coming.pop(call_id, None)
        for box in self._boxes.pop(call_id, ()):
            box.call_ended(call_id)
