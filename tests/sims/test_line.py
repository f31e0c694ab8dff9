"""A media stream of the simulated carrier, in virtual time: what leaves when, and how faults bend it."""

import base64
import json

import numpy as np
import pytest

from offhook.media import g711
from offhook.media.levels import level_dbfs
from offhook.sims.carrier_faults import parse_fault
from offhook.sims.line import Binary, SimCarrier
from offhook.sims.provider import tone
from offhook.wires._wire import PeerClose
from offhook.wires.carriers._twilio_peer import Peer

SID = "MZ" + "1" * 32


class Played:
    """A stream played to the end of ``seconds``; ``server`` says what comes back, and when."""

    def __init__(self, *faults: str, seconds: float = 2.0, say: bytes = b"", server=(), parameters=None) -> None:
        self.line = SimCarrier(Peer(SID, "CA1", "AC1"), faults=[parse_fault(f) for f in faults], parameters=parameters)
        self.sent: list[tuple[float, object]] = []
        self.line.say(say)
        self._take(0.0, self.line.opened(0.0))
        coming = sorted(server, key=lambda entry: entry[0])
        while True:
            due = self.line.deadline()
            at = min([t for t in (due, coming[0][0] if coming else None) if t is not None], default=seconds + 1)
            if at > seconds:
                break
            if coming and coming[0][0] <= at:
                when, message = coming.pop(0)
                self._take(when, self.line.receive(message, when))
            else:
                self._take(at, self.line.tick(at))
        self.line.closed(seconds)

    def _take(self, now: float, out) -> None:
        self.sent += [(now, json.loads(m) if isinstance(m, bytes) and m.endswith(b"}") else m) for m in out]

    def of(self, event: str) -> list[tuple[float, dict]]:
        return [(at, m) for at, m in self.sent if isinstance(m, dict) and m.get("event") == event]

    def audio(self) -> bytes:
        return b"".join(base64.b64decode(m["media"]["payload"]) for _, m in self.of("media"))


def media(audio: bytes) -> bytes:
    payload = base64.b64encode(audio).decode()
    return json.dumps({"event": "media", "streamSid": SID, "media": {"payload": payload}}).encode()


def mark(name: str) -> bytes:
    return json.dumps({"event": "mark", "streamSid": SID, "mark": {"name": name}}).encode()


CLEAR = json.dumps({"event": "clear", "streamSid": SID}).encode()


def numbers(played: Played) -> list[int]:
    return [int(m["sequenceNumber"]) for _, m in played.sent if isinstance(m, dict) and "sequenceNumber" in m]


def test_a_call_is_connected_then_start_then_a_frame_every_20_ms():
    played = Played(say=tone(500), parameters={"a": "b"})
    kinds = [m["event"] for _, m in played.sent]
    assert kinds[:3] == ["connected", "start", "media"]
    assert played.of("start")[0][1]["start"]["customParameters"] == {"a": "b"}
    times = [at for at, _ in played.of("media")]
    assert times == pytest.approx([n * 0.02 for n in range(101)])
    assert numbers(played) == list(range(1, 103))
    assert played.audio()[:4000] == tone(500)
    assert played.line.said[0].began == 0.0 and not played.line.speaking


def test_marks_come_back_when_their_audio_was_played_and_with_a_clear():
    played = Played(server=[(0.1, media(tone(300))), (0.1, mark("m1")), (0.5, media(tone(900))), (0.5, mark("m2")),
                            (0.7, CLEAR)])  # fmt: skip
    (first, m1), (second, m2) = played.of("mark")
    assert (first, m1["mark"]["name"]) == (pytest.approx(0.4), "m1")
    assert (second, m2["mark"]["name"]) == (pytest.approx(0.7), "m2")
    assert played.line.played_ms() == 500 and played.line.phone.dropped_ms == [700]


@pytest.mark.parametrize("fault", ["no-marks", "lost-marks=1"])
def test_marks_can_stay_away(fault):
    assert not Played(fault, server=[(0.1, media(tone(100))), (0.1, mark("m1"))]).of("mark")


def test_a_clear_can_swallow_its_marks():
    assert not Played("no-marks-on-clear", server=[(0.1, media(tone(900))), (0.1, mark("m")), (0.2, CLEAR)]).of("mark")


def test_a_lost_frame_leaves_a_gap_in_the_numbers():
    played = Played("loss=0.2", seconds=4)
    got = numbers(played)
    assert 20 < 201 - len(played.of("media")) < 60
    assert got == sorted(set(got)) and got[-1] - len(got) > 15


