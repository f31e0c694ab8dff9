"""The tap's bytes: both ways as they came, whatever they are; ends as they were; who looks on can end nothing."""

import asyncio
import socket
from contextlib import asynccontextmanager

import pytest
from tests.net.kit import Certificates, Raw, frame, run, upgrade_head

from offhook.tap.pipe import Tapped, Upstream

ANSWER = (
    b"HTTP/1.1 101 Switching Protocols\r\nUPGRADE: websocket\r\nconnection: upgrade\r\n"
    b"Sec-WebSocket-Protocol: odd.v1\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n"
)


class Looks:
    """A looker that remembers; ``defects`` makes it raise at every byte."""

    def __init__(self, defects: bool = False) -> None:
        self.seen: list[tuple[str, object]] = []
        self.defects = defects

    def near(self, data, now):
        self.seen.append(("near", data))
        if self.defects:
            raise RuntimeError("looking")

    far = near

    def connected(self, now, ms):
        self.seen.append(("connected", ms >= 0))

    def failed(self, phase, cause, now):
        self.seen.append(("failed", phase))

    def ended(self, by, reset, now):
        self.seen.append(("ended", (by, reset)))


@asynccontextmanager
async def tapping(*, port=None, listen_tls=None, upstream=None, defects=False, **options):
    """An upstream that a test plays by hand, a tap before it, and a connection through both."""
    came: asyncio.Queue[Raw] = asyncio.Queue()
    server = await asyncio.start_server(lambda r, w: came.put_nowait(Raw(r, w)), "127.0.0.1", 0, ssl=upstream)
    target = port or server.sockets[0].getsockname()[1]
    looks, told = Looks(defects), []
    tapped = Tapped(Upstream("127.0.0.1", target, **options), lambda client: looks, told.append, tls=listen_tls)
    await tapped.start()
    ends: list[Raw] = []

    async def connect(**kwargs):
        near = Raw(*await asyncio.open_connection("127.0.0.1", tapped.port, **kwargs))
        ends.append(near)
        return near

    async def arrived():
        async with asyncio.timeout(40):
            far = await came.get()
        ends.append(far)
        return far

    try:
        yield connect, arrived, looks, told
    finally:
        await tapped.stop()
        for end in ends:
            if not end.writer.transport.is_closing():
                end.writer.transport.abort()
        server.close()
        await asyncio.sleep(0)


async def exactly(raw: Raw, wanted: bytes) -> None:
    async with asyncio.timeout(40):
        assert await raw.reader.readexactly(len(wanted)) == wanted


@pytest.mark.parametrize("defects", [False, True])
@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_every_byte_passes_as_it_came_even_where_whoever_looks_on_breaks(loop, defects):
    async def main():
        async with tapping(defects=defects) as (connect, arrived, looks, told):
            near = await connect()
            head = upgrade_head("/a%2Fb?x=1", sEC_webSocket_protocol="odd.v1", X_Forwarded_Proto="https")
            garbage = bytes(range(256)) * 300
            there = [
                head,
                frame(1, b"fr", fin=False),
                frame(0, b"ag"),
                frame(9, b"ping"),
                frame(1, b"x", rsv=7),
                garbage,
            ]
            near.send(b"".join(there))
            far = await arrived()
            await exactly(far, b"".join(there))
            back = [ANSWER, frame(1, b"a" * 70_000, mask=False), frame(8, b"\x0f\xa0why", mask=False), garbage]
            far.send(b"".join(back))
            await exactly(near, b"".join(back))
            assert bool(told) is defects

    run(main, loop)


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_ends_are_passed_on_as_they_were(loop):
    async def main():
        for who in ("near", "far"):
            for how in ("reset", "close"):
                async with tapping() as (connect, arrived, looks, told):
                    near = await connect()
                    near.send(b"GET / HTTP/1.1\r\n\r\n")
                    far = await arrived()
                    await exactly(far, b"GET / HTTP/1.1\r\n\r\n")
                    one, other = (near, far) if who == "near" else (far, near)
                    getattr(one, how)()
                    async with asyncio.timeout(40):
                        try:
                            assert await other.reader.read() == b"" and how == "close"
                        except ConnectionResetError:
                            assert how == "reset"
                    assert ("ended", (who, how == "reset")) in looks.seen and not told

    run(main, loop)


def test_a_half_closed_side_may_still_be_answered():
    async def main():
        async with tapping() as (connect, arrived, _, _):
            near = await connect()
            near.send(b"ask")
            near.writer.write_eof()
            far = await arrived()
            assert await far.rest() == b"ask"
            far.send(b"answer")
            far.close()
            assert await near.rest() == b"answer"

    run(main)


def test_who_does_not_read_slows_down_whoever_writes_and_not_the_memory():
    async def main():
        async with tapping() as (connect, arrived, _, _):
            near = await connect()
            near.send(b"x")
            far = await arrived()
            for _ in range(400):
                near.send(b"y" * 100_000)
                await asyncio.sleep(0)
            assert near.writer.transport.get_write_buffer_size() > 10_000_000  # it stays with the writer
            near.close()
            assert len(await far.rest()) == 40_000_001

    run(main)


def test_an_upstream_that_is_not_there_is_said_in_http_and_named():
    async def main():
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        async with tapping(port=port) as (connect, _, looks, _):
            near = await connect()
            status, _, body = await near.answer()
            assert status == 502 and f"tcp: 127.0.0.1:{port}".encode() in body
            assert ("failed", "tcp") in looks.seen

    run(main)


def test_tls_on_both_sides(tmp_path):
    certificates = Certificates(tmp_path)

    async def main():
        options = {"secure": True, "tls": certificates.trusting(), "upstream": certificates.serving()}
        async with tapping(listen_tls=certificates.serving(), **options) as (connect, arrived, looks, _):
            near = await connect(ssl=certificates.trusting(), server_hostname="localhost")
            near.send(b"there")
            far = await arrived()
            await exactly(far, b"there")
            far.send(b"back")
            await exactly(near, b"back")

    run(main)


def test_a_certificate_that_is_refused_is_named(tmp_path):
    certificates = Certificates(tmp_path)

    async def main():
        async with tapping(secure=True, upstream=certificates.serving()) as (connect, _, looks, _):
            near = await connect()
            status, _, body = await near.answer()
            assert status == 502 and b"tls:" in body and ("failed", "tls") in looks.seen

    run(main)
