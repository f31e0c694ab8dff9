"""Our side of OpenAI Realtime: read from literal messages, written for the SDK's own types, broken in every way."""

import base64
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai.types import realtime as sdk
from pydantic import BaseModel

from offhook import vocab as v
from offhook.wires._wire import LocalProtocolError
from offhook.wires.providers import openai

CONFORMANCE = Path(__file__).parents[3] / "conformance" / "openai"
TOOL = v.ToolSpec("hang_up", "ends the call", {"type": "object", "properties": {}})
SETTINGS = openai.SessionSettings(api_key="sk-test-000000", instructions="Be kind.", tools=(TOOL,))


def cases(folder: str) -> list:
    return [
        pytest.param(json.loads(path.read_text()), id=path.stem)
        for path in sorted((CONFORMANCE / folder).glob("*.json"))
    ]


def new_leg(**more) -> openai.Leg:
    return openai.Leg(openai.SessionSettings(**{"api_key": "sk-test-000000", "instructions": "Be kind.", **more}))


def delta(payload: str, item: str = "i") -> bytes:
    return b'{"type":"response.output_audio.delta","response_id":"r","item_id":"%s","content_index":0,"delta":"%s"}' % (
        item.encode(),
        payload.encode(),
    )


def said(leg: openai.Leg, **message) -> v.Event:
    return leg.receive(json.dumps(message).encode(), 0.0)


# ------------------------------------------------------------------------------------------------ literal messages


@pytest.mark.parametrize("case", cases("from_peer"))
def test_a_literal_message_is_read_as_what_it_means(case):
    leg = openai.Leg(SETTINGS)
    leg.send(v.ConfigureSession())  # a rejection is one only after we asked
    event = leg.receive(json.dumps(case["message"]).encode(), 0.0)
    assert type(event).__name__ == case["event"]
    for name, value in case.get("reads", {}).items():
        assert getattr(event, name) == value, name
    if "differences" in case:
        assert [d.field + "!" * d.fatal for d in event.differences] == case["differences"]
    assert [violation.field for violation in leg.violations] == ([case["violation"]] if "violation" in case else [])


@pytest.mark.parametrize("case", cases("from_peer"))
def test_a_message_means_the_same_in_any_order_of_its_keys_and_with_blanks(case):
    message = case["message"]
    spread = json.dumps(dict(reversed(message.items())), indent=2).encode()
    one, other = openai.Leg(SETTINGS), openai.Leg(SETTINGS)
    assert one.receive(json.dumps(message, separators=(",", ":")).encode(), 0.0) == other.receive(spread, 0.0)


# ----------------------------------------------------------------------------------------------------------- audio


@pytest.mark.parametrize(("payload", "n_bytes"), [("////", 3), ("//8=", 2), ("/w==", 1)])
def test_payloads_go_through_untouched_with_their_size(payload, n_bytes):
    assert new_leg().receive(delta(payload), 0.0) == v.AgentAudio("r", "i", 0, payload.encode(), n_bytes)


@pytest.mark.parametrize(
    ("payload", "read"), [("\\/\\/8=", b"//8="), ("\\u002f\\/8=", b"//8="), ("\\u0041AAA", b"AAAA")]
)
def test_json_escapes_in_a_payload_are_taken_out(payload, read):
    assert new_leg().receive(delta(payload), 0.0).payload == read


@pytest.mark.parametrize(
    "payload", ["", "A", "AAA", "AA=A", "!!!!", "AAAA====", "\\u0022,\\u0022", "\\n\\n\\n\\n", "äää"]
)
def test_what_is_no_base64_is_dropped_and_named(payload):
    leg = new_leg()
    assert isinstance(leg.receive(delta(payload), 0.0), v.Malformed)
    (violation,) = leg.violations
    assert (violation.message, violation.field, violation.by) == ("response.output_audio.delta", "delta", "peer")


