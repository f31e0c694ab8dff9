"""The provider wires, both sides: against the vendors' own types and clients, and anything else that may come."""

import asyncio
import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai import AsyncOpenAI
from openai.types import realtime as sdk
from openai.types.realtime import RealtimeServerEvent
from pydantic import BaseModel, TypeAdapter

from offhook import vocab as v
from offhook.sims.provider import Answer, SimProvider, tone
from offhook.sims.run_provider import FakeProvider
from offhook.wires._wire import PeerClose
from offhook.wires.providers import _openai_peer, _xai_peer, loopback, openai, xai

TOOL = v.ToolSpec("hang_up", "ends the call", {"type": "object", "properties": {}})
WIRES = {"openai": openai, "xai": xai, "loopback": loopback}
KEYS = {"openai": "sk-test-000000", "xai": "xai-test-000000", "loopback": ""}
COMMANDS = (
    v.ConfigureSession(), v.AppendAudio(b"////", 3), v.Greet("Hello."), v.AskResponse(), v.AskResponse("Be brief."),
    v.CancelResponse(), v.Truncate("item_1", 0, 120), v.TellAgent("The caller pressed key 5."),
    v.AnswerTool("call_1", "{}"),
)  # fmt: skip


def leg_of(name: str, **more):
    module = WIRES[name]
    return module.Leg(module.SessionSettings(api_key=KEYS[name], tools=(TOOL,), instructions="Be kind.", **more))


def unknown_fields(node, path: str = "") -> list[str]:
    """Paths that the SDK's models let pass as extras."""
    if isinstance(node, BaseModel):
        extra = node.model_extra or {}
        known = [name for name in node.model_fields_set if name not in extra]
        deeper = [found for name in known for found in unknown_fields(getattr(node, name), f"{path}.{name}")]
        return [f"{path}.{name}" for name in extra] + deeper
    if isinstance(node, list):
        return [found for n, item in enumerate(node) for found in unknown_fields(item, f"{path}[{n}]")]
    return []


SDK_CLASSES = {
    "session.update": sdk.SessionUpdateEvent, "input_audio_buffer.append": sdk.InputAudioBufferAppendEvent,
    "response.create": sdk.ResponseCreateEvent, "response.cancel": sdk.ResponseCancelEvent,
    "conversation.item.create": sdk.ConversationItemCreateEvent,
    "conversation.item.truncate": sdk.ConversationItemTruncateEvent,
}  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: type(command).__name__)
def test_every_event_for_openai_is_one_of_its_sdk_to_the_last_field(command):
    for data in leg_of("openai").send(command):
        message = json.loads(data)
        assert unknown_fields(SDK_CLASSES[message["type"]].model_validate(message)) == []


def test_what_xai_wants_otherwise_is_just_what_its_documents_say():
    message = json.loads(leg_of("xai", language="en").send(v.ConfigureSession())[0])
    assert set(message["session"]) == {"voice", "instructions", "turn_detection", "audio", "tools"}
    message["session"]["type"] = "realtime"  # not required there
    found = set(unknown_fields(sdk.SessionUpdateEvent.model_validate(message)))
    assert found == {
        ".session.voice", ".session.turn_detection", ".session.audio.input.transcription.language_hint",
        ".session.audio.input.format.rate", ".session.audio.output.format.rate",
    }  # fmt: skip


def conversation(name: str, **knobs) -> list[bytes]:
    """Everything the simulated provider says in a call of two turns, a barge-in and a tool."""
    module, leg = WIRES[name], leg_of(name)
    sim = SimProvider(name, script=(Answer(tone(600)), Answer(tone(300), tool="hang_up")), **knobs)
    request = module.connect_request(leg._settings)
    path = "/v1/realtime?" + request.url.partition("?")[2]
    assert sim.upgrade(path, dict(request.headers)) is None
    said = list(sim.opened(0.0))
    for command in (v.ConfigureSession(), v.Greet("Hello.")):
        for data in leg.send(command):
            said += sim.receive(data, 0.0)
    now = 0.1
    loud, quiet = tone(200, 440, -12), b"\xff\x7f" * 80
    for audio in (quiet, quiet, loud, *[quiet] * 40, loud, *[quiet] * 60):
        for at in range(0, len(audio), 160):
            now += 0.02
            frame = audio[at : at + 160]
            for data in leg.send(v.AppendAudio(base64.b64encode(frame), len(frame))):
                said += sim.receive(data, now)
            said += sim.tick(now)
    return [message for message in said if isinstance(message, bytes)]


