"""Dialling through a proxy."""

import asyncio

import pytest
from tests.net.kit import Ear, Raw, asking, run, serving
from tests.net.peers import KEY, Peer, answering, failure, hang_up, head, mute

from offhook.net.client import dial


async def tunnel(raw: Raw, peer: Peer) -> None:
    """An HTTP proxy: CONNECT, then bytes both ways."""
    asked = await raw.head()
    peer.heads.append(asked)
    host, port = asked.split(b" ")[1].decode().split(":")
    there = Raw(*await asyncio.open_connection("127.0.0.1", int(port)))
    assert host == "provider.example.test"
    raw.send(b"HTTP/1.1 200 OK\r\n\r\n")

    async def copy(one: Raw, other: Raw) -> None:
        while data := await one.reader.read(65536):
            other.send(data)
        other.close()

    await asyncio.gather(copy(raw, there), copy(there, raw))


def test_a_proxy_is_a_phase_of_its_own_and_carries_the_connection(loop):
    async def main():
        async with serving(echo=True) as it, Peer(tunnel) as proxy:
            phases = []
            ear = Ear()
            made = await dial(
                asking(f"ws://provider.example.test:{it.server.port}/media"),
                ear,
                proxy=f"http://user:secret-pass@127.0.0.1:{proxy.port}",
                on_phase=lambda name, _: phases.append(name),
            )
            made.send(b"through")
            await ear.until(lambda: ear.texts)
            assert phases == ["proxy", "upgrade"]
            assert b"Proxy-Authorization: Basic" in proxy.heads[0]
            made.close()
            await ear.end()

    run(main, loop)


@pytest.mark.parametrize(
    ("do", "said"),
    [
        (answering(head("407 Proxy Authentication Required", "Content-Length: 0")), "407"),
        (answering(head("403 Forbidden", "Content-Length: 0")), "403"),
        (hang_up, "proxy: "),
    ],
)
def test_a_proxy_that_refuses_is_named_without_its_credentials(do, said):
    async def main():
        async with Peer(do) as proxy:
            url = f"http://user-name-1:{KEY}@127.0.0.1:{proxy.port}"
            error = await failure(asking("wss://api.example.test/"), proxy=url)
            assert error.phase == "proxy"
            assert said in str(error) and "user-name-1" not in str(error)

    run(main)


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "ftp://x", "nonsense", "http://[", f"quatsch://u:{KEY}@h"])
def test_a_proxy_that_is_not_there_or_none_is_named(url):
    async def main():
        assert (await failure(asking("wss://api.example.test/"), proxy=url)).phase == "proxy"

    run(main)


def test_a_mute_proxy_is_given_up():
    async def main():
        async with Peer(mute) as proxy:
            error = await failure(
                asking("wss://api.example.test/"), proxy=f"http://127.0.0.1:{proxy.port}", timeout_s=0.15
            )
            assert str(error) == "proxy: no answer within 0.15 s"

    run(main)
