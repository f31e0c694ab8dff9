"""Checklist D.4 and D.5: what the server sends, and what it knows of what was heard."""

import asyncio
import base64
import time

import numpy as np
import pytest
from tests.conformance.harness import ServerProcess, sid, until, world

from offhook.media import g711
from offhook.sims.provider import Answer, tone
from offhook.vocab import ClearPlayback, PlayAudio, SetMark
from offhook.wires._wire import LocalProtocolError
from offhook.wires.carriers import twilio
from offhook.wires.carriers._twilio_peer import Peer

LOUD = tone(500, 440, -12)
QUIET = b"\xff\x7f" * 80
LONG = Answer(audio=tone(4000, 1000, -12), transcript="a long answer")


async def say(stream, audio: bytes = LOUD) -> None:
    """A turn of the caller: speech, then the quiet that ends it."""
    await stream.speak(audio + QUIET * 25)


async def finish(stream) -> None:
    await stream.stop()
    await stream.closed()


def strict(stream) -> Peer:
    """Everything the server sent, put before the strict carrier."""
    peer = Peer(stream.sid, stream.call_sid, "AC" + "0" * 32)
    peer.start({})
    for message in stream.raw:
        data = message.encode() if isinstance(message, str) else message
        peer.receive(data, 0.0, binary=isinstance(message, bytes))
    return peer


@pytest.mark.sid(
    "O01", "O02", "O03", "O04", "O05", "O06", "O07", "O08", "O09", "O10", "O11", "O12", "O14", "O15", "P01"
)
def test_everything_sent_passes_the_strict_carrier(server: ServerProcess):
    async def run():
        async with world(server, script=(LONG,)) as w:
            stream = await w.stream(sid())
            await until(lambda: w.fake.sessions and w.session.updates)
            await say(stream)
            await until(lambda: len(stream.audio()) > 16000)
            await stream.speak(LOUD)  # a barge-in, so that there is a clear as well
            await until(lambda: stream.of("clear"))
            await finish(stream)
            return stream

    stream = asyncio.run(run())
    peer = strict(stream)
    assert peer.violations == [] and peer.logged == []
    assert all(isinstance(message, str) for message in stream.raw)
    assert {message["event"] for message in stream.got} == {"media", "mark", "clear"}
    names = [message["mark"]["name"] for message in stream.of("mark")]
    assert len(names) == len(set(names)) and all(names)
    assert b"\x00" * 161 not in stream.audio()


@pytest.mark.sid("O13", "O21", "O22", "P11")
def test_a_tone_keeps_pitch_level_and_order_and_is_not_held_back(server: ServerProcess):
    answer = Answer(audio=tone(1000, 1000, -20) + tone(1000, 500, -20), transcript="two tones")

    async def run():
        async with world(server, script=(answer,)) as w:
            stream = await w.stream(sid())
            await until(lambda: w.fake.sessions and w.session.updates)
            await say(stream)
            await until(lambda: len(stream.audio()) >= 16000)
            first, last = stream.times[0], stream.times[-1]
            await finish(stream)
            return stream, last - first

    stream, spread_s = asyncio.run(run())
    audio = stream.audio()
    assert audio == answer.audio  # byte for byte, so order too
    assert spread_s > 0.2  # forwarded as it came (5 times real time), not collected
    assert all(len(base64.b64decode(m["media"]["payload"])) % 160 == 0 for m in stream.of("media"))
    spectrum = np.abs(np.fft.rfft(g711.decode(audio[:8000]).astype(float)))
    assert abs(int(np.argmax(spectrum)) - 1000) <= 10
    rms = float(np.sqrt(np.mean(g711.decode(audio[:8000]).astype(float) ** 2)))
    assert abs(20 * np.log10(rms / 32768) + 20) < 1


@pytest.mark.sid("O16", "O17", "O18")
def test_frames_are_unmasked_single_and_close_politely(server: ServerProcess):
    """The ``websockets`` client fails a connection with a masked, fragmented control or reserved-bit frame."""

    async def run():
        async with world(server) as w:
            stream = await w.stream(sid())
            await until(lambda: w.fake.sessions and w.session.updates)
            assert (await stream.ws.ping(b"x" * 125)) is not None
            await finish(stream)
            assert stream.ws.close_code == 1000 and len(stream.ws.close_reason) <= 123

    asyncio.run(run())


@pytest.mark.sid("O19")
def test_audio_far_ahead_is_bounded_and_named(tmp_path):
    process = ServerProcess(tmp_path, bridge={"max_unplayed_s": 5.0})
    more = Answer(audio=tone(4000), transcript="and another thing")

    async def run():
        async with world(process, greeting=more, speedup=100.0) as w:
            call = sid()
            stream = await w.stream(call)
            await until(lambda: w.fake.sessions and w.session.updates)
            for _ in range(4):  # a provider that goes on and on
                before = len(stream.audio())
                w.session.asked.append("more")
                await stream.speak(QUIET)
                await until(lambda before=before: len(stream.audio()) >= before + 32000 or stream.of("clear"), 4)
            await until(lambda: any("more audio" in str(t.get("text")) for t in process.told))
            stream.abort()
            return len(stream.audio())

    try:
        sent = asyncio.run(run())
        assert sent < 15 * 8000
    finally:
        process.stop()


