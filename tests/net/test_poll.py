"""Connections that C reads in place of their transports: what it leaves to them, and what is left when they end."""

import asyncio
import gc
import json
import os
import socket
import struct
import sys
import threading

import pytest
from tests.net import kit
from tests.net.kit import frame
from tests.net.polled import Line, Loop

from offhook.net.hot import hot

if not hasattr(hot, "Poll"):
    pytest.skip("no epoll here, or nothing was compiled: transports read", allow_module_level=True)

from tests.net.test_hot import AUDIO, a_way_up, media


def usual(n):
    return json.dumps(media(str(n))).encode()


def a_line(loop, text=lambda data: None):
    """A line with a way on it, and what went that way."""
    went = []
    line = Line(loop, text=text)
    assert line.attach(a_way_up(hot.Pen(went.append)))
    return line, went


def polls():
    """epoll instances of this process that somebody holds."""
    gc.collect()
    found = 0
    for fd in os.listdir("/proc/self/fd"):
        try:
            found += "eventpoll" in os.readlink(f"/proc/self/fd/{fd}")
        except FileNotFoundError:  # the listing's own
            pass
    return found


def test_usual_messages_come_without_the_transport_and_others_go_to_picows_in_order():
    loop, told = Loop(), []
    line, went = a_line(loop, told.append)
    assert not line.reading and len(loop.readers) == 1
    for n in range(1, 21):
        line.say(usual(n))
        if n % 5 == 0:
            line.say(b'{"event":"dtmf %d"}' % n)
        loop.turn()
    assert went == [AUDIO.encode()] * 20
    assert told == [b'{"event":"dtmf %d"}' % n for n in (5, 10, 15, 20)]


def test_a_frame_in_two_reads_goes_straight_and_one_that_was_begun_here_ends_in_the_transport():
    loop = Loop()
    line, went = a_line(loop)
    data = frame(1, usual(1)) + frame(1, usual(2))
    line.there.sendall(data[:100])
    loop.turn()
    line.there.sendall(data[100:600])
    loop.turn()
    assert len(went) == 1
    line.ear.leave()
    assert line.reading and not loop.readers
    line.there.sendall(data[600:])
    line.turn()
    assert len(went) == 2 and line.picows.n_bytes == 0


def test_all_connections_of_a_loop_cost_it_one_reader_and_the_last_one_takes_it_away():
    before, loop = polls(), Loop()
    lines = [a_line(loop)[0] for _ in range(40)]
    assert len(loop.readers) == 1 and polls() == before + 1
    for line in lines[1:]:
        line.ear.attach(None)
        assert line.reading
    assert len(loop.readers) == 1
    lines[0].end()
    assert not loop.readers and polls() == before
    again, went = a_line(loop)
    again.say(usual(1))
    loop.turn()
    assert went
    again.end()
    assert polls() == before


@pytest.mark.parametrize("how", ["end of file", "half closed", "close frame"])
def test_an_end_is_the_transports_to_meet(how):
    loop = Loop()
    line, went = a_line(loop)
    line.say(usual(1))
    if how == "end of file":
        line.there.close()
    elif how == "half closed":
        line.there.shutdown(socket.SHUT_WR)
    else:
        line.closing = True  # picows answers it
        line.there.sendall(frame(8, b"\x03\xe8"))
    loop.turn()
    assert line.reading and not loop.readers
    if how == "close frame":
        assert line.picows.n_bytes == 8
    else:
        line.turn()
        assert line.here.recv(1) == b""
    assert went == [AUDIO.encode()]


def test_who_does_not_read_is_not_read_here_either():
    loop = Loop()
    line = Line(loop)
    line.pause_reading()
    assert not line.attach(a_way_up(hot.Pen(print))) and not loop.readers
    other = Line(loop)
    assert other.ear.reads(loop, other, other.here.fileno()) is False  # no way lies


