"""The compiled parts one by one: what they take for usual against the wires' own readers, bytes against bytes."""

import base64
import gc
import json
import random
import socket
import sys
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.net.kit import frame
from tests.net.test_straight import SID, World

from offhook import vocab as v
from offhook.bridge.uplink import is_loud
from offhook.media.levels import Meter
from offhook.net.hot import hot
from offhook.wires.carriers import twilio
from offhook.wires.providers import loopback, openai, xai

if hot is None:
    pytest.skip("nothing was compiled: no C compiler when Offhook was installed", allow_module_level=True)

from offhook.net.compiled import _pattern

AUDIO = base64.b64encode(b"\x21" * 160).decode()
PROVIDERS = {
    "openai": openai.Leg(openai.SessionSettings(model="m", voice="marin", instructions="", api_key="sk-x")),
    "xai": xai.Leg(xai.SessionSettings(model="m", voice="ara", instructions="", api_key="xai-x")),
    "loopback": loopback.Leg(loopback.SessionSettings()),
}


def media(number="12", payload=AUDIO, **more):
    body = {"track": "inbound", "chunk": "11", "timestamp": "200", "payload": payload, **more}
    return {"event": "media", "sequenceNumber": number, "media": body, "streamSid": SID}


def mark(name="m3", number="12"):
    return {"event": "mark", "sequenceNumber": number, "streamSid": SID, "mark": {"name": name}}


def delta(payload=AUDIO, **more):
    return {
        "type": "response.output_audio.delta", "event_id": "e1", "response_id": "r1", "item_id": "i1",
        "output_index": 0, "content_index": 0, "delta": payload, **more,
    }  # fmt: skip


def spoken(name):
    """The same by one provider."""
    message = delta()
    if name == "loopback":
        del message["event_id"], message["output_index"]
    return message


def usual_leg():
    """A carrier's leg that expects number 12."""
    leg = twilio.Leg(twilio.CarrierSettings(public_url="https://a.example"))
    start = {"event": "start", "start": {"streamSid": SID, "callSid": "CA1"}, "streamSid": SID, "sequenceNumber": "0"}
    leg.receive(json.dumps(start).encode(), 0.0)
    for n in range(1, 12):
        leg.receive(json.dumps(media(str(n))).encode(), 0.0)
    assert leg.expects() == 12
    return leg


LEG = usual_leg()
MEDIA, MARK = _pattern(LEG.way().media), _pattern(LEG.way().mark)
OWNS = (SID.encode(), b"", b"")


def match(pattern, data, owns=OWNS):
    return pattern.match(data, owns, b"12")


# --------------------------------------------------------------------------- what is usual, and what is not

compact = st.sampled_from([(",", ":"), (", ", ": "), (" ,\n", "\t:  ")])
odd_text = st.sampled_from(
    ["", "a", "ü", "\\", '"', "\x00", "\x7f", "AA==", "AAAA", "=AAA", "A=AA", "A===", "m07", "m0"]
)
odd_value = st.one_of(
    odd_text, st.integers(-2, 10**20), st.none(), st.booleans(), st.floats(), st.just({}), st.just([])
)


@st.composite
def almost(draw, message):
    """A message that is ``message`` but for something: a value, a name, an order, a blank, a byte."""
    message = json.loads(json.dumps(message))
    inner = [value for value in message.values() if isinstance(value, dict)]
    for _ in range(draw(st.integers(0, 2))):
        node = draw(st.sampled_from([message, *inner]))
        what = draw(st.sampled_from(["set", "drop", "add", "turn"]))
        if not node:
            continue
        name = draw(st.sampled_from(sorted(node)))
        if what == "set":
            node[name] = draw(odd_value)
        elif what == "drop":
            del node[name]
        elif what == "add":
            node[draw(st.sampled_from(["x", "media", "mark", "type", "payload", "event"]))] = draw(odd_value)
        else:
            node[name] = node.pop(name)  # to the end
    data = bytearray(json.dumps(message, separators=draw(compact), ensure_ascii=draw(st.booleans())).encode())
    for _ in range(draw(st.integers(0, 2))):
        at = draw(st.integers(0, max(0, len(data) - 1)))
        match draw(st.sampled_from(["byte", "cut", "insert", "double", "none", "none"])):
            case "byte":
                data[at : at + 1] = bytes([draw(st.integers(0, 255))])
            case "cut":
                del data[at:]
            case "insert":
                data[at:at] = draw(st.binary(max_size=3))
            case "double":
                data[at:at] = data[at : at + draw(st.integers(1, 40))]
            case _:
                pass
    return bytes(data)


