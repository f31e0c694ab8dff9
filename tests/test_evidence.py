"""Records: what is written, what is not, and what survives."""

import asyncio
import base64
import json
import os
import signal
import struct
import time
import wave

import pytest
from tests.conformance.harness import ServerProcess, sid, until, world

from offhook import vocab as v
from offhook.diagnosis.evidence import Evidence
from offhook.diagnosis.report import report
from offhook.evidence.files import call_of, find, read
from offhook.evidence.journal import JournalDir, _Pace
from offhook.evidence.observed import ProviderAudio
from offhook.evidence.record import Channel, Recording, RecordingError
from offhook.evidence.recording import StereoRecorder
from offhook.media import g711
from offhook.sims.provider import tone


def redactor(data: bytes, *, binary: bool = False) -> dict:
    return {"event": "x"}


def journal_in(folder, name="CA1"):
    directory = JournalDir(folder)
    return directory, directory.open(name, {v.Leg.CARRIER: redactor, v.Leg.PROVIDER: redactor}, 0.0, {"call": name})


def test_audio_is_counted_and_only_its_first_and_new_shapes_are_kept(tmp_path):
    directory, journal = journal_in(tmp_path)
    for n in range(100):
        length = 160 if n != 50 else 320
        journal.audio(0, base64.b64encode(b"\x21" * length), length, n * 0.02, b"{}")
    journal.close(2.0, {"end": {"wanted": True}})
    directory.flush()
    record = read(journal.path)
    assert len(list(record.messages(Channel.FROM_CARRIER))) == 2
    assert record.counters()["channels"][0]["frames"] == 100 and record.end == {"end": {"wanted": True}}
    assert os.stat(journal.path).st_size < 4000


def test_a_redactor_that_fails_lets_nothing_through(tmp_path):
    directory = JournalDir(tmp_path)

    def broken(data, *, binary=False):
        raise KeyError("x")

    journal = directory.open("CA1", {v.Leg.CARRIER: broken}, 0.0, {})
    journal.frame(Channel.FROM_CARRIER, b"secret", 0.0)
    journal.close(0.0, {})
    directory.flush()
    text = journal.path.read_text()
    assert "secret" not in text and "redactor_failed" in text


def test_a_disk_that_fails_is_named_once_touches_nothing_and_comes_back(tmp_path):
    told = []
    folder = tmp_path / "calls"
    folder.write_text("a file stands where the directory should be")
    directory = JournalDir(folder, on_failure=told.append, on_recovery=told.append)
    journal = directory.open("CA1", {}, 0.0, {})
    for n in range(3):
        journal.note("something", n / 10)
        directory.flush()
    assert directory.failures == 3 and len(told) == 1
    assert directory.state() == {"state": "behind", "why": "File exists"}
    folder.unlink()
    journal.close(1.0, {})
    directory.flush()
    assert directory.state() == {"state": "ok"}
    assert len(told) == 2 and len(list(read(journal.path).notes("something"))) == 3


