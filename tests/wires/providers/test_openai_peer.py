"""The simulated OpenAI: it refuses what the real one refuses, and says nothing that the SDK's types do not know."""

import base64
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai.types.realtime import RealtimeServerEvent
from pydantic import TypeAdapter
from tests.wires.providers.test_openai import cases, mutated

from offhook import vocab as v
from offhook.media import g711
from offhook.sims.provider import tone
from offhook.wires._wire import PeerClose
from offhook.wires.providers import openai
from offhook.wires.providers._openai_peer import Peer

CONFORMANCE = Path(__file__).parents[3] / "conformance" / "openai"
EVENTS = TypeAdapter(RealtimeServerEvent)
PCM24 = {"type": "audio/pcm", "rate": 24000}
SETTINGS = openai.SessionSettings(api_key="sk-good", tools=(v.ToolSpec("hang_up", "ends the call", {}),))


def read(out: list) -> list[dict]:
    """The events of ``out``, each proven against the SDK's types."""
    messages = []
    for data in out:
        if isinstance(data, PeerClose):
            continue
        message = json.loads(data)
        EVENTS.validate_python(message)
        messages.append(message)
    return messages


def kinds(out: list) -> list[str]:
    return [message["type"] for message in read(out)]


def opened(*, model: str = "gpt-realtime", **knobs) -> Peer:
    peer = Peer(**knobs)
    assert peer.upgrade(f"/v1/realtime?model={model}", {"Authorization": "Bearer sk-good"}) is None
    assert kinds(peer.opened(0.0)) == ["session.created"]
    return peer


def configured(**knobs) -> Peer:
    peer = opened(**knobs)
    assert kinds(peer.receive(openai.Leg(SETTINGS).send(v.ConfigureSession())[0], 0.0)) == ["session.updated"]
    return peer


def tell(peer: Peer, now: float = 0.0, **message) -> list[dict]:
    return read(peer.receive(json.dumps(message).encode(), now))


def in_state(state: str | None) -> Peer:
    """A session in which a literal message of the documents makes sense: with its items, and audio."""
    peer = configured(speedup=1000.0)
    if state == "audio":
        peer.receive(openai.Leg(SETTINGS).send(v.AppendAudio(base64.b64encode(b"\xff" * 1600), 1600))[0], 0.0)
    elif state == "tool":
        peer._items["call"] = {"id": "call", "type": "function_call", "call_id": "call_001"}
    elif state == "item_003":
        content = [{"type": "input_text", "text": "hi"}]
        item = {"id": "item_003", "type": "message", "role": "user", "content": content}
        tell(peer, type="conversation.item.create", item=item)
    elif state in ("spoke", "speaking"):
        spoken = read(peer.speak(tone(9250), "a long answer", 0.0))
        peer.response = "resp_12345"
        if state == "spoke":
            peer.tick(60.0)
            (item,) = peer._items_ms
            assert item == spoken[1]["item"]["id"]
            peer._items["item_002"], peer._items_ms["item_002"] = peer._items[item], peer._items_ms[item]
    return peer


# ------------------------------------------------------------------------------------------------------ the handshake


@pytest.mark.parametrize(
    "case", json.loads((CONFORMANCE / "connect.json").read_text())["refused"], ids=lambda case: case["why"]
)
def test_a_bad_request_is_upgraded_then_refused_by_an_error_and_a_close(case):
    peer = Peer(keys=frozenset({"sk-good"}), models=("gpt-realtime",))
    assert peer.upgrade(case["path"], case["headers"]) is None
    out = peer.opened(0.0)
    (error,), close = read(out), out[-1]
    assert error["error"]["code"] == case["code"] and case["text"] in error["error"]["message"]
    assert close == PeerClose(case["close"], case["reason"])
    assert "sk-bad" not in error["error"]["message"]
    event = openai.Leg(SETTINGS).receive(out[0], 0.0)
    assert isinstance(event, v.ProviderError) and event.fatal
    assert peer.receive(b"{}", 0.0) == [] and peer.tick(9e9) == [] and peer.deadline() is None


def test_headers_count_in_any_case_and_other_paths_are_not_found():
    peer = Peer(keys=frozenset({"sk-good"}))
    assert peer.upgrade("/v1/realtime?model=gpt-realtime", {"AUTHORIZATION": "Bearer sk-good"}) is None
    assert kinds(peer.opened(0.0)) == ["session.created"]
    assert Peer().upgrade("/openai/realtime?model=gpt-realtime", {}).status == 404


