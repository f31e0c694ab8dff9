"""Sockets whose peer does not read, listeners that raise, and what is left of a socket."""

import asyncio
import gc
import logging
import weakref

import pytest
from tests.net.kit import Ear, Raw, asking, frame, run, serving
from tests.net.peers import answer_upgrade

from offhook.net.client import dial
from offhook.net.sockets import Limits, Socket

TEXT, PING = 1, 9


async def stuffed(socket: Socket, ear: Ear, message: bytes, most: int) -> int:
    """Send until the kernel takes no more; how many messages that took."""
    for sent in range(1, most):
        socket.send(message)
        if ear.pauses:
            return sent
    raise AssertionError("never paused")


def test_a_peer_that_stops_reading_pauses_us_and_gets_everything_when_it_reads_again(loop):
    async def main():
        async with serving() as it:
            raw = await it.raw_socket()
            ear = it.ears[0]
            socket = await ear.open()
            raw.reader._transport.pause_reading()
            count = await stuffed(socket, ear, b"m" * 10_000, 2000)
            assert ear.pauses[0] > 0 and socket.buffered_bytes > 0
            socket.send(b"last")
            raw.reader._transport.resume_reading()
            for _ in range(count):
                assert await raw.frame() == (TEXT, b"m" * 10_000)
            assert await raw.frame() == (TEXT, b"last")
            await ear.until(lambda: ear.resumes)
            assert ear.resumes == 1 and ear.ends == []

    run(main, loop)


@pytest.mark.parametrize("way", ["send", "send_both", "client"])
def test_what_piles_up_is_bounded_and_the_end_says_why(way, loop):
    async def main():
        limits = Limits(max_message_bytes=1000, max_buffered_bytes=200_000, close_grace_s=0.1)
        hold = asyncio.Event()

        async def never_reads(reader, writer):
            await answer_upgrade(Raw(reader, writer))
            writer.transport.pause_reading()
            await hold.wait()
            writer.transport.abort()

        async with serving(limits=limits) as it, await asyncio.start_server(never_reads, "127.0.0.1", 0) as server:
            if way == "client":
                ear = Ear()
                port = server.sockets[0].getsockname()[1]
                socket = await dial(asking(f"ws://127.0.0.1:{port}/"), ear, limits=limits)
            else:
                raw = await it.raw_socket()
                raw.reader._transport.pause_reading()
                ear = it.ears[0]
                socket = await ear.open()
            most = 0
            for _ in range(2000):
                if way == "send_both":
                    socket.send_both(b"m" * 10_000, b"n")
                else:
                    socket.send(b"m" * 10_000)
                most = max(most, socket.buffered_bytes)
            code, reason, by = await ear.end()
            assert (code, reason, by) == (1006, "peer stopped reading: over 200000 bytes unsent", "us")
            assert most < 200_000 + 20_000
            assert ear.resumes == 0
            hold.set()
            if way != "client":
                raw.close()

    run(main, loop)


def test_pings_of_a_peer_that_does_not_read_are_not_answered_into_the_heap():
    async def main():
        async with serving() as it:
            raw = await it.raw_socket()
            ear = it.ears[0]
            socket = await ear.open()
            raw.reader._transport.pause_reading()
            await stuffed(socket, ear, b"m" * 10_000, 2000)
            before = socket.buffered_bytes
            raw.send(frame(PING, b"p" * 125) * 2000 + frame(TEXT, b"done"))
            await ear.until(lambda: ear.texts)
            assert socket.buffered_bytes <= before
            raw.reset()
            await ear.end()

    run(main)


# ----------------------------------------------------------------------------------- listeners that raise


@pytest.mark.parametrize("where", ["opened", "text", "paused", "closed"])
def test_a_listener_that_raises_ends_its_connection_by_name_and_the_others_go_on(where, caplog):
    class Broken(Ear):
        def fail(self, *_):
            raise RuntimeError("defect")

    async def main():
        broken, fine = Broken(), Ear(echo=True)
        setattr(broken, where, broken.fail)
        async with serving(decide=lambda request: broken if request.path == "/broken" else fine) as it:
            other = await it.raw_socket("/fine")
            raw = await it.raw_socket("/broken")
            if where == "text":
                raw.send(frame(TEXT, b"x") + frame(TEXT, b"y"))
            elif where == "paused":
                raw.reader._transport.pause_reading()
                socket = await broken.open()
                for _ in range(2000):
                    socket.send(b"m" * 10_000)
                    if caplog.records:
                        break
            elif where == "closed":
                raw.reset()
                for _ in range(100):
                    await asyncio.sleep(0.005)
                    if caplog.records:
                        break
            if where in ("opened", "text"):
                assert await raw.close_code() == 1011
            if where != "closed":
                assert await broken.end() == (1011, "internal error", "us")
            other.send(frame(TEXT, b"still here"))
            assert await other.frame() == (TEXT, b"still here")

    with caplog.at_level(logging.ERROR, logger="offhook"):
        run(main)
    assert [record.where for record in caplog.records] == [{"text": "message"}.get(where, where)]
    assert "RuntimeError: defect" in caplog.text


def test_an_ended_socket_is_freed_without_the_garbage_collector():
    async def main():
        async with serving() as it:
            ear = Ear()
            socket = await dial(asking(it.url), ear)
            socket.send(b"x")
            await it.ears[0].until(lambda: it.ears[0].texts)
            socket.close()
            await ear.end()
            here = weakref.ref(socket)
            there = weakref.ref(it.ears[0].socket)
            it.ears[0].socket = ear.socket = socket = None
            for _ in range(20):
                await asyncio.sleep(0.005)
            assert here() is None, gc.get_referrers(here())
            assert there() is None, gc.get_referrers(there())

    gc.disable()
    try:
        run(main)
    finally:
        gc.enable()
