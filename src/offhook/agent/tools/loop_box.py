"""
Tools on the loop that asks for them: for virtual time, where a thread would be a second clock.

A sync function runs where it is called. Everything else is as in ``box.py``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from typing import Any

from offhook import vocab as v
from offhook.agent.tools.box import Answer, Remark, chosen
from offhook.agent.tools.context import CallContext
from offhook.agent.tools.runner import Runner
from offhook.agent.tools.spec import Tool
from offhook.agent.tools.threads import INLINE

__all__ = ["LoopBox"]


class LoopBox:
    """Some tools, run by the running loop; ``ran`` tells what was run: name, arguments, outcome."""

    def __init__(self, tools: Iterable[Tool], *, effects: bool = True) -> None:
        self.tools = {tool.name: tool for tool in tools}
        self.ran: list[tuple[str, str, str]] = []
        self._runner = Runner(effects=effects)
        self._tasks: set[asyncio.Task[None]] = set()

    def specs(self, names: Sequence[str] | None = None) -> tuple[v.ToolSpec, ...]:
        return tuple(tool.spec for tool in chosen(self.tools, names).values())

    def policies(self, names: Sequence[str] | None = None) -> Mapping[str, v.ToolPolicy]:
        return {name: tool.policy for name, tool in chosen(self.tools, names).items()}

    def post(self, act: Callable[..., object], *args: Any) -> None:
        asyncio.get_running_loop().call_soon(act, *args)

    def wait(self, work: Coroutine[Any, Any, v.Done]) -> Awaitable[v.Done]:
        return work

    def run(self, asked: v.RunTool, call: CallContext, answer: Answer, remark: Remark) -> None:
        call.remark = remark
        task = asyncio.get_running_loop().create_task(self._work(asked, call, answer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _work(self, asked: v.RunTool, call: CallContext, answer: Answer) -> None:
        INLINE.set(True)
        result = await self._runner.run(self.tools[asked.name], asked.arguments, call)
        self.ran.append((asked.name, asked.arguments, result.outcome))
        answer(v.ToolFinished(
            asked.tool_call_id, result.outcome, result.output, retried=result.retried, detail=result.detail
        ))  # fmt: skip

    def call_ended(self, call_id: str) -> None:
        """Tools go on to their end."""