def test_every_event_of_the_simulated_openai_is_one_of_its_sdk():
    adapter = TypeAdapter(RealtimeServerEvent)
    kinds = set()
    for data in conversation("openai"):
        message = json.loads(data)
        message.pop("obfuscation", None)  # sent by the service, absent from its types
        adapter.validate_python(message)
        kinds.add(message["type"])
    assert {"session.created", "session.updated", "response.output_audio.delta", "response.done",
            "input_audio_buffer.speech_started", "response.function_call_arguments.done"} <= kinds  # fmt: skip


@pytest.mark.parametrize("name", ["openai", "xai"])
def test_a_leg_understands_all_of_its_own_provider(name):
    leg = leg_of(name)
    leg.send(v.ConfigureSession())
    events = [leg.receive(data, 0.0) for data in conversation(name)]
    assert leg.violations == []
    assert not [event for event in events if isinstance(event, v.Unknown | v.Malformed)]
    assert v.SessionConfigured() in events
    finals = [event for event in events if isinstance(event, v.CallerTranscript) and event.final]
    assert [event.text for event in finals] == ["turn 1", "turn 2"]  # repeated ones count once
    assert [event for event in events if isinstance(event, v.ToolCalled)][0].name == "hang_up"


@pytest.mark.parametrize("name", ["openai", "xai"])
def test_the_openai_sdk_holds_a_conversation_with_the_fakes(name):
    async def run():
        async with FakeProvider(name, script=(Answer(tone(300)),)) as fake:
            client = AsyncOpenAI(api_key=KEYS[name], base_url=fake.http_url)
            model = WIRES[name].DEFAULT_MODEL.value
            async with client.realtime.connect(model=model) as connection:
                message = json.loads(leg_of(name).send(v.ConfigureSession())[0])
                await connection.send(message)
                await connection.send({"type": "response.create"})
                seen = []
                async for event in connection:
                    seen.append(event.type)
                    if event.type == "response.done":
                        break
            await client.close()
            assert fake.requests[0].header("authorization") == f"Bearer {KEYS[name]}"
            return seen

    seen = asyncio.run(run())
    assert seen[0] == "session.created" and "session.updated" in seen and "response.output_audio.delta" in seen


@pytest.mark.parametrize(
    ("query", "headers", "code", "close"),
    [
        ("?model=gpt-realtime", {"Authorization": "Bearer wrong"}, "invalid_api_key", 3000),
        ("", {"Authorization": "Bearer sk-good"}, "missing_model", 4000),
        ("?model=grok-2-realtime", {"Authorization": "Bearer sk-good"}, "invalid_model", 4000),
        ("?model=gpt-realtime", {"Authorization": "Bearer sk-good", "OpenAI-Beta": "realtime=v1"},
         "beta_api_shape_disabled", 4000),
    ],
)  # fmt: skip
def test_openai_refuses_after_the_upgrade_by_an_error_and_a_close(query, headers, code, close):
    peer = _openai_peer.Peer(keys=frozenset({"sk-good"}))
    assert peer.upgrade("/v1/realtime" + query, headers) is None
    error, closed = peer.opened(0.0)
    assert json.loads(error)["error"]["code"] == code
    assert isinstance(closed, PeerClose) and closed.code == close
    event = leg_of("openai").receive(error, 0.0)
    assert isinstance(event, v.ProviderError) and event.fatal
    assert code in openai.explain_close(closed.code, closed.reason)


