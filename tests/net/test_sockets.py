"""The socket adapter against raw frames and an independent peer."""

import asyncio

import pytest
import websockets
from tests.net.kit import SMALL, Ear, Raw, asking, frame, run, serving, upgrade_head
from tests.net.peers import answer_upgrade
from tests.standing import Elapsed

from offhook.net.client import dial
from offhook.net.sockets import Limits, Socket

TEXT, BINARY, MORE, CLOSE, PING, PONG = 1, 2, 0, 8, 9, 10


@pytest.mark.parametrize("size", [0, 125, 126, 330, 65535, 65536, 1024 * 1024])
def test_text_of_every_length_class_comes_and_goes_whole(size, loop):
    async def main():
        async with serving(echo=True) as it:
            async with websockets.connect(it.url, compression=None, max_size=None) as peer:
                data = "x" * size
                await peer.send(data)
                assert await peer.recv() == data
            assert await it.ears[0].end() == (1000, "", "them")
            assert it.server.open_sockets == 0

    run(main, loop)


def test_binary_is_told_apart_from_text(loop):
    async def main():
        async with serving() as it, websockets.connect(it.url) as peer:
            await peer.send(b"\x00\xff")
            ear = it.ears[0]
            await ear.until(lambda: ear.binaries)
            assert (ear.texts, ear.binaries) == ([], [b"\x00\xff"])

    run(main, loop)


def test_fragments_become_one_message_and_are_counted_with_a_ping_between(loop):
    async def main():
        async with serving() as it:
            raw = await it.raw_socket()
            raw.send(frame(TEXT, b"", fin=False) + frame(MORE, b"one ", fin=False) + frame(PING, b"p"))
            assert await raw.frame() == (PONG, b"p")
            raw.send(frame(MORE, b"two") + frame(BINARY, b"\x01", fin=False) + frame(MORE, b"\x02") + frame(TEXT, b"z"))
            ear = it.ears[0]
            await ear.until(lambda: len(ear.texts) == 2)
            assert ear.texts == [b"one two", b"z"]
            assert ear.binaries == [b"\x01\x02"]
            assert (await ear.open()).fragments == 2

    run(main, loop)


def test_a_message_at_the_limit_passes_and_one_byte_more_in_fragments_is_refused_by_name():
    async def main():
        async with serving(limits=Limits(max_message_bytes=1000, close_grace_s=0.1)) as it:
            raw = await it.raw_socket()
            raw.send(frame(TEXT, b"a" * 600, fin=False) + frame(MORE, b"a" * 400))
            ear = it.ears[0]
            await ear.until(lambda: ear.texts)
            raw.send(frame(TEXT, b"a" * 600, fin=False) + frame(MORE, b"a" * 401) + frame(TEXT, b"not heard"))
            assert await raw.close_code() == 1009
            assert await ear.end() == (1009, "message over 1000 bytes", "us")
            assert len(ear.texts) == 1

    run(main)


def test_a_frame_over_the_limit_is_refused_before_it_was_read():
    async def main():
        async with serving(limits=Limits(max_message_bytes=1000, close_grace_s=0.1)) as it:
            raw = await it.raw_socket()
            raw.send(frame(TEXT, b"a" * 1001)[:20])
            assert await raw.close_code() == 1009
            code, reason, by = await it.ears[0].end()
            assert (code, by) == (1009, "us")
            assert "1001 > 1000" in reason

    run(main)