def test_an_escaped_quote_in_the_middle_of_an_item_never_reaches_the_carrier():
    leg = new_leg()
    leg.receive(delta("AAAA"), 0.0)
    assert isinstance(leg.receive(delta('AA\\"}'), 0.0), v.Malformed)


def test_a_binary_frame_is_named():
    leg = new_leg()
    assert isinstance(leg.receive(delta("AAAA"), 0.0, binary=True), v.Malformed)
    assert leg.violations[0].got == "a binary frame"


def test_items_long_gone_are_forgotten():
    leg = new_leg()
    for n in range(500):
        leg.receive(delta("AAAA", f"item_{n}"), 0.0)
        said(leg, type="conversation.item.input_audio_transcription.delta", item_id=f"caller_{n}", delta="x")
    assert len(leg._received_bytes) <= 64 and len(leg._caller_text) <= 64
    assert leg.send(v.Truncate("item_0", 0, 1)) == []
    assert leg.send(v.Truncate("item_499", 0, 1)) != []


# ---------------------------------------------------------------------------------------------------- the settings


def echo_of(given: openai.SessionSettings) -> dict:
    return json.loads(json.dumps({**openai.session_object(given), "model": given.model}))


def test_defaults_filled_in_and_other_spellings_are_no_differences():
    echo = echo_of(SETTINGS)
    echo |= {"id": "sess_1", "object": "realtime.session", "tracing": None, "max_output_tokens": "inf"}
    echo["instructions"] += "\n"
    echo["model"] += "-2026-05-01"
    echo["tools"][0]["parameters"]["strict"] = True
    echo["audio"]["output"] |= {"speed": 1, "voice": {"id": "marin"}}
    echo["audio"]["input"]["noise_reduction"] = None
    echo["audio"]["input"]["transcription"]["prompt"] = None
    echo["audio"]["input"]["turn_detection"] |= {"idle_timeout_ms": None, "threshold": 0.5000000001}
    assert openai.compare(SETTINGS, echo) == ()


def change(echo: dict, path: str, value) -> dict:
    *above, name = path.split(".")
    node = echo
    for part in above:
        node = node[part]
    if value is ...:
        del node[name]
    else:
        node[name] = value
    return echo


@pytest.mark.parametrize(
    ("path", "value", "field", "fatal"),
    [
        ("audio.input.format", {"type": "audio/pcm", "rate": 24000}, "audio.input.format", True),
        ("audio.output.format", {"type": "audio/pcma"}, "audio.output.format", True),
        ("audio.output.format", None, "audio.output.format", True),
        ("audio.output.format", ..., "audio.output.format", False),
        ("audio.output.voice", "alloy", "audio.output.voice", False),
        ("audio.output.voice", {"id": "voice_123"}, "audio.output.voice", False),
        ("audio.input.turn_detection", None, "audio.input.turn_detection", False),
        ("audio.input.turn_detection.interrupt_response", False, "audio.input.turn_detection", False),
        ("audio.input.turn_detection.create_response", 1, "audio.input.turn_detection", False),
        ("audio.input.turn_detection.silence_duration_ms", 200, "audio.input.turn_detection", False),
        ("audio.input.turn_detection.type", "semantic_vad", "audio.input.turn_detection", False),
        ("audio.input.transcription", None, "audio.input.transcription", False),
        ("instructions", "", "instructions", False),
        ("output_modalities", ["text"], "output_modalities", False),
        ("tools", [], "tools", False),
        ("tool_choice", "none", "tool_choice", False),
        ("type", "transcription", "type", False),
        ("model", "gpt-realtime-mini", "model", False),
        ("modalities", ["text", "audio"], "session", True),
    ],
)
def test_every_other_difference_is_named_and_only_a_format_is_fatal(path, value, field, fatal):
    (difference,) = openai.compare(SETTINGS, change(echo_of(SETTINGS), path, value))
    assert (difference.field, difference.fatal) == (field, fatal)


