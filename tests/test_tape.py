"""The tape of a recording in C against the one in Python: the same events make the same file, byte for byte."""

import base64
import os
import random
import threading
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offhook.evidence import tape
from offhook.net.hot import hot

if hot is None:
    pytest.skip("nothing was compiled: no C compiler when Offhook was installed", allow_module_level=True)

resource = pytest.importorskip("resource")

FRAME = base64.b64encode(bytes(range(1, 161)))
ODD = (b"", b"A", b"AAA", b"AA=A", b"AA==", b"QUJD\nQUJD", b"\xff\xfeQUJD", b"=QUI=", b"AAAA====", b"AB==")

frames = st.lists(st.sampled_from((0, 0, 0, 20, 20, 20, 20, 21, 19, 40, 60, 61, 80, 140)), min_size=1, max_size=60)
steps = st.one_of(
    st.tuples(st.just("caller"), frames),
    st.tuples(st.just("caller"), frames),
    st.tuples(st.just("gap"), st.sampled_from((0, 5, 45, 90, 400, 1600, 5300, 9000))),
    st.tuples(st.just("burst"), st.integers(1, 400)),
    st.tuples(st.just("agent"), st.integers(0, 9000)),
    st.tuples(st.just("odd caller"), st.sampled_from(ODD)),
    st.tuples(st.just("odd agent"), st.sampled_from(ODD)),
    st.tuples(st.just("clear"), st.none()),
    st.tuples(st.just("pause"), st.sampled_from((0.0, 0.6, 3.0))),
    st.tuples(st.just("resume"), st.none()),
    st.tuples(st.just("write"), st.none()),
    st.tuples(st.just("write"), st.none()),
)


class Pair:
    """Both tapes, each with its file, and one clock."""

    def __init__(self, folder):
        self.tapes = [tape.Tape(7.0), hot.Tape(7.0)]
        self.files = [os.open(folder / name, os.O_RDWR | os.O_CREAT | os.O_TRUNC) for name in ("python", "c")]
        self.now, self.n, self.random = 7.0, 0, random.Random(1)

    def close(self):
        for fd in self.files:
            os.close(fd)

    def tell(self, name, *args):
        for one in self.tapes:
            getattr(one, name)(*args)

    def audio(self, n):
        return base64.b64encode(self.random.randbytes(n))

    def write(self):
        for one, fd in zip(self.tapes, self.files, strict=True):
            one.write(fd)
        first, second = (os.pread(fd, 1 << 24, 0) for fd in self.files)
        assert first == second and len(first) == 58 + int.from_bytes(first[54:58], "little")
        assert self.tapes[0].dropped == self.tapes[1].dropped
        return first

    def do(self, what, value):
        if what == "caller":
            for ms in value:
                self.now += ms / 1000
                self.tell("caller", self.audio(160), 160, self.now)
        elif what == "gap":
            self.now += value / 1000
        elif what == "burst":
            for _ in range(value):
                self.tell("caller", self.audio(160), 160, self.now)
        elif what == "agent":
            self.tell("agent", self.audio(value), value, self.now)
        elif what.startswith("odd"):
            self.tell(what[4:], value, 160, self.now)
        elif what == "pause":
            self.tell("pause", self.now, value)
        elif what == "write":
            self.write()
        else:
            self.tell(what, self.now)


@settings(max_examples=300, deadline=None)
@given(st.lists(steps, max_size=40))
def test_any_call_comes_out_the_same(tmp_path_factory, happened):
    pair = Pair(tmp_path_factory.getbasetemp())
    try:
        for what, value in happened:
            pair.do(what, value)
        pair.write()
    finally:
        pair.close()


def test_a_long_call_with_everything_comes_out_the_same_and_the_tape_stays_small(tmp_path):
    pair = Pair(tmp_path)
    pair.tell("agent", pair.audio(480_000), 480_000, pair.now)  # a minute of speech at once, as providers send it
    for n in range(1, 6000):
        pair.now += 0.02
        if n % 500 not in range(100, 250):  # three seconds are held back, and come in one burst
            pair.tell("caller", pair.audio(160), 160, pair.now)
        elif n % 500 == 249:
            pair.do("burst", 151)
        for ms, what, value in ((700, "pause", 0.6), (760, "resume", None), (900, "clear", None)):
            if n % 1000 == ms:
                pair.do(what, value)
        if n % 45 == 0:
            pair.write()
    assert len(pair.write()) == 58 + 2 * 5999 * 160
    pair.close()


