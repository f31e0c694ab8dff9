"""
Where tools run: on threads of their own, never on the media loop.

One loop for what Offhook wrote (HTTP, MCP, delegates), one for the user's coroutines, a thread each for their sync
functions. A coroutine that blocks its loop is named with its stack, and what comes after it runs on another loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from typing import Any, Protocol

from msgspec import structs

from offhook import vocab as v
from offhook.agent.tools.context import CallContext
from offhook.agent.tools.runner import Result, Runner
from offhook.agent.tools.spec import Tool, spell
from offhook.agent.tools.threads import stack_of, strays

__all__ = ["Answer", "Remark", "Source", "ToolBox", "chosen"]

log = logging.getLogger("offhook")

Answer = Callable[[v.ToolFinished], None]
Remark = Callable[[str, Mapping[str, Any]], None]

LOOK_S = 0.25
BLOCKED_S = 1.0  # a loop that does nothing for so long is blocked: every tool on it stands still
GIVEN_UP_S = 2.0  # then the next tools get another loop
STRAY_S = 30.0  # a function that runs on after its deadline is named again, then after twice the time


class Source(Protocol):
    """Where tools come from; those of an MCP server come and go."""

    @property
    def tools(self) -> Sequence[Tool]: ...
    @property
    def busy(self) -> bool: ...  # work goes on that no call waits for
    async def start(self) -> None: ...
    async def stop(self) -> None: ...
    def call_ended(self, call_id: str) -> None: ...


def _byte(fd: int) -> None:
    with contextlib.suppress(BlockingIOError):
        os.write(fd, b"\0")


class Hands:
    """One thread with a loop, and a letter box before it. ``nudge`` puts a byte into a socket."""

    def __init__(self, name: str, nudge: Callable[[int], None]) -> None:
        self.loop = asyncio.new_event_loop()
        self._nudge = nudge
        self._given: deque[Coroutine[Any, Any, None]] = deque()
        self._nudged = False
        self._shut = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._outside, self._inside = socket.socketpair()
        self._outside.setblocking(False)
        self._inside.setblocking(False)
        self.loop.add_reader(self._inside, self._take)
        self.thread = threading.Thread(target=self._run, name=name, daemon=True)
        self.open: dict[str, tuple[str, Remark]] = {}  # runs of the user's code: tool call -> tool, whom to tell
        self.asked_at: float | None = None  # when it was asked for a sign of life
        self.named = False  # its blocking has been told of
        self.thread.start()

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        try:
            self.loop.run_forever()
            ending = asyncio.all_tasks(self.loop)
            if ending:  # cancelled, and to come to their ends
                self.loop.run_until_complete(asyncio.wait(ending, timeout=0.5))
        finally:
            self.loop.remove_reader(self._inside)
            self.loop.close()
            for end in (self._outside, self._inside):
                end.close()
            while self._given:
                self._given.popleft().close()

    def give(self, work: Coroutine[Any, Any, None]) -> None:
        """
        Let the loop run this; for one other thread.

        Not ``call_soon_threadsafe``: its write gives the interpreter away, and a media loop had it back only when the
        tool was through with its first piece of work.
        """
        if self._shut:  # the server has stopped
            work.close()
            return
        self._given.append(work)
        if not self._nudged:
            self._nudged = True
            self._nudge(self._outside.fileno())

    def _take(self) -> None:
        self._inside.recv(64)
        self._nudged = False  # before they are taken: whoever comes from here on nudges again
        while self._given:
            task = self.loop.create_task(self._given.popleft())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def alive(self) -> None:
        self.asked_at = None
        self.named = False

    def stop(self) -> None:
        self._shut = True
        self.loop.call_soon_threadsafe(self.loop.stop)


class ToolBox:
    """
    All tools of one process. ``start`` and what follows belong to the media loop; ``answer`` and ``remark`` come back
    on it.
    """

    def __init__(
        self,
        tools: Iterable[Tool] = (),
        sources: Sequence[Source] = (),
        *,
        effects: bool = True,
        nudge: Callable[[int], None] | None = None,
    ) -> None:
        self._tools = list(tools)
        self._nudge = nudge or _byte
        self._sources = sources
        self._runner = Runner(effects=effects)
        self._media: asyncio.AbstractEventLoop | None = None
        self._our: Hands | None = None
        self._their: Hands | None = None
        self._stuck: list[Hands] = []
        self._names: dict[str, tuple[int, str]] = {}  # names of sources' tools, and whose they are
        self._runs = 0  # that nobody has been answered of
        self._stopping = threading.Event()
        self._watch: threading.Thread | None = None

    # ----------------------------------------------------------------------------------------- which there are

    @property
    def tools(self) -> dict[str, Tool]:
        """By the name that the model calls. Of two with one name the second gets its source's name before it."""
        found = {tool.name: tool for tool in self._tools}
        for source in self._sources:
            for tool in source.tools:
                name = self._name(source, tool.name, {**found, **self._names})
                found[name] = tool if name == tool.name else structs.replace(tool, name=name)
        return found

    def _name(self, source: Source, name: str, taken: Mapping[str, Any]) -> str:
        """A name once given stays: a server that comes back late must not take another's in the middle of a call."""
        for given in (name, spell(f"{getattr(source, 'name', 'own')}_{name}")):
            if self._names.get(given) == (id(source), name) or given not in taken:
                self._names[given] = (id(source), name)
                return given
        return given

    def specs(self, names: Sequence[str] | None = None) -> tuple[v.ToolSpec, ...]:
        return tuple(tool.spec for tool in chosen(self.tools, names).values())

    def policies(self, names: Sequence[str] | None = None) -> Mapping[str, v.ToolPolicy]:
        return {name: tool.policy for name, tool in chosen(self.tools, names).items()}

    # -------------------------------------------------------------------------------------------- the threads

    async def start(self, wait_s: float = 5.0) -> None:
        """Begin, and give sources so long to say what they have; one that is late joins later."""
        self._media = asyncio.get_running_loop()
        self._our = Hands("tools", self._nudge)
        self._watch = threading.Thread(target=self._look, name="tool watch", daemon=True)
        self._watch.start()
        starting = [asyncio.wrap_future(self._submit(self._our, source.start())) for source in self._sources]
        if starting:
            await asyncio.wait(starting, timeout=wait_s)

    async def stop(self, wait_s: float = 10.0) -> None:
        """End what still runs. A thread of the user's that does not end is left to the process."""
        self._stopping.set()
        hands = [each for each in (self._our, self._their, *self._stuck) if each is not None]
        if self._our is not None:
            ending = [asyncio.wrap_future(self._submit(self._our, source.stop())) for source in self._sources]
            if ending:
                await asyncio.wait(ending, timeout=wait_s)
        for each in hands:
            if not each.loop.is_closed():
                each.loop.call_soon_threadsafe(_cancel_all, each.loop)
        await asyncio.sleep(0)
        for each in hands:
            if not each.loop.is_closed():
                each.stop()
                await asyncio.to_thread(each.thread.join, 1.0)

    @staticmethod
    def _submit(hands: Hands, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, hands.loop)

    def post(self, act: Callable[..., object], *args: Any) -> None:
        """Let something happen on the media loop; for threads."""
        assert self._media is not None
        try:
            self._media.call_soon_threadsafe(act, *args)
        except RuntimeError:
            log.warning("a tool ended after the server had stopped")

    def wait(self, work: Coroutine[Any, Any, v.Done]) -> Awaitable[v.Done]:
        """Let the media loop do something, and wait for it on a tool's loop."""
        assert self._media is not None
        return asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self._media))

    @property
    def busy(self) -> bool:
        """Whether something runs here, for a call or after one."""
        return self._runs > 0 or any(source.busy for source in self._sources)

    # ------------------------------------------------------------------------------------------------ running

    def run(self, asked: v.RunTool, call: CallContext, answer: Answer, remark: Remark) -> None:
        """Start a tool; ``answer`` is called once, ``remark`` whenever there is something to know."""
        tool = self.tools.get(asked.name)
        if tool is None:  # it was there when the call began
            output = '{"error":"this tool is not available any more"}'
            self.post(answer, v.ToolFinished(asked.tool_call_id, "unavailable", output))
            return
        self._runs += 1
        hands = self._hands_for(tool)
        tell: Remark = lambda kind, data: self.post(remark, kind, data)  # noqa: E731
        if tool.own_code:
            hands.open[asked.tool_call_id] = (tool.name, tell)
        hands.give(self._work(hands, tool, asked, call, answer, tell))

    def _hands_for(self, tool: Tool) -> Hands:
        assert self._our is not None
        if not tool.own_code:
            return self._our
        if self._their is None:
            self._their = Hands("tool functions", self._nudge)
        return self._their

    async def _work(
        self, hands: Hands, tool: Tool, asked: v.RunTool, call: CallContext, answer: Answer, remark: Remark
    ) -> None:
        call.remark = remark
        try:
            result = await self._runner.run(tool, asked.arguments, call)
        except Exception as error:  # a defect of ours: the model is answered all the same
            log.error("defect while running a tool", extra={"tool": tool.name}, exc_info=error)
            result = Result(f"raised {type(error).__name__}", '{"error":"the tool failed"}', "defect")
        finally:
            hands.open.pop(asked.tool_call_id, None)
        finished = v.ToolFinished(
            asked.tool_call_id, result.outcome, result.output, retried=result.retried, detail=result.detail
        )
        self.post(self._answered, answer, finished)

    def _answered(self, answer: Answer, finished: v.ToolFinished) -> None:
        self._runs -= 1
        answer(finished)

    def call_ended(self, call_id: str) -> None:
        """Tools go on to their end; what belongs to the call alone is told."""
        if self._our is not None:
            for source in self._sources:
                self._our.loop.call_soon_threadsafe(source.call_ended, call_id)

    # ----------------------------------------------------------------------------------------------- watching

    def _look(self) -> None:
        """The watching thread: is a loop of the user's code still turning, and what runs on?"""
        while not self._stopping.wait(LOOK_S):
            _name_strays(time.monotonic())
            hands = self._their
            if hands is None or (not hands.open and hands.asked_at is None):
                continue
            now = time.monotonic()
            if hands.asked_at is None:
                hands.asked_at = now
                hands.loop.call_soon_threadsafe(hands.alive)
            elif now - hands.asked_at >= BLOCKED_S and not hands.named:
                self._tell_of_block(hands, now - hands.asked_at)
            elif now - hands.asked_at >= GIVEN_UP_S:
                self._their = None
                self._stuck.append(hands)

    def _tell_of_block(self, hands: Hands, seconds: float) -> None:
        hands.named = True
        stack = stack_of(hands.thread)
        runs = list(hands.open.values())
        inside = {line.rpartition(" ")[2] for line in stack.split(" < ")}
        guilty = [(name, tell) for name, tell in runs if name in inside] or runs
        log.warning(
            "a tool blocks its loop: use async calls in it, or make it a plain function",
            extra={"tool": ", ".join(sorted({name for name, _ in guilty})), "seconds": round(seconds, 1), "at": stack},
        )
        for name, tell in guilty:
            tell("tool.blocks", {"name": name, "ms": round(seconds * 1000), "stack": stack[:400]})


def _name_strays(now: float) -> None:
    for stray in strays():
        stray.name_at = stray.name_at or stray.since + STRAY_S
        if now >= stray.name_at:
            seconds = now - stray.since
            stray.name_at = stray.since + 2 * seconds
            log.warning(
                "a tool still runs on after its deadline: give what it waits for a timeout",
                extra={"tool": stray.name, "seconds": round(seconds, 1), "at": stack_of(stray.thread)},
            )


def _cancel_all(loop: asyncio.AbstractEventLoop) -> None:
    for task in asyncio.all_tasks(loop):
        task.cancel()


def chosen(tools: Mapping[str, Tool], names: Sequence[str] | None) -> dict[str, Tool]:
    """The tools of these names, or all; ``NAME_*`` stands for what begins so, ``*`` for all."""
    if names is None:
        return dict(tools)
    begins = tuple(name[:-1] for name in names if name.endswith("*"))
    return {name: tool for name, tool in tools.items() if name in names or (begins and name.startswith(begins))}
