"""Where the shared port listens, its TLS, and how it ends."""

import asyncio
import socket
import ssl

import httpx2
import pytest
import websockets
from tests.net.kit import Ear, asking, hello, run, serving, upgrade_head

from offhook.net.client import DialError, dial
from offhook.net.heads import HttpLimits
from offhook.net.server import Server


@pytest.mark.parametrize("host", ["", "::", "*"])
def test_every_address_means_both_families(host):
    async def main():
        async with serving(host=host) as it:
            for address in ("127.0.0.1", "::1"):
                _, writer = await asyncio.open_connection(address, it.server.port)
                writer.write(upgrade_head())
                writer.close()
                await writer.wait_closed()

    if not socket.has_dualstack_ipv6():
        pytest.skip("this machine has no IPv6")
    run(main)


def test_an_address_in_use_is_an_error_of_the_caller():
    async def main():
        async with serving() as it:
            second = Server(hello, lambda request: Ear(), port=it.server.port)
            with pytest.raises(OSError, match="in use"):
                await second.start()
            await second.stop()

    run(main)


def test_the_port_speaks_tls_for_both_when_told_to(certificates, loop):
    async def main():
        async with serving(echo=True, tls=(certificates.cert, certificates.key)) as it:
            trust = certificates.trusting()
            async with httpx2.AsyncClient(verify=trust, trust_env=False) as client:
                assert (await client.get(f"https://localhost:{it.server.port}/x")).text == "GET /x 0\n"
            async with websockets.connect(f"wss://localhost:{it.server.port}/media", ssl=trust) as peer:
                await peer.send("x" * 100_000)
                assert await peer.recv() == "x" * 100_000
            ear = Ear()
            client_socket = await dial(asking(f"wss://localhost:{it.server.port}/media"), ear, tls=trust)
            client_socket.send(b"y")
            await ear.until(lambda: ear.texts)
            client_socket.close()
            await ear.end()

    run(main, loop)


def test_plain_speech_to_a_tls_port_is_named(certificates):
    async def main():
        async with serving(tls=(certificates.cert, certificates.key)) as it:
            with pytest.raises(DialError) as caught:
                await dial(asking(it.url), Ear(), timeout_s=2)
            assert caught.value.phase == "upgrade"
            assert "wss://" in str(caught.value)

    run(main)


def test_a_stalled_tls_handshake_is_ended(certificates, loop):
    async def main():
        tls = (certificates.cert, certificates.key)
        async with serving(tls=tls, http_limits=HttpLimits(head_s=0.1)) as it:
            raw = await it.raw()
            raw.send(b"\x16\x03\x01")
            assert await raw.rest() == b""

    run(main, loop)


def test_tls_to_the_plain_port_gets_a_400_and_is_named():
    async def main():
        async with serving() as it:
            with pytest.raises(DialError) as caught:
                await dial(asking(it.url.replace("ws:", "wss:")), Ear(), tls=ssl.create_default_context(), timeout_s=2)
            assert caught.value.phase == "tls"
            assert "no TLS is spoken there" in str(caught.value)

    run(main)


def test_stopping_closes_what_is_idle_and_lets_an_answer_finish(loop):
    async def main():
        async with serving() as it:
            idle, busy, half = await it.raw(), await it.raw(), await it.raw()
            idle.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            await idle.answer()
            half.send(b"GET / HT")
            busy.send(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
            media = await it.raw_socket()
            stopping = asyncio.create_task(it.server.stop())
            assert await idle.rest() == b""
            assert await half.rest() == b""
            assert await media.close_code() == 1001
            assert (await busy.answer())[2] == b"GET /slow 0\n"
            await stopping
            assert (await it.ears[0].end())[0] == 1001
            with pytest.raises(ConnectionRefusedError):
                await it.raw()
            await it.server.stop()

    run(main, loop)
