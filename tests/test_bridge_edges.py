"""The moments between: what comes late, twice, early, never, or from the side that should not have spoken."""

from msgspec import structs
from tests.simcall import SOUND, TRAITS, SimCall

from offhook import vocab as v
from offhook.bridge.turns import Playback


def ring() -> SimCall:
    """A call whose stream runs and whose provider is not there yet."""
    call = SimCall()
    call.feed(v.CallOffered(), v.StreamOpened(), v.StreamStarted("M", "C", v.PCMU_8K, {}))
    return call


def test_a_late_report_of_speech_does_not_clear_the_spoken_line():
    call = SimCall().connect()
    call.agent_says(1000, done=False)
    call.feed(v.LegClosed(v.Leg.PROVIDER, 1011, "", "them"))
    before = len(call.of(v.ClearPlayback))
    call.feed(v.SpeechStarted(None))
    assert len(call.of(v.ClearPlayback)) == before


def test_a_carrier_that_leaves_before_start_is_not_waited_for():
    call = SimCall()
    call.feed(v.CallOffered(), v.StreamOpened(), v.LegClosed(v.Leg.CARRIER, 1006, "", "them"))
    call.advance(1100)
    assert call.ended is not None


def test_after_stop_the_call_is_over_within_a_second_though_nobody_confirms():
    call = SimCall().connect()
    call.feed(v.StreamStopped())
    call.advance(1050)
    assert call.ended is not None


def test_a_wrong_audio_clock_does_not_take_the_word_from_the_caller_for_ever():
    call = SimCall(greeting="Hi").connect()
    call.agent_says(2000)
    call.advance(30000)
    call.caller_frame(5)
    call.agent_says(3000, "r2", "i2")
    call.advance(500)
    call.feed(v.SpeechStarted(0))
    assert call.of(v.ClearPlayback)


def test_two_quick_keys_ask_for_one_answer():
    call = SimCall().connect()
    call.feed(v.KeyPressed("1"), v.KeyPressed("2"))
    assert len(call.of(v.TellAgent)) == 2
    assert len(call.of(v.AskResponse)) == 1


def test_a_key_before_the_provider_is_ready_is_told_later():
    call = ring()
    call.feed(v.KeyPressed("7"))
    assert not call.of(v.TellAgent)
    call.feed(v.ProviderOpened(), v.SessionGreeted(), v.SessionConfigured())
    assert [told.text for told in call.of(v.TellAgent)] == ["The caller pressed key 7."]


def test_responses_without_audio_end_the_call_and_not_in_silence():
    call = SimCall().connect()
    for i in range(9):
        call.feed(v.SpeechStarted(None), v.SpeechStopped(None))
        call.feed(v.ResponseStarted(f"r{i}"), v.ResponseDone(f"r{i}", "completed"))
        call.advance(9000)
    assert call.notes("ending")
    assert call.bridge.caller_told


def test_a_provider_that_hears_nothing_for_a_minute_is_asked_then_given_up():
    call = SimCall().connect()
    for _ in range(3000):
        if call.ended is None:
            call.caller_frame()
    assert call.of(v.AskResponse)
    assert call.notes("ending")


def test_nobody_is_hung_up_on_in_the_middle_of_a_word():
    call = SimCall().connect()
    call.agent_says(3000, done=False)
    call.feed(v.ToolCalled("c", "hang_up", "{}", "r1"), v.AgentAudioDone("r1", "i1"), v.ResponseDone("r1", "completed"))
    call.advance(300)
    call.feed(v.SpeechStarted(None))
    call.advance(1500)
    assert not call.of(v.CloseStream)


def test_a_goodbye_is_asked_once_though_the_tool_call_names_no_response():
    call = SimCall().connect()
    call.agent_says(3000, done=False)
    call.feed(v.ToolCalled("c", "hang_up", "{}", None), v.ResponseDone("r1", "completed"))
    assert not call.of(v.AskResponse)


def test_what_was_not_played_when_the_call_fell_through_was_not_heard():
    call = SimCall(on_failure="fall_through").connect()
    call.agent_says(3000, done=False)
    call.advance(500)
    call.feed(v.LegClosed(v.Leg.PROVIDER, 1011, "", "them"), v.LegClosed(v.Leg.CARRIER, 1000, "", "us"))
    assert call.bridge.summary()["items"][0]["heard_ms"] <= 600
    assert not call.bridge.caller_told  # so the carrier's fallback may say it


def test_a_provider_that_never_echoes_is_not_said_to_have_missed_its_echo():
    call = SimCall(traits=structs.replace(TRAITS, echoes_session=False))
    call.feed(v.CallOffered(), v.StreamOpened(), v.StreamStarted("M", "C", v.PCMU_8K, {}))
    call.feed(v.ProviderOpened(), v.SessionGreeted())
    call.advance(5100)
    assert "session configured" not in [note["name"] for note in call.notes("deadline.missed")]


