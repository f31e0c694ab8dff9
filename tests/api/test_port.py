"""The live stream over the port that calls come in by: both ways, slow readers, the end of the server."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from starlette.applications import Starlette
from tests.api.kit import RUNNING, Api, api
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from offhook import vocab as v
from offhook.net.app import with_api
from offhook.net.server import Server, UpgradeRequest
from offhook.wires._wire import Refusal


@asynccontextmanager
async def port(folder: Path) -> AsyncIterator[tuple[Api, str]]:
    async with api(folder) as server:

        async def application() -> Any:
            return server.app

        def upgrade(request: UpgradeRequest) -> Any:
            if request.path.startswith("/api/"):
                return server.app.upgrade(request)
            return Refusal(404, "the carrier's", "path")

        listening = Server(with_api(Starlette(), application), upgrade)
        await listening.start()
        try:
            yield server, f"127.0.0.1:{listening.port}"
        finally:
            server.hub.stop()
            await listening.stop()


def run(folder: Path, main: Callable[[Api, str], Awaitable[None]]) -> None:
    async def body() -> None:
        async with asyncio.timeout(40), port(folder) as (server, where):
            await main(server, where)

    asyncio.run(body())


async def told(socket: ClientConnection) -> dict[str, Any]:
    event: dict[str, Any] = json.loads(await socket.recv())
    return event


def test_both_ways_tell_the_same_and_go_on_where_one_was(tmp_path: Path):
    async def main(server: Api, where: str) -> None:
        headers = {"Authorization": f"Bearer {server.token('read')}"}
        server.ring()
        async with connect(f"ws://{where}/api/live", additional_headers=headers) as socket:
            assert (await told(socket))["calls"][0]["call"] == RUNNING
            server.hub(RUNNING, v.CallerTranscript("i1", "one", True), 1.0)
            server.hub(RUNNING, v.CallerTranscript("i2", "two", True), 2.0)
            first = await told(socket)
            assert first["text"] == "one"
        url = f"http://{where}/api/live?call={RUNNING}&for_s=0.2"
        async with httpx2.AsyncClient(headers={**headers, "Last-Event-ID": first["id"]}) as client:
            answer = await client.get(url)
        assert answer.headers["content-type"].startswith("text/event-stream")
        blocks = [dict(line.split(": ", 1) for line in block.split("\n") if not line.startswith(":"))
                  for block in answer.text.split("\n\n") if "data" in block]  # fmt: skip
        assert [block["event"] for block in blocks] == ["hello", "transcript"]
        data = json.loads(blocks[1]["data"])
        assert data["text"] == "two" and data["id"] == blocks[1]["id"]

    run(tmp_path, main)


@pytest.mark.parametrize(
    ("headers", "path", "status"),
    [
        ({"Host": "rebound.example"}, "/api/live", 421),
        ({}, "/api/other", 404),
        ({}, "/api/live?levels=11", 400),
    ],
)
def test_a_socket_that_cannot_be_is_refused_before_it_opens(
    tmp_path: Path, headers: dict[str, str], path: str, status: int
):
    async def main(server: Api, where: str) -> None:
        reader, writer = await asyncio.open_connection(*where.split(":"))
        lines = {"Host": where, "Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
                 "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==", **headers}  # fmt: skip
        writer.write(f"GET {path} HTTP/1.1\r\n".encode())
        writer.write("".join(f"{name}: {value}\r\n" for name, value in lines.items()).encode() + b"\r\n")
        assert f" {status} ".encode() in await reader.readline()
        writer.close()
        with pytest.raises(InvalidStatus):
            async with connect(f"ws://{where}/elsewhere"):
                pass

    run(tmp_path, main)


def test_a_socket_without_a_good_token_is_closed_by_name(tmp_path: Path):
    async def main(server: Api, where: str) -> None:
        for headers, code in (({}, 4401), ({"Authorization": f"Bearer {server.token('place')}"}, 4403)):
            async with connect(f"ws://{where}/api/live", additional_headers=headers) as socket:
                with pytest.raises(ConnectionClosed) as closed:
                    await socket.recv()
            assert closed.value.rcvd is not None and closed.value.rcvd.code == code

    run(tmp_path, main)


def test_a_page_elsewhere_cannot_watch_with_this_browsers_session(tmp_path: Path):
    async def main(server: Api, where: str) -> None:
        async with httpx2.AsyncClient() as client:
            logged = await client.post(f"http://{where}/api/login", json={"code": server.access.code()})
        cookie = {"Cookie": logged.headers["set-cookie"].partition(";")[0]}
        for origin, good in ((f"http://{where}", True), ("https://evil.example", False)):
            async with connect(f"ws://{where}/api/live", additional_headers=cookie, origin=origin) as socket:
                if good:
                    assert (await told(socket))["type"] == "hello"
                else:
                    with pytest.raises(ConnectionClosed):
                        await socket.recv()

    run(tmp_path, main)


def test_one_that_does_not_read_loses_is_told_and_holds_nobody_up(tmp_path: Path):
    async def main(server: Api, where: str) -> None:
        headers = {"Authorization": f"Bearer {server.token('read')}"}
        async with connect(f"ws://{where}/api/live", additional_headers=headers, max_queue=1) as socket:
            await told(socket)
            for n in range(4000):  # 16 MB, more than all buffers on the way
                server.hub.publish("note", "", {"n": n, "text": "x" * 4000})
                if n % 50 == 0:
                    await asyncio.sleep(0)
            seen, lost = 0, 0
            while seen + lost < 4000:
                event = await told(socket)
                lost += event["events"] if event["type"] == "lost" else 0
                seen += event["type"] == "note"
            assert lost > 1000 and seen + lost == 4000

    run(tmp_path, main)


def test_the_end_of_the_server_is_told(tmp_path: Path):
    async def main(server: Api, where: str) -> None:
        headers = {"Authorization": f"Bearer {server.token('read')}"}
        async with connect(f"ws://{where}/api/live", additional_headers=headers) as socket:
            await told(socket)
            server.hub.stop()
            with pytest.raises(ConnectionClosed) as closed:
                await socket.recv()
            assert closed.value.rcvd is not None and closed.value.rcvd.code == 1001

    run(tmp_path, main)