def test_the_defaults_are_those_of_the_documents():
    """Key by key; the texts and ids differ."""
    shown = json.loads((CONFORMANCE / "from_peer" / "session.created.json").read_text())["message"]["session"]
    mine = opened().session
    assert {**shown, "id": 0, "expires_at": 0, "instructions": 0, "model": 0, "truncation": "auto"} == {
        **mine, "id": 0, "expires_at": 0, "instructions": 0, "model": 0,
        "audio": {**mine["audio"], "output": {**mine["audio"]["output"], "voice": "marin"}},
    }  # fmt: skip


# ------------------------------------------------------------------------------------------------- literal messages


@pytest.mark.parametrize("case", cases("to_peer"))
def test_a_literal_message_is_taken(case):
    peer = in_state(case.get("state"))
    answered = tell(peer, 60.0 if case.get("state") == "spoke" else 0.0, **case["message"])
    assert [m["type"] for m in answered] == case["answers"]


@pytest.mark.parametrize("case", cases("refused"))
def test_what_the_real_one_refuses_is_refused_in_its_words(case):
    peer = in_state(case.get("state"))
    before = json.dumps(peer.session)
    message = case["message"]
    data = message if isinstance(message, str) else json.dumps(message)
    (answer,) = read(peer.receive(data.encode(), 0.0, binary=case.get("binary", False)))
    error = answer["error"]
    assert (error["code"], error["param"]) == (case["code"], case["param"])
    assert case["text"] in error["message"]
    assert error["event_id"] == case.get("event_id")
    assert json.dumps(peer.session) == before  # nothing of a rejected update is applied


@pytest.mark.parametrize("case", cases("refused"))
def test_no_refusal_of_a_field_ends_the_session_and_our_leg_names_it(case):
    peer, leg = in_state(case.get("state")), openai.Leg(SETTINGS)
    leg.send(v.ConfigureSession())
    data = case["message"] if isinstance(case["message"], str) else json.dumps(case["message"])
    (answer,) = peer.receive(data.encode(), 0.0, binary=case.get("binary", False))
    event = leg.receive(answer, 0.0)
    assert isinstance(event, v.ProviderError | v.SessionRejected) and case["text"][:60] in event.message
    assert isinstance(event, v.SessionRejected) == (
        (case["param"] or "").startswith("session.") and "event_id" not in case
    )
    assert peer.receive(leg.send(v.ConfigureSession())[0], 0.0)


# -------------------------------------------------------------------------------------------------------- the session


def test_our_session_is_applied_and_echoed_without_a_difference():
    leg = openai.Leg(SETTINGS)
    peer = opened(model=SETTINGS.model)
    (echo,) = peer.receive(leg.send(v.ConfigureSession())[0], 0.0)
    assert leg.receive(echo, 0.0) == v.SessionConfigured(())
    assert peer.format_in == peer.format_out == {"type": "audio/pcmu"} and peer.tools == ["hang_up"]
    assert leg.violations == []


def test_a_rejected_update_leaves_pcm_at_24_khz_and_six_bytes_where_one_was_meant():
    peer = opened(speedup=1000.0)
    tell(peer, type="session.update", session={"type": "realtime", "voice": "marin"})
    said = read(peer.speak(tone(100), "hi", 0.0) + peer.tick(9.0))
    audio = b"".join(base64.b64decode(m["delta"]) for m in said if m["type"] == "response.output_audio.delta")
    assert peer.format_out == PCM24 and len(audio) == 6 * 800
    assert np.abs(np.frombuffer(audio, "<i2")[::3] - g711.decode(tone(100))).max() == 0


def test_pcma_is_spoken_as_pcma():
    """Against the table of ITU-T G.711 as CPython's audioop computes it: some values by hand."""
    peer = opened(speedup=1000.0)
    tell(
        peer,
        type="session.update",
        session={"type": "realtime", "audio": {"output": {"format": {"type": "audio/pcma"}}}},
    )
    said = read(peer.speak(g711.encode(np.array([0, 8000, -8000, 32767, -32768], np.int16)), "hi", 0.0))
    (first,) = [base64.b64decode(m["delta"]) for m in said if m["type"] == "response.output_audio.delta"]
    # 0 is 0xD5, full scale 0xAA and 0x2A
    assert first[0] == 0xD5 and first[3] == 0xAA and first[4] == 0x2A and first[1] ^ first[2] == 0x80


def test_fields_that_are_left_out_of_an_update_stay():
    peer = configured()
    tell(peer, type="session.update", session={"type": "realtime", "instructions": "New."})
    assert peer.session["instructions"] == "New." and peer.format_out == {"type": "audio/pcmu"}
    assert peer.session["audio"]["input"]["turn_detection"]["silence_duration_ms"] == 400 and peer.tools == ["hang_up"]