def test_whoever_sends_without_a_break_keeps_nobody_waiting():
    loop, much = Loop(), []
    way = a_way_up(hot.Pen(much.append), settle=lambda: way.take())
    greedy = Line(loop)
    assert greedy.attach(way)
    modest, little = a_line(loop)
    data = b"".join(frame(1, usual(n)) for n in range(1, 401))
    assert greedy.there.send(data) > 100_000
    modest.say(usual(1))
    loop.turn()
    assert little and 0 < len(much) < 250  # one buffer of it
    loop.turn()
    assert 300 < len(much) <= 400
    loop.turn()
    assert len(much) == 400 and greedy.picows.n_bytes == 0


def test_an_event_older_than_its_connection_is_nobodys():
    """One connection's message ends two others of the same turn, and a fourth gets their place and file."""
    loop, later = Loop(), []

    def settle():
        way.take()
        for line in gone:
            line.end()
        fresh = Line(loop)
        assert fresh.here.fileno() in numbers
        went = []
        assert fresh.attach(a_way_up(hot.Pen(went.append)))
        later.append((fresh, went))

    way = a_way_up(hot.Pen(lambda data: None), settle)
    first = Line(loop)
    assert first.attach(way)
    gone = [a_line(loop)[0] for _ in range(2)]
    numbers = [line.here.fileno() for line in gone]
    for n in range(1, 51):  # at the fiftieth the way asks to be settled
        first.say(usual(n))
    for line in gone:
        line.say(usual(1))
        line.there.shutdown(socket.SHUT_WR)
    loop.turn()
    fresh, went = later[0]
    assert went == [] and not fresh.reading
    fresh.say(usual(1))
    loop.turn()
    assert went == [AUDIO.encode()]


def test_a_defect_ends_its_own_connection_and_the_others_are_heard_in_the_same_turn():
    loop = Loop()
    lines = [a_line(loop) for _ in range(3)]
    broken = lines[1][0]
    broken.closes = lambda: 1 / 0
    for line, _ in lines:
        line.there.sendall(frame(9, b"ping") + frame(1, usual(1)))
    loop.turn()
    assert broken.aborted and [type(told["exception"]) for told in loop.complaints] == [ZeroDivisionError]
    assert loop.complaints[0]["transport"] is broken and loop.complaints[0]["protocol"] is broken.ear
    assert [len(went) for _, went in lines] == [1, 0, 1]
    lines[0][0].say(usual(2))
    loop.turn()
    assert len(lines[0][1]) == 2


def test_what_must_stop_the_process_is_told_to_the_loop_after_the_turn():
    def stop():
        raise KeyboardInterrupt

    loop = Loop()
    lines = [a_line(loop) for _ in range(3)]
    for line, _ in lines:
        line.there.sendall(frame(9, b"ping") + frame(1, usual(1)))
    lines[0][0].closes = stop
    with pytest.raises(KeyboardInterrupt):
        loop.turn()
    assert [len(went) for _, went in lines] == [0, 1, 1] and not loop.complaints


def test_each_thread_has_its_own_and_no_loop_reads_for_another():
    here = Loop()
    mine, went = a_line(here)
    done = []

    def elsewhere():
        loop = Loop()
        line, heard = a_line(loop)
        line.say(usual(1))
        mine.say(usual(1))
        loop.turn()
        done.append((len(heard), len(went), len(loop.readers)))
        line.end()

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join(10)
    assert done == [(1, 0, 1)]
    second = Loop()  # of this thread
    other, heard = a_line(second)
    other.say(usual(1))
    second.turn()
    here.turn()
    assert len(went) == len(heard) == 1


def test_of_a_loop_that_is_gone_nothing_is_left():
    gc.collect()
    before = polls(), sum(type(thing).__module__ == "offhook._hot" for thing in gc.get_objects())
    loop = Loop()
    lines = [a_line(loop)[0] for _ in range(5)]
    assert polls() == before[0] + 1
    loop.readers.clear()  # it was closed
    assert polls() == before[0]
    lines[0].ear.attach(None)
    lines[1].end()
    del lines, loop
    gc.collect()
    assert (polls(), sum(type(thing).__module__ == "offhook._hot" for thing in gc.get_objects())) == before


