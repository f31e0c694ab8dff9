"""A recording that is paused: by whoever asks, and by itself while keys are pressed."""

import base64
import wave
from pathlib import Path

import pytest
from tests.simcall import SimCall

from offhook import vocab as v
from offhook.evidence.recording import StereoRecorder


def pauses(call: SimCall) -> list[bool]:
    return [command.on for command in call.of(v.Record)]


def test_a_key_pauses_the_recording_from_before_its_sound_until_no_other_has_come():
    call = SimCall(records=True).connect()
    call.feed(v.KeyPressed("4"))
    (pause,) = call.of(v.Record)
    assert not pause.on and pause.back_s >= 0.5  # the sound of a key comes before the word of it
    call.advance(4_000)
    call.feed(v.KeyPressed("1"))
    call.advance(4_000)
    assert pauses(call) == [False]
    call.advance(1_500)
    assert pauses(call) == [False, True]
    paused, resumed = call.notes("recording.paused"), call.notes("recording.resumed")
    assert paused == [{"why": "keys"}] and resumed[0]["ms"] == pytest.approx(9_000, abs=600)


def test_keys_that_are_gathered_are_not_recorded_and_neither_is_what_is_said_meanwhile():
    call = SimCall(records=True).connect()
    call.feed(v.CollectAsked(digits=4, first_s=30.0, next_s=20.0))
    call.advance(12_000)
    call.feed(v.KeyPressed("1"))
    call.advance(15_000)
    assert pauses(call) == [False]
    call.feed(*(v.KeyPressed(digit) for digit in "234"))
    call.advance(6_000)
    assert pauses(call) == [False, True]


def test_whoever_asks_gets_an_answer_and_keys_do_not_undo_it():
    call = SimCall(records=True).connect()
    call.feed(v.RecordingAsked(on=False, why="card number", id="a"), v.KeyPressed("4"))
    call.advance(7_000)
    assert pauses(call) == [False] and call.notes("recording.paused") == [{"why": "card number"}]
    call.feed(v.RecordingAsked(on=True, id="b"))
    assert pauses(call) == [False, True]
    assert [(done.id, done.what, done.outcome) for done in call.of(v.Done)] == [
        ("a", "record", "done"), ("b", "record", "done"),
    ]  # fmt: skip


def test_without_a_recording_keys_are_kept_from_listeners_and_whoever_asks_for_a_pause_is_told():
    call = SimCall().connect()
    call.feed(v.KeyPressed("4"), v.RecordingAsked(on=False, id="a"))
    assert pauses(call) == [False] and not call.notes("recording.paused")
    assert call.of(v.Done)[0].outcome == "refused" and "record.audio" in call.of(v.Done)[0].detail


def test_keys_that_may_be_kept_pause_nothing():
    call = SimCall(records=True, note_digits=True).connect()
    call.feed(v.KeyPressed("4"))
    assert pauses(call) == []


FRAME = {name: base64.b64encode(bytes([byte]) * 160) for name, byte in (("caller", 0x10), ("agent", 0x20))}


def channels(path: Path) -> tuple[bytes, bytes]:
    data = path.read_bytes()
    audio = data[data.index(b"data") + 8 :]
    return audio[::2], audio[1::2]


def loud(channel: bytes) -> list[tuple[float, float]]:
    """From when to when there is sound, in seconds."""
    spans: list[list[int]] = []
    for at in range(0, len(channel), 160):
        if channel[at : at + 160].strip(b"\xff"):
            if spans and spans[-1][1] == at:
                spans[-1][1] = at + 160
            else:
                spans.append([at, at + 160])
    return [(begin / 8000, end / 8000) for begin, end in spans]


def recorded(path: Path, *, until: int = 250, late: range = range(0), flush_every: int = 25) -> tuple[bytes, bytes]:
    """Five seconds of both sides; paused from 2.0 s (and 0.2 s before it) to 3.0 s; ``late`` frames come in a burst."""
    recorder = StereoRecorder(path, 0.0)
    recorder.agent(base64.b64encode(b"\x20" * 160 * until), 160 * until, 0.0)  # far ahead, as providers send
    for n in range(1, until + 1):
        now = n * 0.02
        if n - 1 not in late:
            recorder.caller(FRAME["caller"], 160, now)
        if late and n - 1 == late[-1]:
            for _ in late:
                recorder.caller(FRAME["caller"], 160, now)
        if n == 100:
            recorder.pause(now, back_s=0.2)
        if n == 150:
            recorder.resume(now)
        if n % flush_every == 0:
            recorder.flush()
    recorder.close(until * 0.02)
    recorder.flush()
    return channels(path)


@pytest.mark.parametrize("flush_every", [1, 25, 250])
def test_a_pause_is_silence_on_both_sides_and_moves_nothing(tmp_path, flush_every):
    caller, agent = recorded(tmp_path / "call.wav", flush_every=flush_every)
    # the second before the pause was on the disk already: it is taken back
    assert loud(caller) == loud(agent) == [(0.0, 1.8), (3.0, 5.0)]
    assert len(caller) == len(agent) == 5 * 8000


def test_frames_of_the_pause_that_the_network_held_back_are_silence_too(tmp_path):
    caller, _ = recorded(tmp_path / "call.wav", late=range(110, 165))
    assert loud(caller) == [(0.0, 1.8), (3.0, 5.0)]


def test_a_process_that_dies_in_a_pause_leaves_silence(tmp_path):
    recorder = StereoRecorder(tmp_path / "call.wav", 0.0)
    for n in range(1, 101):
        recorder.caller(FRAME["caller"], 160, n * 0.02)
        if n == 50:
            recorder.pause(1.0)
        if n % 5 == 0:
            recorder.flush()
    assert loud(channels(tmp_path / "call.wav")[0]) == [(0.0, 1.0)]


def test_a_paused_recording_is_a_whole_wav_file(tmp_path):
    recorded(tmp_path / "call.wav")
    with pytest.raises(wave.Error, match="unknown format: 7"):  # µ-law, which this reader knows only by its number
        wave.open(str(tmp_path / "call.wav"))
    head = (tmp_path / "call.wav").read_bytes()[:58]
    assert head[:4] == b"RIFF" and int.from_bytes(head[54:58], "little") == 2 * 5 * 8000
