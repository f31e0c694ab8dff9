"""
Never silence: whatever a provider does, the phone plays the spoken line, bit for bit, once, and the record says why.

A real server process, a fake provider that fails, and a simulated phone, all on one clock that runs six times as fast.
"""

import asyncio
import struct
from contextlib import asynccontextmanager

import pytest
from tests.conformance.harness import KEY, PUBLIC, TOKEN, XAI_KEY, ServerProcess, until, world

from offhook.media.lines import spoken_lines
from offhook.net.clock import LoopClock
from offhook.sims.provider import Answer, SimProvider, tone
from offhook.sims.run_carrier import PhoneCall

RATE = 6.0
LINES = spoken_lines()
# Deadlines that the clock would make shorter than a busy machine is slow: no fault here may be taken for one of these.
PATIENT = {
    "start_s": 60.0, "first_frame_s": 60.0, "greeted_s": 18.0, "configured_s": 18.0, "first_mark_s": 60.0,
    "mark_grace_s": 12.0,
}  # fmt: skip
OWN_LINE = tone(400, 613.0) + tone(400, 911.0)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """The user's own WAV replaces one line; the others are those that ship."""
    folder = tmp_path_factory.mktemp("silence")
    (folder / "own").mkdir()
    head = struct.pack("<4sI4s4sIHHIIHH4sI", b"RIFF", 36 + len(OWN_LINE), b"WAVE", b"fmt ", 16, 7, 1, 8000, 8000, 1, 8,
                       b"data", len(OWN_LINE))  # fmt: skip
    (folder / "own" / "provider_lost.wav").write_bytes(head + OWN_LINE)
    env = {"OFFHOOK_RECORD_LINES_DIR": "own", "OFFHOOK_PROVIDER_DIAL_TIMEOUT_S": "4"}
    process = ServerProcess(folder, rate=RATE, env=env, bridge=PATIENT)
    yield process
    process.stop()
    assert "Traceback" not in process.stderr() and "defect" not in process.stderr()


@asynccontextmanager
async def placed(server: ServerProcess, fake):
    clock = LoopClock(asyncio.get_running_loop(), RATE)
    if fake is not None:
        fake._loop_clock = clock
    address = ("127.0.0.1", server.port)
    async with PhoneCall(PUBLIC + "/twilio/voice", auth_token=TOKEN, connect_to=address, clock=clock) as call:
        yield call


async def speak(call: PhoneCall, turns: int) -> None:
    for _ in range(turns):
        if call.closed is None:
            call.say(tone(900))
            await asyncio.sleep(5 / RATE)


def heard(call: PhoneCall) -> list[str]:
    """The lines that the phone has played whole, as often as it played them."""
    audio = call.phone.audio()
    known = {**LINES, "own": OWN_LINE}
    return [name for name, line in known.items() for _ in range(audio.count(line))]


def check(server: ServerProcess, call: PhoneCall, line: str, why: str) -> None:
    record = server.record(call.call_sid)
    assert heard(call) == [line], (len(call.phone.audio()), call.closed, record.end)
    assert [verb.name for verb in call.verbs] == ["Connect", "Hangup"]  # told once: no fallback after it
    assert call.violations == []
    assert record.end["end"]["wanted"] is False and why in record.end["end"]["why"]
    assert record.end["caller_told"] is True


# fault -> turns of the caller, the line that is heard, why the call ended. The longest first: they run side by side.
FAULTS = {
    "deaf": (10, "provider_failed", "does not hear the caller"),
    "stop-answering": (1, "provider_failed", "never answered"),
    "digital-silence": (3, "provider_failed", "digital silence"),
    "no-greeting": (0, "provider_failed", "never greeted"),
    "no-session-updated": (0, "provider_failed", "never confirmed"),
    "fail-responses": (3, "provider_failed", "responses fail"),
    "refuse-401": (0, "provider_failed", "provider upgrade failed"),
    "reject-session": (0, "provider_failed", "session rejected"),
    "ignore-formats": (0, "provider_failed", "session not applied"),
    "drop": (1, "own", "connection dropped"),
    "close-1011": (2, "own", "1011"),
}


@pytest.fixture(scope="module")
def failed(server) -> dict[str, PhoneCall]:
    """A call of each fault; each begins when the one before has reached the provider, so that the fault is its own."""
    names = list(FAULTS)
    knobs = {"keys": frozenset({KEY, XAI_KEY}), "script": (Answer(tone(2000)),) * 4}

    async def one(w, turns: int) -> PhoneCall:
        async with placed(server, w.fake) as call:
            await speak(call, turns)
            await asyncio.wait_for(call.ended(), 60)
            return call

    async def run() -> dict[str, PhoneCall]:
        calls = {}
        async with (
            world(server, make=lambda n: SimProvider("openai", faults=(names[n - 1],), **knobs)) as w,
            asyncio.TaskGroup() as group,
        ):
            for n, fault in enumerate(names, 1):
                calls[fault] = group.create_task(one(w, FAULTS[fault][0]))
                await until(lambda n=n: len(w.fake.requests) >= n)
        assert len(w.fake.requests) == len(names)  # nobody dialled twice
        return {fault: call.result() for fault, call in calls.items()}

    return asyncio.run(run())


@pytest.mark.parametrize("fault", FAULTS)
def test_a_provider_that_fails_is_told_to_the_caller_once(server, failed, fault):
    check(server, failed[fault], *FAULTS[fault][1:])


def test_a_provider_that_takes_the_connection_and_says_nothing_is_told_too(server):
    async def run():
        async def mute(reader, writer):
            try:
                await reader.read()
            finally:
                writer.close()

        listening = await asyncio.start_server(mute, "127.0.0.1", server.provider_port)
        async with listening, world(server, fake=False), placed(server, None) as call:
            await asyncio.wait_for(call.ended(), 60)
            return call

    check(server, asyncio.run(run()), "provider_failed", "never opened")


def test_nobody_at_the_providers_address_is_told_too(server):
    async def run():
        async with world(server, fake=False), placed(server, None) as call:
            await asyncio.wait_for(call.ended(), 60)
            return call

    check(server, asyncio.run(run()), "provider_failed", "tcp")


@pytest.mark.parametrize("fault", ["malformed-json", "unknown-events"])
def test_nonsense_among_good_messages_ends_no_call_and_is_on_record(server, fault):
    async def run():
        async with (
            world(server, faults=(fault,), script=(Answer(tone(1500)),) * 2) as w,
            placed(server, w.fake) as call,
        ):
            await speak(call, 2)
            assert call.closed is None
            call.hang_up()
            await asyncio.wait_for(call.ended(), 40)
            await until(lambda: w.fake.open == 0)
            return call

    call = asyncio.run(run())
    assert call.phone.audio().count(tone(1500)) == 2 and heard(call) == []
    record = server.record(call.call_sid)
    assert record.end["end"] == {"why": "caller hung up", "wanted": True}
    nonsense = [line for line in record.lines if line.kind == "violation"]
    strange = [line for line in record.lines if line.data.get("m", {}).get("type") == "response.mood_detected"]
    assert nonsense if fault == "malformed-json" else strange
