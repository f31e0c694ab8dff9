"""xAI's wire, our side: against its documents, captures, the SDK it resembles, and anything else that may come."""

import json
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types import realtime as sdk
from pydantic import BaseModel

from offhook import vocab as v
from offhook.wires._wire import LocalProtocolError
from offhook.wires.providers import xai

CONFORMANCE = Path(__file__).parents[3] / "conformance" / "xai"
TOOL = v.ToolSpec("hang_up", "ends the call", {"type": "object", "properties": {}})
SETTINGS = xai.SessionSettings(api_key="xai-secret-0123456789", instructions="Be kind.", tools=(TOOL,))
PHONE = {"type": "audio/pcmu", "rate": 8000}


def cases(folder: str) -> list:
    return [
        pytest.param(json.loads(path.read_text()), id=path.stem) for path in sorted((CONFORMANCE / folder).iterdir())
    ]


def wire(**message) -> bytes:
    return json.dumps(message, separators=(",", ":")).encode()


def echo(**more) -> dict:
    """What the provider says when it has applied what SETTINGS ask for."""
    return {"voice": "xai_eve", "audio": {"input": {"format": PHONE}, "output": {"format": PHONE}}, **more}


def updated(leg: xai.Leg, session: object) -> v.Event:
    return leg.receive(wire(type="session.updated", event_id="e", session=session), 0.0)


def error(**body) -> bytes:
    return wire(type="error", event_id="e", error=body)


def completed(text: str, item: str = "item_1", **more) -> bytes:
    return wire(type="conversation.item.input_audio_transcription.completed", item_id=item, transcript=text, **more)


# -------------------------------------------------------------------------------- what the provider says


@pytest.mark.parametrize("case", cases("from_peer"))
def test_every_documented_or_captured_message_is_understood(case):
    leg = xai.Leg(SETTINGS)
    event = leg.receive(wire(**case["message"]), 0.0)
    assert type(event).__name__ == case["event"] and leg.violations == []
    if isinstance(event, v.SessionConfigured):
        assert event.differences == ()


@pytest.mark.parametrize("case", cases("from_peer"))
def test_the_order_of_keys_means_nothing(case):
    turned = dict(reversed(case["message"].items()))
    assert type(xai.Leg(SETTINGS).receive(wire(**turned), 0.0)).__name__ == case["event"]


def test_either_greeting_greets_and_the_second_does_not_again():
    for first, second in (("session", "conversation"), ("conversation", "session")):
        leg = xai.Leg(SETTINGS)
        assert leg.receive(wire(type=f"{first}.created"), 0.0) == v.SessionGreeted()
        assert isinstance(leg.receive(wire(type=f"{second}.created"), 0.0), v.Harmless)


@pytest.mark.parametrize("voice", ["eve", "Eve", "EVE", "xai_eve", "human_Eve", "XAI_EVE"])
def test_a_prefixed_or_recased_voice_is_the_voice_that_was_asked_for(voice):
    assert updated(xai.Leg(SETTINGS), echo(voice=voice)) == v.SessionConfigured()


def test_filled_in_defaults_a_missing_id_and_left_out_fields_are_no_differences():
    turn = {**xai.TURN_DETECTION, "threshold": 0.8500000238418579, "idle_timeout_ms": None}
    full = echo(turn_detection=turn, instructions="Be kind.\n", tools=[{"type": "function", "name": "hang_up"}],
                model="grok-voice-3.0", reasoning={"effort": "high"})  # fmt: skip
    assert updated(xai.Leg(SETTINGS), full) == v.SessionConfigured()
    assert updated(xai.Leg(SETTINGS), echo()) == v.SessionConfigured()


@pytest.mark.parametrize(
    ("field", "given", "got"),
    [
        ("voice", {"voice": "xai_ara"}, "xai_ara"),
        ("turn_detection", {"turn_detection": None}, "null"),
        ("turn_detection", {"turn_detection": {"type": "server_vad", "silence_duration_ms": 200}},
         '{"type":"server_vad","silence_duration_ms":200}'),
        ("instructions", {"instructions": ""}, ""),
        ("tools", {"tools": []}, "[]"),
        ("model", {"model": "grok-voice-fast-1.0"}, "grok-voice-fast-1.0"),
    ],
)  # fmt: skip
def test_what_was_ignored_in_silence_is_named_and_the_call_goes_on(field, given, got):
    (difference,) = updated(xai.Leg(SETTINGS), echo(**given)).differences
    assert (difference.field, difference.got, difference.fatal) == (field, got, False)


