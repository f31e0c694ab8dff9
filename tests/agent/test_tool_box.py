"""Tools on threads of their own: the media loop never waits, and a tool that blocks is named and stepped around."""

import asyncio
import contextvars
import threading
import time
from collections.abc import Sequence
from typing import Any

import pytest

from offhook import vocab as v
from offhook.agent.tools import CallContext, Tool, ToolBox, threads, tool
from offhook.agent.tools.box import Hands, _byte, chosen
from offhook.agent.tools.function import marked
from offhook.agent.tools.jobs import Jobs, in_background
from offhook.agent.tools.runner import Runner
from offhook.agent.tools.threads import MOST_STRAY, in_thread, strays
from offhook.net.hot import nudge

RELEASE = threading.Event()


@tool(changes=False)
async def quick(n: int) -> int:
    """Quick."""
    await asyncio.sleep(0)
    return n + 1


@tool(changes=False)
def plain() -> str:
    """Plain."""
    return threading.current_thread().name


@tool(changes=False)
async def blocks() -> str:
    """Blocks its loop."""
    RELEASE.wait(40)  # as a careless requests.get would
    return "done"


@tool(changes=False, deadline_s=0.2, max_parallel=100)
def runaway() -> str:
    """Waits for what does not come."""
    RELEASE.wait(40)
    return "late"


@tool(changes=False)
async def asks(call: CallContext) -> str:
    """Asks something of its call."""
    await call.hang_up()
    return call.call_id


def made(*functions: Any) -> list[Tool]:
    return [found for function in functions if (found := marked(function)) is not None]


class Desk:
    """A media loop with a box, and what came back on it."""

    def __init__(self, box: ToolBox) -> None:
        self.box = box
        self.thread = threading.current_thread()
        self.came: asyncio.Queue[Any] = asyncio.Queue()

    def run(self, call_id: str, name: str, arguments: str = "") -> None:
        context = CallContext("CA1", ask=lambda event: self.box.post(self._take, event))
        self.box.run(
            v.RunTool(call_id, name, arguments), context, self._take, lambda kind, data: self._take((kind, data))
        )

    def _take(self, what: Any) -> None:
        assert threading.current_thread() is self.thread, "it came back on another thread"
        self.came.put_nowait(what)

    async def next(self) -> Any:
        return await asyncio.wait_for(self.came.get(), 40)


def run(box: ToolBox, body: Any) -> None:
    async def all_of_it() -> None:
        await box.start()
        try:
            await body(Desk(box))
        finally:
            RELEASE.set()
            await box.stop()

    RELEASE.clear()
    asyncio.run(all_of_it())


def test_results_come_back_on_the_media_loop_and_nothing_runs_there():
    async def body(desk: Desk) -> None:
        desk.run("c1", "quick", '{"n":1}')
        assert await desk.next() == v.ToolFinished("c1", "ok", "2")
        desk.run("c2", "plain")
        assert (await desk.next()).output == "tool plain"
        desk.run("c3", "asks")
        assert [await desk.next(), await desk.next()] == [v.EndRequested("tool"), v.ToolFinished("c3", "ok", "CA1")]
        desk.run("c4", "gone")
        assert (await desk.next()).outcome == "unavailable"

    run(ToolBox(made(quick, plain, asks)), body)


def test_a_coroutine_that_blocks_is_named_with_its_stack_and_the_next_tools_run_elsewhere(
    monkeypatch: Any, caplog: Any
):
    for name, value in (("LOOK_S", 0.02), ("BLOCKED_S", 0.1), ("GIVEN_UP_S", 0.2)):
        monkeypatch.setattr(f"offhook.agent.tools.box.{name}", value)

    async def body(desk: Desk) -> None:
        desk.run("c1", "blocks")
        kind, data = await desk.next()
        assert kind == "tool.blocks" and data["name"] == "blocks" and data["ms"] >= 100
        assert data["stack"].startswith("test_tool_box.py:") and "threading" not in data["stack"]
        await asyncio.sleep(0.25)
        began = time.monotonic()
        desk.run("c2", "quick", '{"n":1}')
        assert await desk.next() == v.ToolFinished("c2", "ok", "2")
        assert time.monotonic() - began < 20, "not when the other is released"
        RELEASE.set()
        assert await desk.next() == v.ToolFinished("c1", "ok", "done"), "late, and told all the same"

    run(ToolBox(made(quick, blocks)), body)
    assert [r for r in caplog.records if r.message.startswith("a tool blocks its loop") and r.tool == "blocks"]


def test_a_plain_function_that_runs_on_is_named_while_it_does_and_takes_nothing_from_the_others(
    monkeypatch: Any, caplog: Any
):
    for name, value in (("LOOK_S", 0.02), ("STRAY_S", 0.1)):
        monkeypatch.setattr(f"offhook.agent.tools.box.{name}", value)

    async def body(desk: Desk) -> None:
        for n in range(MOST_STRAY):
            desk.run(f"c{n}", "runaway")
        late = [await desk.next() for _ in range(MOST_STRAY)]
        assert {one.outcome for one in late} == {"timeout"}
        assert "it runs on, at test_tool_box.py:" in late[0].detail and " runaway" in late[0].detail
        desk.run("c8", "runaway")
        busy = await desk.next()
        assert busy.outcome == "busy" and "4 runs that were given up still go on" in busy.detail
        assert "runaway" in busy.detail and "test_tool_box" not in busy.output, "the model needs no stack"
        desk.run("c9", "plain")
        assert (await desk.next()).outcome == "ok", "other tools have their own threads"
        await asyncio.sleep(0.15)
        assert len(strays()) == MOST_STRAY
        RELEASE.set()
        while strays():  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        desk.run("c10", "runaway")
        assert await desk.next() == v.ToolFinished("c10", "ok", "late")

    run(ToolBox(made(plain, runaway)), body)
    told = [r for r in caplog.records if r.message.startswith("a tool runs on after its deadline")]
    again = [r for r in caplog.records if r.message.startswith("a tool still runs on after its deadline")]
    assert len(told) == MOST_STRAY and all(" runaway" in r.at for r in told)
    assert len(again) >= MOST_STRAY and all(r.tool == "runaway" and r.seconds >= 0.1 for r in again)