@settings(max_examples=120, deadline=None)
@given(almost(media()))
def test_what_counts_as_a_usual_frame_is_read_alike_by_the_wire(data):
    leg = usual_leg()
    found = match(MEDIA, data)
    if found is not None and len(found) == len(AUDIO) and found.endswith(b"=="):
        assert leg.usual(data) == found


@settings(max_examples=80, deadline=None)
@given(almost(mark()))
def test_what_counts_as_our_mark_is_read_alike_by_the_wire(data):
    leg = usual_leg()
    found = match(MARK, data)
    if found is not None:
        assert leg.receive(data, 0.0) == v.MarkReturned(f"m{found}")
        assert leg._next_sequence == 13


@pytest.mark.parametrize("name", PROVIDERS)
@settings(max_examples=80, deadline=None)
@given(st.data())
def test_what_counts_as_usual_speech_is_read_alike_by_the_wire(name, drawn):
    leg = PROVIDERS[name]
    data = drawn.draw(almost(spoken(name)))
    found = match(_pattern(leg.way().delta), data, (b"r1", b"i1", b"0"))
    if found is not None:
        event = leg.receive(data, 0.0)
        assert (event.response_id, event.item_id, event.content_index) == ("r1", "i1", 0)
        assert event.payload == found and event.n_bytes == len(base64.b64decode(found))


@given(st.binary(max_size=700))
@settings(max_examples=80, deadline=None)
def test_no_bytes_are_too_strange(data):
    for pattern in (MEDIA, MARK):
        match(pattern, data)
        match(pattern, json.dumps(media()).encode()[: len(data)] + data)


@pytest.mark.parametrize("pattern,message,found", [
    (MEDIA, media(), AUDIO.encode()), (MARK, mark("m3"), 3), (MARK, mark("m123456789"), 123456789),
    *[(_pattern(leg.way().delta), spoken(name), AUDIO.encode()) for name, leg in PROVIDERS.items()],
])  # fmt: skip
@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": ")])
def test_what_is_usual_matches_in_any_order(pattern, message, found, separators):
    for turned in (message, dict(reversed(message.items()))):
        owns = OWNS if "event" in message else (b"r1", b"i1", b"0")
        assert match(pattern, json.dumps(turned, separators=separators).encode(), owns) == found


@pytest.mark.parametrize("odd", [
    media("13"), media(12), media(track="outbound"), media(payload="AAA"), media(payload="!" * 216), media(payload=""),
    media(x=1), {**media(), "streamSid": "MZ1"}, {**media(), "event": "mark"}, mark("m03"), mark("x3"), mark("m"),
    mark("m1234567890"), mark("m3", "13"), media(chunk="a\\b"), media(timestamp=-1), media(timestamp=1.5),
])  # fmt: skip
def test_what_is_not_usual_is_left_to_the_wire(odd):
    data = json.dumps(odd).encode()
    assert match(MEDIA, data) is None and match(MARK, data) is None


def test_a_name_that_stands_twice_is_left_to_the_wire():
    twice = json.dumps(media()).encode().replace(b'"event"', b'"streamSid":"MZ1","event"', 1)
    assert match(MEDIA, twice) is None


# ------------------------------------------------------------------------------------------------- the meters


@settings(max_examples=30, deadline=None)
@given(st.lists(st.one_of(st.binary(min_size=160, max_size=160), st.integers(0, 255).map(lambda n: bytes([n]) * 160)),
                min_size=5, max_size=12), st.integers(0, 1))  # fmt: skip