def test_a_thousand_connections_leave_nothing(tmp_path):
    loop, before = Loop(), polls()
    count = sys.getrefcount(loop)
    kept, _ = a_line(loop)
    for n in range(1000):
        line, went = a_line(loop)
        line.say(usual(1))
        loop.turn()
        assert len(went) == 1
        line.ear.attach(None) if n % 2 else line.end()
    assert len(loop.readers) == 1 and kept.here.fileno() >= 0
    kept.end()
    del line
    gc.collect()
    assert polls() == before and sys.getrefcount(loop) - count <= 1  # `kept` knows it still


# ------------------------------------------------------------------------------------------ on a loop's own transports


class Protocol(asyncio.BufferedProtocol):
    """picows' place behind an Ear, on a real transport."""

    def __init__(self):
        self.got = b""
        self.ends = []
        self.news = asyncio.Event()
        self._room = bytearray(4096)

    def connection_made(self, transport):
        self.transport = transport

    def get_buffer(self, hint):
        return memoryview(self._room)

    def buffer_updated(self, n):
        self.got += self._room[:n]
        self.news.set()

    def eof_received(self): ...

    def connection_lost(self, error):
        self.ends.append(error)
        self.news.set()


class Owner:
    def closes(self):
        return False


class Pair:
    """A transport whose connection C reads, and the peer's blocking socket."""

    def __init__(self, transport, ear, protocol, peer):
        self.transport, self.ear, self.protocol, self.peer = transport, ear, protocol, peer
        self.went = []
        ear.belongs_to(Owner())
        ear.attach(a_way_up(hot.Pen(self.went.append)))
        self.polled = ear.reads(
            asyncio.get_running_loop(), transport, transport.get_extra_info("socket").fileno()
        )  # fmt: skip

    @classmethod
    async def made(cls):
        from offhook.net.picows_seam import Ear

        loop, protocol, accepted = asyncio.get_running_loop(), Protocol(), asyncio.Event()
        ears = []

        def an_ear():
            ears.append(Ear(protocol, True))
            accepted.set()
            return ears[0]

        server = await loop.create_server(an_ear, "127.0.0.1", 0)
        peer = socket.create_connection(server.sockets[0].getsockname()[:2])
        await accepted.wait()
        await asyncio.sleep(0)
        await asyncio.sleep(0.01)  # its reader is there
        server.close()
        return cls(protocol.transport, ears[0], protocol, peer)

    async def until(self, true):
        for _ in range(2000):
            if true():
                return
            await asyncio.sleep(0.005)
        pytest.fail("it did not happen")


@pytest.mark.parametrize("loop", kit.LOOPS)
@pytest.mark.parametrize("how", ["close", "reset", "abort", "urgent", "way ends"])
def test_on_a_loop_a_connection_is_read_to_its_end(loop, how):
    async def main():
        before = polls()
        pair = await Pair.made()
        assert pair.polled and not pair.transport.is_reading() and polls() == before + 1
        for n in range(1, 31):
            pair.peer.sendall(frame(1, usual(n)) + frame(9, b"%d" % n))
        await pair.until(lambda: len(pair.went) == 30 and len(pair.protocol.got) >= 30 * 7)
        if how == "urgent":
            pair.peer.send(b"!", socket.MSG_OOB)
            pair.peer.sendall(frame(1, usual(31)))
            await pair.until(lambda: len(pair.went) == 31)
            assert pair.transport.is_reading()
        if how == "way ends":
            pair.ear.attach(None)
            pair.peer.sendall(frame(1, usual(31)))
            await pair.until(lambda: len(pair.protocol.got) > 400)
            assert pair.transport.is_reading() and len(pair.went) == 30
        if how == "abort":
            pair.peer.sendall(frame(1, usual(31)))
            pair.ear.attach(None)
            pair.transport.abort()
        if how == "reset":
            pair.peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        pair.peer.close()
        await pair.until(lambda: pair.protocol.ends)
        assert len(pair.protocol.ends) == 1 and polls() == before
        if how == "abort":
            assert len(pair.went) == 30

    kit.run(main, loop)
