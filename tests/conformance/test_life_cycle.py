"""Checklist D.6: how calls begin, last and end."""

import asyncio
import json
import os
import signal
import time

import pytest
from tests.conformance.harness import PATIENCE_S, PUBLIC, ServerProcess, sid, until, world
from tests.conformance.test_writing import LOUD, QUIET, finish, say

from offhook.sims.carrier import parse_twiml
from offhook.sims.provider import Answer, tone

GOODBYE = Answer(audio=tone(400), transcript="Goodbye.", tool="hang_up")


async def return_marks(stream) -> None:
    """What the carrier does when it has played everything."""
    for mark in stream.of("mark"):
        await stream.message("mark", mark=mark["mark"])


@pytest.mark.sid("L02")
def test_early_audio_is_kept_in_order_and_bounded(tmp_path):
    process = ServerProcess(tmp_path, bridge={"early_audio_s": 1.0})

    async def run():
        async with world(process, faults=["delay-greeting@0.6s"]) as w:
            call = sid()
            stream = await w.stream(call)
            early = bytes(range(1, 101)) * 160
            await stream.speak(early)  # two seconds, before the provider has said a word
            await until(lambda: w.fake.sessions)
            heard = bytearray()
            session = w.fake.sessions[-1]
            listen = session._listen
            session._listen = lambda data, now: (heard.extend(data), listen(data, now))[1]
            await until(lambda: w.session.updates)
            await stream.speak(b"\x22" * 160)
            await until(lambda: len(heard) >= 8160)
            assert bytes(heard) == early[-8000:] + b"\x22" * 160  # the oldest is what was dropped
            assert w.session.appended_before_update == 0
            await finish(stream)
            return call

    try:
        call = asyncio.run(run())
        assert process.record(call).end["counts"]["early_dropped_bytes"] == 8000
    finally:
        process.stop()


@pytest.mark.sid("L03", "L05")
def test_stop_ends_the_session_once_and_nothing_more_is_sent(server: ServerProcess):
    async def run():
        async with world(server, script=(Answer(audio=tone(4000)),)) as w:
            call = sid()
            stream = await w.stream(call)
            await until(lambda: w.fake.sessions and w.session.updates)
            await say(stream)
            await until(lambda: stream.of("media"))
            await stream.stop()
            await stream.stop()
            took = server.elapsed()
            await until(lambda: w.fake.open == 0)
            assert took() < 1.0
            before = len(stream.got)
            await stream.closed()
            assert len(stream.got) - before <= 2  # what was on its way
            return call

    record = server.record(asyncio.run(run()))
    assert sum(line.kind == "end" for line in record.lines) == 1
    assert record.end["end"] == {"why": "caller hung up", "wanted": True}


@pytest.mark.sid("L04")
@pytest.mark.parametrize("how", ["1000", "1001", "abort"])
def test_a_close_without_stop_is_cleaned_up_within_a_second(server: ServerProcess, how: str):
    async def run():
        async with world(server) as w:
            call = sid()
            stream = await w.stream(call)
            await until(lambda: w.fake.sessions and w.session.updates)
            took = server.elapsed()
            if how == "abort":
                stream.abort()
            else:
                await stream.close(int(how))
            await until(lambda: w.fake.open == 0)
            assert took() < 1.0
            return call

    server.record(asyncio.run(run()))


@pytest.mark.sid("L06")
@pytest.mark.parametrize("fault", ["refuse-401", "no-greeting", "no-session-updated", "reject-session", "drop"])
def test_a_provider_that_fails_is_heard_and_the_call_ends_by_name(tmp_path_factory, fault: str):
    process = ServerProcess(
        tmp_path_factory.mktemp(fault), bridge={"greeted_s": 0.3, "configured_s": 0.3, "first_audio_s": 1.0},
        env={"OFFHOOK_AGENT_GREETING": "Hello."},
    )  # fmt: skip

    async def run():
        async with world(process, faults=[fault], greeting=Answer(audio=tone(3000))) as w:
            call = sid()
            stream = await w.stream(call)
            await until(lambda: len(stream.audio()) > 3 * 8000)  # a spoken line of four seconds
            await return_marks(stream)
            assert await stream.closed() == 1000
            after = await w.webhook(call, "/twilio/after")
            verbs = parse_twiml(after.content, after.headers["content-type"], PUBLIC)
            assert [verb.name for verb in verbs] == ["Hangup"]  # told once, by the line on the stream
            return call

    try:
        record = process.record(asyncio.run(run()))
        assert record.end["end"]["wanted"] is False
        from offhook.diagnosis.report import report

        judged = report(record)
        assert judged.verdict == "broken" and judged.roots[0].boundary.startswith("provider")
    finally:
        process.stop()


