"""What the caller has heard."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offhook.bridge.turns import Playback


def test_the_clock_starts_when_audio_reaches_an_idle_buffer():
    play = Playback()
    play.sent("a", "r", 0, 8000, 10.0)
    assert play.heard_ms("a", 10.0) == 0
    assert play.heard_ms("a", 10.5) == 500
    assert play.heard_ms("a", 99.0) == 1000  # never more than was sent


def test_items_are_heard_one_after_the_other():
    play = Playback()
    play.sent("a", "r", 0, 8000, 0.0)
    play.sent("b", "r", 0, 8000, 0.1)
    assert (play.heard_ms("a", 1.5), play.heard_ms("b", 1.5)) == (1000, 500)


def test_a_pause_between_answers_is_not_heard_audio():
    play = Playback()
    play.sent("a", "r", 0, 800, 0.0)
    play.sent("b", "r", 0, 800, 5.0)
    assert play.heard_ms("b", 5.05) == 50


def test_a_clear_cuts_what_was_not_heard_and_what_follows_counts_anew():
    play = Playback()
    play.sent("a", "r", 0, 8000, 0.0)
    play.sent("b", "r", 0, 8000, 0.0)
    cuts = play.clear(0.4)
    assert [(cut.item_id, cut.heard_ms, cut.sent_ms) for cut in cuts] == [("a", 400, 1000), ("b", 0, 1000)]
    assert play.unplayed_ms(0.4) == 0
    play.sent("c", "r2", 0, 800, 0.5)
    assert (play.heard_ms("a", 9.0), play.heard_ms("b", 9.0), play.heard_ms("c", 0.55)) == (400, 0, 50)


def test_a_mark_after_clear_was_flushed_and_unknown_ones_are_counted():
    play = Playback()
    play.sent("a", "r", 0, 800, 0.0)
    name = play.mark(0.0)
    play.clear(0.05)
    assert play.mark_returned(name, 0.06) is False
    assert play.mark_returned(name, 0.07) is False
    assert (play.marks_flushed, play.marks_unknown, play.marks_played) == (1, 1, 0)
    assert play.heard_ms("a", 1.0) == 50


def test_marks_correct_a_clock_whose_playback_started_late():
    play = Playback()
    marks = []
    for n in range(10):
        play.sent("a", "r", 0, 800, 0.0)
        marks.append(play.mark(0.0))
        del n
    for n, name in enumerate(marks[:2]):  # 20 ms of network, as it should be
        play.mark_returned(name, (n + 1) * 0.1 + 0.02)
    for n, name in enumerate(marks[2:6], 2):  # then the line stalls for 300 ms
        play.mark_returned(name, (n + 1) * 0.1 + 0.32)
    assert abs(play.heard_ms("a", 0.95) - 650) <= 20


def test_one_late_mark_is_jitter_and_moves_nothing():
    play = Playback()
    names = []
    for _ in range(5):
        play.sent("a", "r", 0, 800, 0.0)
        names.append(play.mark(0.0))
    play.mark_returned(names[0], 0.12)
    play.mark_returned(names[1], 0.35)
    assert abs(play.heard_ms("a", 0.4) - 400) <= 20


@given(st.lists(st.tuples(st.integers(1, 400), st.floats(0, 0.5)), min_size=1, max_size=40), st.floats(0, 0.2))
def test_heard_is_right_to_a_frame_against_a_phone_with_one_way_delay(pieces, one_way_s):
    """The phone of the simulated carrier is the truth; audio and clear take ``one_way_s`` to reach it."""
    import base64

    from offhook import vocab as v
    from offhook.sims.carrier import Phone
    from offhook.wires.carriers._twilio_peer import Peer
    from offhook.wires.carriers.twilio import CarrierSettings, Leg

    peer = Peer("MZ1", "CA1", "AC1")
    phone = Phone(peer)
    leg = Leg(CarrierSettings(public_url="https://x.example"))
    leg.receive(peer.start({}), 0.0)
    play = Playback()
    now = 0.0
    for n_frames, wait in pieces:
        n_bytes = min(n_frames, 50) * 160
        play.sent("a", "r", 0, n_bytes, now)
        (data,) = leg.send(v.PlayAudio(base64.b64encode(b"\x21\x9e" * (n_bytes // 2)), n_bytes))
        phone.receive(data, now + one_way_s)
        now += wait
    heard_ms = play.heard_ms("a", now)
    play.clear(now)
    (data,) = leg.send(v.ClearPlayback())
    phone.receive(data, now + one_way_s)
    assert abs(len(phone.audio()) / 8 - heard_ms) <= 20


def test_names_of_marks_are_unique():
    play = Playback()
    assert len({play.mark(0.0) for _ in range(100)}) == 100


def test_an_item_that_was_never_sent_is_an_error_of_ours():
    with pytest.raises(KeyError):
        Playback().heard_ms("nothing", 0.0)


def test_the_latest_mark_says_how_late_audio_was_played():
    play = Playback()
    play.sent("a", "r", 0, 1600, 0.0)
    one = play.mark(0.0)
    play.sent("a", "r", 0, 1600, 0.0)
    two = play.mark(0.0)
    play.mark_returned(one, 0.25)
    assert play.latest_ms == 50
    play.mark_returned(two, 3.4)
    assert (play.latest_ms, play.round_trip_ms) == (3000, 50)