@pytest.mark.parametrize(
    "given", [{"type": "audio/pcm", "rate": 24000}, {"type": "audio/pcma"}, {**PHONE, "rate": 24000}, "g711_ulaw", {}]
)
@pytest.mark.parametrize("side", ["input", "output"])
def test_another_audio_format_is_fatal(side, given):
    session = echo()
    session["audio"][side] = {"format": given}
    (difference,) = updated(xai.Leg(SETTINGS), session).differences
    assert difference.field == f"audio.{side}.format" and difference.fatal


@pytest.mark.parametrize("given", [{}, {"audio": None}, {"audio": {"input": {}, "output": {"format": None}}}])
def test_a_format_that_the_echo_leaves_out_is_named_and_not_fatal(given):
    session = {key: value for key, value in echo().items() if key != "audio"} | given
    differences = updated(xai.Leg(SETTINGS), session).differences
    assert [d.field for d in differences] == ["audio.input.format", "audio.output.format"]
    assert not any(d.fatal for d in differences) and {d.got for d in differences} == {"left out of the echo"}


def test_a_silently_replaced_model_is_named_also_when_only_the_greeting_says_it():
    leg = xai.Leg(xai.SessionSettings(api_key="xai-1", model="grok-2-realtime", allow_unlisted=True))
    leg.receive(wire(type="session.created", session={"model": "grok-voice-fast-1.0"}), 0.0)
    (difference,) = updated(leg, echo()).differences
    assert difference == v.Difference("model", "grok-2-realtime", "grok-voice-fast-1.0", fatal=False)


def test_latest_is_answered_by_the_name_of_the_day_and_a_named_model_by_itself():
    for asked, got, same in (
        ("grok-voice-latest", "grok-voice-3.0", True), ("grok-voice-latest", "grok-voice-4.0", True),
        ("grok-voice-latest", "grok-voice-latest", True), ("grok-voice-latest", "grok-voice-2.0", False),
        ("grok-voice-3.0", "grok-voice-3.0", True), ("grok-voice-3.0", "grok-voice-2.0", False),
    ):  # fmt: skip
        leg = xai.Leg(xai.SessionSettings(api_key="xai-1", model=asked))
        assert (updated(leg, echo(model=got)) == v.SessionConfigured()) is same, (asked, got)


def test_cumulative_transcripts_replace_each_other_and_the_first_completed_after_the_commit_is_final():
    leg = xai.Leg(SETTINGS)
    said = [
        leg.receive(wire(type="conversation.item.input_audio_transcription.updated", item_id="item_1",
                         transcript="Hello how"), 0.0),
        leg.receive(completed("Hello, how"), 0.0),
        leg.receive(wire(type="input_audio_buffer.committed", item_id="item_1"), 0.0),
        leg.receive(completed("Hello, how a", status="in_progress"), 0.0),
        leg.receive(completed("Hello, how are you?"), 0.0),
        leg.receive(completed("Hello, how are you?"), 0.0),
    ]  # fmt: skip
    transcripts = [(event.text, event.final) for event in said if isinstance(event, v.CallerTranscript)]
    assert transcripts == [("Hello how", False), ("Hello, how", False), ("Hello, how a", False),
                           ("Hello, how are you?", True)]  # fmt: skip


def committed(item: str = "item_1") -> bytes:
    return wire(type="input_audio_buffer.committed", item_id=item)


PING = wire(type="ping", timestamp=1795520000)


def finals(leg: xai.Leg, *messages: tuple[bytes, float]) -> list[tuple[str, str, float]]:
    """What became final, and when."""
    heard = [(leg.receive(data, now), now) for data, now in messages]
    return [(e.item_id, e.text, now) for e, now in heard if isinstance(e, v.CallerTranscript) and e.final]