def test_frames_are_looked_at_as_in_python(frames, looked_before):
    now = [0.0]
    way = hot.Way(lambda: now[0], lambda: None, lambda *_: None, 100, 5)
    sent = []
    assert way.lay_up(hot.Pen(sent.append), MEDIA, MARK, SID.encode(), b"<", b">", 216, 160, None)
    meter, seen = Meter(), []
    for _ in range(looked_before):
        meter.look(AUDIO.encode())
    before = meter.figures()
    way.expect(1, 0.0, meter.looked)
    for n, audio in enumerate(frames, 1):
        now[0] = float(n)
        payload = base64.b64encode(audio)
        assert way.up(json.dumps(media(str(n), payload.decode())).encode())
        if n % 5 == 0:
            seen.append((0, int(is_loud(payload)), float(n), 0, meter.look(payload)))
    assert sent == [b"<" + base64.b64encode(audio) + b">" for audio in frames]
    n_frames, widest, last, looks, down, _, _, notes = way.take()
    assert (n_frames, widest, last, down, list(notes)) == (len(frames), 1.0, float(len(frames)), None, seen)
    also = Meter.read(before)
    also.add_looks(looks)
    assert also.figures() == meter.figures()
    assert way.take() is None


# --------------------------------------------------------------------------------------------------- the pen


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("size", [0, 2, 90, 93, 700, 11000])
def test_a_pen_writes_frames_that_another_reader_reads(masked, size):
    here, there = socket.socketpair()
    with here, there:
        rest = []
        way = hot.Way(lambda: 0.0, lambda: None, lambda *error: rest.append(error), 100, 5)
        pen = hot.Pen(rest.append, lambda: 0, here.fileno(), masked)
        payload = base64.b64encode(b"\x35" * max(1, size))
        way.lay_down(pen, _pattern(PROVIDERS["openai"].way().delta), b"[", b"]", b"{", b"}", b"m", 1, 400, None)
        way.speak(b"r1", b"i1", 0, 0, 6, True, True, (), True, 0, 0)
        assert way.down(json.dumps(delta(payload.decode())).encode())
        got = there.recv(1 << 17)
        assert unframed(got, masked) == [b"[" + payload + b"]", b"{m7}"]
        assert rest == []


def unframed(data, masked):
    """The messages in ``data``, read by the letter of RFC 6455, 5.2."""
    found = []
    while data:
        assert data[0] == 0x81 and data[1] >> 7 == masked
        n, at = data[1] & 127, 2
        if n == 126:
            n, at = int.from_bytes(data[2:4], "big"), 4
        key = data[at : at + 4] if masked else bytes(4)
        at += 4 * masked
        found.append(bytes(byte ^ key[i % 4] for i, byte in enumerate(data[at : at + n])))
        data = data[at + n :]
    return found


def a_way_up(pen, settle=lambda: None, broke=lambda *_: None):
    way = hot.Way(lambda: 0.0, settle, broke, 50, 5)
    way.lay_up(pen, MEDIA, MARK, SID.encode(), b"", b"", 216, 160, None)
    way.expect(1, 0.0, 0)
    return way


def say(way, n):
    return way.up(json.dumps(media(str(n))).encode())


def test_what_the_kernel_does_not_take_goes_to_the_transport_in_order():
    here, there = socket.socketpair()
    with here, there:
        here.setblocking(False)
        rest = []
        way = a_way_up(hot.Pen(rest.append, lambda: sum(map(len, rest)), here.fileno(), False))
        n = 0
        while not rest:
            n += 1
            assert say(way, n)
        assert say(way, n + 1)
        there.setblocking(False)
        got = b""
        while len(got) + sum(map(len, rest)) < (n + 1) * 220:
            got += there.recv(1 << 20)
        assert unframed(got + b"".join(rest), False) == [AUDIO.encode()] * (n + 1)
        before = len(rest)
        assert say(way, n + 2) and len(rest) == before + 1  # the kernel has room again, the transport comes first


class Transport:
    """As a loop's: what the kernel does not take waits until somebody lets it go on."""

    def __init__(self, sock):
        self.sock = sock
        self.rest = b""
        self.asked = 0

    def waiting(self):
        self.asked += 1
        return len(self.rest)

    def write(self, data):
        self.rest += data
        self.go_on()

    def go_on(self):
        try:
            while self.rest:
                self.rest = self.rest[self.sock.send(self.rest) :]
        except BlockingIOError:
            pass