@pytest.mark.sid("L07")
def test_without_credentials_a_wanted_end_closes_1000_after_the_goodbyes_mark(server: ServerProcess):
    async def run():
        async with world(server, script=(GOODBYE,)) as w:
            call = sid()
            stream = await w.stream(call)
            await until(lambda: w.fake.sessions and w.session.updates)
            await say(stream)
            await until(lambda: len(stream.audio()) >= 3200)
            await until(lambda: stream.got[-1]["event"] == "mark")
            assert stream.ws.state.name == "OPEN"
            await return_marks(stream)
            assert await stream.closed() == 1000
            after = await w.webhook(call, "/twilio/after")
            verbs = parse_twiml(after.content, after.headers["content-type"], PUBLIC)
            assert [verb.name for verb in verbs] == ["Hangup"]  # no fallback after a wanted end
            assert w.rest.asked == []

    asyncio.run(run())


@pytest.mark.sid("L07", "L08", "L09")
@pytest.mark.parametrize(
    "answer",
    [(200, {"status": "completed"}), (404, {"code": 20404}), (400, {"code": 21220})],
    ids=["done", "404", "400"],
)
def test_with_credentials_a_wanted_end_goes_by_rest_and_waits_for_stop(rest_server: ServerProcess, answer):
    async def run():
        async with world(rest_server, script=(GOODBYE,)) as w:
            w.rest.answer = answer
            call = sid()
            stream = await w.stream(call)
            await until(lambda: stream.of("media"))  # the greeting
            assert w.rest.asked == []
            w.rest.on_completed = stream.stop
            await until(lambda: w.session.response is None)
            await return_marks(stream)
            await say(stream)
            await until(lambda: w.fake.sessions[-1].turns == 1 and w.session.response is None)
            await asyncio.sleep(0.1)
            await return_marks(stream)
            await stream.closed()
            ((method, path, form, auth),) = w.rest.asked
            assert (method, form) == ("POST", {"Status": "completed"}) and auth.startswith("Basic ")
            assert path == f"/2010-04-01/Accounts/AC{'0' * 32}/Calls/{call}.json"
            return call

    record = rest_server.record(asyncio.run(run()))
    assert next(record.notes("rest.result")).data["done"] is True
    assert record.end["end"] == {"why": "agent hung up", "wanted": True}


@pytest.mark.sid("L10", "L11")
def test_no_twiml_is_ever_sent_by_rest():
    """The one REST request that exists changes the status; it carries no document and no URL."""
    from offhook.wires.carriers import twilio

    settings = twilio.CarrierSettings(public_url=PUBLIC, account_sid="AC" + "0" * 32, auth_token="t")
    request = twilio.end_call(settings, "CA" + "0" * 32)
    assert dict(request.form) == {"Status": "completed"}
    assert "t" not in repr(request).split()


@pytest.mark.sid("L12")
def test_a_new_socket_with_the_same_sid_is_a_connection_of_its_own(server: ServerProcess):
    async def run():
        async with world(server) as w:
            first = await w.stream(sid())
            await until(lambda: w.fake.sessions and w.session.updates)
            again = await w.connect()
            again.sid, again.call_sid, again.parameters = first.sid, first.call_sid, first.parameters
            await again.begin()
            # its token is good for the same stream, but the call has its stream: it is refused by name
            assert await again.closed() == 1008 and "already has a stream" in again.ws.close_reason
            await first.speak(QUIET)
            await finish(first)

    asyncio.run(run())


@pytest.mark.sid("L13")
def test_ten_minutes_and_a_minute_of_silence_do_not_grow_memory(tmp_path):
    slow = dict.fromkeys(
        ("start_s", "first_frame_s", "open_s", "greeted_s", "configured_s", "close_s", "paused_s", "frames_stop_s",
         "stream_close_s"), 36_000.0,
    )  # fmt: skip
    # without a store: its thread brings a library of 15 MB in while the call is measured
    env = {"OFFHOOK_LIMITS_IDLE_S": "3600", "OFFHOOK_LIMITS_IDLE_PROMPT_S": "0", "OFFHOOK_STORE_URL": "off"}
    process = ServerProcess(tmp_path, rate=120.0, bridge=slow, env=env)

    async def run():
        async with world(process) as w:
            call = sid()
            stream = await w.stream(call)
            await until(lambda: w.fake.sessions and w.session.updates)
            began = time.monotonic()
            await stream.speak(QUIET * 500)
            await until(lambda: True)
            start_kb = process.rss_kb()
            for _ in range(10):  # a minute of the server's clock each: 3000 frames
                await stream.speak(QUIET * 3000)
            while time.monotonic() - began < 5.25:  # ten minutes and a half by its clock
                assert stream.ws.state.name == "OPEN", process.told
                await stream.speak(QUIET)
                await asyncio.sleep(0.05)
            grown = process.rss_kb() - start_kb
            assert stream.ws.state.name == "OPEN", process.told
            await finish(stream)
            return call, grown

    try:
        call, grown_kb = asyncio.run(run())
        assert grown_kb < 4000, grown_kb
        assert process.record(call).last_ms > 600_000
    finally:
        process.stop()