def test_jitter_delays_frames_and_keeps_their_order_marks_included():
    played = Played("jitter=80", seconds=4, server=[(n / 10, mark(f"m{n}")) for n in range(30)])
    late = [at - n * 0.02 for n, (at, _) in enumerate(played.of("media"))]
    assert max(late) > 0.05 and min(late) >= -1e-9 and max(late) < 0.0801
    assert numbers(played) == sorted(numbers(played)) and len(played.of("mark")) == 30


def test_reordered_frames_arrive_behind_their_follower():
    got = numbers(Played("reorder=0.1", seconds=4))
    assert got != sorted(got) and sorted(got)[:190] == list(range(1, 191))


def test_bunched_frames_come_together():
    times = [round(at, 3) for at, _ in Played("bunching=200").of("media")]
    assert set(times) == {round(n * 0.2, 3) for n in range(1, 11)}


def test_a_drifting_clock_makes_fewer_frames():
    assert len(Played("clock-drift=20000", seconds=10).of("media")) == 491


def test_both_tracks_carry_what_the_caller_heard():
    played = Played("both-tracks", server=[(0.1, media(tone(500)))])
    tracks = [m["media"]["track"] for _, m in played.of("media")]
    assert tracks[:4] == ["inbound", "outbound", "inbound", "outbound"]
    outbound = b"".join(
        base64.b64decode(m["media"]["payload"]) for _, m in played.of("media") if m["media"]["track"] == "outbound"
    )
    assert tone(500)[:3200] in outbound


def test_an_echo_comes_back_quieter_and_later():
    played = Played("echo=-18,240", server=[(0.0, media(tone(1000, level_dbfs=-10.0)))])
    audio = played.audio()
    assert level_dbfs(audio[: 8 * 200]) < -60
    assert level_dbfs(audio[8 * 400 : 8 * 1100]) == pytest.approx(-28, abs=0.7)


def test_a_clear_long_after_everything_was_played_is_idle():
    late = Played(server=[(0.1, media(tone(200))), (0.5, CLEAR), (1.5, CLEAR)]).line.phone
    assert late.dropped_ms == [0, 0] and late.idle_clears == 1
    assert Played(server=[(0.1, CLEAR)]).line.phone.idle_clears == 1


def test_noise_bursts_come_only_while_the_agent_speaks():
    played = Played("noise-bursts=90", seconds=6, server=[(2.0, media(tone(3000)))])
    loud = [at for at, m in played.of("media") if level_dbfs(base64.b64decode(m["media"]["payload"])) > -30]
    assert loud and min(loud) >= 2.0 and max(loud) < 5.2 and len(loud) < 16


@pytest.mark.parametrize(
    ("fault", "low", "high"),
    [("quiet=-60", -63, -56), ("noise=-35", -37, -33), ("music=-20", -23, -17), ("voicemail=1", -25, -14)],
)
def test_the_line_sounds_as_loud_as_asked(fault, low, high):
    assert low < level_dbfs(Played(fault, seconds=1.3).audio()[1600:10000]) < high


def test_digital_silence_and_a_low_level():
    assert set(Played("digital-silence", say=tone(500)).audio()) == {0xFF}
    assert level_dbfs(Played("low-level=30", say=tone(500)).audio()[:4000]) == pytest.approx(-50, abs=1)


def test_a_voicemail_ends_in_a_beep():
    samples = g711.decode(Played("voicemail=1", seconds=1.6).audio()[8000:12000]).astype(float)
    assert abs(int(np.argmax(np.abs(np.fft.rfft(samples)))) * 2 - 1000) <= 4


def test_early_media_is_lost_until_the_caller_speaks():
    played = Played("early-media-lost", server=[(0.1, media(tone(500))), (0.1, mark("m"))])
    assert played.line.played_ms() == 0 and played.of("mark")


@pytest.mark.parametrize(
    ("fault", "event"),
    [("unknown-event", "offhook-unknown"), ("second-start@1s", "start"), ("unknown-mark", "mark")],
)
def test_odd_messages_are_numbered_as_any_other(fault, event):
    played = Played(fault)
    assert played.of(event) and numbers(played) == list(range(1, len(numbers(played)) + 1))


def test_frames_that_are_no_message_at_all():
    assert any(isinstance(m, Binary) for _, m in Played("binary-frame").sent)
    assert any(isinstance(m, bytes) for _, m in Played("malformed-json").sent)
    assert any(m["streamSid"] != SID for _, m in Played("other-stream").of("media"))


def test_fields_can_be_of_another_type_added_or_missing():
    assert all(isinstance(m["media"]["chunk"], int) for _, m in Played("number-types").of("media"))
    assert all("offhookUnknown" in m for _, m in Played("unknown-field").sent)
    assert "customParameters" not in Played("no-parameters").of("start")[0][1]["start"]
    assert Played("foreign-call").of("start")[0][1]["start"]["callSid"] != "CA1"