def test_a_rejected_field_is_named_and_the_session_lives_on_in_the_default_format():
    leg, peer = leg_of("openai"), _openai_peer.Peer()
    peer.upgrade("/v1/realtime?model=gpt-realtime", {"Authorization": "Bearer sk-x"})
    peer.opened(0.0)
    update = json.loads(leg.send(v.ConfigureSession())[0])
    update["session"]["voice"] = "marin"  # the beta shape's place
    (answer,) = peer.receive(json.dumps(update).encode(), 0.0)
    event = leg.receive(answer, 0.0)
    assert isinstance(event, v.SessionRejected) and event.field == "session.voice"
    assert peer.format_out == {"type": "audio/pcm", "rate": 24000}


@pytest.mark.parametrize("name", ["openai", "xai"])
def test_an_ignored_format_shows_in_the_echo_and_is_fatal(name):
    leg = leg_of(name)
    leg.send(v.ConfigureSession())
    events = [leg.receive(data, 0.0) for data in conversation(name, faults=["ignore-formats"])]
    (configured,) = [event for event in events if isinstance(event, v.SessionConfigured)]
    assert [d.field for d in configured.differences if d.fatal] == ["audio.input.format", "audio.output.format"]


def test_a_flat_update_changes_nothing_at_xai_and_no_word_is_said():
    peer = _xai_peer.Peer()
    peer.upgrade("/v1/realtime?model=grok-voice-latest", {"Authorization": "Bearer xai-x"})
    peer.opened(0.0)
    flat = {
        "type": "session.update",
        "session": {"input_audio_format": "g711_ulaw", "output_audio_format": "g711_ulaw"},
    }
    (answer,) = peer.receive(json.dumps(flat).encode(), 0.0)
    event = leg_of("xai").receive(answer, 0.0)
    assert json.loads(answer)["type"] == "session.updated"
    assert isinstance(event, v.SessionConfigured)
    assert [d.field for d in event.differences if d.fatal] == ["audio.input.format", "audio.output.format"]


def test_the_seeds_second_fault_both_ways_a_refusal_and_a_silent_replacement():
    headers = {"Authorization": "Bearer xai-x"}
    refusal = _xai_peer.Peer(refuses_unknown_models=True).upgrade("/v1/realtime?model=grok-2-realtime", headers)
    assert refusal is not None and "grok-2-realtime" in refusal.body and "assumed" in refusal.body
    peer = _xai_peer.Peer()
    assert peer.upgrade("/v1/realtime?model=grok-2-realtime", headers) is None
    peer.opened(0.0)
    leg = leg_of("xai", model="grok-2-realtime", allow_unlisted=True)
    (answer,) = peer.receive(leg.send(v.ConfigureSession())[0], 0.0)
    event = leg.receive(answer, 0.0)
    assert event.differences == (v.Difference("model", "grok-2-realtime", "grok-voice-fast-1.0", False),)


@pytest.mark.parametrize("wire", [openai, xai])
def test_a_session_that_somebody_changes_changes_no_other(wire):
    def scribble(part: dict) -> None:
        for inner in part.values():
            if isinstance(inner, dict):
                scribble(inner)
        part["scribbled"] = True

    settings = wire.SessionSettings(api_key="x")
    before = json.dumps(wire.session_object(settings))
    scribble(wire.session_object(settings))
    assert json.dumps(wire.session_object(settings)) == before


def test_normalised_echoes_are_no_differences():
    settings = xai.SessionSettings(api_key="xai-x", voice="Ara")
    phone = {"type": "audio/pcmu", "rate": 8000}
    echo = {
        "audio": {"input": {"format": phone}, "output": {"format": {"type": "audio/pcmu"}}},
        "model": "grok-voice-3.0",
    }
    for voice in ("xai_ara", "human_Ara", "ARA"):
        assert xai.compare(settings, {**echo, "voice": voice}) == ()
    session = openai.session_object(openai.SessionSettings(api_key="x"))
    session["audio"]["output"]["voice"] = {"id": "marin"}
    session["audio"]["input"]["turn_detection"]["idle_timeout_ms"] = None
    assert (
        openai.compare(openai.SessionSettings(api_key="x"), {**session, "model": "gpt-realtime-2.1-2026-05-01"}) == ()
    )


def test_beta_events_are_named_and_never_silent():
    leg = leg_of("openai")
    leg.receive(
        b'{"type":"response.audio.delta","response_id":"r","item_id":"i","content_index":0,"delta":"////"}', 0.0
    )
    assert leg.violations and "response.audio.delta" in str(leg.violations)