@pytest.mark.parametrize("path", ["audio.output.voice", "audio.input.turn_detection", "tools", "instructions", "model"])
def test_a_field_that_is_left_out_is_no_difference(path):
    assert openai.compare(SETTINGS, change(echo_of(SETTINGS), path, ...)) == ()


def test_audio_that_is_null_means_that_nothing_of_it_applied():
    found = {d.field: d.fatal for d in openai.compare(SETTINGS, {**echo_of(SETTINGS), "audio": None})}
    assert found["audio.input.format"] and found["audio.output.format"] and "audio.output.voice" in found


def test_a_difference_shows_no_number_and_no_key():
    given = openai.SessionSettings(api_key="sk-x", instructions="Caller: +4915112345678, key sk-proj-abcdef")
    (difference,) = openai.compare(given, {**echo_of(given), "instructions": "Other +4915112345678"})
    assert "+4**********78" in difference.asked and "5112345" not in str(difference) and "abcdef" not in str(difference)


def error(**more) -> dict:
    return {"type": "error", "error": {"type": "invalid_request_error", "code": "c", "message": "m", **more}}


def test_a_rejection_is_joined_by_the_id_of_our_update():
    leg = new_leg()
    update = json.loads(leg.send(v.ConfigureSession())[0])
    assert isinstance(said(leg, **error(event_id="other")), v.ProviderError)
    event = said(leg, **error(event_id=update["event_id"], param="session.voice", code="unknown_parameter"))
    assert event == v.SessionRejected("session.voice", "unknown_parameter", "m")
    assert isinstance(said(leg, **error(event_id=update["event_id"])), v.ProviderError)  # it was answered


def test_a_model_that_writes_nobody_down_is_spared_and_the_session_asked_for_without_it():
    leg = new_leg()
    leg.send(v.ConfigureSession())
    param = "session.audio.input.transcription.model"
    event = said(leg, **error(param=param, code="invalid_value"))
    assert event == v.SessionRejected(param, "invalid_value", "m", spares=True)
    again = json.loads(leg.send(v.ConfigureSession(transcribe=False))[0])["session"]
    assert again["audio"]["input"]["transcription"] is None and again["audio"]["input"]["turn_detection"]
    assert json.loads(leg.send(v.ConfigureSession())[0])["session"] == again, "it is not asked for again"


def test_a_rejection_without_an_id_is_joined_by_its_field_until_the_echo_came():
    leg = new_leg()
    assert isinstance(said(leg, **error(param="session.voice")), v.ProviderError)  # we asked for nothing yet
    leg.send(v.ConfigureSession())
    assert isinstance(said(leg, **error(param="item.content")), v.ProviderError)
    assert isinstance(said(leg, **error(param=None)), v.ProviderError)
    said(leg, type="session.updated", session=echo_of(SETTINGS))
    assert isinstance(said(leg, **error(param="session.voice")), v.ProviderError)


@pytest.mark.parametrize("code", openai.FATAL_CODES.value)
def test_what_ends_a_session_is_fatal_also_before_the_echo(code):
    leg = new_leg()
    leg.send(v.ConfigureSession())
    event = said(leg, **error(code=code, param="session.model"))
    assert isinstance(event, v.ProviderError) and event.fatal and not event.benign


@pytest.mark.parametrize("code", openai.BENIGN_CODES.value)
def test_races_are_benign_by_code(code):
    event = said(new_leg(), **error(code=code))
    assert event.benign and not event.fatal


@pytest.mark.parametrize("text", openai.BENIGN_TEXTS.value)
def test_races_are_benign_by_text_where_no_code_comes(text):
    event = said(new_leg(), **error(code=None, message=f"... {text} ..."))
    assert event.benign and event.code == "invalid_request_error"


def test_an_error_repeats_no_key():
    event = said(new_leg(), **error(message="Incorrect API key provided: sk-proj-abc***xyz."))
    assert "sk-" not in event.message


