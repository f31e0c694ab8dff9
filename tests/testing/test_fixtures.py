"""The fixtures that users test with: what they measure is true, and what they assert can fail."""

import sys
import wave

import pytest

from offhook.testing import Answer, VirtualCall, side_effects_allowed, speech


def test_what_was_heard_is_what_was_said(offhook_call):
    said = speech(1.0)
    call = offhook_call("xai", greeting=None, script=[Answer(audio=said, transcript="Yes.")])
    call.say(1.5).wait_for_reply().hang_up()
    assert call.heard == said
    assert call.heard_ms == 1000


def test_latency_is_measured_from_the_end_of_speech_to_the_first_sound(offhook_call):
    quick = offhook_call("openai", greeting=None, think_s=0.2)
    slow = offhook_call("openai", greeting=None, think_s=2.2)
    for call in (quick, slow):
        call.say(1.5).wait_for_reply().hang_up()
    assert slow.replies_ms[0] - quick.replies_ms[0] == pytest.approx(2000, abs=50)
    quick.assert_replies_within(1500)
    with pytest.raises(AssertionError, match="wanted 1500 at most"):
        slow.assert_replies_within(1500)


def test_assertions_fail_with_what_was_measured(offhook_call):
    call = offhook_call("openai", greeting=None)
    call.wait(2).hang_up()
    call.assert_silent()
    with pytest.raises(AssertionError, match="heard 0 ms, wanted 500"):
        call.assert_heard(500)
    with pytest.raises(AssertionError, match="0 marks came back"):
        call.assert_marks_returned()
    with pytest.raises(AssertionError, match="0 answers, wanted 1"):
        call.assert_replies_within(1000)


def test_silence_of_the_right_length_is_not_heard(offhook_call):
    call = offhook_call("openai", faults=["digital-silence"])
    call.wait(3)
    with pytest.raises(AssertionError, match="nobody hears that"):
        call.assert_heard(500)


def test_a_fault_breaks_the_verdict_and_its_name_can_be_asserted(offhook_call):
    call = offhook_call("openai", faults=["refuse-401"])
    call.wait(15)
    with pytest.raises(AssertionError, match="the call is broken"):
        call.assert_healthy()
    call.assert_named(call.report.roots[0].rule)
    with pytest.raises(AssertionError, match="wanted F-049"):
        call.assert_named("F-049")


def test_a_healthy_call_is_healthy_and_can_be_saved(offhook_call, tmp_path):
    call = offhook_call("loopback", greeting="Say hello.")
    call.wait_for_reply().say(1.0).wait_for_reply().hang_up()
    call.assert_healthy()
    call.assert_no_violations()
    call.save(tmp_path / "heard.wav")
    with wave.open(str(tmp_path / "heard.wav")) as file:
        assert (file.getframerate(), file.getnframes()) == (8000, len(call.heard))


def test_a_barge_in_is_truncated_to_what_was_heard(offhook_call):
    call = offhook_call("openai", script=[Answer(audio=speech(8.0), transcript="A long story.")])
    call.wait_for_reply().say(1.5)
    call.wait(2.5).say(1.0).wait(2).hang_up()
    truncations = [message for message in call.told if message["type"] == "conversation.item.truncate"]
    assert truncations and truncations[0]["audio_end_ms"] < 4000


def test_a_carriers_faults_can_be_dialled_too(offhook_call):
    call = offhook_call("openai", carrier={"faults": ["no-marks"]})
    call.wait_for_reply().say(1.0).wait_for_reply().hang_up()
    call.assert_heard(2000)
    with pytest.raises(AssertionError, match="0 marks came back"):
        call.assert_marks_returned()


def test_speech_says_what_it_wants():
    assert len(speech(0.5)) == 4000
    assert len(speech(40)) == 320_000
    with pytest.raises(ValueError, match="more than nothing"):
        speech(0)


def test_settings_that_cannot_be_read_are_said(tmp_path):
    file = tmp_path / "offhook.toml"
    file.write_text("[agent]\n")
    with pytest.raises(ValueError, match="provider.name"):
        VirtualCall(config=file)


def test_side_effects_are_off_in_tests_and_on_elsewhere(monkeypatch):
    assert not side_effects_allowed()
    monkeypatch.delenv("OFFHOOK_SIDE_EFFECTS")
    assert side_effects_allowed()


ECHO = """
import os, asyncio, json, sys
from websockets.asyncio.server import serve

SID = sys.argv[1]

async def stream(socket):
    sid = None
    async for text in socket:
        message = json.loads(text)
        if message["event"] == "start":
            sid = message["streamSid"]
        elif message["event"] == "media" and sid:
            payload = message["media"]["payload"]
            await socket.send(json.dumps({"event": "media", SID: sid, "media": {"payload": payload}}))

async def main():
    async with serve(stream, "127.0.0.1", int(os.environ["PORT"])):
        print("effects", os.environ["OFFHOOK_SIDE_EFFECTS"], flush=True)
        await asyncio.Future()

asyncio.run(main())
"""


def test_a_foreign_media_stream_is_judged(offhook_server, offhook_phone, tmp_path):
    file = tmp_path / "echo.py"
    file.write_text(ECHO)
    right = offhook_server([sys.executable, str(file), "streamSid"])
    wrong = offhook_server([sys.executable, str(file), "stream_sid"])
    good = offhook_phone(stream_url=right.ws_url)
    good.say(0.5).wait(0.3)
    good.hang_up()
    good.assert_no_violations()
    good.assert_heard(400)
    bad = offhook_phone(stream_url=wrong.ws_url)
    bad.say(0.5).wait(0.3).hang_up()
    bad.assert_silent()
    assert [code for code, _ in bad.alerts] == ["31951"]
    with pytest.raises(AssertionError, match="'stream_sid'"):
        bad.assert_no_violations()
    with pytest.raises(AssertionError):
        bad.assert_healthy()
    assert "effects off" in right.output()


def test_a_server_that_does_not_come_up_says_why(offhook_server):
    with pytest.raises(RuntimeError, match=r"(?s)ended with 3 before it listened.*no such model"):
        offhook_server([sys.executable, "-c", "print('no such model', flush=True); raise SystemExit(3)"])


def test_a_fake_provider_refuses_what_the_real_one_refuses(offhook_background, offhook_provider):
    from websockets.asyncio.client import connect

    provider = offhook_provider("openai")

    async def ask():
        async with connect(
            provider.url + "?model=gpt-realtime-2.1", additional_headers={"Authorization": "Bearer x"}
        ) as s:
            await s.recv()
            await s.send('{"type": "session.update", "session": {"voice": "marin"}}')
            return await s.recv()

    assert "session.type" in offhook_background.run(ask())
    assert len(provider.sessions) == 1