def test_marks_that_never_come_back_do_not_pile_up():
    call = SimCall().connect()
    call.returns_marks = False
    for i in range(500):
        call.agent_says(200, f"r{i}", f"i{i}")
        call.advance(250)
    assert len(call.bridge._s.playback._marks) < 200


def test_nothing_is_asked_of_a_provider_that_is_being_closed():
    call = SimCall().connect()
    call.feed(v.ResponseStarted("r1"), v.ToolCalled("c", "x", "{}", "r1"), v.EndRequested("limit"))
    before = len(call.of(v.AskResponse))
    call.feed(v.ResponseDone("r1", "completed"))
    assert len(call.of(v.AskResponse)) == before


def test_a_cancelled_response_that_never_ends_does_not_hold_the_next_one_for_ever():
    call = SimCall().connect()
    call.agent_says(1000, done=False)
    call.feed(v.KeyPressed("5"))
    call.advance(60000)
    assert call.of(v.AskResponse)


def test_audio_after_its_response_was_done_does_not_block_asking():
    call = SimCall().connect()
    call.agent_says(500)
    call.advance(300)
    call.feed(v.AgentAudio("r1", "i1", 0, SOUND, 800), v.ToolCalled("c", "x", "{}", None))
    assert call.of(v.AskResponse)


def test_an_item_that_goes_on_after_a_clear_is_heard_by_what_was_played_of_it():
    playback = Playback()
    playback.sent("a", "r", 0, 8000, 0.0)
    playback.clear(0.4)
    playback.sent("a", "r", 0, 8000, 1.0)
    assert playback.heard_ms("a", 1.5) == 900


def test_the_first_frame_of_a_call_that_was_ready_before_is_seen_and_sent_on():
    call = SimCall().connect()
    call.caller_frame(3)
    assert len(call.of(v.AppendAudio)) == 3 and [note["id"] for note in call.notes("milestone")].count("M7") == 1
    assert call.bridge.summary()["appended_bytes"] == 480 and call.bridge.summary()["counts"]["early_bytes"] == 0
    call.advance(6000)
    assert not call.notes("deadline.missed")
    call.advance(150_000)  # the carrier's silence is noticed as ever
    assert "frames" in [note["name"] for note in call.notes("deadline.missed")]
    late = SimCall().connect()
    late.feed(v.WritePaused(v.Leg.PROVIDER, 1))
    late.caller_frame()
    assert not late.of(v.AppendAudio)
    late.feed(v.WriteResumed(v.Leg.PROVIDER))
    late.caller_frame()
    assert len(late.of(v.AppendAudio)) == 1


def test_what_nobody_came_to_or_never_began_is_no_wanted_end():
    rang = SimCall()
    rang.feed(v.CallOffered(), v.ProviderOpened(), v.SessionGreeted(), v.SessionConfigured())
    rang.advance(22_000)
    assert rang.ended == v.EndCall(wanted=False, why="no stream followed the webhook")
    for last in (v.LegClosed(v.Leg.CARRIER, 1000, "", "them"), v.StreamStopped()):
        opened = SimCall()
        opened.feed(v.CallOffered(), v.StreamOpened(), last)
        opened.advance(3000)
        assert opened.ended is not None and not opened.ended.wanted
    begun = ring()
    begun.feed(v.StreamStopped())
    begun.advance(3000)
    assert begun.ended == v.EndCall(wanted=True, why="caller hung up")


def speak_into(call: SimCall, seconds: float) -> int:
    """The caller makes sound for so long; the provider answers whatever it is asked. How often it was asked."""
    asked = len(call.of(v.AskResponse))
    for _ in range(int(seconds)):
        if call.notes("ending"):
            break
        call.caller_frame(50)
        if len(call.of(v.AskResponse)) > asked:
            asked = len(call.of(v.AskResponse))
            call.agent_says(600, f"asked{asked}", f"asked-item{asked}")
    return asked


def test_a_provider_that_answers_when_asked_and_never_hears_the_caller_is_deaf_and_the_caller_is_told():
    call = SimCall().connect()
    assert speak_into(call, 120) == 2
    assert call.notes("ending") == [{"why": "the provider does not hear the caller", "wanted": False}]
    assert call.notes("line") == [{"name": "provider_failed"}] and call.now < 145


def test_music_in_a_call_in_which_the_caller_was_heard_is_asked_about_ever_more_rarely():
    call = SimCall().connect()
    call.feed(v.SpeechStarted(None), v.SpeechStopped(None))
    call.agent_says(600)
    assert 3 <= speak_into(call, 280) <= 5
    assert not call.notes("ending")


def test_a_provider_that_hears_again_starts_with_a_clean_slate():
    call = SimCall().connect()
    assert speak_into(call, 20) == 1
    call.feed(v.SpeechStarted(None), v.SpeechStopped(None))
    call.agent_says(600, "r9", "i9")
    assert speak_into(call, 14) == 2 and not call.notes("ending")
