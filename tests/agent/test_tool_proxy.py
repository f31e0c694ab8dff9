"""Tools behind a proxy: HTTPS_PROXY and NO_PROXY are followed, and the guard judges what can be known here."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from tests.agent.oauth_server import CLIENT, SECRET, OAuthDesk
from tests.ports import free_port

from offhook.agent.tools import CallContext, Tool
from offhook.agent.tools.declared import declared
from offhook.agent.tools.runner import Result, Runner
from offhook.settings import load

pytestmark = [pytest.mark.filterwarnings("ignore:.*:DeprecationWarning")]
TOML = 'description = "Ask."\nurl = '


class Proxy:
    """Looks every name up as this machine, answers ``refuses`` or carries on; ``heads`` are what it was asked."""

    def __init__(self, refuses: bytes = b"") -> None:
        self.heads: list[bytes] = []
        self._refuses = refuses
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> "Proxy":
        self._server = await asyncio.start_server(self._carry, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        self.url = f"http://user:secret-pass@127.0.0.1:{port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        there: asyncio.StreamWriter | None = None
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            self.heads.append(head)
            if self._refuses:
                writer.write(self._refuses)
                return
            port = int(head.split(b" ")[1].split(b"/")[2].rpartition(b":")[2])
            back, there = await asyncio.open_connection("127.0.0.1", port)
            there.write(head)
            await asyncio.gather(pipe(reader, there), pipe(back, writer))
        except (asyncio.CancelledError, asyncio.IncompleteReadError, ConnectionError):
            pass  # the other side, or the test, is done
        finally:
            for end in (writer, there):
                if end is not None:
                    end.close()


async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
    writer.close()


def tools(tmp_path: Path, toml: str, **environment: str) -> Any:
    (tmp_path / "offhook.toml").write_text(toml)
    made = declared(load(cwd=tmp_path, environment=environment))
    assert not made.problems
    return made


async def run(tool: Tool) -> Result:
    return await Runner().run(tool, "", CallContext("CA1"))


def with_proxy(body: Callable[[Proxy], Awaitable[None]], refuses: bytes = b"") -> None:
    async def all_of_it() -> None:
        async with Proxy(refuses) as proxy:
            await body(proxy)

    asyncio.run(all_of_it())


ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nfound"


def test_a_request_goes_by_the_proxy_with_the_name_for_it_to_look_up(tmp_path: Path):
    async def body(proxy: Proxy) -> None:
        made = tools(tmp_path, f"[tools.t]\n{TOML}'http://api.test/x'\n", HTTP_PROXY=proxy.url)
        assert (await run(made.tools[0])).output == "found"
        assert proxy.heads[0].startswith(b"GET http://api.test/x HTTP/1.1\r\n")
        assert b"proxy-authorization: basic" in proxy.heads[0].lower()

    with_proxy(body, ANSWER)


def test_a_proxy_that_refuses_is_named_without_its_password(tmp_path: Path):
    async def body(proxy: Proxy) -> None:
        made = tools(tmp_path, f"[tools.t]\n{TOML}'https://api.test/x'\n", HTTPS_PROXY=proxy.url)
        result = await run(made.tools[0])
        assert proxy.heads[0].startswith(b"CONNECT api.test:443 HTTP/1.1\r\n")
        assert result.outcome == "raised ConnectionError" and "secret-pass" not in str(result)
        assert "api.test, by the proxy 127.0.0.1: ProxyError: 403" in result.detail

    with_proxy(body, b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")


@pytest.mark.parametrize(
    "url", ["http://10.1.2.3/", "http://169.254.169.254/latest", "http://crm.internal/", "http://intranet/"]
)
def test_what_leads_into_a_private_network_is_not_asked_of_the_proxy_unless_it_is_allowed(tmp_path: Path, url: str):
    host = url.split("/")[2]

    async def body(proxy: Proxy) -> None:
        made = tools(tmp_path, f"[tools.t]\n{TOML}'{url}'\n", HTTP_PROXY=proxy.url)
        refused = await run(made.tools[0])
        assert refused.outcome == "error" and "may not be connected to" in refused.output and not proxy.heads
        made = tools(tmp_path, f"[tools.t]\n{TOML}'{url}'\nallow = ['{host}']\n", HTTP_PROXY=proxy.url)
        assert (await run(made.tools[0])).output == "found" and len(proxy.heads) == 1

    with_proxy(body, ANSWER)


def test_what_no_proxy_names_is_asked_directly_and_guarded_in_full(tmp_path: Path):
    async def body(proxy: Proxy) -> None:
        made = tools(tmp_path, f"[tools.t]\n{TOML}'http://api.test/'\n", HTTP_PROXY=proxy.url, NO_PROXY="api.test")
        result = await run(made.tools[0])
        assert "api.test has no address" in result.detail and not proxy.heads

    with_proxy(body, ANSWER)


def test_an_mcp_server_and_its_token_go_by_the_proxy(tmp_path: Path):
    async def body(proxy: Proxy) -> None:
        with OAuthDesk(free_port(), "desk.test") as desk:
            toml = (f"[tools.desk]\nmcp = '{desk.url}/mcp'\noauth_client_id = '{CLIENT}'\noauth_secret = 'env:DESK'\n"
                    f"oauth_issuer = '{desk.url}'\n")  # fmt: skip
            made = tools(tmp_path, toml, HTTP_PROXY=proxy.url, DESK=SECRET)
            (server,) = made.servers
            await server.start()
            try:
                assert server.state == "connected" and len(desk.asked) == 1
                booked = await Runner().run(server.tools[0], '{"day":"Mon"}', CallContext("CA1"))
                assert booked.output == "booked Mon"
            finally:
                await server.stop()
            assert proxy.heads and all(b" http://desk.test:" in head.partition(b"\r\n")[0] for head in proxy.heads)

    with_proxy(body)
