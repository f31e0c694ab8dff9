"""MCP behind OAuth client credentials: the token is fetched, sent, fetched again; a refusal is named."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from tests.agent.oauth_server import CLIENT, SECRET, OAuthDesk
from tests.ports import free_port

from offhook.agent.tools import CallContext
from offhook.agent.tools.mcp import McpServer, Server
from offhook.agent.tools.runner import Runner
from offhook.agent.tools.spec import Limits

pytestmark = [pytest.mark.filterwarnings("ignore:.*:DeprecationWarning")]
HOST = "desk.test"


@pytest.fixture
def desk(monkeypatch: pytest.MonkeyPatch) -> Iterator[OAuthDesk]:
    async def pinned(host: str, port: int, allow: Any) -> str:
        assert host == HOST, "nobody else is asked"
        return "127.0.0.1"

    monkeypatch.setattr("offhook.agent.tools.mcp.pinned", pinned)
    with OAuthDesk(free_port(), HOST) as made:
        yield made


def server(desk: OAuthDesk, **given: str) -> McpServer:
    said = {"oauth_client_id": CLIENT, "oauth_secret": SECRET, "oauth_issuer": desk.url, **given}
    return McpServer("desk", Server(url=f"{desk.url}/mcp", **said), Limits())


def test_a_token_is_fetched_for_the_resource_sent_with_each_request_and_fetched_again(desk: OAuthDesk):
    async def body() -> None:
        mcp = server(desk)
        await mcp.start()
        try:
            assert mcp.state == "connected" and [tool.name for tool in mcp.tools] == ["book"]
            assert len(desk.asked) == 1 and desk.asked[0]["grant_type"] == "client_credentials"
            assert SECRET not in str(desk.asked), "it goes into the header (client_secret_basic)"
            booked = await Runner().run(mcp.tools[0], '{"day":"Mon"}', CallContext("CA1"))
            assert booked.output == "booked Mon" and len(desk.asked) == 1
            desk.valid.clear()  # the token is withdrawn
            booked = await Runner().run(mcp.tools[0], '{"day":"Tue"}', CallContext("CA1"))
            assert booked.output == "booked Tue" and len(desk.asked) == 2
        finally:
            await mcp.stop()

    asyncio.run(body())


@pytest.mark.parametrize(
    ("given", "named"),
    [
        (
            {"oauth_secret": "another-secret"},
            "the token endpoint refused client 'offhook': HTTP 401 invalid_client: who are you?",
        ),
        (
            {"oauth_client_id": "nobody"},
            "the token endpoint refused client 'nobody': HTTP 401 invalid_client: who are you?",
        ),
        (
            {"oauth_issuer": "http://elsewhere.test"},
            "OAuth, oauth_issuer and oauth_client_id: Authorization server metadata issuer mismatch",
        ),
        ({"oauth_client_id": ""}, "HTTP 401 from desk.test"),
    ],
)
def test_what_is_refused_is_named_without_a_secret(desk: OAuthDesk, caplog: Any, given: dict[str, str], named: str):
    async def body() -> str:
        mcp = server(desk, **given)
        await mcp.start()
        state = mcp.state
        assert not mcp.tools
        await mcp.stop()
        return state

    state = asyncio.run(body())
    assert named in state
    assert "Traceback" not in caplog.text  # the SDK's own logger writes one
    assert SECRET not in state + caplog.text and "another-secret" not in state + caplog.text