def test_the_voice_stays_once_it_was_heard():
    peer = configured(speedup=1000.0)
    peer.speak(tone(100), "hi", 0.0)
    (answer,) = tell(peer, type="session.update", session={"type": "realtime", "audio": {"output": {"voice": "ash"}}})
    assert answer["error"]["code"] == "cannot_update_voice"


# ------------------------------------------------------------------------------------------------------------- turns

ORDER = [
    "response.created", "response.output_item.added", "conversation.item.added", "response.content_part.added",
    "response.output_audio_transcript.delta", "response.output_audio.delta", "response.output_audio_transcript.delta",
    "response.output_audio.delta", "response.output_audio.delta", "response.output_audio.done",
    "response.output_audio_transcript.done", "response.content_part.done", "conversation.item.done",
    "response.output_item.done", "response.done", "rate_limits.updated",
]  # fmt: skip


def test_a_response_is_said_in_the_captured_order_and_the_limits_come_later():
    peer = configured(speedup=5.0)
    said, at = [], 0.0
    out = peer.speak(tone(250), "Good morning.", at)
    times = []
    while True:
        for message in read(out):
            said.append(message)
            times.append(at)
        if said[-1]["type"] == "rate_limits.updated":
            break
        at = peer.deadline()
        out = peer.tick(at)
    assert [m["type"] for m in said] == ORDER
    audio = [m for m in said if m["type"] == "response.output_audio.delta"]
    assert [len(base64.b64decode(m["delta"])) for m in audio] == [800, 800, 400]
    assert all("obfuscation" in m for m in audio)
    starts = [time for m, time in zip(said, times, strict=True) if m in audio]
    assert starts == pytest.approx([0.0, 0.02, 0.04])  # 100 ms each, five times faster than they are heard
    assert times[-1] - times[-2] == pytest.approx(0.043)
    assert "".join(m["delta"] for m in said if m["type"].endswith("transcript.delta")) == "Good morning."
    assert said[-2]["response"]["status"] == "completed" and peer.response is None


def test_audio_can_be_kept_waiting():
    peer = configured(first_audio_s=2.0)
    assert "response.output_audio.delta" not in kinds(peer.speak(tone(100), "hi", 1.0))
    assert peer.deadline() == 3.0 and "response.output_audio.delta" in kinds(peer.tick(3.0))


def test_a_turn_of_the_caller_is_told_in_the_captured_order():
    peer = configured()
    (started,) = read(peer.user_started(1000, 1.0))
    assert started["type"] == "input_audio_buffer.speech_started" and started["audio_start_ms"] == 1000
    told = read(peer.user_stopped(2000, "good morning", 2.0))
    name = "conversation.item.input_audio_transcription"
    assert [m["type"] for m in told] == [
        "input_audio_buffer.speech_stopped", "input_audio_buffer.committed", "conversation.item.added",
        "conversation.item.done", f"{name}.delta", f"{name}.delta", f"{name}.completed",
    ]  # fmt: skip
    assert {m["item_id"] for m in told if "item_id" in m} == {started["item_id"]}


def test_without_turn_detection_or_transcription_nothing_of_it_is_said():
    peer = configured()
    tell(peer, type="session.update", session={"type": "realtime", "audio": {"input": {"transcription": None}}})
    peer.user_started(0, 0.0)
    assert not [kind for kind in kinds(peer.user_stopped(500, "hi", 1.0)) if "transcription" in kind]
    tell(peer, type="session.update", session={"type": "realtime", "audio": {"input": {"turn_detection": None}}})
    assert peer.user_started(0, 2.0) == [] and peer.user_stopped(500, "hi", 3.0) == []


def test_who_interrupts_cuts_the_response_and_its_item_ends_where_it_was_cut():
    peer = configured(speedup=1.0)
    begun = read(peer.speak(tone(3000), "A very long answer.", 0.0))
    read(peer.tick(0.45))
    cut = read(peer.user_started(500, 0.5))
    assert [m["type"] for m in cut] == [
        "input_audio_buffer.speech_started", "response.output_audio.done", "response.output_audio_transcript.done",
        "response.content_part.done", "conversation.item.done", "response.output_item.done", "response.done",
    ]  # fmt: skip
    assert cut[-1]["response"]["status_details"] == {"type": "cancelled", "reason": "turn_detected"}
    assert cut[-2]["item"]["status"] == "incomplete" and peer.response is None
    item = begun[1]["item"]["id"]
    truncate = {"type": "conversation.item.truncate", "item_id": item, "content_index": 0}
    assert tell(peer, **truncate, audio_end_ms=501)[0]["error"]["message"].endswith(
        "500ms is already shorter than 501ms"
    )
    assert tell(peer, **truncate, audio_end_ms=320)[0]["type"] == "conversation.item.truncated"
    assert peer.truncated == [(item, 320)]
    assert kinds(peer.tick(9.0)) == ["rate_limits.updated"]