# ------------------------------------------------------------------------------------------ the beta shape, misspelling


def test_beta_names_are_read_and_named_once_each():
    leg = new_leg()
    for _ in range(3):
        event = said(leg, type="response.audio.delta", response_id="r", item_id="i", content_index=0, delta="AAAA")
        assert event == v.AgentAudio("r", "i", 0, b"AAAA", 3)
    assert isinstance(said(leg, type="conversation.item.created", item={}), v.Harmless)
    assert [(x.message, x.accepted) for x in leg.violations] == [
        ("response.audio.delta", True), ("conversation.item.created", True),
    ]  # fmt: skip


def test_a_near_miss_is_read_and_named():
    leg = new_leg()
    event = said(leg, type="response.output_audio.done", responseId="r", itemId="i")
    assert event == v.AgentAudioDone("r", "i")
    assert {(x.field, x.got, x.accepted) for x in leg.violations} == {
        ("response_id", "'responseId'", True), ("item_id", "'itemId'", True),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("message", "field"),
    [
        ({"type": "response.done", "response": {"id": "r", "status": "in_progress"}}, "response.status"),
        ({"type": "response.done", "response": {"id": "r", "status": "finished"}}, "response.status"),
        ({"type": "response.done", "response": {"id": 5, "status": "failed"}}, "response.id"),
        ({"type": "response.done"}, "response"),
        ({"type": "response.created", "response": []}, "response"),
        ({"type": "session.updated", "session": None}, "session"),
        ({"type": "input_audio_buffer.speech_started", "audio_start_ms": "5"}, "audio_start_ms"),
        ({"type": "response.function_call_arguments.done", "call_id": "c", "name": "n", "arguments": {}}, "arguments"),
        ({"type": "error"}, "error"),
    ],
)
def test_a_message_of_another_shape_is_dropped_with_its_field(message, field):
    leg = new_leg()
    assert isinstance(said(leg, **message), v.Malformed)
    assert leg.violations[-1].field == field and not leg.violations[-1].accepted


def test_a_barge_in_counts_without_its_time():
    assert said(new_leg(), type="input_audio_buffer.speech_started") == v.SpeechStarted(at_ms=None, item_id=None)


@pytest.mark.parametrize(
    "data",
    [b"", b"hello", b"\xff\xfe", b"[]", b"5", b"{}", b'{"type":5}', b'{"type":null}', b"[" * 5000, b'{"a":' * 5000],
)
def test_what_is_no_event_is_dropped_and_named(data):
    leg = new_leg()
    assert isinstance(leg.receive(data, 0.0), v.Malformed) and len(leg.violations) == 1


def test_an_unknown_event_is_kept_by_name():
    assert said(new_leg(), type="response.mood" * 20) == v.Unknown(v.Leg.PROVIDER, ("response.mood" * 20)[:80])


def test_callers_words_grow_and_the_last_ones_count():
    leg = new_leg()
    name = "conversation.item.input_audio_transcription"
    events = [said(leg, type=f"{name}.delta", item_id="i", delta=word) for word in ("Good", " morning")]
    events.append(said(leg, type=f"{name}.completed", item_id="i", transcript="Good morning."))
    assert [(e.text, e.final) for e in events] == [("Good", False), ("Good morning", False), ("Good morning.", True)]


@pytest.mark.parametrize(
    ("details", "reason"),
    [
        ({"type": "cancelled", "reason": "turn_detected"}, "turn_detected"),
        ({"type": "failed", "error": {"type": "server_error", "code": None, "message": "m sk-abcdef"}}, "m ***"),
        ({"type": "failed", "error": {"code": "rate_limit_exceeded"}}, "rate_limit_exceeded"),
        ({"type": "incomplete", "reason": "content_filter", "error": None}, "content_filter"),
        (None, None), ("unimplemented", None), ({"reason": 5}, None),
    ],
)  # fmt: skip
def test_why_a_response_ended(details, reason):
    event = said(new_leg(), type="response.done", response={"id": "r", "status": "failed", "status_details": details})
    assert event == v.ResponseDone("r", "failed", reason, None)