def test_what_the_disk_refuses_is_written_when_it_takes_it_again(tmp_path):
    pair = Pair(tmp_path)
    for _ in range(20):
        pair.do("caller", [20])
    for one in pair.tapes:
        with pytest.raises(OSError, match="Bad file descriptor") as caught:
            one.write(-1)
        assert caught.value.strerror
    pair.do("caller", [20])
    assert len(pair.write()) == 58 + 2 * 21 * 160
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (58 + 2 * 30 * 160 + 7, before[1]))  # a disk that is full in mid-piece
    try:
        pair.do("caller", [20] * 20)
        for one, fd in zip(pair.tapes, pair.files, strict=True):
            with pytest.raises(OSError, match="File too large"):
                one.write(fd)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert all(os.pread(fd, 58, 0)[46:50] == (21 * 160).to_bytes(4, "little") for fd in pair.files)
    assert len(pair.write()) == 58 + 2 * 41 * 160
    pair.close()


def test_a_writer_that_hangs_costs_a_bounded_memory(tmp_path):
    pair = Pair(tmp_path)
    for one in pair.tapes:
        for n in range(20_010):
            one.caller(FRAME, 160, 7.0 + n * 0.02)
        for _ in range(5):
            one.agent(base64.b64encode(bytes(900_000)), 900_000, 500.0)
        assert one.dropped in (2, 12)  # the one in Python counts the caller's when it takes them
    pair.write()
    assert pair.tapes[1].dropped == 12
    pair.close()


def test_a_tape_that_was_stopped_keeps_nothing(tmp_path):
    pair = Pair(tmp_path)
    pair.do("caller", [20] * 5)
    pair.tell("stop")
    pair.do("caller", [20] * 5)
    pair.do("agent", 160)
    for what in ("clear", "resume"):
        pair.do(what, None)
    pair.do("pause", 0.5)
    for one, fd in zip(pair.tapes, pair.files, strict=True):
        one.write(fd)
        assert one.dropped == 6 and os.fstat(fd).st_size == 0
    pair.close()


def test_the_loop_places_while_the_writer_writes(tmp_path):
    one, n, over = hot.Tape(0.0), 4000, threading.Event()
    fd = os.open(tmp_path / "x.wav", os.O_RDWR | os.O_CREAT)

    def write():
        while not over.is_set():
            one.write(fd)

    writer = threading.Thread(target=write)
    writer.start()
    audio = [random.Random(k).randbytes(160) for k in range(n)]
    for k in range(n):
        one.caller(base64.b64encode(audio[k]), 160, (k + 1) * 0.02)
        one.agent(base64.b64encode(audio[-k]), 160, k * 0.02)
    over.set()
    writer.join()
    one.write(fd)
    data = os.pread(fd, 1 << 24, 58)
    assert data[::2] == b"".join(audio)
    assert data[1::2] == b"".join(audio[-k] for k in range(n))
    os.close(fd)


def test_no_object_stays_behind_a_frame():
    one = hot.Tape(0.0)
    fd = os.open(os.devnull, os.O_WRONLY)
    before = 0
    for k in range(3000):
        one.caller(FRAME, 160, (k + 1) * 0.02)
        if k % 45 == 0:
            one.write(fd)
        if k == 1000:
            tracemalloc.start()
            before = tracemalloc.get_traced_memory()[0]
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    os.close(fd)
    assert grown < 2000


@pytest.mark.parametrize("args", [(), (b"AAAA",), ("AAAA", 3, 0.0), (b"AAAA", 3, "now")])
def test_what_is_no_frame_is_refused(args):
    one = hot.Tape(0.0)
    with pytest.raises(TypeError):
        one.caller(*args)
    with pytest.raises(TypeError):
        hot.Tape("now")