def test_a_transcript_that_came_only_before_the_commit_becomes_final_when_no_other_follows():
    early = [(completed("Hello"), 9.8), (completed("Hello there."), 9.9), (committed(), 10.0)]
    assert finals(xai.Leg(SETTINGS), *early, (PING, 10.4), (PING, 10.5), (PING, 30.0)) == [
        ("item_1", "Hello there.", 10.5)
    ]
    # one that does follow in time is the better one, and the early one is not told after it
    followed = (completed("Hello there!"), 10.3)
    assert finals(xai.Leg(SETTINGS), *early, followed, (PING, 10.6), (committed("item_2"), 20.0)) == [
        ("item_1", "Hello there!", 10.3)
    ]
    # one that follows too late does not make the turn final twice
    late = (completed("Hello there!"), 11.0)
    assert finals(xai.Leg(SETTINGS), *early, (PING, 10.6), late) == [("item_1", "Hello there.", 10.6)]


def test_the_next_commit_ends_the_wait_and_words_in_progress_are_never_final():
    leg = xai.Leg(SETTINGS)
    unfinished = (completed("Wait, is", "item_0", status="in_progress"), 8.0)
    told = finals(leg, unfinished, (committed("item_0"), 8.1), (PING, 9.0), (completed("One."), 9.9),
                  (committed(), 10.0), (committed("item_2"), 10.1), (PING, 20.0))  # fmt: skip
    assert told == [("item_1", "One.", 10.1)]


def test_what_the_agent_said_is_whole_also_when_the_last_event_leaves_it_out():
    leg = xai.Leg(SETTINGS)
    for piece in ("Fine, ", "thank you."):
        leg.receive(wire(type="response.output_audio_transcript.delta", response_id="r", item_id="i", delta=piece), 0.0)
    done = leg.receive(wire(type="response.output_audio_transcript.done", response_id="r", item_id="i"), 0.0)
    assert done == v.AgentTranscript("r", "i", "Fine, thank you.", final=True)


def done(**response) -> bytes:
    return wire(type="response.done", response={"id": "resp_1", **response})


def test_status_details_may_be_a_text_and_usage_may_stand_on_top():
    leg = xai.Leg(SETTINGS)
    assert leg.receive(done(status_details="unimplemented"), 0.0) == v.ResponseDone("resp_1", "completed")
    top = leg.receive(wire(type="response.done", response={"id": "r"}, usage={"total_tokens": 9, "x": {"y": 1}}), 0.0)
    assert top.usage == {"total_tokens": 9, "x.y": 1}
    inside = leg.receive(wire(type="response.done", response={"id": "r", "usage": {"total_tokens": 8}}, usage={}), 0.0)
    assert inside.usage == {"total_tokens": 8}


def test_a_failed_response_says_why_without_secrets():
    details = {"error": {"message": "no credit left for xai-secret-0123456789"}}
    event = xai.Leg(SETTINGS).receive(done(status="failed", status_details=details), 0.0)
    assert event.status == "failed" and event.reason == "no credit left for ***"
    event = xai.Leg(SETTINGS).receive(done(status="cancelled", status_details={"reason": "turn_detected"}), 0.0)
    assert (event.status, event.reason) == ("cancelled", "turn_detected")


# --------------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("body", "benign", "fatal"),
    [
        ({"code": "anything", "message": "Cancellation failed: no active response found"}, True, False),
        ({"code": "invalid_event", "message": "Conversation already has an active response"}, True, False),
        ({"type": "x", "message": "Audio content of 100ms is already shorter than 200ms"}, True, False),
        ({"type": "max_duration", "message": "Session exceeded the maximum duration"}, False, True),
        ({"type": "internal_error", "code": None, "message": "oops"}, False, False),
        ({}, False, False),
    ],
)
def test_errors_are_told_apart_by_their_text_and_type(body, benign, fatal):
    event = xai.Leg(SETTINGS).receive(error(**body), 0.0)
    assert isinstance(event, v.ProviderError) and (event.benign, event.fatal) == (benign, fatal)