def test_a_defect_in_the_writers_thread_is_told_and_the_records_go_on(tmp_path):
    told: list[str] = []
    directory = JournalDir(tmp_path, on_failure=lambda text: told.append(str(directory.state())))
    directory.submit(lambda: 1 // 0)
    journal = directory.open("CA1", {}, 0.0, {})
    directory.start()
    directory._wake.set()
    until = time.monotonic() + 40
    while not told and time.monotonic() < until:
        time.sleep(0.01)
    journal.note("something", 1.0)
    directory.stop()
    assert "ZeroDivisionError" in told[0] and len(told) == 1 and directory.failures == 1
    assert len(list(read(journal.path).notes("something"))) == 1


def test_the_oldest_records_go_when_the_directory_is_full(tmp_path):
    for n in range(5):
        (tmp_path / f"2020010{n}T000000Z-CA{n}.jsonl").write_bytes(b"x" * 1000)
    directory = JournalDir(tmp_path, max_bytes=3000)
    journal = directory.open("CA9", {}, 0.0, {})
    journal.close(1.0, {})
    directory.flush()
    left = sorted(path.name for path in tmp_path.iterdir())
    assert len(left) == 3 and left[-1].endswith("CA9.jsonl")


def test_a_cut_off_last_line_is_left_out_and_no_end_is_said(tmp_path):
    lines = [b'{"k":"begin","t":0,"version":1}', b'{"k":"note","t":5,"note":"x"}', b'{"k":"note","t":6,"no']
    record = Recording.parse(lines)
    assert record.end is None and len(record.lines) == 2
    judged = report(record)
    assert judged.verdict == "suspected" and judged.roots[0].rule == "records/process-died"


@pytest.mark.parametrize("lines", [[], [b"hello"], [b'{"k":"note"}'], [b'{"k":"begin","version":99}']])
def test_what_is_no_record_is_refused_with_the_reason(lines):
    with pytest.raises(RecordingError):
        Recording.parse(lines)


def test_records_are_found_by_path_beginning_and_last(tmp_path):
    for name in ("20260101T000000Z-CAaaa1", "20260102T000000Z-CAaab2"):
        (tmp_path / f"{name}.jsonl").write_bytes(b'{"k":"begin","t":0,"version":1}\n')
    assert find("CAaab", tmp_path).stem.endswith("CAaab2")
    with pytest.raises(RecordingError, match="give more"):
        find("CAaa", tmp_path)
    with pytest.raises(RecordingError, match="no record of"):
        find("CAx", tmp_path)


def test_a_session_is_ready_when_it_is_confirmed_first_and_each_dial_has_its_own():
    wire = ProviderAudio(1.0)
    wire.opened(2.0)
    wire.message("session.updated", {}, 3.0)
    wire.message("session.updated", {}, 9.0)
    assert (wire.opened_at, wire.ready_at, wire.last_rx) == (2.0, 3.0, 9.0)
    wire.opened(10.0)
    assert wire.ready_at is None


def test_a_killed_process_loses_at_most_the_last_second(tmp_path):
    process = ServerProcess(tmp_path, env={"OFFHOOK_RECORD_AUDIO": "true"})

    async def run():
        async with world(process) as w:
            call = sid()
            stream = await w.stream(call)
            await until(lambda: w.fake.sessions and w.session.updates)
            began, took = time.monotonic(), process.elapsed()
            while time.monotonic() - began < 2.2:
                await stream.speak(tone(20, 1000, -6))
                await asyncio.sleep(0.02)
            at, stood = time.monotonic(), took.stood()
            os.kill(process.process.pid, signal.SIGKILL)
            await stream.closed()
            return call, at - began - stood

    call, lasted_s = asyncio.run(run())  # less what its writer may have had to wait for a processor
    process.process.wait()
    process.stop()
    record = read(find(call, tmp_path / "calls"))
    assert record.end is None
    assert record.last_ms > (lasted_s - 1.1) * 1000
    assert any(note.data["id"] == "M9" for note in record.notes("milestone"))
    (recording,) = (tmp_path / "calls").glob("*.wav")
    caller, agent = stereo(recording)
    assert recording.stem == find(call, tmp_path / "calls").stem
    assert loud_from_to(caller)[1] / 8 > (lasted_s - 1.1) * 1000 and not abs(agent).max()


def stereo(path):
    """Both channels as samples, read by what the header says."""
    data = path.read_bytes()
    assert data[:4] == b"RIFF" and data[8:12] == b"WAVE" and int.from_bytes(data[4:8], "little") == len(data) - 8
    assert struct.unpack("<HHIIHH", data[20:36]) == (7, 2, 8000, 16000, 2, 8)
    at = data.index(b"data") + 8
    body = data[at : at + int.from_bytes(data[at - 4 : at], "little")]
    assert len(body) == len(data) - at and len(body) // 2 == int.from_bytes(
        data[data.index(b"fact") + 8 :][:4], "little"
    )
    return g711.decode(body[::2]), g711.decode(body[1::2])


