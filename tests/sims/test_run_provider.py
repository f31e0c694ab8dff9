"""Simulated providers over sockets, for a client that nobody here wrote: what only a socket can get wrong."""

import asyncio
import json

import pytest
import websockets
from websockets.exceptions import ConnectionClosedError, InvalidStatus

from offhook.sims.provider import Answer, tone
from offhook.sims.run_provider import FakeProvider

KEY = {"Authorization": "Bearer sk-test-000000"}
ASK = json.dumps({"type": "response.create"})


def dial(fake: FakeProvider, **options):
    url = fake.url + "?model=gpt-realtime"
    return websockets.connect(url, additional_headers=KEY, proxy=None, compression=None, **options)


def run(main) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(40):
            await main()

    asyncio.run(bounded())


@pytest.mark.parametrize("status", [400, 401, 403, 404, 426, 429, 500, 502, 503])
def test_a_refused_upgrade_is_an_http_answer(status):
    async def main():
        async with FakeProvider("openai", faults=[f"refuse-{status}"]) as fake:
            with pytest.raises(InvalidStatus) as caught:
                async with dial(fake):
                    pass
            assert caught.value.response.status_code == status and fake.refused[0].status == status

    run(main)


async def _until(ready) -> None:
    while not ready():  # noqa: ASYNC110 (the other side of a socket of this process)
        await asyncio.sleep(0.001)


def test_a_redirect_says_where_to():
    async def main():
        async with FakeProvider("openai", faults=["redirect-307"]) as fake:
            reader, writer = await asyncio.open_connection("127.0.0.1", int(fake.url.split(":")[2].split("/")[0]))
            head = "GET /v1/realtime?model=x HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            writer.write(f"{head}Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {'A' * 22}==\r\n\r\n".encode())
            answer = (await reader.readuntil(b"\r\n\r\n")).decode()
            assert " 307 " in answer and "Location: https://elsewhere.example/v1/realtime" in answer
            writer.close()
            await writer.wait_closed()

    run(main)


def test_too_many_sessions_at_once_are_refused_and_one_that_ended_makes_room():
    async def main():
        async with FakeProvider("openai", faults=["too-many@2"]) as fake:
            async with dial(fake):
                async with dial(fake):
                    with pytest.raises(InvalidStatus) as caught:
                        async with dial(fake):
                            pass
                    assert caught.value.response.status_code == 429
                await asyncio.wait_for(_until(lambda: fake.open == 1), 40)
                async with dial(fake) as third:
                    assert json.loads(await third.recv())["type"] == "session.created"

    run(main)


def test_the_answer_to_the_upgrade_may_be_late():
    async def main():
        async with FakeProvider("openai", faults=["slow-upgrade@0.2s"]) as fake:
            began = asyncio.get_running_loop().time()
            async with dial(fake) as socket:
                assert asyncio.get_running_loop().time() - began >= 0.2
                assert json.loads(await socket.recv())["type"] == "session.created"

    run(main)


def test_the_end_of_tcp_and_a_close_look_different():
    async def ending(fault: str) -> ConnectionClosedError:
        async with FakeProvider("openai", faults=[fault], greeting=Answer(tone(2000), "Hello.")) as fake:
            async with dial(fake) as socket:
                await socket.send(ASK)
                with pytest.raises(ConnectionClosedError) as caught:
                    while True:
                        await socket.recv()
                return caught.value

    async def main():
        assert (await ending("drop")).rcvd is None
        closed = await ending("close-1011@response1")
        assert (closed.rcvd.code, closed.rcvd.reason) == (1011, "an internal error")

    run(main)


def test_a_half_dead_provider_reads_nothing_and_answers_no_ping():
    async def main():
        async with FakeProvider("openai", faults=["half-dead@0.05s"]) as fake:
            async with dial(fake, close_timeout=0.1) as socket:
                await (await socket.ping())
                await asyncio.sleep(0.1)
                pong = await socket.ping()
                await socket.send(ASK)
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(asyncio.shield(pong), 0.2)
                assert fake.sessions[0].peer.asked == [] and fake.open == 1
                socket.transport.abort()

    run(main)


def test_pongs_may_be_late_while_everything_else_is_in_time():
    async def main():
        async with FakeProvider("openai", faults=["late-pongs@0.3s"], greeting=Answer(tone(300), "Hello.")) as fake:
            async with dial(fake) as socket:
                loop = asyncio.get_running_loop()
                began = loop.time()
                pong = await socket.ping()
                await socket.send(ASK)
                while json.loads(await socket.recv())["type"] != "response.done":
                    pass
                assert not pong.done()
                await pong
                assert loop.time() - began >= 0.3

    run(main)


def test_binary_frames_and_giants_arrive_as_such():
    async def main():
        faults = ["binary-message", "giant-message"]
        async with FakeProvider("openai", faults=faults, greeting=Answer(tone(1000), "Hello.")) as fake:
            async with dial(fake, max_size=None) as socket:
                await socket.send(ASK)
                seen = []
                while not seen or b"response.done" not in seen[-1]:
                    message = await socket.recv()
                    seen.append(message if isinstance(message, bytes) else message.encode()[:2_000_000])
                assert b"\x7f" * 160 in seen and max(map(len, seen)) > 2**20

    run(main)


def test_what_cannot_be_played_is_said_before_a_client_comes():
    with pytest.raises(ValueError, match="cannot happen to loopback"):
        FakeProvider("loopback", faults=["reject-key"])