def test_an_error_is_about_the_update_by_id_by_field_or_because_nothing_else_was_asked():
    def configured() -> xai.Leg:
        leg = xai.Leg(SETTINGS)
        leg.send(v.ConfigureSession())
        leg.send(v.AppendAudio(b"////", 3))
        return leg

    refused = {"type": "invalid_request_error", "message": "the session configuration is not valid"}
    assert isinstance(configured().receive(error(**refused), 0.0), v.SessionRejected)
    assert isinstance(configured().receive(error(**refused, event_id="offhook_1"), 0.0), v.SessionRejected)
    assert isinstance(configured().receive(error(**refused, event_id="another"), 0.0), v.ProviderError)
    leg = configured()
    leg.send(v.Greet("Hello."))
    assert isinstance(leg.receive(error(**refused), 0.0), v.ProviderError)
    rejected = leg.receive(error(**refused, param="session.tools"), 0.0)
    assert rejected == v.SessionRejected("session.tools", "invalid_request_error", refused["message"])
    leg = configured()
    updated(leg, echo())
    assert isinstance(leg.receive(error(**refused), 0.0), v.ProviderError)


def test_the_age_of_the_session_and_harmless_races_never_reject_the_update():
    leg = xai.Leg(SETTINGS)
    leg.send(v.ConfigureSession())
    assert leg.receive(error(type="max_duration", message="too old"), 0.0).fatal
    assert leg.receive(error(message="Cancellation failed: no active response found"), 0.0).benign


@pytest.mark.parametrize(
    ("code", "reason", "part"),
    [
        (1000, "Session exceeded the maximum duration", "maximum duration"), (1001, "max_duration", "maximum duration"),
        (None, "", "without a close"), (1006, "", "without a close"), (1011, "boom", "internal error"),
        (4321, "why xai-secret-0123456789", 'with 4321 "why ***"'),
    ],
)  # fmt: skip
def test_a_close_is_explained_and_its_unknown_codes_are_called_unknown(code, reason, part):
    assert part in xai.explain_close(code, reason)


# --------------------------------------------------------------------------------- audio from the agent


def delta(payload: str, item: str = "item_1", **more) -> bytes:
    fields = {"response_id": "resp_1", "item_id": item, "content_index": 0, "delta": payload}
    return wire(type="response.output_audio.delta", event_id="e", **fields, **more)


def test_audio_goes_through_as_it_came():
    event = xai.Leg(SETTINGS).receive(delta("//////9/fw=="), 0.0)
    assert event == v.AgentAudio("resp_1", "item_1", 0, b"//////9/fw==", 7)


def test_an_escaped_slash_is_a_slash():
    data = delta("AAAA").replace(b"AAAA", b"\\/\\/8=")
    assert xai.Leg(SETTINGS).receive(data, 0.0).payload == b"//8="


@pytest.mark.parametrize("payload", ["", "AAA", 'AA"A', "AA\\A", "äää", "A A A A ", "%%%%"])
def test_what_is_no_base64_never_reaches_the_carrier(payload):
    leg = xai.Leg(SETTINGS)
    assert isinstance(leg.receive(delta(payload), 0.0), v.Malformed)
    (violation,) = leg.violations
    assert (violation.field, violation.by, violation.wanted) == ("delta", "peer", "padded base64")


def test_a_quote_in_the_middle_of_an_item_cannot_break_out_of_the_carriers_message():
    leg = xai.Leg(SETTINGS)
    leg.receive(delta("AAAA"), 0.0)
    assert isinstance(leg.receive(delta('AA",'), 0.0), v.Malformed)


def test_a_misspelt_field_is_read_and_named():
    leg = xai.Leg(SETTINGS)
    message = json.loads(delta("AAAA"))
    message["itemId"] = message.pop("item_id")
    assert leg.receive(wire(**message), 0.0) == v.AgentAudio("resp_1", "item_1", 0, b"AAAA", 3)
    assert leg.violations[0].accepted and leg.violations[0].field == "item_id"