def test_an_empty_transport_is_asked_once_until_somebody_else_writes():
    here, there = socket.socketpair()
    with here, there:
        here.setblocking(False)
        transport = Transport(here)
        pen = hot.Pen(transport.write, transport.waiting, here.fileno(), False)
        way = a_way_up(pen)
        assert all(say(way, n) for n in range(1, 20)) and transport.asked == 1
        pen.beside()
        assert all(say(way, n) for n in range(20, 40)) and transport.asked == 2


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(["pen", "pen", "pen", "other", "drain", "read", "read little"]), max_size=60))
def test_two_writers_and_a_slow_reader_keep_their_order(what):
    here, there = socket.socketpair()
    with here, there:
        for end in (here, there):
            end.setblocking(False)
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        transport, wrote, got, n = Transport(here), [], b"", 0
        pen = hot.Pen(transport.write, transport.waiting, here.fileno(), False)
        way = a_way_up(pen)
        for one in what:
            if one == "pen":
                n += 1
                assert say(way, n)
                wrote.append(AUDIO.encode())
            elif one == "other":
                wrote.append(bytes([97 + n % 26]) * 9000)  # more than the kernel takes
                pen.beside()
                transport.write(frame(1, wrote[-1], mask=False))
            elif one == "drain":
                transport.go_on()
            else:
                try:
                    got += there.recv(700 if one == "read little" else 1 << 20)
                except BlockingIOError:
                    pass
        while sum(map(len, wrote)) + 4 * len(wrote) > len(got):
            transport.go_on()
            got += there.recv(1 << 20)
        assert unframed(got, False) == wrote


def test_a_dead_socket_is_the_transports_to_tell():
    here, there = socket.socketpair()
    there.close()
    with here:
        rest = []
        assert say(a_way_up(hot.Pen(rest.append, lambda: 0, here.fileno(), False)), 1)
        assert len(rest) == 1


def test_a_pen_that_was_shut_writes_nothing():
    here, there = socket.socketpair()
    with here, there:
        pen = hot.Pen(lambda data: pytest.fail("written"), lambda: 0, here.fileno(), False)
        way = a_way_up(pen)
        pen.shut()
        assert say(way, 1)
        there.setblocking(False)
        with pytest.raises(BlockingIOError):
            there.recv(1)


# --------------------------------------------------------------------------------------------------- the ear


class Inner:
    """picows' place: keeps what it is given, through a buffer of ``room`` bytes."""

    def __init__(self, room):
        self.room = bytearray(room)
        self.got = b""
        self.told = []

    def get_buffer(self, hint):
        return memoryview(self.room)

    def buffer_updated(self, n):
        self.got += self.room[:n]

    def connection_lost(self, error):
        self.told.append(error)


class Owner:
    def __init__(self):
        self.error = None
        self.closing = False

    def closes(self):
        return self.closing

    def defect(self, error):
        self.error = error


def an_ear(room=4096):
    inner, owner = Inner(room), Owner()
    ear = hot.Ear(inner, True)
    ear.belongs_to(owner)
    return ear, inner, owner


def read(ear, data):
    """As a transport reads."""
    view = memoryview(ear.get_buffer(-1))
    view[: len(data)] = data
    view.release()
    ear.buffer_updated(len(data))


pieces = st.lists(
    st.one_of(
        st.sampled_from(["usual", "usual", "usual"]),
        st.tuples(st.sampled_from([1, 2, 0, 8, 9, 10, 3]), st.binary(max_size=130), st.booleans(), st.integers(0, 1)),
        st.tuples(st.just(1), st.integers(16380, 17000).map(bytes), st.just(True), st.just(0)),
    ),
    max_size=8,
)


