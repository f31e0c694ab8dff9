"""Recorded calls against today's code: good ones pass, bad ones fail until what broke them is mended."""

import base64
import json
import re
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from tests.inner import PYTEST

from offhook import vocab as v
from offhook.bridge import Bridge
from offhook.cli.replay import ReplayError, run
from offhook.evidence.record import Recording, RecordingError
from offhook.evidence.recording import StereoRecorder
from offhook.media.levels import Meter
from offhook.media.lines import spoken_lines
from offhook.replay import Setup, compare, sound
from offhook.replay.play import replay_recording
from offhook.replay.tape import TapeError, read
from offhook.sims.faults import scene
from offhook.sims.provider import Answer
from offhook.wires.carriers import twilio
from offhook.wires.providers import openai

ROOT = Path(__file__).parent.parent.parent
BYE = (Answer(audio=scene.SHORT, transcript="Goodbye.", tool="hang_up"),)


def barge_in(line):
    line.then(5.0, lambda: line.say(scene.CALLER)).then(12.0, lambda: line.say(scene.CALLER)).then(24.0, line.hang_up)


def press(line):
    line.then(4.0, lambda: line.press("5")).then(12.0, line.hang_up)


def recorded(play=scene.talk, provider="openai", **given):
    return scene.ours(provider, play, **given)[0]


GOOD = {
    "openai": {},
    "xai": {"provider": "xai"},
    "loopback": {"provider": "loopback"},
    "barge-in": {"play": barge_in},
    "key": {"play": press},
    "ended by REST": {"net": {"script": BYE}},
    "ended without REST": {"net": {"script": BYE}, "with_rest": False},
}  # fmt: skip


@pytest.mark.parametrize("name", GOOD)
def test_a_good_call_is_the_same_call_again_message_by_message(name):
    outcome = replay_recording(recorded(**GOOD[name]))
    assert outcome.was.verdict == "healthy"
    assert outcome.passed and not outcome.differences, outcome
    assert outcome.now.call.begin["source"] == "replay"


BAD = {
    "dropped": {"net": {"faults": ("drop@10s",)}},
    "closed": {"net": {"faults": ("close-1011@10s",)}},
    "rejected": {"net": {"faults": ("reject-session",)}},
    "key": {"net": {"faults": ("reject-key",)}},
    "formats": {"net": {"faults": ("ignore-formats",)}},
    "never ready": {"net": {"faults": ("no-session-updated",)}},
    "silence": {"net": {"faults": ("digital-silence",)}},
    "no tcp": {"net": {"fails": ("tcp", "tcp: connection refused")}},
    "refused": {"net": {"faults": ("refuse-503",)}},
    "carrier lost": {"play": lambda line: line.then(6.0, line.drop)},
    "no marks": {"line": {"returns_marks": False}},
}


@pytest.mark.parametrize("name", BAD)
def test_a_call_that_others_broke_breaks_in_the_same_way_again(name):
    outcome = replay_recording(recorded(**BAD[name]))
    assert outcome.was.verdict != "healthy" and not outcome.passed
    assert [found.rule for found in outcome.now.roots] == [found.rule for found in outcome.was.roots], outcome
    assert outcome.why.startswith("the same fault")


def test_the_placeholder_of_the_agents_voice_goes_on_and_is_no_tone():
    whole = sound.answer(5000, 0)
    assert b"".join(sound.answer(100, at) for at in range(0, 5000, 100)) == whole
    meter = Meter()
    for at in range(0, 5000, 100):
        meter.look(base64.b64encode(sound.answer(100, at)))
    levels = Meter.read(meter.figures()).snapshot()["levels"]
    assert max(sum(levels[at : at + 2]) for at in range(len(levels))) < 0.97 * sum(levels)


def test_the_same_record_gives_the_same_call_every_time():
    was = recorded(barge_in)
    first, second = (replay_recording(was).now.call for _ in range(2))
    wall_clock = {"began", "began_ms"}
    told = [
        [{name: value for name, value in line.data.items() if name not in wall_clock} for line in call.lines]
        for call in (first, second)
    ]
    assert told[0] == told[1]


# ------------------------------------------------------------------------------------- defects of ours


def breaks_on_a_stop_of_speech(monkeypatch):
    """A defect as it could have been: what everybody sends raises."""
    real = Bridge.on

    def on(self, event, now):
        if type(event) is v.SpeechStopped:
            raise KeyError("audio_end_ms")
        return real(self, event, now)

    monkeypatch.setattr(Bridge, "on", on)


def forgets_to_clear(monkeypatch):
    """The carrier is not told that the agent was interrupted: nobody raises, the caller is talked over."""
    real = twilio.Leg.send
    monkeypatch.setattr(
        twilio.Leg, "send", lambda self, command: [] if type(command) is v.ClearPlayback else real(self, command)
    )


