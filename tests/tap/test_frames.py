"""The passive readers: whatever goes by is read or named, however it is cut, and never raises."""

import random
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.net.kit import frame

from offhook.tap.frames import FrameReader
from offhook.tap.heads import HeadChanger, Requests, Responses


def fed(reader: FrameReader, data: bytes, cut: int) -> list[tuple[str, bytes, int]]:
    found = []
    for at in range(0, len(data), cut):
        found += [(one.kind, one.data, one.frames) for one in reader.feed(data[at : at + cut])]
    return found


@pytest.mark.parametrize("cut", [1, 3, 50, 100_000])
@pytest.mark.parametrize("mask", [True, False])
def test_messages_fragments_and_control_frames_are_read_however_they_are_cut(cut, mask):
    long = b"x" * 70_000
    data = (
        frame(1, b"one", mask=mask) + frame(1, b"tw", fin=False, mask=mask) + frame(9, b"?", mask=mask)
        + frame(0, b"o", mask=mask) + frame(2, b"\x00\xff", mask=mask) + frame(1, b"y" * 300, mask=mask)
        + (frame(1, long, mask=mask) if cut > 1 else b"") + frame(8, b"\x03\xe8bye", mask=mask)
    )  # fmt: skip
    found = fed(FrameReader(), data, cut)
    wanted = [("text", b"one", 1), ("ping", b"?", 1), ("text", b"two", 2), ("binary", b"\x00\xff", 1)]
    wanted += [("text", b"y" * 300, 1), *([("text", long, 1)] if cut > 1 else []), ("close", b"\x03\xe8bye", 1)]
    assert found == wanted


@pytest.mark.parametrize("forget", [True, False])
def test_compressed_messages_are_read_as_agreed(forget):
    agreed = "permessage-deflate" + ("; client_no_context_takeover" if forget else "")
    reader = FrameReader(agreed, "client")
    deflater = zlib.compressobj(wbits=-15)
    for text in (b'{"event":"media"}' * 9, b'{"event":"media"}' * 9, b"short"):
        if forget:
            deflater = zlib.compressobj(wbits=-15)
        packed = (deflater.compress(text) + deflater.flush(zlib.Z_SYNC_FLUSH))[:-4]
        assert [one.data for one in reader.feed(frame(1, packed, rsv=4))] == [text]
    assert [one.data for one in reader.feed(frame(1, b"plain"))] == [b"plain"]


@pytest.mark.parametrize(
    ("data", "why"),
    [(frame(1, b"", rsv=4), "reserved"), (frame(0, b"x"), "out of place"), (frame(3, b""), "out of place"),
     (b"\x81\xff" + b"\xff" * 8 + b"1234", "bytes"), (frame(9, b"", fin=False), "control")],
    ids=["reserved bit", "nothing to continue", "unknown opcode", "endless", "control in parts"],
)  # fmt: skip
def test_what_cannot_be_read_is_said_once_and_nothing_more_is_read(data, why):
    reader = FrameReader()
    assert reader.feed(data) == [] and why in str(reader.broken)
    assert reader.feed(frame(1, b"later")) == []


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=300), st.integers(1, 40))
def test_no_bytes_raise_in_any_reader(data, cut):
    taken: list = []
    readers = [FrameReader(), FrameReader("permessage-deflate"), Requests(taken.append), Responses(taken.append)]
    changer = HeadChanger({b"host": b"x"}, lambda kind, body: None)
    for at in range(0, len(data), cut):
        piece = data[at : at + cut]
        for reader in readers[:2]:
            reader.feed(piece)
        for reader in readers[2:]:
            reader.feed(piece, 0.0)
        changer.feed(piece)


def changed(changer: HeadChanger, data: bytes, seed: int) -> bytes:
    cuts = random.Random(seed)
    out, at = b"", 0
    while at < len(data):
        n = cuts.randint(1, 30)
        out += changer.feed(data[at : at + n])
        at += n
    return out


@pytest.mark.parametrize("seed", range(5))
def test_only_the_named_line_of_each_head_is_changed(seed):
    one = b"POST /v1 HTTP/1.1\r\nuser-AGENT: x\r\nHOST:  127.0.0.1:9\r\nContent-Length: 23\r\nX-Odd:y\r\n\r\n"
    one += b"GET / HTTP/1.1\r\nHost: b"
    two = b"GET /v1/realtime?model=m HTTP/1.1\r\nHost: 127.0.0.1:9\r\nUpgrade: websocket\r\n\r\n"
    two += b"\x81\x84abcdHost: z\r\n\r\n"
    out = changed(HeadChanger({b"host": b"api.openai.com"}), one + two, seed)
    assert out == (one + two).replace(b"HOST:  127.0.0.1:9", b"HOST: api.openai.com").replace(
        b"Host: 127.0.0.1:9", b"Host: api.openai.com"
    )


@pytest.mark.parametrize("seed", range(5))
def test_a_body_that_is_changed_gets_its_true_length_and_others_pass(seed):
    def shout(kind: bytes, body: bytes) -> bytes | None:
        return body.upper() + b"!" if kind == b"text/xml" else None

    xml = b"HTTP/1.1 200 OK\r\ncontent-type: text/xml\r\nContent-Length: 4\r\n\r\nabcd"
    other = b"HTTP/1.1 404 No\r\nContent-Type: text/plain\r\nContent-Length: 3\r\n\r\nabc"
    empty = b"HTTP/1.1 204 No Content\r\nDate: x\r\n\r\n"
    ended_by_close = b"HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\n\r\nno length: it lasts until the end\r\n\r\nabc"
    out = changed(HeadChanger({}, shout), xml + other + empty + ended_by_close, seed)
    assert out == xml.replace(b"Length: 4", b"Length: 5").replace(b"abcd", b"ABCD!") + other + empty + ended_by_close
