"""The call's state machine, as conversations in virtual time."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs
from tests.simcall import CARRIER, LINES, SILENCE, SOUND, TRAITS, SimCall

from offhook import vocab as v

REST = structs.replace(CARRIER, ends_by_rest=True)


def test_the_provider_is_dialled_when_the_webhook_comes_and_given_up_without_a_stream():
    call = SimCall(stream_s=20.0)
    assert v.DialProvider(attempt=1) in call.feed(v.CallOffered())
    call.feed(v.ProviderOpened(), v.SessionGreeted(), v.SessionConfigured())
    call.advance(21_000)
    assert call.of(v.CloseProvider)
    call.feed(v.LegClosed(v.Leg.PROVIDER, 1000, "", "us"))
    assert call.ended is not None and not call.ended.wanted


def test_the_session_is_configured_after_the_providers_greeting_or_at_once_where_we_speak_first():
    call = SimCall()
    call.feed(v.CallOffered())
    assert v.ConfigureSession() not in call.feed(v.ProviderOpened())
    assert v.ConfigureSession() in call.feed(v.SessionGreeted())
    call = SimCall(traits=structs.replace(TRAITS, speaks_first="us"))
    call.feed(v.CallOffered())
    assert v.ConfigureSession() in call.feed(v.ProviderOpened())


def test_early_audio_is_held_and_sent_in_order_once():
    call = SimCall()
    call.feed(v.CallOffered(), v.StreamOpened(), v.StreamStarted("MZ", "CA", v.PCMU_8K, {}))
    frames = [base64.b64encode(bytes([n]) * 160) for n in range(1, 6)]
    for frame in frames:
        assert v.AppendAudio not in {type(c) for c in call.feed(v.CallerAudio(frame, 160))}
    call.feed(v.ProviderOpened(), v.SessionGreeted(), v.SessionConfigured())
    call.feed(v.CallerAudio(SOUND[:216], 160))
    assert [c.payload for c in call.of(v.AppendAudio)] == [*frames, SOUND[:216]]


def test_the_greeting_comes_first_and_never_twice():
    call = SimCall(greeting="Hello there.").connect()
    assert call.of(v.Greet) == [v.Greet("Hello there.")]
    call.feed(v.SessionConfigured(), v.SessionGreeted(), v.SessionConfigured())
    assert len(call.of(v.Greet)) == 1


def test_an_early_hello_does_not_kill_the_greeting():
    call = SimCall(greeting="Hello there.")
    call.feed(v.CallOffered(), v.StreamOpened(), v.StreamStarted("MZ", "CA", v.PCMU_8K, {}))
    call.caller_frame(50)  # a second of "hello?" before anything is ready
    call.feed(v.ProviderOpened(), v.SessionGreeted(), v.SessionConfigured())
    assert call.of(v.AppendAudio) == []  # a provider that hears it now would stop its own greeting
    call.agent_says(2000)
    assert len(call.of(v.AppendAudio)) == 50  # nothing is lost
    call.advance(200)
    call.feed(v.SpeechStarted(at_ms=100))  # the provider hears the old hello
    assert call.of(v.ClearPlayback) == [] and call.notes("speech.early")


def test_a_real_barge_in_during_the_greeting_works():
    call = SimCall(greeting="Hello there.").connect()
    call.agent_says(2000)
    call.advance(700)
    call.caller_frame(5)
    call.feed(v.SpeechStarted(at_ms=None))
    assert call.of(v.ClearPlayback) and call.of(v.Truncate) == [v.Truncate("i1", 0, 800)]


def test_a_greeting_that_never_ends_does_not_hold_the_caller_for_ever():
    call = SimCall(greeting="Hello.", greeting_hold_s=6.0).connect()
    call.caller_frame()
    call.agent_says(1000, done=False)
    call.advance(6_100)
    assert call.of(v.AppendAudio)


def test_caller_speech_clears_playback_and_truncates_at_what_was_heard():
    call = SimCall().connect()
    call.agent_says(1000)
    call.advance(400)
    did = call.feed(v.SpeechStarted(at_ms=None))
    assert [type(c) for c in did if not isinstance(c, v.Note)] == [v.ClearPlayback, v.Truncate]
    assert call.of(v.Truncate) == [v.Truncate("i1", 0, 400)]
    assert call.of(v.CancelResponse) == []  # this provider stops itself


def test_a_provider_that_does_not_stop_itself_is_told_to():
    call = SimCall(traits=structs.replace(TRAITS, cancels_itself=False)).connect()
    call.agent_says(1000, done=False)
    call.advance(100)
    call.feed(v.SpeechStarted(at_ms=None))
    assert call.of(v.CancelResponse) == [v.CancelResponse("r1")]


def test_a_provider_that_knows_no_truncation_is_not_asked():
    call = SimCall(traits=structs.replace(TRAITS, truncates=False)).connect()
    call.agent_says(1000)
    call.feed(v.SpeechStarted(at_ms=None))
    assert call.of(v.ClearPlayback) and not call.of(v.Truncate)


def test_audio_of_a_cancelled_response_is_dropped_and_counted_and_the_next_one_is_played():
    call = SimCall().connect()
    call.agent_says(500, done=False)
    call.feed(v.SpeechStarted(at_ms=None))
    played = len(call.of(v.PlayAudio))
    call.feed(v.AgentAudio("r1", "i1", 0, SOUND, 800), v.AgentAudioDone("r1", "i1"))
    assert len(call.of(v.PlayAudio)) == played
    assert call.bridge.summary()["counts"]["cancelled_dropped_bytes"] == 800
    call.agent_says(200, "r2", "i2")
    assert len(call.of(v.PlayAudio)) == played + 2


def test_several_items_in_flight_are_truncated_each_at_its_own():
    call = SimCall().connect()
    call.agent_says(500, "r1", "i1")
    call.agent_says(500, "r2", "i2")
    call.agent_says(500, "r3", "i3")
    call.advance(700)
    call.feed(v.SpeechStarted(at_ms=None))
    assert call.of(v.Truncate) == [v.Truncate("i2", 0, 200), v.Truncate("i3", 0, 0)]


def test_a_mark_stands_behind_every_200_ms_and_behind_the_last_audio():
    call = SimCall().connect()
    call.agent_says(500)
    kinds = [type(c).__name__ for c in call.did if isinstance(c, v.PlayAudio | v.SetMark)]
    assert kinds == ["PlayAudio", "PlayAudio", "SetMark"] * 2 + ["PlayAudio", "SetMark"]


def test_without_marks_the_clock_alone_counts_and_the_record_says_so():
    call = SimCall().connect()
    call.returns_marks = False
    call.agent_says(1000)
    call.advance(6_500)
    assert {"name": "first mark", "waited_ms": 5100, "step": "M15"} in call.notes("deadline.missed")
    assert call.bridge.summary()["heard_proven_by"] == "clock" and call.ended is None


def test_hang_up_waits_until_the_goodbye_was_heard():
    call = SimCall().connect()
    call.agent_says(1000, done=False)
    call.feed(
        v.ToolCalled("c1", "hang_up", "{}", "r1"), v.AgentAudioDone("r1", "i1"), v.ResponseDone("r1", "completed")
    )
    call.advance(900)
    assert not call.of(v.CloseStream)
    call.advance(200)
    assert call.of(v.CloseStream) == [v.CloseStream(1000)]
    assert call.notes("goodbye.heard") == [{"unplayed_ms": 0}]


def test_a_hang_up_without_a_word_lets_the_agent_say_goodbye_first():
    call = SimCall().connect()
    call.feed(v.ResponseStarted("r1"), v.ToolCalled("c1", "hang_up", "{}", "r1"), v.ResponseDone("r1", "completed"))
    assert [type(c) for c in call.did if isinstance(c, v.AnswerTool | v.AskResponse)] == [v.AnswerTool, v.AskResponse]
    call.agent_says(600, "r2", "i2")
    call.advance(700)
    assert call.of(v.CloseStream)


def test_with_credentials_the_end_goes_by_rest_then_stop_then_close():
    call = SimCall(carrier=REST).connect()
    call.agent_says(300, done=False)
    call.feed(
        v.ToolCalled("c1", "hang_up", "{}", "r1"), v.AgentAudioDone("r1", "i1"), v.ResponseDone("r1", "completed")
    )
    call.advance(400)
    assert call.of(v.HangUp) and not call.of(v.CloseStream)
    call.feed(v.HangUpFinished(ok=True, detail="done"))
    call.feed(v.StreamStopped())
    assert call.of(v.CloseStream)
    call.feed(v.LegClosed(v.Leg.CARRIER, 1000, "", "them"), v.LegClosed(v.Leg.PROVIDER, 1000, "", "us"))
    assert call.ended == v.EndCall(wanted=True, why="agent hung up")


@pytest.mark.parametrize("ok", [True, False])
def test_rest_that_fails_or_a_stop_that_never_comes_closes_the_stream_all_the_same(ok):
    call = SimCall(carrier=REST).connect()
    call.agent_says(200, done=False)
    call.feed(v.ToolCalled("c1", "hang_up", "{}", "r1"), v.ResponseDone("r1", "completed"))
    call.advance(400)
    call.feed(v.HangUpFinished(ok=ok, detail=""))
    call.advance(5_100)
    assert call.of(v.CloseStream)
    call.advance(3_000)
    assert call.ended is not None


def test_more_than_a_bye_over_the_goodbye_keeps_the_line_open():
    call = SimCall().connect()
    call.agent_says(2000, done=False)
    call.feed(v.ToolCalled("c1", "hang_up", "{}", "r1"))
    call.advance(300)
    call.feed(v.SpeechStarted(at_ms=None))
    call.advance(2_000)
    call.feed(v.SpeechStopped(at_ms=None))
    assert call.notes("goodbye.withdrawn")
    call.agent_says(300, "r2", "i2")
    call.advance(5_000)
    assert not call.of(v.CloseStream)


def test_other_tools_are_answered_at_once():
    call = SimCall().connect()
    call.feed(v.ResponseStarted("r1"), v.ToolCalled("c1", "book_table", "{", "r1"))
    assert "no tool of this name" in call.of(v.AnswerTool)[0].output
    call.feed(v.ResponseDone("r1", "completed"))
    assert call.of(v.AskResponse)


@pytest.mark.parametrize("event", [v.StreamStopped(), v.LegClosed(v.Leg.CARRIER, None, "", "nobody")])
def test_when_the_caller_leaves_the_session_is_closed_within_a_second_whatever_the_provider_does(event):
    call = SimCall().connect()
    call.agent_says(1000, done=False)
    call.feed(event)
    assert call.of(v.CloseProvider)
    call.advance(2_500)  # neither side ever confirms
    assert call.ended is not None


def test_a_key_reaches_the_agent_and_never_over_a_running_response():
    call = SimCall().connect()
    call.feed(v.KeyPressed("5"))
    assert call.of(v.TellAgent) == [v.TellAgent("The caller pressed key 5.")] and len(call.of(v.AskResponse)) == 1
    call.agent_says(1000, done=False)
    call.advance(100)
    call.feed(v.KeyPressed("6"))
    assert len(call.of(v.AskResponse)) == 1 and call.of(v.ClearPlayback) and call.of(v.CancelResponse)
    call.feed(v.ResponseDone("r1", "cancelled"))
    assert len(call.of(v.AskResponse)) == 2


def test_a_provider_that_writes_no_caller_down_is_asked_again_without_and_once():
    refused = v.SessionRejected("session.audio.input.transcription.model", "invalid_value", "no", spares=True)
    call = SimCall()
    call.feed(v.CallOffered(), v.ProviderOpened(), v.SessionGreeted(), refused)
    assert call.of(v.ConfigureSession) == [v.ConfigureSession(), v.ConfigureSession(transcribe=False)]
    assert call.notes("session.without")[0]["field"] == refused.field and not call.notes("session.rejected")
    call.feed(v.SessionConfigured())
    assert any(note["id"] == "M9" for note in call.notes("milestone"))
    other = SimCall()
    other.feed(v.CallOffered(), v.ProviderOpened(), v.SessionGreeted(), refused, refused)
    assert other.notes("session.rejected") and other.bridge.summary()


FAILURES = {
    "refused": [v.DialFailed("upgrade", "401", 401)],
    "rejected": [v.ProviderOpened(), v.SessionGreeted(), v.SessionRejected("voice", "unknown_parameter", "no")],
    "wrong format": [
        v.ProviderOpened(), v.SessionGreeted(),
        v.SessionConfigured((v.Difference("audio.output.format", "pcmu", "pcm", True),)),
    ],
    "bad key": [v.ProviderOpened(), v.ProviderError("invalid_api_key", "no", fatal=True)],
    "dies": [
        v.ProviderOpened(), v.SessionGreeted(), v.SessionConfigured(), v.LegClosed(v.Leg.PROVIDER, None, "", "nobody"),
    ],
}  # fmt: skip


@pytest.mark.parametrize("name", FAILURES)
@pytest.mark.parametrize("stream_first", [True, False])
def test_a_provider_that_fails_is_never_silent(name, stream_first):
    call = SimCall()
    call.feed(v.CallOffered())
    stream = (v.StreamOpened(), v.StreamStarted("MZ", "CA", v.PCMU_8K, {}))
    if stream_first:
        call.feed(*stream, *FAILURES[name])
    else:  # the provider is even gone before the stream comes
        call.feed(*FAILURES[name], v.LegClosed(v.Leg.PROVIDER, 1000, "", "us"), *stream)
    assert sum(c.n_bytes for c in call.of(v.PlayAudio)) == 8000  # the spoken line
    assert not call.of(v.CloseStream)
    call.advance(1_100)
    assert call.of(v.CloseStream)
    call.feed(v.LegClosed(v.Leg.CARRIER, 1000, "", "us"), v.LegClosed(v.Leg.PROVIDER, 1000, "", "us"))
    assert call.ended is not None and not call.ended.wanted


@pytest.mark.parametrize(
    ("events", "missed"),
    [
        ([], "provider open"),
        ([v.ProviderOpened()], "first message"),
        ([v.ProviderOpened(), v.SessionGreeted()], "session configured"),
    ],
)
def test_an_unconfirmed_step_is_named_and_heard(events, missed):
    call = SimCall()
    call.feed(v.CallOffered(), v.StreamOpened(), v.StreamStarted("MZ", "CA", v.PCMU_8K, {}), *events)
    call.advance(13_000)
    assert missed in [note["name"] for note in call.notes("deadline.missed")]
    assert call.of(v.PlayAudio)


def test_a_provider_without_echo_goes_on_unconfirmed():
    call = SimCall(traits=structs.replace(TRAITS, echoes_session=False))
    call.feed(v.CallOffered(), v.StreamOpened(), v.StreamStarted("MZ", "CA", v.PCMU_8K, {}))
    call.feed(v.ProviderOpened(), v.SessionGreeted())
    call.advance(5_100)
    call.caller_frame()
    assert call.notes("session.unconfirmed") == [{}] and call.of(v.AppendAudio)


def test_digital_silence_is_a_fault_and_a_pause_is_not():
    call = SimCall().connect()
    call.feed(v.ResponseStarted("r1"))
    for _ in range(30):
        call.feed(v.AgentAudio("r1", "i1", 0, SILENCE, 800))
    call.feed(v.AgentAudio("r1", "i1", 0, SOUND, 800))
    assert not call.notes("ending")
    call.feed(v.ResponseStarted("r2"))
    for _ in range(45):
        call.feed(v.AgentAudio("r2", "i2", 0, SILENCE, 800))
    assert call.notes("ending") == [{"why": "provider sends digital silence", "wanted": False}]


def test_an_agent_that_stops_answering_is_named():
    call = SimCall().connect()
    call.feed(v.SpeechStarted(at_ms=None), v.SpeechStopped(at_ms=None))
    call.advance(20_100)
    assert call.notes("ending")[0]["why"] == "the agent never answered" and call.of(v.PlayAudio)


def test_a_dial_is_tried_again_once_where_that_can_help():
    call = SimCall()
    call.feed(v.CallOffered(), v.DialFailed("tcp", "refused", retryable=True))
    assert [c.attempt for c in call.of(v.DialProvider)] == [1, 2]
    call.feed(v.DialFailed("tcp", "refused", retryable=True))
    assert len(call.of(v.DialProvider)) == 2


def test_fall_through_lets_the_carriers_next_verb_run():
    call = SimCall(on_failure="fall_through").connect()
    call.feed(v.LegClosed(v.Leg.PROVIDER, 1011, "", "them"))
    assert call.of(v.CloseStream) and not call.of(v.PlayAudio)


def test_the_session_limit_ends_with_a_spoken_line_before_the_cut():
    call = SimCall(idle_s=9999.0, max_call_s=9999.0, frames_stop_s=9999.0).connect()
    call.caller_frame()
    call.advance((3600 - 60) * 1000 + 100)
    assert call.notes("ending") == [{"why": "provider session limit", "wanted": True}]
    assert call.notes("line") == [{"name": "time_up"}]


@pytest.mark.parametrize(
    ("told_s", "ends_after_s"),
    [
        (1800.0, 1740),  # the provider cuts this session sooner than all others that were seen
        (7200.0, 3540),  # later: the dated fact stands, for the two clocks may not agree
        (-113_000.0, 3540), (30.0, 3540), (90_000.0, 3540),  # a clock is wrong
    ],
)  # fmt: skip
def test_the_providers_own_word_on_the_sessions_end_counts_where_it_is_earlier_and_sane(told_s, ends_after_s):
    call = SimCall(idle_s=9999.0, max_call_s=9999.0, frames_stop_s=9999.0, unix_s=1_795_520_000.0)
    call.feed(v.CallOffered(), v.ProviderOpened(), v.SessionGreeted(1_795_520_000.0 + call.now + told_s))
    call.feed(v.SessionConfigured(), v.StreamOpened(), v.StreamStarted("MZ1", "CA1", v.PCMU_8K, {}))
    call.caller_frame()
    call.advance(ends_after_s * 1000 - 500)
    assert not call.notes("ending")
    call.advance(1000)
    assert call.notes("ending") == [{"why": "provider session limit", "wanted": True}]
    (note,) = call.notes("session.expires")
    assert note == {"in_s": told_s, "believed": 300 <= told_s <= 86_400}


def test_without_a_wall_clock_a_moment_says_nothing():
    call = SimCall()
    call.feed(v.CallOffered(), v.ProviderOpened(), v.SessionGreeted(1_795_520_000.0))
    assert not call.notes("session.expires")


def test_idle_calls_end_and_talking_ones_do_not():
    call = SimCall(idle_s=60.0).connect()
    call.advance(50_000)
    call.agent_says(1000)
    call.advance(50_000)
    assert call.ended is None and not call.notes("ending")
    call.advance(15_000)
    assert call.notes("ending")[0]["why"] == "idle" and call.notes("line") == [{"name": "idle"}]


def test_a_provider_that_does_not_read_loses_frames_that_are_counted_and_then_the_call():
    call = SimCall().connect()
    call.caller_frame()
    call.feed(v.WritePaused(v.Leg.PROVIDER, 70_000))
    call.caller_frame(3)
    assert len(call.of(v.AppendAudio)) == 1
    assert call.bridge.summary()["counts"]["uplink_dropped_bytes"] == 480
    call.feed(v.WriteResumed(v.Leg.PROVIDER))
    call.caller_frame()
    assert len(call.of(v.AppendAudio)) == 2
    call.feed(v.WritePaused(v.Leg.PROVIDER, 70_000))
    call.advance(10_100)
    assert call.notes("ending")[0]["why"] == "provider stopped reading"


@pytest.mark.parametrize(
    ("why", "line"),
    [
        ("draining", "draining"), ("operator", "operator"), ("tool", "operator"),
        ("spend cap of the call", "spend"), ("spend cap of the day", "spend"),
    ],
)  # fmt: skip
def test_who_ends_a_call_from_outside_is_on_record_and_each_has_a_line_of_its_own(why, line):
    call = SimCall().connect()
    call.feed(v.EndRequested(why))
    assert call.notes("ending") == [{"why": why, "wanted": True}] and call.notes("line") == [{"name": line}]


def test_the_line_of_an_end_is_a_setting_and_may_be_none():
    own = SimCall(spend_line="idle").connect()
    own.feed(v.EndRequested("spend cap of the day"))
    assert own.notes("line") == [{"name": "idle"}]
    none = SimCall(operator_line="").connect()
    none.feed(v.EndRequested("operator"))
    assert not none.notes("line") and not none.notes("line.missing") and none.of(v.CloseStream)


EVENTS = st.one_of(
    st.sampled_from(
        [
            v.CallOffered(), v.StreamOpened(), v.StreamConnected(), v.StreamStarted("MZ", "CA", v.PCMU_8K, {}),
            v.ProviderOpened(), v.SessionGreeted(), v.SessionConfigured(), v.SpeechStarted(None), v.SpeechStarted(40),
            v.SpeechStopped(None), v.ResponseStarted("r1"), v.ResponseStarted("r2"), v.AgentAudioDone("r1", "i1"),
            v.AgentAudio("r1", "i1", 0, SOUND, 800), v.AgentAudio("r2", "i2", 0, SOUND, 800),
            v.AgentAudio("r1", "i1", 0, SILENCE, 800), v.ResponseDone("r1", "completed"),
            v.ResponseDone("r2", "cancelled"), v.ResponseDone("r2", "failed", "no"), v.CallerAudio(SOUND[:216], 160),
            v.KeyPressed("1"), v.ToolCalled("c", "hang_up", "{}", "r1"), v.ToolCalled("c", "other", "{}"),
            v.MarkReturned("m1"), v.MarkReturned("x"), v.WritePaused(v.Leg.CARRIER, 1), v.WriteResumed(v.Leg.CARRIER),
            v.WritePaused(v.Leg.PROVIDER, 1), v.WriteResumed(v.Leg.PROVIDER), v.EndRequested("limit"),
            v.HangUpFinished(True, ""), v.StreamStopped(), v.DialFailed("tcp", "no", retryable=True),
            v.ProviderError("x", "y"), v.ProviderError("x", "y", fatal=True), v.Unknown(v.Leg.PROVIDER, "z"),
            v.LegClosed(v.Leg.PROVIDER, 1000, "", "them"), v.LegClosed(v.Leg.CARRIER, None, "", "nobody"),
            v.SessionRejected("f", "c", "m"), v.SessionEnding(10.0, "soon"), v.CallerTranscript("i", "t", True),
        ]
    )
)  # fmt: skip


@given(st.lists(st.one_of(EVENTS, st.integers(1, 30_000)), max_size=60), st.booleans(), st.booleans())
def test_whatever_happens_the_bridge_keeps_its_promises(script, rest, greets):
    call = SimCall(carrier=REST if rest else CARRIER, greeting="Hi." if greets else None, max_call_s=300.0)
    call.feed(v.CallOffered())
    for step in script:
        if isinstance(step, int):
            call.advance(step)
        else:
            call.feed(step)
    assert len(call.of(v.Greet)) <= 1
    cleared = False
    cancelled: set[str] = set()
    for command in call.did:
        if isinstance(command, v.ClearPlayback):
            cleared = True
        if isinstance(command, v.CancelResponse) and command.response_id:
            cancelled.add(command.response_id)
    assert cleared or not call.of(v.Truncate)
    for item in call.bridge.summary()["items"]:
        assert 0 <= item["heard_ms"] <= item["ms"]
    call.advance(400_000)  # once begun, every call ends: at the latest by its longest allowed length
    assert call.ended is not None, call.did[-5:]
    before = len(call.did)
    call.feed(v.CallerAudio(SOUND[:216], 160), v.StreamStopped(), v.ProviderOpened())
    assert len(call.did) == before


def test_the_summary_can_be_written_as_json():
    import json

    call = SimCall().connect()
    call.agent_says(500)
    call.feed(v.AgentTranscript("r1", "i1", "hello to you", True))
    (cut,) = json.loads(json.dumps(call.bridge.summary()))["items"]
    assert cut["text"] == "hello to you" and cut["heard_ms"] < cut["ms"]
    call.advance(1000)
    call.feed(v.StreamStopped())
    assert call.bridge.summary()["items"] == []  # heard to its end: its transcript says it all
    assert set(LINES) >= {"provider_failed"}
