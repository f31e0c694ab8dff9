"""Every dialled fault of every simulated provider: it happens when it was dialled, and our leg sees what it is."""

import base64
import json

import pytest
from tests.sims.call import SCRIPT, Session, played, shape

from offhook import vocab as v
from offhook.loopback.lines import audio
from offhook.media import g711
from offhook.media.levels import Meter
from offhook.sims.provider import Answer, tone
from offhook.sims.provider_dial import list_faults, parse_fault
from offhook.sims.provider_faults import FAULTS, WIRES, faults_of
from offhook.sims.provider_scene import Binary, LatePongs, StopReading
from offhook.wires._wire import PeerClose

PROVIDERS = ("openai", "xai", "loopback")
# What needs another URL, another speaker or a socket: each has a test of its own.
ELSEWHERE = {"slow-upgrade", "too-many", "refuse-dead-model", "bare-url-old-model", "hard-of-hearing",
             "deaf-at-first"}  # fmt: skip
PAIRS = [(provider, name) for provider in PROVIDERS for name in faults_of(provider)]
ALL_IDS = sorted({row for fault in FAULTS.values() for row in fault.ids})


@pytest.fixture(scope="module")
def well() -> dict:
    return {provider: shape(played(provider)) for provider in PROVIDERS}


@pytest.mark.parametrize(("provider", "name"), [pair for pair in PAIRS if pair[1] not in ELSEWHERE])
def test_no_fault_is_without_effect_and_none_breaks_our_leg(provider, name, well):
    fault = FAULTS[name]
    if fault.refuses is not None:
        session = Session(provider, name)
        path = "/v1/realtime?" + session.request.url.partition("?")[2]
        refusal = session.sim.upgrade(path, dict(session.request.headers))
        status = int(name.rpartition("-")[2])
        assert (
            refusal is not None and refusal.status == status and (refusal.location is not None) == (300 <= status < 400)
        )
        return
    assert shape(played(provider, name)) != well[provider]


def test_a_session_without_faults_is_a_whole_conversation():
    for provider in PROVIDERS:
        heard = played(provider)
        assert heard.violations == [] and heard.close is None and not heard.of(v.Unknown) and not heard.of(v.Malformed)
        assert heard.of(v.SessionConfigured) == [v.SessionConfigured()]
        assert [done.status for done in heard.of(v.ResponseDone)] == ["completed", "cancelled", "completed"]
        finals = [said.text for said in heard.of(v.CallerTranscript) if said.final]
        assert finals == ["turn 1", "turn 2"] and [call.name for call in heard.of(v.ToolCalled)] == ["hang_up"]


def names(heard) -> set[str]:
    return {type(event).__name__ for _, event in heard.events}