@pytest.mark.sid("L14")
def test_a_missing_pong_ends_no_call_in_which_media_flows():
    """The socket pings only what is silent, and its carrier limits know no dead time at all."""
    from offhook.net.server import CARRIER_LIMITS

    assert CARRIER_LIMITS.ping_every_s >= 20 and CARRIER_LIMITS.dead_after_s is None


@pytest.mark.sid("L15")
def test_a_carrier_that_stops_reading_is_named_and_memory_stays_bounded(tmp_path):
    process = ServerProcess(tmp_path, bridge={"paused_s": 0.5, "max_unplayed_s": 10_000.0})
    much = Answer(audio=tone(60_000), transcript="much")

    async def run():
        async with world(process, greeting=much, speedup=2000.0) as w:
            call = sid()
            answer = await w.webhook(call)
            assert answer.status_code == 200
            stream = await w.stream(call, begin=False)
            await stream.begin()
            await until(lambda: w.fake.sessions and w.session.updates)
            stream.ws.transport.pause_reading()
            for _ in range(300):
                w.session.asked.append("more")
                await stream.speak(QUIET)
                await asyncio.sleep(0.1)
                if any(t.get("text") == "carrier reads" for t in process.told):
                    break
            stream.ws.transport.resume_reading()
            await stream.closed()
            return call

    try:
        record = process.record(asyncio.run(run()))
        assert any(record.notes("write.paused"))
        assert record.end["end"]["why"] == "carrier stopped reading"
        assert process.rss_kb() < 400_000
    finally:
        process.stop()


@pytest.mark.sid("L16")
def test_sigterm_refuses_new_calls_lets_running_ones_end_and_then_ends_them(tmp_path):
    process = ServerProcess(tmp_path, env={"OFFHOOK_SERVER_DRAIN_S": "2.5"})

    async def run():
        async with world(process) as w:
            stream = await w.stream(sid())
            await until(lambda: w.fake.sessions and w.session.updates)
            os.kill(process.process.pid, signal.SIGTERM)
            verbs = []
            while not verbs or verbs[0].name == "Connect":  # until it has come upon the signal
                answer = await w.webhook(sid())
                verbs = parse_twiml(answer.content, answer.headers["content-type"], PUBLIC)
            assert [verb.name for verb in verbs] == ["Say", "Hangup"] and "restarted" in verbs[0].text
            await stream.speak(QUIET)  # the running call goes on
            await until(lambda: len(stream.audio()) > 3 * 8000)  # then it is told
            await return_marks(stream)
            assert await stream.closed() == 1000

    try:
        asyncio.run(run())
        assert process.process.wait(PATIENCE_S) == 0
    finally:
        process.stop()


@pytest.mark.sid("L18")
def test_nothing_is_left_after_a_hundred_calls(tmp_path):
    """OFFHOOK_LEAK_CALLS=1000 makes it a thousand, which takes about ten seconds."""
    calls = int(os.environ.get("OFFHOOK_LEAK_CALLS", "100"))
    process = ServerProcess(tmp_path, env={"OFFHOOK_LIMITS_DIALS_PER_MINUTE": "100000"})

    def threads_and_fds() -> tuple[int, int]:
        base = f"/proc/{process.process.pid}"
        return len(os.listdir(f"{base}/task")), len(os.listdir(f"{base}/fd"))

    async def run():
        async with world(process) as w:

            async def one() -> None:
                stream = await w.stream(sid())
                await stream.speak(LOUD)
                await stream.stop()
                await stream.closed()

            await one()
            await asyncio.sleep(1.2)  # the journal's next round closes its files
            before = threads_and_fds()
            for _ in range(calls // 10):
                await asyncio.gather(*(one() for _ in range(10)))
            await until(lambda: w.fake.open == 0)

            def as_before() -> bool:  # after the journal's next round, which may be late
                threads, fds = threads_and_fds()
                return threads == before[0] and fds <= before[1] + 10  # kept-alive HTTP connections

            try:
                await until(as_before)
            except AssertionError:
                raise AssertionError((before, threads_and_fds())) from None

    try:
        asyncio.run(run())
    finally:
        process.stop()
    left = next(told for told in process.told if told["event"] == "left")
    assert left == {"event": "left", "tasks": [], "timers": [], "calls": 0, "sockets": 0}, json.dumps(left)
