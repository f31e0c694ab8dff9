"""The world in virtual time: its clock, its processes, and its connections, which end as real ones do."""

import time

import pytest

from offhook.sims.virtual import MAX_UNREAD, Link, World, connect


class Ear:
    def __init__(self):
        self.heard, self.ended, self.paused_at, self.resumed_n = [], [], [], 0

    def opened(self, socket): ...

    def text(self, data):
        self.heard.append(data)

    def binary(self, data):
        self.heard.append(("binary", data))

    def closed(self, code, reason, by):
        self.ended.append((code, reason, by))

    def paused(self, n_bytes):
        self.paused_at.append(n_bytes)

    def resumed(self):
        self.resumed_n += 1


@pytest.fixture
def world():
    with World() as made:
        yield made


def pair(world, link=None, left=None, right=None):
    one, two = connect(left or world.outside, right or world.outside, link or Link(0.01))
    one.ear, two.ear = Ear(), Ear()
    return one, two


def test_an_hour_takes_no_time(world):
    began, ticks = time.process_time(), []
    world.after(3600, lambda: ticks.append(world.now()))
    world.run(3601)
    assert ticks == [pytest.approx(1000 + 3600)]
    assert time.process_time() - began < 1


def test_waiting_for_what_can_never_happen_is_an_error_and_no_hang(world):
    with pytest.raises(RuntimeError, match="nothing is left to happen"):
        world.loop.run_until_complete(world.loop.create_future())


def test_messages_keep_their_order_under_jitter(world):
    one, two = pair(world, Link(0.01, 0.2))
    for n in range(200):
        one.send(b"%d" % n)
    world.run(1)
    assert two.ear.heard == [b"%d" % n for n in range(200)]


def test_a_close_is_told_on_both_sides_with_who_began_it(world):
    one, two = pair(world)
    one.close(1011, "because")
    one.send(b"nothing more")
    world.run(1)
    assert (two.ear.ended, one.ear.ended) == ([(1011, "because", "them")], [(1011, "because", "us")])
    assert two.ear.heard == []


def test_what_was_sent_before_a_close_still_arrives(world):
    one, two = pair(world)
    one.send(b"last words")
    one.close()
    world.run(1)
    assert two.ear.heard == [b"last words"]


def test_a_dropped_connection_has_no_code_at_the_other_side(world):
    one, two = pair(world)
    one.abort(1006, "gone")
    world.run(1)
    assert two.ear.ended == [(None, "", "nobody")]


def test_a_peer_that_does_not_answer_a_close_gets_a_second(world):
    one, two = pair(world)
    two.stop_reading()
    one.close()
    world.run(0.9)
    assert one.ear.ended == []
    world.run(0.2)
    assert one.ear.ended == [(1000, "", "us")]


def test_a_cut_in_between_is_nobodys(world):
    one, two = pair(world, Link(0.01, cut_after_s=5))
    world.run(6)
    assert one.ear.ended == two.ear.ended == [(None, "", "nobody")]


def test_a_blocked_process_hears_later_and_in_order(world):
    from offhook.sims.virtual import Process

    process = Process(world)
    one, two = pair(world, right=process)
    process.block(2.0)
    for n in range(5):
        world.after(0.1 * n, lambda n=n: one.send(b"%d" % n))
    world.run(1.9)
    assert two.ear.heard == []
    world.run(0.2)
    assert two.ear.heard == [b"0", b"1", b"2", b"3", b"4"]


def test_a_killed_process_is_reset_and_does_nothing_more(world):
    from offhook.sims.virtual import Process

    process = Process(world)
    ran = []
    process.after(1.0, lambda: ran.append(1))
    one, two = pair(world, right=process)
    process.kill()
    world.run(2)
    assert one.ear.ended == [(None, "", "nobody")]
    assert ran == []


def test_who_writes_to_a_peer_that_does_not_read_is_paused_then_dropped(world):
    one, two = pair(world)
    two.stop_reading()
    for _ in range(3):
        one.send(b"x" * 40_000)
    world.run(0.1)
    assert len(one.ear.paused_at) == 1
    for _ in range(MAX_UNREAD // 40_000):
        one.send(b"x" * 40_000)
    world.run(0.1)
    assert one.ear.ended[0][2] == "us"


def test_reading_on_resumes_the_writer(world):
    one, two = pair(world)
    two.stop_reading()
    for _ in range(3):
        one.send(b"x" * 40_000)
    world.run(0.1)
    two.read_on()
    world.run(0.1)
    assert one.ear.resumed_n == 1
    assert len(two.ear.heard) == 3


def test_a_late_pong_comes_late(world):
    one, two = pair(world)
    two.pong_delay_s = 3.0
    at = []
    one.ping(lambda: at.append(world.now()))
    world.run(5)
    assert at == [pytest.approx(1003.02)]


def test_a_slow_reader_takes_everything_in_order_at_its_pace_and_hears_of_the_close(world):
    one, two = pair(world)
    two.read_slowly(1000)
    for n in range(4):
        one.send(b"%d" % n * 500)
    world.run(1.1)
    assert [data[:1] for data in two.ear.heard] == [b"0", b"1", b"2"]
    one.close(1000, "")
    world.run(5.0)
    assert two.ear.ended == [(1000, "", "them")]