def loud_from_to(channel):
    (at,) = (abs(channel) > 1000).nonzero()
    return at[0], at[-1]


LOUD, QUIET = base64.b64encode(tone(20, 1000, -6)), base64.b64encode(b"\xff" * 160)


def test_the_recording_is_stereo_and_aligned_to_a_frame(tmp_path):
    recorder = StereoRecorder(tmp_path / "call.wav", 0.0)
    for n in range(100):  # two seconds; the caller makes a sound at 1.0 s
        now = (n + 1) * 0.02
        recorder.caller(LOUD if n == 50 else QUIET, 160, now)
        if n == 25:
            recorder.agent(base64.b64encode(tone(1000, 500, -6)), 8000, now)  # plays from 0.52 s
        if n == 60:
            recorder.clear(now)  # at 1.22 s: 300 ms of it are never heard
        if n % 7 == 0:
            assert recorder.flush()
    assert recorder.close(2.0) == {"file": "call.wav", "failed": None, "dropped_frames": 0}
    assert not recorder.flush()
    caller, agent = stereo(tmp_path / "call.wav")
    assert abs(loud_from_to(caller)[0] - 8000) <= 160
    spoken = loud_from_to(agent)
    assert abs(spoken[0] - 0.52 * 8000) <= 160 and abs(spoken[1] - 1.22 * 8000) <= 160
    assert os.stat(tmp_path / "call.wav").st_mode & 0o077 == 0
    with pytest.raises(wave.Error):  # µ-law is not for the standard library
        wave.open(str(tmp_path / "call.wav"))


def test_what_the_network_held_back_is_put_where_it_was_spoken(tmp_path):
    recorder = StereoRecorder(tmp_path / "call.wav", 0.0)
    for n in range(200):
        spoken = 0.5 + n * 0.02
        came = 2.5 if 1.0 < spoken < 2.5 else spoken  # 1.5 s arrive in one burst
        recorder.caller(LOUD if n == 150 or n == 60 else QUIET, 160, came + 0.02)
        if n % 20 == 0:
            recorder.flush()
    recorder.close(4.6)
    recorder.flush()
    caller, _ = stereo(tmp_path / "call.wav")
    first, last = loud_from_to(caller)
    assert abs(first - (0.5 + 60 * 0.02) * 8000) <= 160 and abs(last - (0.5 + 151 * 0.02) * 8000) <= 160


def test_frames_that_never_came_are_a_hole_and_a_fast_clock_does_not_shift_the_caller(tmp_path):
    recorder = StereoRecorder(tmp_path / "call.wav", 0.0)
    for n in range(3000):  # a minute; the carrier's clock is one percent fast, and a second is missing
        if not 1000 <= n < 1050:
            recorder.caller(LOUD if n == 2900 else QUIET, 160, (n + 1) * 0.0198)
        if n % 25 == 0:
            recorder.flush()
    told = recorder.close(60.0)
    recorder.flush()
    caller, _ = stereo(tmp_path / "call.wav")
    assert abs(loud_from_to(caller)[0] - 2900 * 0.0198 * 8000) <= 3 * 160
    assert 0 < told["dropped_frames"] < 40


def test_the_loop_never_touches_the_disk_and_the_file_is_whole_after_every_round(tmp_path):
    directory = JournalDir(tmp_path)
    recorder = StereoRecorder(tmp_path / "x" / "call.wav", 0.0)
    directory.each_round(recorder.flush)
    for n in range(500):
        recorder.caller(LOUD, 160, (n + 1) * 0.02)
        recorder.agent(QUIET, 160, (n + 1) * 0.02)
        if n == 48:
            assert not (tmp_path / "x").exists()
        if n % 50 == 49:
            directory.flush()
            caller, _ = stereo(tmp_path / "x" / "call.wav")
            assert abs(len(caller) - (n + 1) * 160) <= 160
    before = (tmp_path / "x" / "call.wav").stat().st_size
    recorder.caller(LOUD, 160, 12.0)
    recorder.close(12.0)
    assert (tmp_path / "x" / "call.wav").stat().st_size == before
    directory.flush()
    assert len(stereo(tmp_path / "x" / "call.wav")[0]) == 12 * 8000