@pytest.mark.parametrize("name", ["openai", "xai"])
def test_truncation_never_goes_past_what_was_received(name):
    leg = leg_of(name)
    delta = base64.b64encode(b"\x21" * 800).decode()
    message = {
        "type": "response.output_audio.delta",
        "response_id": "r",
        "item_id": "i",
        "content_index": 0,
        "delta": delta,
    }
    leg.receive(json.dumps(message, separators=(",", ":")).encode(), 0.0)
    assert json.loads(leg.send(v.Truncate("i", 0, 5000))[0])["audio_end_ms"] == 100


def test_escaped_payloads_stay_right():
    leg = leg_of("openai")
    data = b'{"type":"response.output_audio.delta","response_id":"r","item_id":"i","delta":"\\/\\/8="}'
    assert leg.receive(data, 0.0) == v.AgentAudio("r", "i", 0, b"//8=", 2)


@pytest.mark.parametrize(
    ("name", "given", "part"),
    [
        ("openai", {"api_key": ""}, "nothing"), ("openai", {"api_key": "sk-x\n"}, "white space"),
        ("openai", {"api_key": "None"}, "the text 'None'"), ("openai", {"api_key": "xai-123"}, "a key of xAI"),
        ("xai", {"api_key": "sk-123"}, "a key of OpenAI"),
        ("openai", {"model": "gpt-4o-realtime-preview"}, "does not serve"),
        ("openai", {"model": "grok-voice-latest"}, "of xAI"), ("xai", {"model": "grok-2-realtime"}, "does not serve"),
        ("xai", {"voice": "echo"}, "of OpenAI"), ("openai", {"voice": "eve"}, "of xAI"),
        ("openai", {"model": "gpt-realtime-9"}, "not known on"),
        ("openai", {"url": "wss://u:p@host/v1"}, "credentials"),
        ("xai", {"url": "ws://api.x.ai/v1/realtime"}, "scheme ws"), ("xai", {"url": "wss://a.example?a=x"}, "a query"),
    ],
)  # fmt: skip
def test_what_cannot_work_is_refused_with_its_fix_and_without_its_secret(name, given, part):
    module = WIRES[name]
    settings = module.SessionSettings(**{"api_key": KEYS[name], **given})
    (problem,) = module.check(settings)
    assert part in problem.got and problem.fix and problem.wanted
    assert "sk-123" not in str(problem) and "xai-123" not in str(problem)
    unlisted = module.SessionSettings(**{"api_key": KEYS[name], **given, "allow_unlisted": True})
    assert (module.check(unlisted) == []) == ("not known on" in problem.got)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(["type", "session", "response", "item", "error", "id", "status", "delta", "audio", "item_id"]),
        inner, max_size=5,
    ),
    max_leaves=10,
)  # fmt: skip
KINDS = st.sampled_from(
    ["session.created", "session.updated", "response.done", "response.output_audio.delta", "error", "session.update",
     "conversation.item.create", "conversation.item.truncate", "response.create", "input_audio_buffer.append",
     "input_audio_buffer.speech_started", "response.function_call_arguments.done", "ping"]
)  # fmt: skip


@pytest.mark.parametrize("name", ["openai", "xai", "loopback"])
@given(st.data())
def test_no_message_of_anyone_raises_on_either_side(name, data):
    message = data.draw(
        st.one_of(
            st.binary(max_size=100),
            st.tuples(KINDS, st.dictionaries(st.text(max_size=8), JSON, max_size=4), JSON).map(
                lambda x: json.dumps({**x[1], "session": x[2], "response": x[2], "item": x[2], "type": x[0]}).encode()
            ),
        )
    )
    leg = leg_of(name)
    assert isinstance(leg.receive(message, 0.0), v.Event)
    json.dumps(leg.redact(message), default=str)
    sim = SimProvider(name)
    model = WIRES[name].DEFAULT_MODEL.value
    sim.upgrade(f"/v1/realtime?model={model}", {"Authorization": f"Bearer {KEYS[name]}"})
    sim.opened(0.0)
    sim.peer.receive(message, 0.0)