@settings(max_examples=80, deadline=None)
@given(pieces, st.lists(st.integers(1, 900), min_size=1, max_size=40), st.integers(1, 5000))
def test_an_ear_takes_usual_messages_and_leaves_every_other_byte(what, cuts, room):
    ear, inner, _ = an_ear(room)
    sent = []
    ear.attach(a_way_up(hot.Pen(sent.append)))
    data, left, usual, in_pieces = b"", b"", 0, False
    for piece in what:
        if piece == "usual":
            made = frame(1, json.dumps(media(str(usual + 1))).encode())
            usual += not in_pieces
            left += made if in_pieces else b""
        else:
            opcode, payload, fin, rsv = piece
            made = frame(opcode, payload, fin=fin, rsv=rsv)
            left += made
            if opcode in (1, 2) and not fin:
                in_pieces = True
            elif opcode == 0 and fin:
                in_pieces = False
        data += made
    at = 0
    for cut in cuts:
        read(ear, data[at : at + cut])
        at += cut
    while at < len(data):
        read(ear, data[at : at + 30000])
        at += 30000
    assert inner.got == left
    assert sent == [AUDIO.encode()] * usual
    assert ear.took() is (usual > 0) and ear.took() is False


def test_behind_a_close_an_ear_takes_nothing():
    ear, inner, owner = an_ear()
    ear.attach(a_way_up(hot.Pen(lambda data: pytest.fail("taken"))))
    owner.closing = True
    data = frame(8, b"\x03\xe8") + frame(1, json.dumps(media("1")).encode())
    read(ear, data)
    assert inner.got == data


def test_without_a_way_an_ear_passes_everything_on_as_it_comes():
    ear, inner, _ = an_ear()
    data = frame(1, json.dumps(media("1")).encode())
    for at in range(len(data)):
        read(ear, data[at : at + 1])
        assert inner.got == data[: at + 1]


def test_an_error_in_a_way_is_told_to_the_socket_and_the_next_message_is_heard():
    ear, inner, owner = an_ear()
    way = hot.Way(lambda: 1 / 0, lambda: None, lambda *_: None, 50, 5)
    way.lay_up(hot.Pen(print), MEDIA, MARK, SID.encode(), b"", b"", 216, 160, None)
    way.expect(1, 0.0, 0)
    ear.attach(way)
    read(ear, frame(1, json.dumps(media("1")).encode()) + frame(9, b"ping"))
    assert isinstance(owner.error, ZeroDivisionError)
    assert len(inner.got) == 10


def test_a_lost_connection_is_told_once_and_nobody_is_kept():
    ear, inner, owner = an_ear()
    ear.attach(a_way_up(hot.Pen(print)))
    ear.connection_lost(None)
    ear.connection_lost(None)
    assert inner.told == [None]
    assert not {id(inner), id(owner)} & {id(other) for other in gc.get_referents(ear)}


# --------------------------------------------------------------------------------------------- what is left


def test_nothing_is_left_of_a_thousand_calls(tmp_path):
    gc.collect()

    def living():
        gc.collect()
        return sum(type(thing).__module__ == "offhook._hot" for thing in gc.get_objects())

    world = World(tmp_path, way="compiled")
    before = living()
    for n in range(1000):
        World(tmp_path, way="compiled") if n % 100 else World(tmp_path, way="compiled").frames(70)
    assert living() == before
    assert world.call.ended is None


def test_frames_leave_no_memory_and_no_references_behind():
    sent, chance = [], random.Random(3)
    way = a_way_up(hot.Pen(sent.append), settle=lambda: way.take())
    way.lay_down(
        hot.Pen(sent.append), _pattern(PROVIDERS["xai"].way().delta), b"[", b"]", b"{", b"}", b"m", 1600, 400, None
    )
    head = AUDIO.encode()

    def go(n):
        for _ in range(n):
            number[0] += 1
            assert say(way, number[0])
            way.up(b"{" * chance.randrange(50))
            way.speak(b"r1", b"i1", 0, 0, 6, True, True, (160,), False, 0, 0)
            assert way.down(json.dumps(delta()).encode())
            sent.clear()

    number = [0]
    go(200)
    references = [sys.getrefcount(thing) for thing in (MEDIA, head, sent, hot.Way)]
    tracemalloc.start()
    try:
        go(200)
        first = tracemalloc.get_traced_memory()[0]
        go(4000)
        assert tracemalloc.get_traced_memory()[0] - first < 4096
    finally:
        tracemalloc.stop()
    assert [sys.getrefcount(thing) for thing in (MEDIA, head, sent, hot.Way)] == references