# ------------------------------------------------------------------------------------------------------- what we send


def unknown_fields(node, path: str = "") -> list[str]:
    """The SDK's models let extra fields pass; these are their paths."""
    if isinstance(node, BaseModel):
        extra = node.model_extra or {}
        known = sorted(node.model_fields_set - set(extra))
        return [f"{path}.{name}" for name in extra] + [
            found for name in known for found in unknown_fields(getattr(node, name), f"{path}.{name}")
        ]
    if isinstance(node, list):
        return [found for n, part in enumerate(node) for found in unknown_fields(part, f"{path}[{n}]")]
    return []


SDK = {
    "session.update": sdk.SessionUpdateEvent, "input_audio_buffer.append": sdk.InputAudioBufferAppendEvent,
    "response.create": sdk.ResponseCreateEvent, "response.cancel": sdk.ResponseCancelEvent,
    "conversation.item.create": sdk.ConversationItemCreateEvent,
    "conversation.item.truncate": sdk.ConversationItemTruncateEvent,
}  # fmt: skip


def test_the_walk_finds_what_the_models_let_pass():
    flat = {"type": "session.update", "session": {"type": "realtime", "voice": "alloy", "turn_detection": {}}}
    assert unknown_fields(SDK["session.update"].model_validate(flat)) == [".session.voice", ".session.turn_detection"]


@pytest.mark.parametrize(
    ("command", "sent"),
    [
        (v.AppendAudio(b"////", 3), {"type": "input_audio_buffer.append", "audio": "////"}),
        (v.AskResponse(), {"type": "response.create"}),
        (v.AskResponse("Be brief."), {"type": "response.create", "response": {"instructions": "Be brief."}}),
        (v.CancelResponse(), {"type": "response.cancel"}),
        (v.CancelResponse("resp_1"), {"type": "response.cancel", "response_id": "resp_1"}),
        (v.Truncate("i", 0, 50),
         {"type": "conversation.item.truncate", "item_id": "i", "content_index": 0, "audio_end_ms": 50}),
        (v.Truncate("i", 0, 9999),
         {"type": "conversation.item.truncate", "item_id": "i", "content_index": 0, "audio_end_ms": 100}),
        (v.TellAgent("Key 5."),
         {"type": "conversation.item.create", "item": {
             "type": "message", "role": "user", "content": [{"type": "input_text", "text": "Key 5."}]}}),
        (v.TellSaid(b"////", 3),
         {"type": "conversation.item.create", "item": {
             "type": "message", "role": "user", "content": [{"type": "input_audio", "audio": "////"}]}}),
        (v.AnswerTool("call_1", '{"ok":true}'),
         {"type": "conversation.item.create", "item": {
             "type": "function_call_output", "call_id": "call_1", "output": '{"ok":true}'}}),
    ],
    ids=lambda x: type(x).__name__,
)  # fmt: skip
def test_a_command_is_one_message_that_the_sdk_knows_to_the_last_field(command, sent):
    leg = new_leg()
    leg.receive(delta(base64.b64encode(b"\x21" * 800).decode()), 0.0)
    (data,) = leg.send(command)
    assert json.loads(data) == sent
    assert unknown_fields(SDK[sent["type"]].model_validate(sent)) == []


@pytest.mark.parametrize("more", [{}, {"language": "de"}, {"tools": (TOOL,)}, {"voice": "cedar", "instructions": ""}])
def test_the_session_says_everything_that_matters_on_a_phone_line(more):
    update = json.loads(new_leg(**more).send(v.ConfigureSession())[0])
    assert unknown_fields(sdk.SessionUpdateEvent.model_validate(update)) == []
    session = update["session"]
    assert session["type"] == "realtime" and session["output_modalities"] == ["audio"]
    assert session["audio"]["input"]["format"] == session["audio"]["output"]["format"] == {"type": "audio/pcmu"}
    turn = session["audio"]["input"]["turn_detection"]
    assert turn["interrupt_response"] is turn["create_response"] is True
    assert session["audio"]["input"]["transcription"].get("language") == more.get("language")
    assert session["audio"]["output"]["voice"] == more.get("voice", "marin")