@pytest.mark.sid("O20")
def test_nothing_can_be_sent_on_a_one_way_stream():
    leg = twilio.Leg(twilio.CarrierSettings(public_url="https://x.example"), bidirectional=False)
    leg.receive(b'{"event":"start","streamSid":"MZ1","start":{"callSid":"CA1"}}', 0.0)
    for command in (PlayAudio(b"////", 3), SetMark("m1"), ClearPlayback()):
        with pytest.raises(LocalProtocolError, match="31924"):
            leg.send(command)


@pytest.mark.sid("P02", "P03", "P07")
def test_marks_after_clear_are_flushed_and_truncation_is_what_was_heard(server: ServerProcess):
    async def run():
        async with world(server, script=(LONG,)) as w:
            call = sid()
            stream = await w.stream(call)
            await until(lambda: w.fake.sessions and w.session.updates)
            await say(stream)
            await until(lambda: stream.of("media"))
            began, took = stream.times[0], server.elapsed()
            await until(lambda: stream.of("mark"))
            await stream.message("mark", mark={"name": "never sent"})
            await stream.message("mark", mark={"name": "never sent"})
            await asyncio.sleep(max(0.0, began + 1.0 - time.monotonic()))
            await stream.speak(LOUD)
            await until(lambda: stream.of("clear"))
            heard_s = stream.times[[m["event"] for m in stream.got].index("clear")] - began
            for mark in stream.of("mark"):
                await stream.message("mark", mark=mark["mark"])
            await until(lambda: w.session.truncated)
            (_, truncated_ms), *_ = w.session.truncated
            timing_ms = 40 + took.stood() * 1000  # one frame, and this machine's own
            assert abs(truncated_ms - heard_s * 1000) <= timing_ms
            await finish(stream)
            return call

    record = server.record(asyncio.run(run()))
    marks = record.end["marks"]
    assert marks["unknown"] == 2 and marks["flushed"] > 0 and marks["played"] == 0
    (cut,) = [item for item in record.end["items"] if item["heard_ms"] < item["ms"]]
    assert cut["heard_ms"] <= cut["ms"]


@pytest.mark.sid("P04", "P10")
def test_a_goodbye_does_not_wait_for_marks_that_never_come(server: ServerProcess):
    goodbye = Answer(audio=tone(600), transcript="Goodbye.", tool="hang_up")

    async def run():
        async with world(server, script=(goodbye,)) as w:
            call = sid()
            stream = await w.stream(call)
            await until(lambda: w.fake.sessions and w.session.updates)
            await say(stream)
            await until(lambda: stream.of("media"))
            began, took = time.monotonic(), server.elapsed()
            assert await stream.closed() == 1000  # no mark was returned
            assert time.monotonic() - began > 0.4 and took() < 2.5
            return call

    record = server.record(asyncio.run(run()))
    assert record.end["end"] == {"why": "agent hung up", "wanted": True}
    assert record.end["heard_proven_by"] == "clock"


@pytest.mark.sid("P05", "P06")
def test_clear_comes_at_once_and_nothing_of_the_cancelled_answer_follows(server: ServerProcess):
    async def run():
        async with world(server, script=(LONG, Answer(audio=tone(300, 300))), faults=["late-deltas"]) as w:
            stream = await w.stream(sid())
            await until(lambda: w.fake.sessions and w.session.updates)
            await say(stream)
            await until(lambda: len(stream.audio()) >= 8000)
            session = w.fake.sessions[-1]
            when = []
            started = session.peer.user_started
            watch = lambda: when.append((time.monotonic(), server.elapsed()))  # noqa: E731
            session.peer.user_started = lambda at, now: (watch(), started(at, now))[1]
            await stream.speak(LOUD)
            await until(lambda: stream.of("clear"))
            kinds = [message["event"] for message in stream.got]
            at = kinds.index("clear")
            began, took = when[0]
            assert stream.times[at] - began < 0.05 + took.stood()
            await asyncio.sleep(0.15)  # the late deltas are dropped, whenever they come
            assert "media" not in kinds[at:] and "media" not in [m["event"] for m in stream.got[at:]]
            await finish(stream)

    asyncio.run(run())


@pytest.mark.sid("P08")
def test_no_clear_when_everything_was_heard(server: ServerProcess):
    async def run():
        async with world(server, script=(Answer(audio=tone(300)),)) as w:
            stream = await w.stream(sid())
            await until(lambda: w.fake.sessions and w.session.updates)
            await say(stream)
            await until(lambda: len(stream.audio()) >= 2400)
            await asyncio.sleep(0.8)
            await say(stream)
            await until(lambda: w.fake.sessions[-1].turns == 2)
            assert stream.of("clear") == []
            await finish(stream)

    asyncio.run(run())


@pytest.mark.sid("P09")
def test_one_mark_follows_the_last_audio_of_an_answer(server: ServerProcess):
    async def run():
        async with world(server, script=(Answer(audio=tone(500)),)) as w:
            stream = await w.stream(sid())
            await until(lambda: w.fake.sessions and w.session.updates)
            await say(stream)
            await until(lambda: len(stream.audio()) >= 4000 and stream.got[-1]["event"] == "mark")
            await asyncio.sleep(0.1)
            kinds = [message["event"] for message in stream.got]
            assert kinds[-2:] == ["media", "mark"]
            assert not any(a == b == "mark" for a, b in zip(kinds, kinds[1:], strict=False))
            await finish(stream)

    asyncio.run(run())