def test_start_can_come_late_or_never_and_audio_before_it():
    assert Played("late-start=400").of("start")[0][0] == pytest.approx(0.4)
    assert [m["event"] for _, m in Played("no-start").sent] == ["connected"]
    assert [m["event"] for _, m in Played("media-before-start").sent][:3] == ["connected", "media", "media"]


def test_keys_alone():
    played = Played("dtmf-only")
    assert not played.of("media")
    assert json.loads(SimCarrier(Peer(SID, "CA1", "AC1")).press("5", 0.0)[0])["dtmf"]["digit"] == "5"


def test_frames_of_changing_length_keep_the_pace():
    played = Played("odd-frames", say=tone(1000))
    lengths = {len(base64.b64decode(m["media"]["payload"])) for _, m in played.of("media")}
    assert lengths == {160, 320, 480} and abs(len(played.audio()) - 16000) <= 480
    assert played.audio()[:8000] == tone(1000)


@pytest.mark.parametrize(
    ("fault", "last"),
    [
        ("hang-up@700ms", ["stop", PeerClose(1000)]),
        ("close-without-stop@700ms", [PeerClose(1000)]),
        ("stop-without-close@700ms", ["stop"]),
        ("drop@700ms", [PeerClose(None)]),
    ],
)
def test_a_stream_ends_in_every_way(fault, last):
    played = Played(fault)
    tail = [m["event"] if isinstance(m, dict) else m for _, m in played.sent if not isinstance(m, dict)
            or m["event"] != "media"][2:]  # fmt: skip
    assert tail == last and played.sent[-1][0] == pytest.approx(0.7) and played.line.deadline() is None


def test_a_hang_up_lets_arrive_what_the_network_holds():
    played = Played("jitter=80", "hang-up@1s", "second-stop")
    assert len(played.of("media")) in (50, 51) and len(played.of("stop")) == 2
    assert [m for _, m in played.sent][-1] == PeerClose(1000)


def test_a_dead_path_sends_and_reads_nothing():
    played = Played("half-dead@500ms", server=[(1.0, media(tone(100))), (1.0, mark("m"))])
    assert played.sent[-1][0] <= 0.5 and played.line.reads_bytes_s(1.0) == 0 and not played.line.phone.heard


def test_what_the_caller_does_behind_a_dead_path_reaches_nobody():
    line = Played("half-dead@500ms", seconds=1.0).line
    line.ended_at = None
    assert line.hang_up(1.1) == [] and line.hung_up and line.deadline() is None


def test_slow_reading_begins_when_told():
    line = Played("slow-read=2000@1s", seconds=0.5).line
    assert line.reads_bytes_s(0.9) is None and line.reads_bytes_s(1.1) == 2000


@pytest.mark.parametrize(("fault", "wanted"), [("second-stream@1s", [(1.0, "second")]),
                                               ("reconnect=900@1s", [(1.9, "again")])])  # fmt: skip
def test_more_streams_are_asked_for(fault, wanted):
    assert Played(fault).line.streams_wanted == [(pytest.approx(wanted[0][0]), wanted[0][1])]


def test_the_same_seed_gives_the_same_call():
    assert Played("loss=0.3", "jitter=50").sent == Played("loss=0.3", "jitter=50").sent


def test_a_microphone_speaks_where_nothing_else_is_said():
    line = SimCarrier(Peer(SID, "CA1", "AC1"), source=lambda n: b"\x11" * n)
    line.say(b"\x22" * 80)
    frames = [json.loads(m) for m in [*line.opened(0.0), *line.tick(0.02)]]
    assert base64.b64decode(frames[2]["media"]["payload"]) == b"\x22" * 80 + b"\x11" * 80


SOUND = media(b"\x10" * 1600)


@pytest.mark.parametrize(
    ("server", "marked"),
    [
        ([(0.1, SOUND), (0.1, mark("a"))], True),
        ([(0.1, mark("a")), (0.1, SOUND)], False),
        ([(0.1, SOUND), (0.2, mark("a")), (0.3, SOUND)], False),
        ([(0.1, SOUND), (0.1, mark("a")), (2.5, SOUND)], True),  # the last one may have had more on its way
        ([(0.1, SOUND), (2.5, SOUND), (2.5, mark("a"))], False),
        ([(0.1, SOUND), (0.4, CLEAR)], None),
        ([(2.5, SOUND)], None),
        ([], None),
    ],
)
def test_the_last_answer_that_came_to_its_end_has_a_mark_behind_it_or_not(server, marked):
    assert Played(seconds=3.0, server=server).line.phone.marked_last(3.0) is marked