@pytest.mark.parametrize(
    ("data", "field"),
    [
        (b"", None), (b"\xff\xfe", None), (b"[1]", "type"), (b'"x"', "type"), (b'{"type":1}', "type"),
        (b'{"type":"response.done","response":{}}', "response.id"),
        (b'{"type":"session.updated","session":7}', "session"),
        (b'{"type":"response.output_audio.delta","delta":', None), (b"[" * 100_000, None),
        (b'{"type":"response.done","response":{"id":"r","status":"in_progress"}}', "response.status"),
        (b'{"type":"input_audio_buffer.speech_started","audio_start_ms":"soon"}', "audio_start_ms"),
    ],
)  # fmt: skip
def test_a_broken_message_is_named_and_the_next_one_is_read(data, field):
    leg = xai.Leg(SETTINGS)
    assert isinstance(leg.receive(data, 0.0), v.Malformed)
    assert leg.violations[0].field == field and leg.violations[0].by == "peer"
    assert isinstance(leg.receive(delta("AAAA"), 0.0), v.AgentAudio)


def test_unknown_events_are_unknown_and_binary_frames_were_not_asked_for():
    leg = xai.Leg(SETTINGS)
    assert leg.receive(wire(type="response.mood_detected"), 0.0) == v.Unknown(v.Leg.PROVIDER, "response.mood_detected")
    assert leg.violations == []
    assert isinstance(leg.receive(b"\xff" * 160, 0.0, binary=True), v.Malformed)


def test_memory_of_items_is_bounded():
    leg = xai.Leg(SETTINGS)
    for n in range(500):
        leg.receive(delta("AAAA", f"item_{n}"), 0.0)
        leg.receive(completed("x", f"early_{n}"), 0.0)
        leg.receive(wire(type="input_audio_buffer.committed", item_id=f"caller_{n}"), 0.0)
        leg.receive(wire(type="response.output_audio_transcript.delta", response_id="r", item_id=f"t{n}", delta="x"), 0)
    assert max(len(leg._received_bytes), len(leg._committed), len(leg._agent_text), len(leg._early)) <= 64


# ------------------------------------------------------------------------------------------- what we say


def one(command: v.Command, leg: xai.Leg | None = None) -> dict:
    (data,) = (leg or xai.Leg(SETTINGS)).send(command)
    return json.loads(data)


def test_the_session_has_voice_and_turn_detection_at_the_top_and_phone_audio_both_ways():
    message = one(v.ConfigureSession())
    assert message["type"] == "session.update" and message["event_id"] == "offhook_1"
    session = message["session"]
    assert session["voice"] == "eve" and session["turn_detection"]["type"] == "server_vad"
    assert session["audio"]["input"]["format"] == session["audio"]["output"]["format"] == PHONE
    assert session["audio"]["input"]["transcription"] == {"model": "grok-transcribe"}
    assert session["tools"] == [{"type": "function", "name": "hang_up", "description": "ends the call",
                                 "parameters": {"type": "object", "properties": {}}}]  # fmt: skip


def test_a_language_is_a_hint():
    leg = xai.Leg(xai.SessionSettings(api_key="xai-1", language="de"))
    assert one(v.ConfigureSession(), leg)["session"]["audio"]["input"]["transcription"]["language_hint"] == "de"


def test_the_greeting_is_said_word_for_word_by_one_message_and_no_response_is_asked_for():
    message = one(v.Greet("Welcome."))
    assert message["item"] == {"type": "force_message", "role": "assistant", "interruptible": True,
                               "content": [{"type": "output_text", "text": "Welcome."}]}  # fmt: skip


def test_what_else_we_say():
    assert one(v.AppendAudio(b"//8=", 2)) == {"type": "input_audio_buffer.append", "audio": "//8="}
    assert one(v.AskResponse())["response"] == {"modalities": ["text", "audio"]}
    assert one(v.AskResponse("Be brief."))["response"]["instructions"] == "Be brief."
    assert one(v.CancelResponse("resp_1")) == {"type": "response.cancel"}
    assert one(v.TellAgent("Key 5."))["item"]["content"] == [{"type": "input_text", "text": "Key 5."}]
    assert one(v.AnswerTool("call_1", "{}"))["item"] == {"type": "function_call_output", "call_id": "call_1",
                                                         "output": "{}"}  # fmt: skip