@pytest.mark.parametrize(
    ("fault", "missing", "there"),
    [
        ("no-greeting", "SessionGreeted", "SessionConfigured"),
        ("no-session-updated", "SessionConfigured", "AgentAudio"),
        ("reject-session", "SessionConfigured", "SessionRejected"),
        ("reject-tools", "SessionConfigured", "SessionRejected"),
        ("malformed-json", "Unknown", "Malformed"), ("no-type", "Unknown", "Malformed"),
        ("not-an-object", "Unknown", "Malformed"), ("not-base64", "Unknown", "Malformed"),
        ("empty-delta", "Unknown", "Malformed"), ("unknown-events", "Malformed", "Unknown"),
        ("stop-answering@response2", "Malformed", "SpeechStarted"), ("empty-responses", "AgentAudio", "ResponseDone"),
        ("no-response-done", "ResponseDone", "AgentAudio"), ("no-audio-done", "AgentAudioDone", "ResponseDone"),
        ("deaf", "SpeechStarted", "AgentAudio"), ("never-ends-turn", "SpeechStopped", "SpeechStarted"),
        ("no-speech-events", "SpeechStarted", "AgentAudio"), ("no-transcripts", "CallerTranscript", "AgentAudio"),
        ("null-transcripts", "Unknown", "Malformed"), ("no-tool-calls", "ToolCalled", "ResponseDone"),
        ("no-response-ids", "AgentAudio", "Malformed"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_fault_is_seen_as_what_it_is(provider, fault, missing, there):
    seen = names(played(provider, fault))
    assert missing not in seen and there in seen


@pytest.mark.parametrize("provider", ["openai", "xai"])
@pytest.mark.parametrize(
    ("fault", "status", "reason"),
    [
        ("fail-responses", "failed", "The server had an error while processing your request."),
        ("fail-quota", "failed", "You exceeded your current quota."),
        ("fail-rate-limit", "failed", "Rate limit reached."), ("fail-model", "failed", "The model does not exist."),
        ("incomplete-tokens", "incomplete", "max_output_tokens"),
        ("incomplete-filter", "incomplete", "content_filter"), ("cancelled-by-itself", "cancelled", "turn_detected"),
        ("string-status-details", "completed", None),
    ],
)  # fmt: skip
def test_the_end_of_a_response_says_why(provider, fault, status, reason):
    first = played(provider, fault).of(v.ResponseDone)[0]
    assert (first.status, first.reason) == (status, reason)


@pytest.mark.parametrize("provider", ["openai", "xai"])
@pytest.mark.parametrize(
    ("fault", "differences"),
    [
        ("ignore-formats", {"audio.input.format": True, "audio.output.format": True}),
        ("ignore-input-format", {"audio.input.format": True}),
        ("ignore-output-format", {"audio.output.format": True}), ("another-format", {"audio.output.format": True}),
        ("echo-without-formats", {"audio.input.format": False, "audio.output.format": False}),
        ("ignore-voice", {"voice": False}), ("another-voice", {"voice": False}), ("another-model", {"model": False}),
        ("ignore-turn-detection", {"turn_detection": False}), ("turn-detection-off", {"turn_detection": False}),
        ("another-turn-detection", {"turn_detection": False}), ("ignore-tools", {"tools": False}),
        ("ignore-instructions", {"instructions": False}),
    ],
)  # fmt: skip
def test_what_was_not_applied_shows_in_the_echo(provider, fault, differences):
    (configured,) = played(provider, fault).of(v.SessionConfigured)
    found = {d.field: d.fatal for d in configured.differences}
    known = ("voice", "turn_detection")
    assert {
        next((k for k in known if field.endswith(k)), field): fatal for field, fatal in found.items()
    } == differences


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize(
    ("fault", "judged"),
    [
        ("digital-silence", "silent"), ("pcm16-as-pcmu", "pcm16"), ("pcm16-big-endian", "pcm16"),
        ("alaw-as-pcmu", None), ("double-base64", "base64-twice"),
    ],
)  # fmt: skip
def test_wrong_audio_is_heard_as_what_it_is(provider, fault, judged):
    speech = audio("hours") + audio("location")
    script = (Answer(speech, "We are open."),)
    meter = Meter()
    heard = played(provider, fault, script=script, greeting=script[0])
    for event in heard.of(v.AgentAudio):
        for at in range(0, len(event.payload), 216):
            meter.look(event.payload[at : at + 216])
    if judged is not None:
        assert meter.judge() == judged
    else:
        assert heard.audio[:160] != speech[:160]


@pytest.mark.parametrize("provider", ["openai", "xai"])
def test_audio_has_the_length_and_the_level_of_its_fault(provider):
    def loudest(fault: str) -> int:
        return int(abs(g711.decode(played(provider, fault).audio).astype(int)).max())

    well = len(played(provider).audio)
    assert loudest("near-silence") <= 24 < loudest("quiet") < 400 and loudest("clipped") > 32000
    assert len(played(provider, "wrong-rate").audio) > 1.9 * well
    assert len(played(provider, "pcm16-as-pcmu").audio) > 5 * well
    assert played(provider, "wav-header").audio.startswith(b"RIFF")
    pieces = played(provider, "odd-pieces").of(v.AgentAudio)
    assert {piece.n_bytes for piece in pieces} >= {37} and max(piece.n_bytes for piece in pieces) == 37
    assert len(played(provider, "flood").audio) > 8000 * 700
    giants = [act for _, act in played(provider, "giant-message").acts if isinstance(act, bytes) and len(act) > 2**20]
    assert len(giants) == 3  # one in each response


@pytest.mark.parametrize(
    ("fault", "code", "close", "reason"),
    [
        ("reject-key", "invalid_api_key", 3000, "invalid_request_error.invalid_api_key"),
        ("reject-model", "invalid_model", 4000, "invalid_request_error.invalid_model"),
        ("reject-unknown-model", "model_not_found", 4004, "invalid_request_error.model_not_found"),
        ("reject-no-model", "missing_model", 4000, "invalid_request_error.missing_model"),
        ("reject-beta", "beta_api_shape_disabled", 4000, "invalid_request_error.beta_api_shape_disabled"),
        ("reject-quota", "insufficient_quota", 1008, "invalid_request_error.insufficient_quota"),
        ("session-expired", "session_expired", 1001, "Your session hit the maximum duration of 60 minutes."),
    ],
)  # fmt: skip
def test_openai_turns_away_with_an_error_and_then_a_close(fault, code, close, reason):
    heard = played("openai", fault)
    error = heard.of(v.ProviderError)[0]
    assert error.code == code and error.fatal and heard.close == PeerClose(close, reason)
    assert heard.acts[-1][1] == heard.close  # nothing behind it


@pytest.mark.parametrize("code", [1000, 1001, 1008, 1009, 1011, 1012, 1013, 3000, 4000, 4004])
@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_close_comes_when_it_was_dialled(provider, code):
    heard = played(provider, f"close-{code}@5s")
    (at,) = [at for at, act in heard.acts if act == heard.close]
    assert heard.close is not None and heard.close.code == code and at == pytest.approx(5.0)
    mid = played(provider, f"close-{code}@response2")
    n_begun = len(mid.of(v.ResponseStarted))
    audio = [event for event in mid.of(v.AgentAudio) if event.response_id == mid.of(v.ResponseStarted)[-1].response_id]
    assert n_begun == 2 and len(audio) == 3 and mid.acts[-1][1] == mid.close


def test_a_drop_has_no_close_frame_and_nothing_is_answered_after_it():
    heard = played("openai", "drop")
    assert heard.close == PeerClose(None, "") and heard.sim.deadline() is None
    assert heard.sim.receive(b"{}", 99.0) == [] and heard.sim.tick(99.0) == []


def test_a_fault_may_hold_in_some_responses_only():
    assert [d.status for d in played("openai", "fail-responses@response2-2").of(v.ResponseDone)][:3] == [
        "completed", "failed", "completed",
    ]  # fmt: skip
    assert [d.status for d in played("xai", "fail-responses@2").of(v.ResponseDone)] == ["completed", "failed", "failed"]


def at_of(heard, kind: type) -> float:
    return next(at for at, event in heard.events if isinstance(event, kind))


@pytest.mark.parametrize("provider", PROVIDERS)
def test_delays_hold_back_what_they_name_and_nothing_overtakes(provider):
    late = played(provider, "delay-greeting@0.5s")
    assert at_of(late, v.SessionGreeted) == pytest.approx(0.5)
    assert at_of(late, v.SessionConfigured) == pytest.approx(0.5)  # behind it
    late = played(provider, "delay-session-updated@2s")
    assert at_of(late, v.SessionConfigured) == pytest.approx(2.1)
    slow, well = played(provider, "slow-answers@0.7s"), played(provider)
    assert at_of(slow, v.ResponseStarted) == pytest.approx(at_of(well, v.ResponseStarted) + 0.7)
    late = [at for at, e in played(provider, "late-transcripts@0.6s").events if isinstance(e, v.CallerTranscript)]
    soon = [at for at, e in well.events if isinstance(e, v.CallerTranscript)]
    assert late[-1] == pytest.approx(soon[-1] + 0.6)


def test_silence_begins_with_the_response_that_was_named():
    heard = played("openai", "silent@response2")
    assert len(heard.of(v.ResponseStarted)) == 1 and heard.close is None


@pytest.mark.parametrize("provider", PROVIDERS)
def test_late_deltas_come_behind_the_cancelled_response(provider):
    events = [event for _, event in played(provider, "late-deltas").events]
    (at,) = [n for n, e in enumerate(events) if isinstance(e, v.ResponseDone) and e.status == "cancelled"]
    assert [type(event) for event in events[at + 1 : at + 4]] == [v.AgentAudio] * 3


@pytest.mark.parametrize("provider", PROVIDERS)
def test_tools_are_called_wrongly(provider):
    def calls(fault: str) -> list[tuple[str, str]]:
        return [(call.name, call.arguments) for call in played(provider, fault).of(v.ToolCalled)]

    assert calls("invalid-tool-json")[0] == ("hang_up", '{"day":"Mon')
    assert calls("empty-tool-arguments")[0] == ("hang_up", "") and calls("unknown-tool")[0] == ("lookup_weather", "{}")
    parallel = played(provider, "parallel-tools@response3").of(v.ToolCalled)
    assert len({call.tool_call_id for call in parallel}) == 2 and len({call.response_id for call in parallel}) == 1
    repeated = played(provider, "repeated-tool-call").of(v.ToolCalled)
    assert len(repeated) == 2 and len({call.tool_call_id for call in repeated}) == 1


@pytest.mark.parametrize("provider", ["openai", "xai"])
def test_text_takes_the_place_of_audio(provider):
    heard = played(provider, "text-only")
    kinds = {json.loads(act)["type"] for _, act in heard.acts if isinstance(act, bytes)}
    assert "response.output_text.done" in kinds and not heard.audio and "response.done" in kinds


@pytest.mark.parametrize("provider", PROVIDERS)
def test_what_only_a_socket_can_do_is_told_to_it(provider):
    half_dead = played(provider, "half-dead@5s")
    assert [act for _, act in half_dead.acts if isinstance(act, StopReading)] == [StopReading()]
    assert max(at for at, act in half_dead.acts if isinstance(act, bytes)) <= 5.0
    assert LatePongs(25.0) in [act for _, act in played(provider, "late-pongs@25s").acts]
    assert Binary(b"\x7f" * 160) in [act for _, act in played(provider, "binary-message").acts]


def test_a_fault_that_needs_a_speaker_or_a_url_has_them():
    session = Session("openai", "hard-of-hearing")
    session.open()
    session.send(v.ConfigureSession())
    session.say(400, level_dbfs=-25)
    assert session.heard().of(v.SpeechStarted) == []
    session.say(400, level_dbfs=-12)
    assert len(session.heard().of(v.SpeechStarted)) == 1
    bare = Session("xai", "bare-url-old-model")
    bare.open("/v1/realtime")
    assert json.loads(bare.acts[0][1])["session"]["model"] == "grok-voice-fast-1.0"
    dead = Session("xai", "refuse-dead-model")
    refusal = dead.sim.upgrade("/v1/realtime?model=grok-2-realtime", dict(dead.request.headers))
    assert refusal is not None and refusal.status == 404 and "grok-2-realtime" in refusal.body


def test_the_first_audio_may_be_what_is_refused():
    heard = played("openai", "reject-first-append")
    assert heard.of(v.SessionConfigured) and heard.close is not None and heard.close.code == 1008
    assert heard.sim.turns == 0


def test_deafness_at_first_ends():
    session = Session("openai", "deaf-at-first@1s")
    session.open()
    session.send(v.ConfigureSession())
    session.say(400)
    assert session.heard().of(v.SpeechStarted) == []
    session.say(400)
    assert len(session.heard().of(v.SpeechStarted)) == 1


# ------------------------------------------------------------------------------------------------ the dial itself


@pytest.mark.parametrize(
    ("text", "provider", "said"),
    [
        ("nonsense", "openai", "no fault 'nonsense'; openai has refuse-400"),
        ("reject-key", "xai", "cannot happen to xai, only to openai"),
        ("refuse-401@5s", "openai", "is there from the beginning"),
        ("close-1011@soon", "openai", "after @ stand seconds"),
        ("delay-greeting@response2", "openai", "as in delay-greeting@3s"), ("too-many@x", "openai", "as in too-many@1"),
        ("silent@", "openai", "after @ stand"), ("deaf@append", "openai", "after @ stand"),
        ("close-1011@response0", "openai", "after @ stand"),
    ],
)  # fmt: skip
def test_what_cannot_be_dialled_is_refused_with_what_can(text, provider, said):
    with pytest.raises(ValueError, match="fault") as caught:
        parse_fault(text, provider)
    assert said in str(caught.value)


def test_each_fault_has_a_line_and_its_rows_and_its_providers():
    assert set(WIRES) == set(PROVIDERS)
    for name, fault in FAULTS.items():
        assert fault.name == name and fault.text and len(fault.text) < 110 and set(fault.wires) <= set(WIRES), name
        assert all(row[:2] in ("F-", "S-", "H-") and row[2:].isdigit() for row in fault.ids), name
    assert list_faults("openai")["close-1011"] == "the WebSocket is closed with 1011: an internal error"
    assert len(ALL_IDS) > 60


def test_two_faults_at_once_both_happen():
    heard = played("openai", "ignore-voice", "close-1011@6s")
    assert heard.of(v.SessionConfigured)[0].differences and heard.close == PeerClose(1011, "an internal error")


# ------------------------------------------------------------------------------------- turns that nobody detects


@pytest.mark.parametrize("provider", ["openai", "xai"])
def test_with_turn_detection_off_it_waits_for_a_commit_and_a_request(provider):
    session = Session(provider, "turn-detection-off")
    session.open()
    session.send(v.ConfigureSession())
    session.say(600)
    heard = session.heard()
    assert not heard.of(v.SpeechStarted) and not heard.of(v.ResponseStarted)
    session.raw(b'{"type":"input_audio_buffer.commit"}')
    session.pass_s(1)
    assert not session.heard().of(v.ResponseStarted)
    session.send(v.AskResponse())
    session.pass_s(4)
    heard = session.heard()
    assert len(heard.of(v.ResponseStarted)) == 1 and heard.audio == SCRIPT[0].audio
    assert [said.text for said in heard.of(v.CallerTranscript) if said.final] == ["turn 1"]


def test_turns_may_be_noticed_and_answered_on_request_only():
    session = Session("openai", "no-create-response")
    session.open()
    session.send(v.ConfigureSession())
    session.say(600)
    assert session.heard().of(v.SpeechStopped) and not session.heard().of(v.ResponseStarted)
    session.send(v.AskResponse())
    session.pass_s(4)
    assert session.heard().audio == SCRIPT[0].audio


def test_pcma_is_heard_as_pcma():
    session = Session("openai")
    session.open()
    wanted = {"type": "realtime", "audio": {"input": {"format": {"type": "audio/pcma"}}}}
    session.raw(json.dumps({"type": "session.update", "session": wanted}).encode())
    line = g711.encode_pcma(g711.decode(tone(400, 440, -12) + b"\xff" * 8000))
    payload = base64.b64encode(line).decode()
    session.raw(json.dumps({"type": "input_audio_buffer.append", "audio": payload}).encode())
    (started,) = session.heard().of(v.SpeechStarted)
    assert started.at_ms == 0 and len(session.heard().of(v.SpeechStopped)) == 1


def test_a_turn_that_does_not_interrupt_is_answered_when_the_running_answer_is_over():
    heard = played("openai", "no-interrupt")
    assert [done.status for done in heard.of(v.ResponseDone)] == ["completed"] * 3
    order = [type(event) for _, event in heard.events if isinstance(event, v.ResponseStarted | v.ResponseDone)]
    assert order == [v.ResponseStarted, v.ResponseDone] * 3