def test_a_thread_takes_the_next_function_and_keeps_nothing_of_the_last():
    said: contextvars.ContextVar[str] = contextvars.ContextVar("said", default="")
    idle = len(threads._idle)

    def speak(word: str) -> tuple[int, str, str]:
        before = said.get()
        said.set(word)
        return threading.get_ident(), threading.current_thread().name, before

    def fail() -> None:
        raise SystemExit("no")

    async def run():
        first = await in_thread("one", lambda: speak("hello"))
        await free()
        again = await in_thread("two", lambda: speak("world"))
        await free()
        with pytest.raises(SystemExit):
            await in_thread("three", fail)
        await free()
        both = await asyncio.gather(*(in_thread(name, lambda: (time.sleep(0.02), speak(""))[1]) for name in "ab"))
        return first, again, await in_thread("four", lambda: speak("")), both

    async def free() -> None:
        while len(threads._idle) < max(1, idle):  # noqa: ASYNC110
            await asyncio.sleep(0.001)

    first, again, last, both = asyncio.run(run())
    assert first[0] == again[0] and (first[1:], again[1:]) == (("one", ""), ("two", ""))
    assert last[1:] == ("four", "") and both[0][0] != both[1][0]


def test_a_thread_that_nobody_needs_ends(monkeypatch):
    monkeypatch.setattr(threads, "IDLE_S", 0.01)
    monkeypatch.setattr(threads, "_idle", [])
    thread = asyncio.run(in_thread("short", threading.current_thread))
    thread.join(10)
    assert not thread.is_alive() and not threads._idle


def test_a_job_of_a_plain_function_that_runs_on_counts_too():
    async def body() -> None:
        jobs = Jobs()
        (slow,) = made(runaway)
        job = in_background(slow, jobs)
        remarks: list[dict[str, Any]] = []
        call = CallContext("CA1")
        call.remark = lambda kind, data: remarks.append(dict(data))
        for _ in range(MOST_STRAY):
            assert (await Runner().run(job, "", call)).outcome == "ok"
        async with asyncio.timeout(40):
            while sum(remark["state"] == "done" for remark in remarks) < MOST_STRAY:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        details = [remark["detail"] for remark in remarks if remark["state"] == "done"]
        assert all("it runs on, at test_tool_box.py:" in detail for detail in details)
        assert (await Runner().run(job, "", call)).outcome == "busy"
        RELEASE.set()
        while strays():  # noqa: ASYNC110
            await asyncio.sleep(0.01)

    RELEASE.clear()
    asyncio.run(body())


class Late:
    """A source whose tools come when it has started, as an MCP server's do."""

    def __init__(self) -> None:
        self.name = "late"
        self.tools: Sequence[Tool] = ()
        self.ended: list[str] = []

    async def start(self) -> None:
        self.tools = made(quick)

    async def stop(self) -> None:
        self.tools = ()

    busy = False

    def call_ended(self, call_id: str) -> None:
        self.ended.append(call_id)


def test_a_sources_tools_are_there_when_it_has_started():
    source = Late()
    box = ToolBox(made(plain), [source])

    async def body(desk: Desk) -> None:
        assert [spec.name for spec in box.specs()] == ["plain", "quick"]
        assert list(box.policies(["quick"])) == ["quick"]
        box.call_ended("CA1")
        desk.run("c1", "plain")
        await desk.next()
        assert source.ended == ["CA1"]

    run(box, body)


def test_tools_of_one_name_are_told_apart_and_keep_their_names():
    first, second = Late(), Late()
    first.name, second.name = "desk", "annex"
    box = ToolBox(made(plain), [first, second])
    second.tools = made(quick, plain)
    assert list(box.tools) == ["plain", "quick", "annex_plain"]
    first.tools = made(quick)  # it was down, and comes back
    assert list(box.tools) == ["plain", "desk_quick", "quick", "annex_plain"]
    assert box.specs(["desk_*"])[0].name == "desk_quick"


def test_an_agent_may_have_some_of_them():
    tools = {name: made(plain)[0] for name in ("crm_find", "crm_add", "weather")}
    assert list(chosen(tools, None)) == list(chosen(tools, ["*"])) == list(tools)
    assert list(chosen(tools, ["crm_*"])) == ["crm_find", "crm_add"]
    assert list(chosen(tools, ["weather"])) == ["weather"] and not chosen(tools, ["none"])


@pytest.mark.parametrize("way", [None, nudge])
def test_a_full_letter_box_still_wakes(way: Any) -> None:
    """Thousands are given before the loop looks once: each runs, once, in order."""
    hands = Hands("full", way or _byte)
    seen: list[int] = []
    go = threading.Event()

    async def wait() -> None:
        go.wait(40)

    async def note(n: int) -> None:
        seen.append(n)
        if n == 4999:
            done.set()

    done = threading.Event()
    hands.give(wait())
    while hands._given:  # it is taken, and holds the loop
        time.sleep(0.001)
    for n in range(5000):
        hands._nudged = False  # as if each had to say so
        hands.give(note(n))
    go.set()
    assert done.wait(40)
    assert seen == list(range(5000))
    hands.stop()
    hands.thread.join(40)
    hands.give(note(5000))  # nobody is there: it is put away, not left to warn
    assert len(seen) == 5000