def test_truncation_is_what_was_heard_and_never_more_than_what_came():
    leg = xai.Leg(SETTINGS)
    leg.receive(delta("/" * 1068 + "/w=="[0:4]), 0.0)
    assert one(v.Truncate("item_1", 0, 40), leg)["audio_end_ms"] == 40
    assert one(v.Truncate("item_1", 0, 9000), leg)["audio_end_ms"] == 802 // 8
    assert leg.send(v.Truncate("never_spoke", 0, 40)) == []
    with pytest.raises(LocalProtocolError, match="audio_end_ms"):
        leg.send(v.Truncate("item_1", 0, -1))


@pytest.mark.parametrize("payload", [b"", b"AAA", b'AA"A', b"AA\\A"])
def test_audio_that_would_break_the_message_is_not_sent(payload):
    with pytest.raises(LocalProtocolError, match="padded base64"):
        xai.Leg(SETTINGS).send(v.AppendAudio(payload, 3))


def test_a_command_of_another_leg_is_a_programming_error():
    with pytest.raises(TypeError, match="SetMark"):
        xai.Leg(SETTINGS).send(v.SetMark("m"))


# What the SDK's models of the vendor whose shape this is do not know, path by path.
KNOWN_STRANGERS = {
    ".session.voice", ".session.turn_detection", ".session.audio.input.format.rate",
    ".session.audio.output.format.rate", ".session.audio.input.transcription.language_hint", ".response.modalities",
}  # fmt: skip
SDK_CLASSES = {
    "session.update": sdk.SessionUpdateEvent, "input_audio_buffer.append": sdk.InputAudioBufferAppendEvent,
    "response.create": sdk.ResponseCreateEvent, "response.cancel": sdk.ResponseCancelEvent,
    "conversation.item.create": sdk.ConversationItemCreateEvent,
    "conversation.item.truncate": sdk.ConversationItemTruncateEvent,
}  # fmt: skip


def unknown_fields(node: object, path: str = "") -> set[str]:
    if isinstance(node, BaseModel):
        extra = node.model_extra or {}
        inner = (unknown_fields(getattr(node, k), f"{path}.{k}") for k in node.model_fields_set - set(extra))
        return {f"{path}.{name}" for name in extra}.union(*inner)
    if isinstance(node, list):
        return set().union(*(unknown_fields(part, f"{path}[{n}]") for n, part in enumerate(node)))
    return set()


@pytest.mark.parametrize(
    "command",
    [v.ConfigureSession(), v.AppendAudio(b"////", 3), v.AskResponse(), v.AskResponse("Be brief."), v.CancelResponse(),
     v.Truncate("item_1", 0, 1), v.TellAgent("Key 5."), v.AnswerTool("call_1", "{}")],
    ids=lambda command: type(command).__name__,
)  # fmt: skip
def test_what_we_say_differs_from_openais_types_only_where_the_provider_does(command):
    leg = xai.Leg(xai.SessionSettings(api_key="xai-1", tools=(TOOL,), language="en"))
    leg.receive(delta("/" * 400), 0.0)
    message = one(command, leg)
    if message["type"] == "session.update":
        message["session"]["type"] = "realtime"  # not required there, and not sent
    assert unknown_fields(SDK_CLASSES[message["type"]].model_validate(message)) <= KNOWN_STRANGERS


# ----------------------------------------------------------------------------------- before dialling


def problem(**given) -> str:
    (found,) = xai.check(xai.SessionSettings(**{"api_key": "xai-secret-0123456789", **given}))
    assert found.fix and found.wanted and found.source and "secret" not in str(found)
    return f"{found.setting}: {found.got}"


def test_good_settings_have_no_problem():
    for voice in xai.VOICES.value:
        assert xai.check(xai.SessionSettings(api_key="xai-1", voice=voice.upper())) == []
    for model in xai.MODELS.value:
        assert xai.check(xai.SessionSettings(api_key="xai-1", model=model)) == []


@pytest.mark.parametrize("model", xai.DEAD_MODELS.value)
def test_a_model_that_never_was_is_refused_also_when_unlisted_ones_are_allowed(model):
    assert "does not serve" in problem(model=model)
    assert "does not serve" in problem(model=model, allow_unlisted=True)