def test_the_greeting_stands_word_for_word_in_the_instructions_of_one_response():
    message = json.loads(new_leg().send(v.Greet('Hello, "friend".'))[0])
    assert 'Hello, "friend".' in message["response"]["instructions"]
    assert unknown_fields(sdk.ResponseCreateEvent.model_validate(message)) == []


@pytest.mark.parametrize(
    ("command", "field"),
    [
        (v.AppendAudio(b"", 0), "audio"), (v.AppendAudio(b"AAA", 2), "audio"), (v.AppendAudio(b'AA"}', 3), "audio"),
        (v.AppendAudio(b"AA\\n", 3), "audio"), (v.AppendAudio(b"A" * (16 * 1024 * 1024), 1), "audio"),
        (v.Truncate("i", 0, -1), "audio_end_ms"), (v.Truncate("i", 0, 40.5), "audio_end_ms"),
        (v.Truncate("i", 0, True), "audio_end_ms"),
    ],
    ids=lambda x: str(x)[:40],
)  # fmt: skip
def test_what_the_provider_would_refuse_is_not_sent(command, field):
    with pytest.raises(LocalProtocolError) as caught:
        new_leg().send(command)
    assert caught.value.violation.by == "us" and caught.value.violation.field == field


def test_what_is_no_command_of_this_wire_is_a_defect():
    with pytest.raises(TypeError, match="ClearPlayback"):
        new_leg().send(v.ClearPlayback())


# ------------------------------------------------------------------------------------------------------------- facts


def test_the_request_is_what_the_sdk_sends():
    accepted = json.loads((CONFORMANCE / "connect.json").read_text())["accepted"]
    request = openai.connect_request(openai.SessionSettings(api_key="sk-good", model="gpt-realtime"))
    assert request.url == accepted["url"] and dict(request.headers) == accepted["headers"]
    assert "sk-good" not in repr(request) and "sk-good" not in repr(openai.SessionSettings(api_key="sk-good"))
    odd = openai.connect_request(openai.SessionSettings(api_key="k", model="a b&c=/d"))
    assert odd.url.endswith("?model=a%20b%26c%3D%2Fd")


@pytest.mark.parametrize(
    ("code", "reason", "part"),
    [(1001, "", "maximum duration"), (1000, "Your session hit the maximum duration of 60 minutes.", "maximum duration"),
     (3000, "invalid_request_error.invalid_api_key", "key was refused"),
     (4000, "invalid_request_error.missing_model", "missing_model"),
     (4004, "invalid_request_error.model_not_found", "model_not_found"), (None, "", "dropped"), (1006, "", "dropped"),
     (1011, "oops", "1011 oops"), (1000, "", "closed by OpenAI with 1000")],
)  # fmt: skip
def test_a_close_is_explained(code, reason, part):
    assert part in openai.explain_close(code, reason)


def test_the_settings_that_work_are_let_through():
    assert openai.check(SETTINGS) == []
    assert openai.check(openai.SessionSettings(api_key="sk-x", url="ws://127.0.0.1:9000/v1/realtime")) == []
    assert openai.check(openai.SessionSettings(api_key="sk-x", url="ws://[::1]:9000/v1/realtime")) == []


