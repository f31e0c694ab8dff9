"""``background = true`` on what a server does: a receipt at once, status, cancel, the result when it is there."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest

from offhook import vocab as v
from offhook.agent.tools import CallContext, Tool, ToolBox
from offhook.agent.tools.declared import Declared, declared
from offhook.agent.tools.runner import Result, Runner
from offhook.settings import load

SCRIPT = str(Path(__file__).parent / "mcp_server.py")
pytestmark = [pytest.mark.filterwarnings("ignore:.*:DeprecationWarning")]


class Call:
    """A call that notes what its jobs remark, and what they want told."""

    def __init__(self) -> None:
        self.remarks: list[dict[str, Any]] = []
        self.told: list[str] = []

    def context(self) -> CallContext:
        made = CallContext("CA1", order=self._order)
        made.remark = lambda kind, data: self.remarks.append({"kind": kind, **data})
        return made

    async def _order(self, event: v.Event) -> v.Done:
        assert isinstance(event, v.InjectAsked) and event.respond, "the bridge waits for a free line"
        self.told.append(event.text)
        return v.Done("", "inject", "told")


async def until(true: Callable[[], object]) -> None:
    async with asyncio.timeout(40):
        while not true():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


def made(tmp_path: Path, toml: str) -> Declared:
    (tmp_path / "offhook.toml").write_text(toml)
    found = declared(load(cwd=tmp_path, environment={}))
    assert not found.problems
    return found


async def run(tools: dict[str, Tool], name: str, arguments: str, call: Call) -> Result:
    return await Runner().run(tools[name], arguments, call.context())


def with_sources(found: Declared, body: Callable[[dict[str, Tool]], Awaitable[None]]) -> None:
    async def all_of_it() -> None:
        box = ToolBox(found.tools, found.sources)
        for source in found.sources:
            await source.start()
        try:
            await until(lambda: all(server.tools for server in found.servers))
            await body(box.tools)
        finally:
            for source in found.sources:
                await source.stop()

    asyncio.run(all_of_it())


def test_a_tool_of_an_mcp_server_is_a_job(tmp_path: Path):
    found = made(tmp_path, f"[tools.desk]\nmcp = ['{sys.executable}', '{SCRIPT}']\nbackground = true\n")

    async def body(tools: dict[str, Tool]) -> None:
        assert tools["research"].limits.background and {"job_status", "job_cancel"} <= set(tools)
        call = Call()
        receipt = await run(tools, "research", '{"topic":"plumbers","seconds":0.1}', call)
        assert '"job":"j1"' in receipt.output and "is not done" in receipt.output and not call.told
        assert '"state":"running"' in (await run(tools, "job_status", "", call)).output
        await until(lambda: call.told)
        assert "found plumbers" in call.told[0] and call.remarks[-1]["outcome"] == "ok"
        await run(tools, "research", '{"topic":"roofers","seconds":60}', call)
        await asyncio.sleep(0.2)
        answer = await run(tools, "job_cancel", '{"job":"j2"}', call)
        assert "cannot be seen from here" in answer.output, "what a service does is not ours to prove"
        assert call.remarks[-1]["outcome"] == "cancelled" and len(call.told) == 1
        await until(lambda: "gave up roofers" in found.servers[0]._stderr.text)  # the server was told

    with_sources(found, body)


class Slow(BaseHTTPRequestHandler):
    release = Event()

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.release.wait(10)
        self.send_response(503 if self.path == "/broken" else 200)
        self.send_header("Content-Length", "5")
        self.end_headers()
        self.wfile.write(b"found")

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def port() -> Any:
    Slow.release.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Slow)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield server.server_port
    Slow.release.set()
    server.shutdown()
    server.server_close()
    thread.join()


def test_an_http_endpoint_is_a_job(tmp_path: Path, port: int):
    toml = "".join(
        f'[tools.{name}]\nurl = "http://127.0.0.1:{port}/{name}"\nmethod = "POST"\ndescription = "Find."\n'
        f'allow = ["127.0.0.1"]\nbackground = true\n'
        for name in ("slow", "broken")
    )

    async def body(tools: dict[str, Tool]) -> None:
        call = Call()
        assert '"job":"j1"' in (await run(tools, "slow", "", call)).output
        assert '"job":"j2"' in (await run(tools, "slow", "", call)).output
        assert '"job":"j3"' in (await run(tools, "broken", "", call)).output
        assert "cannot be seen from here" in (await run(tools, "job_cancel", '{"job":"j2"}', call)).output
        assert not call.told
        Slow.release.set()
        await until(lambda: len(call.told) == 2)
        assert any("j1" in text and "\nfound\n" in text for text in call.told)
        assert any("j3" in text and "did not succeed" in text for text in call.told)
        ended = {remark["id"]: remark["outcome"] for remark in call.remarks if remark["state"] == "done"}
        assert ended == {"j1": "ok", "j2": "cancelled", "j3": "raised ConnectionError"}

    with_sources(made(tmp_path, toml), body)


def test_a_job_has_the_time_of_a_delegate_unless_it_is_given_less(tmp_path: Path):
    base = 'mcp = "https://mcp.example.com/"\n'
    found = made(tmp_path, f"[tools.a]\n{base}background = true\n[tools.b]\n{base}background = true\ndeadline_s = 9\n"
                           f"[tools.c]\n{base}")  # fmt: skip
    assert [server._limits.deadline_s for server in found.servers] == [300.0, 9.0, 20.0]