def test_interrupt_response_false_lets_it_speak_on():
    peer = configured(speedup=1.0)
    turn = {"type": "server_vad", "interrupt_response": False}
    tell(peer, type="session.update", session={"type": "realtime", "audio": {"input": {"turn_detection": turn}}})
    peer.speak(tone(1000), "Long.", 0.0)
    assert kinds(peer.user_started(100, 0.1)) == ["input_audio_buffer.speech_started"] and peer.response is not None


def test_cancelling_names_the_client_and_wants_the_right_response():
    peer = configured(speedup=1.0)
    peer.speak(tone(1000), "Long.", 0.0)
    assert tell(peer, type="response.cancel", response_id="resp_x")[0]["error"]["code"] == "response_cancel_not_active"
    done = tell(peer, type="response.cancel", response_id=peer.response)[-1]
    assert done["response"]["status_details"]["reason"] == "client_cancelled"


def test_a_tool_call_its_answer_and_the_next_response():
    peer = configured()
    called = read(peer.speak(b"", "", 0.0, [("hang_up", '{"why":"bye"}')]))
    (arguments,) = [m for m in called if m["type"] == "response.function_call_arguments.done"]
    assert (arguments["name"], arguments["arguments"]) == ("hang_up", '{"why":"bye"}')
    leg = openai.Leg(SETTINGS)
    answer = leg.send(v.AnswerTool(arguments["call_id"], "done"))[0]
    assert kinds(peer.receive(answer, 0.0)) == ["conversation.item.added", "conversation.item.done"]
    assert peer.tool_outputs == [(arguments["call_id"], "done")]
    assert peer.receive(leg.send(v.AskResponse())[0], 0.0) == [] and peer.asked == [""]


def test_a_tool_call_after_words():
    peer = configured(speedup=1000.0)
    said = read(peer.speak(tone(100), "Goodbye.", 0.0, [("hang_up", "{}")]) + peer.tick(1.0))
    (done,) = [m for m in said if m["type"] == "response.done"]
    assert [item["type"] for item in done["response"]["output"]] == ["message", "function_call"]


def test_items_stand_one_after_the_other():
    peer = configured()
    ids = []
    for text in ("one", "two", "three"):
        item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}
        added, done = tell(peer, type="conversation.item.create", item=item)
        assert added["previous_item_id"] == done["previous_item_id"] == (ids[-1] if ids else None)
        ids.append(added["item"]["id"])
    assert peer.told == ["one", "two", "three"]
    (shown,) = tell(peer, type="conversation.item.retrieve", item_id=ids[1])
    assert shown["item"]["content"] == [{"type": "input_text", "text": "two"}]
    tell(peer, type="conversation.item.delete", item_id=ids[1])
    (gone,) = tell(peer, type="conversation.item.retrieve", item_id=ids[1])
    assert gone["error"]["code"] == "item_retrieve_invalid_item_id"


def test_audio_before_the_update_is_counted_and_heard_in_the_default_format():
    peer = opened()
    append = openai.Leg(SETTINGS).send(v.AppendAudio(base64.b64encode(b"\xff" * 160), 160))[0]
    assert peer.receive(append, 0.0) == [] and peer.appended_before_update == 1 and peer.format_in == PCM24
    assert bytes(peer.heard) == b"\xff" * 160
    commit = tell(peer, type="input_audio_buffer.commit")[0]["error"]["message"]
    assert "buffer only has 3.33ms" in commit  # of 24 kHz PCM


def test_a_session_ends_at_its_age_with_an_error_and_1001():
    peer = configured(expires_s=3600.0)
    assert peer.deadline() == 3600.0 and peer.tick(3599.9) == []
    error, close = peer.tick(3600.0)
    text = "Your session hit the maximum duration of 60 minutes."
    assert json.loads(error)["error"]["code"] == "session_expired" and close == PeerClose(1001, text)
    assert openai.explain_close(close.code, close.reason) == "the session reached its maximum duration"
    assert peer.tick(3601.0) == [] and peer.deadline() is None


# ----------------------------------------------------------------------------------------------------- anything at all

TAKEN = [case.values[0]["message"] for case in cases("to_peer")]


@settings(max_examples=300, deadline=None)
@given(mutated(TAKEN) | st.binary(max_size=60), st.integers(0, 200), st.sampled_from(["audio", "tool", "speaking"]))
def test_no_message_raises_and_whatever_is_answered_is_an_event_of_the_sdk(data, cut, state):
    peer = in_state(state)
    for message in (data, data[:cut]):
        read(peer.receive(message, 0.0))
        read(peer.receive(message, 0.0, binary=True))
    read(peer.tick(100.0))