@pytest.mark.parametrize("fact", xai.DEPRECATED_MODELS, ids=lambda fact: fact.value)
def test_a_deprecated_model_is_called_so_with_its_date_and_can_be_allowed(fact):
    assert f"deprecated since {fact.until}" in problem(model=fact.value)
    assert xai.check(xai.SessionSettings(api_key="xai-1", model=fact.value, allow_unlisted=True)) == []


def test_what_belongs_to_others_is_said_to():
    assert problem(model="gpt-realtime") == "provider.model: 'gpt-realtime', a model of OpenAI"
    assert problem(voice="echo") == "provider.voice: 'echo', a voice of OpenAI"
    assert problem(api_key="sk-123456") == "provider.key: a key of OpenAI"
    assert "white space" in problem(api_key="xai-secret \n")
    assert "not known on 2026-11-22" in problem(voice="my-own-voice")


def test_the_model_stands_in_the_query_and_the_key_only_in_the_header():
    request = xai.connect_request(xai.SessionSettings(api_key="xai-secret-0123456789", model="a b&c"))
    assert request.url == "wss://api.x.ai/v1/realtime?model=a%20b%26c"
    assert request.headers == (("Authorization", "Bearer xai-secret-0123456789"),)
    assert "secret" not in repr(request) and "secret" not in repr(SETTINGS)


def test_the_facts_agree_with_each_other():
    assert xai.MODEL_QUERY == "model" and [fact.until for fact in xai.MODEL_QUERY_HISTORY].count(None) == 2
    assert xai.DEFAULT_MODEL.value in xai.MODELS.value and xai.DEFAULT_VOICE.value in xai.VOICES.value
    assert xai.LATEST_MODEL.value in xai.MODELS.value and xai.LATEST_MODEL.until is None
    assert not set(xai.MODELS.value) & {*xai.DEAD_MODELS.value, *(fact.value for fact in xai.DEPRECATED_MODELS)}


# ------------------------------------------------------------------------------------- what is written down


def test_nothing_secret_nothing_audible_and_no_number_is_written_down():
    told = "Caller +15550100001, key xai-abcd12"
    leg = xai.Leg(xai.SessionSettings(api_key="xai-secret-0123456789", instructions=told))
    messages = [*leg.send(v.ConfigureSession()), *leg.send(v.AppendAudio(b"QUJD", 3)), delta("QUJD")]
    seen = json.dumps([leg.redact(data) for data in [*messages, error(message="bad key xai-abcd12")]])
    assert not [part for part in ("QUJD", "5550100001", "xai-abcd12") if part in seen]
    assert leg.redact(b"\xff\xff", binary=True) == {"binary_bytes": 2} and leg.redact(b"{") == {"not_json_bytes": 1}


# ------------------------------------------------------------------------------------------- anything else

FIELDS = ["type", "session", "response", "item", "error", "id", "status", "delta", "audio", "item_id", "response_id",
          "transcript", "message", "code", "event_id", "usage", "model", "voice", "format"]  # fmt: skip
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(FIELDS), inner, max_size=6),
    max_leaves=12,
)
FIXTURES = [json.loads(path.read_text())["message"] for path in sorted((CONFORMANCE / "from_peer").iterdir())]


@given(st.binary(max_size=120) | JSON.map(lambda tree: json.dumps(tree).encode()), st.booleans())
def test_nothing_that_arrives_raises(data, binary):
    leg = xai.Leg(SETTINGS)
    leg.send(v.ConfigureSession())
    assert isinstance(leg.receive(data, 0.0, binary=binary), v.Event)
    msgspec.json.encode(leg.redact(data, binary=binary))


@given(st.sampled_from(FIXTURES), st.dictionaries(st.sampled_from(FIELDS[1:]), JSON, max_size=3), st.booleans())
def test_no_known_message_with_strange_fields_raises(message, strange, drop):
    changed = {**message, **strange}
    if drop and len(changed) > 2:
        changed.pop(sorted(changed)[0], None)
    leg = xai.Leg(SETTINGS)
    leg.send(v.ConfigureSession())
    event = leg.receive(json.dumps(changed).encode(), 0.0)
    assert isinstance(event, v.Event)
    msgspec.json.encode(event)