def test_a_disk_that_fails_ends_no_call_is_named_and_the_recording_goes_on_when_it_is_back(tmp_path):
    told = []
    folder = tmp_path / "calls"
    folder.write_text("a file stands where the directory should be")
    recorder = StereoRecorder(folder / "call.wav", 0.0, told.append)
    for n in range(100):
        recorder.caller(LOUD, 160, (n + 1) * 0.02)
        if n % 25 == 0:
            assert recorder.flush()
    assert len(told) == 1 and recorder.failed
    folder.unlink()
    recorder.close(2.0)
    assert not recorder.flush() and recorder.failed is None
    assert len(stereo(folder / "call.wav")[0]) == 16000
    lost = StereoRecorder(folder / "call.wav" / "x.wav", 0.0, told.append)
    lost.close(1.0)
    assert [lost.flush() for _ in range(120)] == [True] * 119 + [False] and len(told) == 2


def test_a_recording_is_written_every_other_round_and_in_each_when_it_ends_or_the_disk_fails(tmp_path):
    recorder, path = StereoRecorder(tmp_path / "x" / "call.wav", 0.0), tmp_path / "x" / "call.wav"
    sizes = []
    for n in range(4):
        recorder.caller(LOUD, 160, (n + 1) * 0.02)
        assert recorder.each_round()
        sizes.append((path.stat().st_size - 58) // 320)
    assert sizes == [1, 1, 3, 3]
    recorder.close(0.08)
    assert not recorder.each_round() and path.stat().st_size == 58 + 4 * 320
    blocked = StereoRecorder(path / "call.wav", 0.0)
    assert [blocked.each_round() for _ in range(120)] == [True] * 119 + [False]


@pytest.mark.parametrize("calls", [3, 200, 2000])
def test_a_round_is_spread_so_that_the_loop_waits_for_a_few_calls_only(tmp_path, monkeypatch, calls):
    directory, written, pauses = JournalDir(tmp_path), [], []
    monkeypatch.setattr(directory, "_write", lambda journal, writing: written.append(journal))
    monkeypatch.setattr(time, "sleep", lambda s: pauses.append((len(written), s)))
    for n in range(calls):
        directory.open(f"CA{n}", {}, 0.0, {})
    directory.flush()
    assert len(written) == calls and not pauses
    written.clear()
    directory._round(_Pace(calls))
    assert [n for n, _ in pauses] == list(range(8, calls + 1, 8))
    assert sum(s for _, s in pauses) <= 0.31


def test_a_defect_in_the_writers_work_is_named_and_ends_no_other(tmp_path):
    told, done = [], []
    directory = JournalDir(tmp_path, on_failure=told.append)
    directory.each_round(lambda: 1 / 0)
    directory.each_round(lambda: not done.append(1))
    directory.flush()
    directory.flush()
    assert len(told) == 1 and "ZeroDivisionError" in told[0] and len(done) == 2


def test_json_of_a_report_is_for_programs(tmp_path):
    record = Recording.parse([b'{"k":"begin","t":0,"version":1}', b'{"k":"end","t":5,"end":{"wanted":true,"why":"x"}}'])
    data = json.loads(json.dumps(report(record).as_data()))
    assert data["verdict"] == "not proven" and {hop["boundary"] for hop in data["boundaries"]} >= {"webhook", "media"}


def test_a_webhook_that_no_stream_followed_says_so_and_an_abandoned_call_why(tmp_path):
    process = ServerProcess(tmp_path, env={"OFFHOOK_LIMITS_STREAM_TIMEOUT_S": "0.3"})

    async def run():
        async with world(process) as w:
            alone = sid()
            await w.webhook(alone)
            ended = process.record(alone)
            drained = sid()
            await w.webhook(drained)
            await asyncio.to_thread(process.stop)
            return ended, process.record(drained)

    alone, drained = asyncio.run(run())
    assert alone.end["end"] == {"wanted": False, "why": "no stream followed the webhook"}
    assert [line.data["name"] for line in alone.missed("stream after webhook")] == ["stream after webhook"]
    assert [figures["frames"] for figures in alone.counters()["channels"]] == [0, 0, 0, 0]
    assert report(alone).verdict != "healthy"
    assert not drained.end["end"]["wanted"] and drained.end["end"]["why"]


def test_two_who_record_one_call_at_once_write_two_files_and_the_servers_is_found_first(tmp_path):
    server, worker, dial = JournalDir(tmp_path), JournalDir(tmp_path), JournalDir(tmp_path)
    journals = [server.open("CA1", {}, 0.0, {}), worker.open("CA1", {}, 0.0, {"source": "bridge"})]
    journals.append(dial.open("CA1", {}, 0.0, {"source": "dial"}))
    for n, (journal, folder) in enumerate(zip(journals, (server, worker, dial), strict=True)):
        journal.note(f"who{n}", 0.1)
        folder.flush()
        journal.close(0.2, {})
        folder.flush()
    assert [len(list(read(journal.path).notes(f"who{n}"))) for n, journal in enumerate(journals)] == [1, 1, 1]
    assert len({journal.path for journal in journals}) == 3 and journals[2].path.stem.endswith("CA1-dial")
    assert {call_of(path) for path in tmp_path.iterdir()} == {"CA1"}
    assert find("CA1", tmp_path) == journals[1].path


def test_what_is_said_after_a_calls_end_is_joined_to_its_record(tmp_path):
    directory = JournalDir(tmp_path, on_whole=lambda path: {"verdict": "healthy"})
    journal = directory.open("CA1", {}, 100.0, {}, numbers=("+15550100001",))
    journal.close(101.0, {"end": {"why": "hung up"}})
    directory.late("CA1", "carrier.status", 102.5, StreamEvent="stream-error", StreamError="31924: +15550100001")
    directory.late("CA2", "carrier.status", 102.5, StreamEvent="stream-stopped")
    directory.flush()
    record = read(journal.path)
    (said,) = record.notes("carrier.status")
    assert said.at_ms == 2500.0 and "5550100001" not in journal.path.read_text()
    assert record.end == {"end": {"why": "hung up"}} and [line.kind for line in record.lines][-1] == "note"
    assert [alert.code for alert in Evidence.of(record).alerts] == ["31924"]
    journal.path.unlink()
    directory.late("CA1", "carrier.status", 103.0, StreamEvent="stream-stopped")
    directory.flush()
    assert directory.failures == 0 and not list(tmp_path.iterdir())


def test_what_comes_while_the_disk_takes_nothing_is_joined_when_it_does(tmp_path):
    folder = tmp_path / "calls"
    folder.write_text("a file stands where the directory should be")
    directory = JournalDir(folder)
    journal = directory.open("CA1", {}, 0.0, {})
    journal.close(1.0, {})
    directory.late("CA1", "carrier.status", 2.0, StreamEvent="stream-stopped")
    directory.flush()
    folder.unlink()
    directory.flush()
    assert len(list(read(journal.path).notes("carrier.status"))) == 1


def test_a_call_that_is_still_running_is_not_said_to_have_died(tmp_path):
    directory = JournalDir(tmp_path)
    journal = directory.open("CA1", {}, 0.0, {})
    journal.note("webhook", 0.1, method="POST", path="/voice", status=200)
    directory.flush()
    running = report(read(journal.path))
    assert (running.verdict, running.roots) == ("not proven", ()) and "still running" in running.because
    copy = tmp_path / "20260101T000000Z-CA2.jsonl"  # the same lines, and nobody who writes them
    copy.write_bytes(journal.path.read_bytes())
    assert [root.rule for root in report(read(copy)).roots] == ["records/process-died"]
    journal.close(1.0, {"end": {"why": "hung up"}})
    directory.flush()
    assert not read(journal.path).live
