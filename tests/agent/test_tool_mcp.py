"""MCP servers by the official SDK, over both transports: a real server, its death, its return."""

import asyncio
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from offhook.agent.tools import CallContext, Tool
from offhook.agent.tools.mcp import McpServer, Server
from offhook.agent.tools.runner import Result, Runner
from offhook.agent.tools.spec import Limits

pytestmark = [pytest.mark.filterwarnings("ignore:.*:DeprecationWarning")]
SCRIPT = str(Path(__file__).parent / "mcp_server.py")
HEADERS = {"Authorization": "Bearer let-me-in"}


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen([sys.executable, SCRIPT, str(port)], stderr=subprocess.DEVNULL)
    yield f"http://127.0.0.1:{port}/mcp"
    process.kill()
    process.wait()


def tools(server: McpServer) -> dict[str, Tool]:
    return {tool.name: tool for tool in server.tools}


async def run(server: McpServer, name: str, arguments: str) -> Result:
    return await Runner().run(tools(server)[name], arguments, CallContext("CA1"))


async def connected(server: McpServer) -> None:
    async with asyncio.timeout(40):
        while server.state != "connected":  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def used(server: McpServer) -> None:
    """What both transports must do."""
    found = tools(server)
    assert set(found) == {"free_times", "book", "research", "desk_die_now"}, (
        "a name that no provider takes is spelt another way"
    )
    assert found["free_times"].limits.changes is False and found["book"].limits.changes is True
    assert found["free_times"].parameters["properties"]["day"]["type"] == "string"
    times = await run(server, "free_times", '{"day":"Mon","people":1}')
    assert times.outcome == "ok" and "Mon 10:00" in times.output
    assert (await run(server, "book", '{"day":"Mon"}')).output == "booked Mon"
    assert (await run(server, "book", '{"day":"Sun"}')).outcome == "error"
    assert (await run(server, "book", "{}")).outcome == "invalid"


def test_over_stdio_a_server_that_dies_is_named_started_again_and_used(caplog: Any):
    async def body() -> None:
        server = McpServer("desk", Server(argv=(sys.executable, SCRIPT)), Limits())
        await server.start()
        try:
            await used(server)
            died = await run(server, "desk_die_now", "{}")
            assert died.outcome == "raised ConnectionError", "the model is answered at once"
            await asyncio.sleep(0.05)
            meanwhile = await run(server, "book", '{"day":"Mon"}')
            assert meanwhile.outcome == "error" and "cannot be reached right now" in meanwhile.output
            await connected(server)
            assert server.restarts == 1 and (await run(server, "book", '{"day":"Tue"}')).output == "booked Tue"
        finally:
            await server.stop()
        told = [record for record in caplog.records if record.message == "an MCP server is gone; trying again"]
        assert told and "last words" in told[0].stderr and told[0].tool == "desk"

    asyncio.run(body())


def test_over_http_with_a_bearer_token_and_only_where_it_may_go(address: str):
    async def body() -> None:
        server = McpServer("desk", Server(url=address, headers=HEADERS, allow=("127.0.0.1",)), Limits())
        await server.start()
        try:
            await connected(server)  # the fixture's process may still be starting
            await used(server)
        finally:
            await server.stop()
        some = McpServer("desk", Server(url=address, headers=HEADERS, allow=("127.0.0.1",), only=("book",)), Limits())
        await some.start()
        await some.stop()
        assert list(tools(some)) == ["book"]
        for given, said in (({"allow": ("127.0.0.1",)}, "HTTP 401"), ({"headers": HEADERS}, "no public address")):
            refused = McpServer("desk", Server(url=address, **given), Limits())
            await refused.start()
            await refused.stop()
            assert said in refused.state and not refused.tools

    asyncio.run(body())


def test_of_a_program_that_does_not_come_up_its_last_words_are_said():
    async def body() -> None:
        words = "import sys; sys.exit('no module named desk')"
        server = McpServer("desk", Server(argv=(sys.executable, "-c", words)), Limits())
        await server.start()
        state = server.state
        await server.stop()
        assert "it said: no module named desk" in state and not server.tools

    asyncio.run(body())


def test_a_program_that_is_not_there_is_said():
    async def body() -> None:
        server = McpServer("desk", Server(argv=("/no/such/server",)), Limits())
        await server.start()
        await server.stop()
        assert "FileNotFoundError" in server.state and not server.tools

    asyncio.run(body())