HOSTILE = {
    "rsv1 on text": (frame(TEXT, b"x", rsv=4), 1002),
    "rsv2 on text": (frame(TEXT, b"x", rsv=2), 1002),
    "rsv3 on text": (frame(TEXT, b"x", rsv=1), 1002),
    "rsv1 on binary": (frame(BINARY, b"x", rsv=4), 1002),
    "rsv1 on a ping": (frame(PING, b"x", rsv=4), 1002),
    "rsv2 on a continuation": (frame(TEXT, b"x", fin=False) + frame(MORE, b"x", rsv=2), 1002),
    "unmasked": (frame(TEXT, b"x", mask=False), 1002),
    "opcode 3": (frame(3, b"x"), 1002),
    "opcode 11": (frame(11, b"x"), 1002),
    "continuation of nothing": (frame(MORE, b"x"), 1002),
    "text inside a message": (frame(TEXT, b"x", fin=False) + frame(TEXT, b"x"), 1002),
    "binary inside a message": (frame(TEXT, b"x", fin=False) + frame(BINARY, b"x"), 1002),
    "fragmented ping": (frame(PING, b"x", fin=False), 1002),
    "ping of 126 bytes": (frame(PING, b"x" * 126), 1002),
    "close with half a code": (frame(CLOSE, b"\x03"), 1002),
    "close with code 999": (frame(CLOSE, (999).to_bytes(2, "big")), 1002),
    "close with code 1006": (frame(CLOSE, (1006).to_bytes(2, "big")), 1002),
    "close with a reason that is no UTF-8": (frame(CLOSE, (1000).to_bytes(2, "big") + b"\xff"), 1007),
    "length of 64 bits for 5 bytes": (b"\x81\xff" + (5).to_bytes(8, "big") + bytes(9), 1002),
    "length with the top bit": (b"\x81\xff" + b"\xff" * 8 + bytes(4), 1002),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_broken_frame_ends_the_connection_by_code_and_nothing_after_it_is_heard(case):
    data, code = HOSTILE[case]

    async def main():
        async with serving() as it:
            raw = await it.raw_socket()
            raw.send(frame(TEXT, b"fine") + data)
            assert await raw.close_code() == code
            raw.send(frame(TEXT, b"afterwards"))
            ear = it.ears[0]
            got, reason, by = await ear.end()
            assert (got, by) == (code, "us")
            assert reason
            assert ear.texts in ([b"fine"], [])  # picows may drop a good frame that came with a broken one

    run(main)


def test_text_that_is_no_utf8_is_handed_on_as_it_came():
    async def main():
        async with serving() as it:
            raw = await it.raw_socket()
            raw.send(frame(TEXT, b"\xff\xfe"))
            ear = it.ears[0]
            await ear.until(lambda: ear.texts)
            assert ear.texts == [b"\xff\xfe"]

    run(main)


# ------------------------------------------------------------------------------------------------- ends


def test_a_peers_close_is_answered_with_its_code_and_told(loop):
    async def main():
        async with serving() as it:
            raw = await it.raw_socket()
            raw.send(frame(CLOSE, (4001).to_bytes(2, "big") + "zu spät".encode()))
            assert await raw.frame() == (CLOSE, (4001).to_bytes(2, "big"))
            assert await raw.rest() == b""
            assert await it.ears[0].end() == (4001, "zu spät", "them")

    run(main, loop)


def test_a_close_without_a_code_is_1005():
    async def main():
        async with serving() as it:
            raw = await it.raw_socket()
            raw.send(frame(CLOSE))
            assert await raw.close_code() == 1000
            assert await it.ears[0].end() == (1005, "", "them")

    run(main)


def test_nothing_is_heard_after_the_peers_close():
    async def main():
        async with serving() as it:
            raw = await it.raw_socket()
            raw.send(frame(CLOSE, b"\x03\xe8") + frame(TEXT, b"late") + frame(BINARY, b"late"))
            await it.ears[0].end()
            assert it.ears[0].texts == [] and it.ears[0].binaries == []

    run(main)


def test_our_close_reaches_the_peer_with_code_and_reason(loop):
    async def main():
        async with serving() as it, websockets.connect(it.url) as peer:
            socket = await it.ears[0].open()
            socket.close(4001, "bye")
            socket.close(1000, "not this one")
            with pytest.raises(websockets.ConnectionClosedError) as caught:
                await peer.recv()
            assert (caught.value.rcvd.code, caught.value.rcvd.reason) == (4001, "bye")
            assert await it.ears[0].end() == (4001, "bye", "us")

    run(main, loop)


class Watched:
    """A pen that counts how often it was told that somebody else writes."""

    def __init__(self):
        self.told = 0

    def beside(self):
        self.told += 1

    def shut(self): ...


def test_whatever_a_socket_writes_itself_its_pen_is_told_of():
    async def main():
        limits = Limits(max_message_bytes=1024, ping_every_s=0.05)
        async with serving(limits=limits) as it:
            raw = await it.raw_socket()
            socket = await it.ears[0].open()
            if socket.pen() is None:
                pytest.skip("nothing was compiled")
            pen = socket._pen = Watched()
            socket.resume_writing()  # takes the sender anew
            for write, frames in (
                (lambda: socket.send(b"one"), 1),
                (lambda: socket.send_both(b"one", b"two"), 2),
                (lambda: socket.send_binary(b"three"), 1),
                (lambda: raw.send(frame(PING, b"?")), 1),  # a pong
                (lambda: None, 1),  # a ping, for nothing comes
                (lambda: (socket.pause_writing(), socket.send(b"four"), socket.resume_writing()), 1),
            ):
                before = pen.told
                write()
                for _ in range(frames):
                    await raw.frame()
                assert pen.told > before
            before = pen.told
            socket.writer()(1, b"five")
            socket.attach(None)
            assert pen.told > before

    run(main)


def test_a_long_reason_is_cut_between_characters():
    async def main():
        async with serving() as it:
            raw = await it.raw_socket()
            (await it.ears[0].open()).close(1000, "ä" * 100)
            opcode, payload = await raw.frame()
            assert opcode == CLOSE and len(payload) <= 125
            assert payload[2:].decode() == "ä" * 61

    run(main)


@pytest.mark.parametrize("code", [0, 999, 1005, 1006, 1015, 5000])
def test_a_code_that_nobody_may_send_is_refused_locally(code):
    with pytest.raises(ValueError, match=str(code)):
        Socket(None, SMALL).close(code)


def test_what_comes_after_our_close_is_heard_until_the_peer_has_closed_too():
    async def main():
        async with serving() as it:
            raw = await it.raw_socket()
            ear = it.ears[0]
            (await ear.open()).close()
            assert await raw.close_code() == 1000
            raw.send(frame(TEXT, b"stop") + frame(CLOSE, b"\x03\xe8"))
            assert await ear.end() == (1000, "", "us")
            assert ear.texts == [b"stop"]

    run(main)


def test_a_peer_that_does_not_answer_our_close_is_dropped_after_the_grace(loop):
    async def main():
        async with serving() as it:
            await it.raw_socket()
            began, took = asyncio.get_running_loop().time(), Elapsed()
            (await it.ears[0].open()).close(1000, "")
            assert await it.ears[0].end() == (1000, "", "us")
            assert 0.1 < asyncio.get_running_loop().time() - began < 1 + took.stood()

    run(main, loop)


@pytest.mark.parametrize("how", ["fin", "reset"])
def test_a_dropped_connection_is_nobodys_close(how, loop):
    async def main():
        async with serving() as it:
            raw = await it.raw_socket()
            await it.ears[0].open()
            raw.close() if how == "fin" else raw.reset()
            assert await it.ears[0].end() == (None, "", "nobody")

    run(main, loop)


def test_writing_after_the_end_does_nothing():
    async def main():
        async with serving() as it:
            raw = await it.raw_socket()
            socket = await it.ears[0].open()
            raw.reset()
            await it.ears[0].end()
            socket.send(b"x")
            socket.send_both(b"x", b"y")
            socket.close()
            socket.abort(1006, "again")
            assert socket.buffered_bytes == 0

    run(main)


def test_nothing_is_written_behind_a_close_frame():
    async def main():
        async with serving() as it:
            raw = await it.raw_socket()
            socket = await it.ears[0].open()
            raw.send(frame(3, b"x"))  # picows itself closes
            assert await raw.close_code() == 1002
            socket.send(b"x")
            socket.send_both(b"x", b"y")
            assert await raw.rest() == b""

    run(main)


@pytest.mark.parametrize("behind", [frame(TEXT, b"x" * 1001), frame(3, b"x"), frame(CLOSE, b"\x03")],
                         ids=["too long", "opcode 3", "half a code"])  # fmt: skip
def test_what_stands_before_a_refused_frame_in_one_read_is_heard_and_nothing_behind_it(behind):
    async def main():
        async with serving(limits=Limits(max_message_bytes=1000, close_grace_s=0.1)) as it:
            raw = await it.raw_socket()
            raw.send(frame(TEXT, b"start") + behind + frame(TEXT, b"late"))
            assert await raw.close_code() in (1002, 1009)
            raw.send(frame(TEXT, b"later"))
            code, _, by = await it.ears[0].end()
            assert by == "us" and code in (1002, 1009)
            assert it.ears[0].texts == [b"start"]

    run(main)


# -------------------------------------------------------------------------------------------- both roles


def test_two_messages_in_one_write_arrive_in_order_between_others(loop):
    async def main():
        async with serving() as it, websockets.connect(it.url, max_size=None) as peer:
            socket = await it.ears[0].open()
            sent = [b"a", b"b" * 10, b"c" * 200, b"d" * 70000, b"e" * 2000, b"f"]
            socket.send(sent[0])
            socket.send_both(sent[1], sent[2])
            socket.send_both(sent[3], sent[4])
            socket.send(sent[5])
            assert [(await peer.recv()).encode() for _ in sent] == sent

    run(main, loop)


def test_a_client_socket_masks_both_messages(loop):
    async def main():
        async with serving() as it:
            ear = Ear()
            socket = await dial(asking(it.url), ear)
            socket.send_both(b"one", b"two")
            there = it.ears[0]
            await there.until(lambda: len(there.texts) == 2)
            assert there.texts == [b"one", b"two"]
            socket.close()
            await ear.end()

    run(main, loop)


def test_a_masked_frame_from_a_server_is_refused():
    async def main():
        ended = asyncio.Event()

        async def serve(reader, writer):
            raw = Raw(reader, writer)
            await answer_upgrade(raw)
            raw.send(frame(TEXT, b"x", mask=True))
            await reader.read()
            writer.close()
            ended.set()

        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            ear = Ear()
            await dial(asking(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/"), ear)
            code, _, by = await ear.end()
            assert (code, by, ear.texts) == (1002, "us", [])
            await ended.wait()

    run(main)


# --------------------------------------------------------------------------------------------- keepalive


def test_a_ping_goes_out_only_while_nothing_comes():
    async def main():
        limits = Limits(max_message_bytes=1000, ping_every_s=0.05)
        async with serving(limits=limits) as it:
            raw = await it.raw_socket()
            assert (await raw.frame())[0] == PING
            raw.send(frame(TEXT, b"x"))
            await it.ears[0].until(lambda: it.ears[0].texts)
            raw.reset()

    run(main)


def test_missing_pongs_end_nothing_where_silence_is_allowed():
    async def main():
        limits = Limits(max_message_bytes=1000, ping_every_s=0.02)
        async with serving(limits=limits) as it:
            raw = await it.raw_socket()
            for _ in range(5):
                assert (await raw.frame())[0] == PING
            assert it.ears[0].ends == []

    run(main)


def test_pongs_alone_keep_a_leg_alive_and_their_end_is_named():
    async def main():
        limits = Limits(max_message_bytes=1000, ping_every_s=0.04, dead_after_s=0.08)
        async with serving(limits=limits) as it:
            raw = await it.raw_socket()
            for _ in range(5):  # 0.2 s and more, twice the time that silence is allowed
                opcode, payload = await raw.frame()
                assert opcode == PING
                raw.send(frame(PONG, payload))
            code, reason, by = await it.ears[0].end()
            assert (code, by) == (1006, "us")
            assert reason == "nothing came for 0.08 s, no pong either"

    run(main)


def test_early_frames_of_the_upgrades_segment_are_heard(loop):
    async def main():
        async with serving() as it:
            raw = await it.raw()
            raw.send(upgrade_head() + frame(TEXT, b"early") + frame(TEXT, b"e" * 50_000))
            assert (await raw.head()).startswith(b"HTTP/1.1 101 ")
            ear = it.ears[0]
            await ear.until(lambda: len(ear.texts) == 2)
            assert ear.texts == [b"early", b"e" * 50_000]

    run(main, loop)