def test_a_call_that_a_defect_of_ours_broke_fails_until_it_is_mended(monkeypatch):
    with monkeypatch.context() as old_code:
        breaks_on_a_stop_of_speech(old_code)
        was = recorded()
        still = replay_recording(was)
    assert still.was.verdict == "broken" and not still.passed and "bridge" in still.now.roots[0].rule
    mended = replay_recording(was)
    assert mended.passed and mended.was.verdict == "broken" and mended.now.verdict == "healthy", mended


def test_a_good_call_fails_when_the_code_no_longer_says_what_it_said(monkeypatch):
    was = recorded(barge_in)
    forgets_to_clear(monkeypatch)
    outcome = replay_recording(was)
    assert not outcome.passed
    (difference,) = [found for found in outcome.differences if found.to == "carrier"]
    assert difference.was == "clear" and difference.now is None and difference.was_line
    assert "does not come any more: clear" in str(outcome)


def test_a_session_that_is_asked_for_otherwise_is_named_by_its_field(monkeypatch):
    was = recorded()
    monkeypatch.setattr(openai, "TURN_DETECTION", {**openai.TURN_DETECTION, "silence_duration_ms": 900})
    (difference,) = replay_recording(was).differences
    assert difference.field == "session.audio.input.turn_detection.silence_duration_ms"
    assert (difference.was, difference.now) == ("session.update 400", "900")


def test_a_greeting_that_the_record_does_not_name_is_given():
    was = recorded(greeting="Hello from the front desk.")
    assert "response.create" in str(replay_recording(was))
    assert replay_recording(was, Setup(greeting="Hello from the front desk.")).passed


def test_slower_answers_are_a_failure_and_a_few_frames_are_none():
    assert compare.Latencies([500, 600], [520, 700]).worse
    assert not compare.Latencies([500, 600], [540, 640]).worse


# -------------------------------------------------------------------------------- what the record lacks


def test_what_is_put_in_the_place_of_what_was_not_recorded_is_said():
    said = " ".join(replay_recording(recorded(press)).said)
    assert "caller's audio was not recorded" in said and "# is pressed" in said


def test_speech_that_a_deaf_provider_did_not_notice_is_spoken_all_the_same():
    was = recorded(net={"faults": ("deaf",)})
    tape = read(was)
    assert not tape.speech and tape.speech_s > 3
    outcome = replay_recording(was)
    assert outcome.now.call.counters()["channels"][0]["speech_ms"] > 3000
    assert [found.rule for found in outcome.now.roots] == [found.rule for found in outcome.was.roots]


def written(recording: Recording, path: Path) -> Path:
    lines = [{"k": line.kind, "t": line.at_ms, **line.data} for line in recording.lines]
    path.write_bytes(b"\n".join(msgspec.json.encode(line) for line in lines) + b"\n")
    return path


def test_the_callers_own_voice_is_used_where_it_was_recorded(tmp_path):
    was = recorded()
    path = written(was, tmp_path / "20261125T120000Z-CA1.jsonl")
    tape = read(was)
    recorder = StereoRecorder(path.with_suffix(".wav"), 0.0, lambda text: None)
    voice = (spoken_lines()["draining"] * 10)[: int(tape.length_s * 8000)]
    for at in range(0, len(voice) - 159, 160):
        now = (tape.stream_ms or 0) / 1000 + (at + 160) / 8000
        recorder.caller(base64.b64encode(voice[at : at + 160]), 160, now)
    recorder.close((tape.stream_ms or 0) / 1000 + tape.length_s)
    recorder.flush()
    track = sound.wav_of(path, tape)
    assert track is not None and track[8000:16000] == voice[8000:16000]
    assert not any("caller's audio" in said for said in tape.said)


@pytest.mark.parametrize("data", [b"", b"RIFF", b"RIFF....WAVEfmt \x10\0\0\0\x01\0\x01\0\x80\x3e\0\0data\0\0\0\0"])
def test_a_wav_that_is_not_ours_is_said_and_passed_over(tmp_path, data):
    (tmp_path / "x.wav").write_bytes(data)
    tape = read(recorded())
    assert sound.wav_of(tmp_path / "x.jsonl", tape) is None and "placeholder" in tape.said[-1]


def test_a_record_of_another_program_is_played_and_its_messages_are_not_compared():
    was = scene.foreign(sid_field="stream_sid")[0]
    outcome = replay_recording(was)
    assert outcome.was.verdict == "broken" and outcome.passed, outcome  # our server gets through it
    assert any("another program" in said for said in outcome.said)


@pytest.mark.parametrize(
    ("begin", "said"),
    [({"source": "fake"}, "client's session"), ({"source": "dial", "provider": None, "sees": ["carrier"]}, "the dial")],
)
def test_what_is_no_call_of_a_server_is_refused_with_the_reason(begin, said):
    was = recorded()
    first = msgspec.structs.replace(was.lines[0], data={**was.lines[0].data, "boot": {}, **begin})
    with pytest.raises(TapeError, match=said):
        read(msgspec.structs.replace(was, lines=(first, *was.lines[1:])))


