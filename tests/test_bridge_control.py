"""What is asked of a call from outside, as conversations in virtual time."""

import base64
from typing import Any

import pytest
from msgspec import structs
from tests.simcall import LINES, SOUND, TRAITS, SimCall

from offhook import vocab as v
from offhook.media.tones import keys_pcmu

MUSIC = bytes(range(1, 251)) * 64  # 2 s, no two frames of it alike
QUIET = base64.b64encode(b"\xff" * 160)


@pytest.fixture(autouse=True)
def music(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(LINES, "hold", MUSIC)


def talking(**more: Any) -> SimCall:
    call = SimCall(**more).connect()
    call.caller_frame(2)
    return call


def outcomes(call: SimCall) -> list[tuple[str, str]]:
    return [(done.what, done.outcome) for done in call.of(v.Done)]


# ------------------------------------------------------------------------------------------------ say


def test_a_line_is_said_and_done_when_it_was_heard():
    call = talking()
    call.feed(v.SayAsked("The doctor is late.", id="a1"))
    assert call.of(v.Say) == [v.Say("The doctor is late.")]
    call.agent_says(1000, "say1", "s1")
    assert outcomes(call) == []  # sent, and not heard yet
    call.advance(900)
    assert outcomes(call) == []
    call.advance(200)
    assert call.of(v.Done) == [v.Done("a1", "say", "heard")]


def test_a_line_waits_until_the_agent_has_finished_and_the_caller_too():
    call = talking()
    call.feed(v.ResponseStarted("r1"), v.AgentAudio("r1", "i1", 0, SOUND, 800), v.SayAsked("Now."))
    assert not call.of(v.Say)
    call.feed(v.ResponseDone("r1", "completed"))
    assert call.of(v.Say)
    other = talking()
    other.feed(v.SpeechStarted(None), v.SayAsked("Now."))
    other.feed(v.SpeechStopped(None))
    assert not other.of(v.Say)  # the caller is to be answered first
    other.agent_says(200)
    assert other.of(v.Say)


def test_lines_are_said_one_after_the_other_and_none_is_swallowed_by_an_ask():
    call = talking()
    call.feed(v.SayAsked("One.", id="1"), v.SayAsked("Two.", id="2"), v.InjectAsked("It rains.", respond=True))
    call.agent_says(200, "r1", "i1")
    call.advance(210)
    call.agent_says(200, "r2", "i2")
    assert [say.text for say in call.of(v.Say)] == ["One.", "Two."] and not call.of(v.AskResponse)
    call.advance(2000)
    assert outcomes(call) == [("say", "heard"), ("say", "heard"), ("inject", "told")]
    assert len(call.of(v.AskResponse)) == 1


def test_what_is_to_be_answered_waits_until_all_that_was_said_is_heard():
    call = talking()
    call.agent_says(2000)
    call.feed(v.InjectAsked("The table is booked.", respond=True), v.InjectAsked("It rains."))
    assert not call.of(v.TellAgent)
    call.advance(1900)
    assert not call.of(v.TellAgent)
    call.advance(200)
    assert [tell.text for tell in call.of(v.TellAgent)] == ["The table is booked.", "It rains."]


def test_a_line_that_the_caller_interrupts_is_not_called_heard():
    call = talking()
    call.feed(v.SayAsked("A long line."))
    call.agent_says(3000, "r1", "i1")
    call.advance(500)
    call.feed(v.SpeechStarted(None))
    assert outcomes(call) == [("say", "interrupted")]


def test_a_line_said_in_other_words_is_told_as_such():
    call = talking()
    call.feed(v.SayAsked("Please hold the line!"))
    call.feed(v.ResponseStarted("r1"), v.AgentAudio("r1", "i1", 0, SOUND, 800))
    call.feed(v.AgentTranscript("r1", "i1", "Sure, one second.", True), v.ResponseDone("r1", "completed"))
    call.advance(500)
    assert call.of(v.Done)[0].detail == "in other words"
    same = talking()
    same.feed(v.SayAsked("Please hold the line!"))
    same.feed(v.ResponseStarted("r1"), v.AgentAudio("r1", "i1", 0, SOUND, 800))
    same.feed(v.AgentTranscript("r1", "i1", "please hold the line", True), v.ResponseDone("r1", "completed"))
    same.advance(500)
    assert same.of(v.Done)[0].detail == ""


def test_a_line_asked_before_the_session_is_there_waits_for_the_greeting():
    call = SimCall(greeting="Hello.")
    call.feed(v.CallOffered(), v.StreamOpened(), v.SayAsked("Later."), v.InjectAsked("It is Monday."))
    call.feed(v.StreamStarted("MZ1", "CA1", v.PCMU_8K, {}), v.ProviderOpened(), v.SessionGreeted())
    call.feed(v.SessionConfigured())
    assert call.of(v.TellAgent) == [v.TellAgent("It is Monday.")] and call.of(v.Greet) and not call.of(v.Say)
    call.agent_says(500)
    assert call.of(v.Say)


@pytest.mark.parametrize("text", ["", "   ", "x" * 2001])
def test_what_is_no_line_is_refused(text: str):
    call = talking()
    call.feed(v.SayAsked(text))
    assert outcomes(call) == [("say", "refused")] and not call.of(v.Say)


def test_a_call_that_is_ending_refuses_and_says_so():
    call = talking()
    call.feed(v.EndRequested("operator"), v.SayAsked("More.", id="x"), v.HoldAsked(True))
    assert [done.detail for done in call.of(v.Done)] == ["the call is ending"] * 2


# ---------------------------------------------------------------------------------------- hold and mute


def test_hold_plays_music_without_end_and_stops_at_once():
    call = talking()
    call.agent_says(2000)
    call.advance(500)
    call.feed(v.HoldAsked(True))
    assert call.of(v.ClearPlayback) and call.of(v.Truncate) == [v.Truncate("i1", 0, 500)]
    call.advance(60_000)
    played = b"".join(base64.b64decode(play.payload) for play in call.of(v.PlayAudio)[20:])
    assert played == (MUSIC * 40)[: len(played)] and 60 <= len(played) / 8000 <= 66
    assert call.plays_until - call.now >= 1.9  # never runs dry
    before = len(call.of(v.PlayAudio))
    did = call.feed(v.HoldAsked(False))
    assert [type(one) for one in did if not isinstance(one, v.Note)] == [
        v.ClearPlayback, v.TellAgent, v.AskResponse, v.Done,
    ]  # fmt: skip
    call.advance(5_000)
    assert len(call.of(v.PlayAudio)) == before and call.ended is None


def test_on_hold_the_agent_hears_silence_and_is_asked_nothing():
    call = talking()
    call.feed(v.HoldAsked(True))
    call.caller_frame(3)
    assert [append.payload for append in call.of(v.AppendAudio)[-3:]] == [QUIET] * 3
    call.feed(v.InjectAsked("The parcel is found.", respond=True), v.SayAsked("Later."), v.KeyPressed("5"))
    call.advance(1000)
    assert not call.of(v.AskResponse) and not call.of(v.Say)
    call.feed(v.HoldAsked(False))
    assert len(call.of(v.AskResponse)) == 1
    call.caller_frame(1)
    assert call.of(v.AppendAudio)[-1].payload == SOUND[:216]


def test_hold_outlives_the_idle_limit_and_ends_at_its_own():
    call = talking(idle_s=60.0, hold_s=300.0, frames_stop_s=9000.0)
    call.feed(v.HoldAsked(True))
    call.advance(299_000)
    assert call.bridge.ending_wanted is False
    call.advance(2_000)
    assert call.notes("deadline.missed")[0]["name"] == "hold" and call.of(v.AskResponse)


def test_hold_without_music_is_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delitem(LINES, "hold")
    call = talking()
    call.feed(v.HoldAsked(True))
    assert outcomes(call) == [("hold", "refused")] and call.notes("line.missing")


def test_the_agent_does_not_hear_a_muted_caller_but_time_goes_on_for_it():
    call = talking()
    call.feed(v.MuteAsked("caller", True))
    assert not call.bridge.uplink.open
    call.caller_frame(10)
    assert [append.payload for append in call.of(v.AppendAudio)[-10:]] == [QUIET] * 10
    assert call.bridge.summary()["counts"]["muted_bytes"] == 1600
    call.feed(v.MuteAsked("caller", False))
    call.caller_frame(1)
    assert call.of(v.AppendAudio)[-1].payload == SOUND[:216]


def test_a_caller_muted_before_the_hold_stays_muted_after_it():
    call = talking()
    call.feed(v.MuteAsked("caller", True), v.HoldAsked(True), v.HoldAsked(False))
    call.caller_frame(1)
    assert call.of(v.AppendAudio)[-1].payload == QUIET


def test_the_caller_does_not_hear_a_muted_agent_and_the_model_knows():
    call = talking()
    call.agent_says(1000)
    call.advance(300)
    call.feed(v.MuteAsked("agent", True))
    assert call.of(v.Truncate) == [v.Truncate("i1", 0, 300)]
    played = len(call.of(v.PlayAudio))
    call.agent_says(500, "r2", "i2")
    assert len(call.of(v.PlayAudio)) == played and call.of(v.Truncate)[-1] == v.Truncate("i2", 0, 0)
    call.feed(v.MuteAsked("agent", False))
    call.agent_says(500, "r3", "i3")
    assert len(call.of(v.PlayAudio)) == played + 5


# ------------------------------------------------------------------------------------------------ keys


def test_keys_are_played_as_tones_behind_what_is_said_and_no_barge_in_cuts_them():
    call = talking()
    call.agent_says(500)
    call.feed(v.DtmfAsked("12w#", id="k"))
    sent = b"".join(base64.b64decode(play.payload) for play in call.of(v.PlayAudio)[5:])
    assert sent == keys_pcmu("12w#")
    call.advance(700)
    call.feed(v.SpeechStarted(None))  # the menu at the other end speaks on
    assert not call.of(v.ClearPlayback)
    call.advance(1_000)
    assert call.of(v.Done) == [v.Done("k", "dtmf", "heard")]


@pytest.mark.parametrize("digits", ["", "12x", "1" * 65])
def test_what_is_no_key_is_refused(digits: str):
    call = talking()
    call.feed(v.DtmfAsked(digits))
    assert outcomes(call) == [("dtmf", "refused")] and not call.of(v.PlayAudio)


def test_keys_are_gathered_until_the_end_key():
    call = talking()
    call.feed(v.CollectAsked(id="c"))
    call.feed(*(v.KeyPressed(digit) for digit in "4711#"))
    assert call.of(v.Done) == [v.Done("c", "collect", "end key", "4 keys", "4711")]
    assert call.of(v.TellAgent) == [v.TellAgent("The caller pressed these keys: 4 7 1 1")]
    assert len(call.of(v.AskResponse)) == 1


def test_keys_are_gathered_until_there_are_enough_or_none_comes():
    call = talking()
    call.feed(v.CollectAsked(digits=2, end_key=""), v.KeyPressed("1"), v.KeyPressed("#"))
    assert call.of(v.Done)[0].value == "1#" and call.of(v.Done)[0].outcome == "length"
    call = talking()
    call.feed(v.CollectAsked(next_s=3.0), v.KeyPressed("1"))
    call.advance(2_900)
    assert not call.of(v.Done)
    call.advance(200)
    assert (call.of(v.Done)[0].outcome, call.of(v.Done)[0].value) == ("timeout", "1")
    call = talking()
    call.feed(v.CollectAsked(first_s=5.0))
    call.advance(5_100)
    assert call.of(v.Done)[0].outcome == "nothing"


def test_secret_keys_reach_whoever_asked_and_nobody_else():
    call = talking(note_digits=True)
    call.feed(v.CollectAsked(secret=True, digits=4), *(v.KeyPressed(digit) for digit in "9876"))
    assert call.of(v.Done)[0].value == "9876"
    said = [command for command in call.did if type(command) in (v.TellAgent, v.AskResponse)]
    notes = [note for note in call.of(v.Note) if note.kind != "key"]
    assert "9876" not in repr(said) and "9876" not in repr(notes) and "9 8 7 6" not in repr(said)


def test_a_full_duplex_provider_is_told_of_gathered_keys_too():
    call = SimCall(traits=structs.replace(TRAITS, turn_events=False)).connect()
    call.caller_frame()
    call.feed(v.CollectAsked(digits=1), v.KeyPressed("7"))
    assert call.of(v.TellAgent) and call.of(v.Done)[0].value == "7"