@pytest.mark.parametrize(
    ("more", "setting"),
    [({"url": "ws://192.168.1.5/v1"}, "provider.url"), ({"url": "https://api.openai.com/v1"}, "provider.url"),
     ({"url": "wss://user:secret@h/v1"}, "provider.url"), ({"url": "nonsense"}, "provider.url"),
     ({"voice": "rex"}, "provider.voice"), ({"voice": "nobody"}, "provider.voice"),
     ({"model": "gpt-4o-realtime-preview-2024-12-17"}, "provider.model"), ({"api_key": " sk-x"}, "provider.key"),
     ({"api_key": "sk-x\u00a0y"}, "provider.key"), ({"api_key": "sk-ant-123"}, "provider.key")],
)  # fmt: skip
def test_a_setting_that_cannot_work_is_refused_with_what_to_do(more, setting):
    (problem,) = openai.check(openai.SessionSettings(**{"api_key": "sk-x", **more}))
    assert problem.setting == setting and problem.fix and "secret" not in problem.got


# ------------------------------------------------------------------------------------------------------------- redact


def test_what_is_written_down_has_no_audio_no_key_and_no_number():
    leg = new_leg(instructions="The caller is +4915112345678.")
    written = [leg.redact(data) for data in (delta("AAAA" * 9), leg.send(v.AppendAudio(b"////", 3))[0])]
    assert written[0]["delta"] == "<36 characters>" and written[1]["audio"] == "<4 characters>"
    update = json.dumps(leg.redact(leg.send(v.ConfigureSession())[0]))
    assert "15112345" not in update and "+4**********78" in update
    said_error = json.dumps(leg.redact(json.dumps(error(message="key sk-proj-abcdefgh")).encode()))
    assert "abcdefgh" not in said_error
    words = {"type": "response.output_audio_transcript.delta", "delta": "hello", "obfuscation": "xyz"}
    assert leg.redact(json.dumps(words).encode()) == {"type": words["type"], "delta": "hello"}


@pytest.mark.parametrize("data", [b"", b"\xff", b"[1]", b"[" * 5000, b'{"type":["a"],"audio":{}}'])
def test_anything_can_be_written_down(data):
    json.dumps(new_leg().redact(data))
    assert new_leg().redact(data, binary=True) == {"binary_bytes": len(data)}


# ------------------------------------------------------------------------------------------------------ anything at all

LITERALS = [case.values[0]["message"] for case in cases("from_peer")]
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=6,
)


@st.composite
def mutated(draw, literals):
    """A literal message with one field, at any depth, put to something else or left out."""
    message = json.loads(json.dumps(draw(st.sampled_from(literals))))
    node = message
    while True:
        name = draw(st.sampled_from(sorted(node)))
        if isinstance(node[name], dict) and node[name] and draw(st.booleans()):
            node = node[name]
            continue
        if draw(st.booleans()):
            node[name] = draw(VALUES)
        else:
            del node[name]
        return json.dumps(message).encode()


@settings(max_examples=400, deadline=None)
@given(mutated(LITERALS) | st.binary(max_size=60), st.integers(0, 400))
def test_no_message_raises_and_none_is_dropped_without_a_name(data, cut):
    leg = new_leg()
    leg.send(v.ConfigureSession())
    for message in (data, data[:cut]):
        leg.violations.clear()
        event = leg.receive(message, 0.0)
        assert isinstance(event, v.Event)
        assert isinstance(event, v.Malformed) <= bool(leg.violations)
        if isinstance(event, v.AgentAudio):
            assert len(base64.b64decode(event.payload, validate=True)) == event.n_bytes
        json.dumps(leg.redact(message))


@pytest.mark.parametrize(
    ("told", "read"),
    [(1756324625, 1756324625.0), (None, None), (True, None), ("1756324625", None), (0, None), (1e300, None)],
)
def test_the_moment_of_the_sessions_end_is_read_where_it_is_one(told, read):
    leg = openai.Leg(openai.SessionSettings(api_key="sk-x"))
    created = json.dumps({"type": "session.created", "session": {"id": "s", "expires_at": told}}).encode()
    assert leg.receive(created, 0.0) == v.SessionGreeted(read)