def test_a_record_of_a_provider_that_nobody_here_plays_is_refused():
    line = {"k": "begin", "t": 0, "version": 1, "call": "CA1", "provider": "Gemini Live"}
    with pytest.raises(TapeError, match="Gemini"):
        replay_recording(Recording.parse([json.dumps(line).encode()]))


@pytest.mark.parametrize("seed", range(4))
def test_a_record_with_lines_missing_still_plays_or_says_why(seed):
    import random

    cut = random.Random(seed)
    whole = recorded(barge_in)
    kept = [line for line in whole.lines if line.number == 1 or cut.random() > 0.3]
    outcome = replay_recording(Recording(lines=tuple(kept)))
    assert outcome.now.verdict in ("healthy", "broken", "suspected", "not proven")


# ------------------------------------------------------------------------------------------ as a command


def test_the_command_writes_a_test_that_runs(tmp_path, capsys):
    record = written(recorded(), tmp_path / "20261125T120000Z-CA1.jsonl")
    test = tmp_path / "test_good_call.py"
    assert run(str(record), tmp_path, greeting=None, as_test=test, as_json=True) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["passed"] and told["now"]["verdict"] == "healthy" and told["put_in_place"]
    ran = subprocess.run([*PYTEST, str(test)], cwd=tmp_path, timeout=110, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout
    assert "def test_good_call():" in test.read_text() and (tmp_path / "test_good_call.jsonl").is_file()


def test_what_cannot_be_done_is_said(tmp_path):
    record = written(recorded(), tmp_path / "20261125T120000Z-CA1.jsonl")
    for name in ("bad_name.py", "test_x.txt", "no/such/folder/test_x.py"):
        with pytest.raises(ReplayError):
            run(str(record), tmp_path, greeting=None, as_test=tmp_path / name, as_json=False)
    with pytest.raises(RecordingError):
        run("CA999", tmp_path, greeting=None, as_test=None, as_json=False)


def test_the_page_shows_what_really_happens(tmp_path, capsys, monkeypatch):
    page = (ROOT / "docs" / "replay.md").read_text()
    failing, passing = re.findall(r"```\n\$ offhook replay last\n(.*?)```", page, re.S)
    with monkeypatch.context() as old_code:
        breaks_on_a_stop_of_speech(old_code)
        record = written(recorded(), tmp_path / "20261125T120000Z-CA1.jsonl")
        assert run("last", tmp_path, greeting=None, as_test=None, as_json=False) == 1
        first = capsys.readouterr().out
    assert run(str(record), tmp_path, greeting=None, as_test=None, as_json=False) == 0

    def plain(text):
        return re.sub(r"CA[0-9a-f]{4,}", "CA…", text).strip()

    assert plain(first) == plain(failing)
    assert plain(capsys.readouterr().out) == plain(passing)


@pytest.mark.parametrize(("field", "speed"), [("stream_sid", 1.0), ("streamSid", 2.0)])
def test_somebody_elses_server_fails_until_its_field_is_spelt_right(tmp_path, field, speed):
    """Recorded by a tap at a server that misspelt it; played in real time at one that does, and at a mended one."""
    from offhook.replay.against import replay_against

    def short(line):
        line.then(0.3, lambda: line.say(scene.CALLER[:9600])).then(3.2, line.hang_up)

    was = scene.foreign(sid_field="stream_sid", play=short)[0]
    record = written(was, tmp_path / "20261125T120000Z-CA1.jsonl")
    command = f"{sys.executable} {ROOT / 'tests' / 'replay' / 'server.py'} {{port}} {field}"
    outcome = replay_against(record, command, path="/media", stream=True, speed=speed)
    assert outcome.was.verdict == "broken"
    was_frames, now_frames = (call.counters()["channels"][0]["frames"] for call in (outcome.was.call, outcome.now.call))
    assert now_frames == pytest.approx(was_frames, abs=40) and outcome.now.call.last_ms > 3000  # the call's time
    assert any("2 times the speed" in text for text in outcome.said) is (speed == 2.0)
    if field == "streamSid":
        assert outcome.passed, outcome
        assert outcome.now.call.counters()["channels"][1]["frames"] > 3
    else:
        assert not outcome.passed and outcome.why.startswith("the same fault"), outcome


def test_a_speed_that_no_timer_keeps_and_one_without_a_server_are_refused(tmp_path):
    from offhook.cli.replay import ReplayError
    from offhook.replay.against import replay_against
    from offhook.replay.tape import TapeError

    with pytest.raises(TapeError, match="1 to 20"):
        replay_against(tmp_path / "none.jsonl", "true", speed=100.0)
    record = written(recorded(), tmp_path / "20261125T120000Z-CA1.jsonl")
    with pytest.raises(ReplayError, match="virtual time"):
        run(str(record), tmp_path, greeting=None, as_test=None, as_json=False, speed=2.0)
