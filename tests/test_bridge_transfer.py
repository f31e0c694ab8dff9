"""A caller is given to somebody else: what is heard first, what the carrier is asked, and what becomes of it."""

from typing import Any

import pytest
from msgspec import structs
from tests.simcall import CARRIER, TRAITS, SimCall

from offhook import vocab as v

REST = structs.replace(CARRIER, ends_by_rest=True)
TO = "+15550100077"


def talking(**more: Any) -> SimCall:
    call = SimCall(carrier=REST, **more).connect()
    call.caller_frame(2)
    return call


def outcomes(call: SimCall) -> list[str]:
    return [done.outcome for done in call.of(v.Done)]


def given(call: SimCall, **more: Any) -> SimCall:
    """The carrier has taken the call from its stream."""
    call.feed(v.TransferAsked(TO, id="t", **more))
    assert call.of(v.Transfer) == [v.Transfer(TO, 30.0)]
    call.feed(v.TransferAccepted(True, "done"), v.StreamStopped(), v.LegClosed(v.Leg.CARRIER, 1000, "", "us"))
    return call


def closed(call: SimCall) -> SimCall:
    call.feed(v.LegClosed(v.Leg.PROVIDER, 1000, "", "us"))
    return call


def test_the_announcement_is_heard_before_the_carrier_is_asked():
    call = talking()
    call.feed(v.TransferAsked(TO, "I am putting you through."))
    assert call.of(v.Say) and not call.of(v.Transfer)
    call.agent_says(2000)
    call.advance(1900)
    assert not call.of(v.Transfer)
    call.advance(200)
    assert call.of(v.Transfer)


def test_without_an_announcement_the_words_that_are_being_said_are_heard_first():
    call = talking()
    call.agent_says(2000, done=False)
    call.feed(v.TransferAsked(TO))  # by a tool that this response calls
    call.feed(v.ResponseDone("r1", "completed"))
    call.advance(1500)
    assert not call.of(v.Transfer)
    call.advance(600)
    assert call.of(v.Transfer)


def test_somebody_picks_up():
    call = given(talking())
    call.advance(5_000)
    assert call.ended is None and not call.of(v.CloseProvider) and call.bridge.away
    call.feed(v.TransferAnswered())
    assert call.of(v.Done) == [v.Done("t", "transfer", "answered")] and call.of(v.CloseProvider)
    closed(call).advance(600_000)
    assert call.ended is None  # they talk, and it is none of our limits' business
    assert not call.notes("provider.lost")  # we closed it
    call.feed(v.TransferFinished("completed", seconds=610))
    assert call.ended == v.EndCall(True, "transferred") and call.bridge.after_transfer == "end"


@pytest.mark.parametrize("how", ["busy", "no-answer", "failed"])
def test_a_caller_whom_nobody_takes_comes_back_to_the_same_agent(how: str):
    call = given(talking())
    call.advance(20_000)
    call.feed(v.TransferFinished(how))
    assert call.of(v.Done) == [v.Done("t", "transfer", how)] and call.bridge.after_transfer == "agent"
    call.feed(v.StreamOpened(), v.StreamStarted("MZ2", "CA1", v.PCMU_8K, {}))
    assert "The transfer failed" in call.of(v.TellAgent)[-1].text and call.of(v.AskResponse)
    before = len(call.of(v.AppendAudio))
    call.caller_frame(2)
    assert len(call.of(v.AppendAudio)) == before + 2  # heard again
    call.agent_says(500, "r9", "i9")
    call.feed(v.StreamStopped(), v.LegClosed(v.Leg.CARRIER, 1000, "", "them"))
    assert closed(call).ended == v.EndCall(True, "caller hung up")


def test_whoever_asked_is_answered_once_and_a_caller_who_is_back_is_warned_of_the_time_once():
    call = given(talking(max_call_s=300.0, warn_s=200.0, frames_stop_s=9000.0))
    call.feed(v.TransferAnswered(), v.TransferFinished("completed", seconds=9))
    assert outcomes(call) == ["answered"]
    warned = talking(max_call_s=600.0, warn_s=200.0, idle_s=9000.0, frames_stop_s=9000.0)
    warned.advance(401_000)
    assert len(warned.notes("limit.warning")) == 1
    warned.agent_says(100)
    warned.advance(1_000)
    given(warned).feed(v.TransferFinished("busy"), v.StreamOpened(), v.StreamStarted("MZ2", "CA1", v.PCMU_8K, {}))
    warned.advance(1_000)
    assert len(warned.notes("limit.warning")) == 1


def test_a_caller_may_be_given_away_once_more():
    call = given(talking())
    call.feed(v.TransferFinished("busy"), v.StreamOpened(), v.StreamStarted("MZ2", "CA1", v.PCMU_8K, {}))
    call.agent_says(100, "r9", "i9")
    call.advance(1000)
    call.feed(v.TransferAsked("sip:sales@example.com"))
    assert call.of(v.Transfer)[-1].target == "sip:sales@example.com"


def test_by_policy_or_without_a_provider_a_line_tells_the_caller():
    call = given(talking(), failed="line")
    call.feed(v.TransferFinished("no-answer"))
    assert call.bridge.after_transfer == "line"
    assert closed(call).ended == v.EndCall(True, "transfer failed: no-answer")
    call = given(talking())
    call.feed(v.LegClosed(v.Leg.PROVIDER, 1006, "", "nobody"))
    assert call.ended is None
    call.feed(v.TransferFinished("no-answer"))
    assert call.bridge.after_transfer == "line" and call.ended


def test_what_the_carrier_refuses_leaves_the_caller_with_the_agent():
    call = talking()
    call.feed(v.TransferAsked(TO), v.TransferAccepted(False, "credentials refused (code 20003)"))
    assert call.of(v.Done)[0].detail == "credentials refused (code 20003)" and outcomes(call) == ["refused"]
    assert call.of(v.TellAgent) and call.of(v.AskResponse) and not call.bridge.away


@pytest.mark.parametrize("step", ["accepted", "stopped"])
def test_a_carrier_that_never_answers_or_never_stops_the_stream_is_named(step: str):
    call = talking()
    call.feed(v.TransferAsked(TO))
    if step == "stopped":
        call.feed(v.TransferAccepted(True, "done"))
    call.advance(7_000)
    assert outcomes(call) == ["refused"] and call.notes("deadline.missed")


def test_the_caller_hangs_up_while_it_rings_or_just_before():
    call = given(talking())
    call.feed(v.CallGone("completed"))
    assert outcomes(call) == ["canceled"] and closed(call).ended == v.EndCall(True, "caller hung up")
    call = talking()
    call.feed(v.TransferAsked(TO), v.StreamStopped(), v.TransferAccepted(False, "HTTP 400 (code 21220)"))
    call.feed(v.LegClosed(v.Leg.CARRIER, 1000, "", "us"))
    assert closed(call).ended == v.EndCall(True, "caller hung up")


def test_silence_of_the_carrier_ends_the_record_by_name():
    call = given(talking())
    call.advance(60_000)
    assert outcomes(call) == ["unknown"]
    assert closed(call).ended == v.EndCall(False, "nothing was heard of the transfer")


def test_whoever_speaks_long_over_the_announcement_stays_and_a_thank_you_does_not_matter():
    call = talking()
    call.feed(v.TransferAsked(TO, "I am putting you through."))
    call.agent_says(3000)
    call.advance(500)
    call.feed(v.SpeechStarted(None))
    call.advance(800)
    call.feed(v.SpeechStopped(None))
    assert call.of(v.Transfer)
    call = talking()
    call.feed(v.TransferAsked(TO, "I am putting you through."))
    call.agent_says(3000)
    call.advance(500)
    call.feed(v.SpeechStarted(None))
    call.advance(2500)
    call.feed(v.SpeechStopped(None))
    assert not call.of(v.Transfer) and outcomes(call) == ["withdrawn"]


@pytest.mark.parametrize("target", ["", "5550100", "+1555", "sip:nobody", "+15550100077;rm", "sip:a@b<c"])
def test_what_is_no_target_is_refused_before_anything_is_said(target: str):
    call = talking()
    call.feed(v.TransferAsked(target, "Hold on."))
    assert outcomes(call) == ["refused"] and not call.of(v.Say)


def test_without_rest_no_call_can_be_given_away():
    call = SimCall().connect()
    call.feed(v.TransferAsked(TO))
    assert outcomes(call) == ["refused"] and "REST" in call.of(v.Done)[0].detail


def test_a_session_that_ends_while_it_rings_ends_nothing_else():
    call = given(talking())
    call.feed(v.ProviderError("session_expired", "too old", fatal=True))
    assert call.ended is None and call.of(v.CloseProvider)
    closed(call).feed(v.TransferAnswered(), v.TransferFinished("completed", seconds=9))
    assert call.ended == v.EndCall(True, "transferred")


def test_a_server_that_stops_lets_a_call_in_other_hands_go_on():
    call = given(talking())
    call.feed(v.TransferAnswered())
    closed(call).feed(v.EndRequested("draining"))
    assert call.ended == v.EndCall(True, "transferred") and not call.of(v.HangUp)


def test_a_caller_on_hold_is_taken_back_before_they_are_given_away():
    call = talking()
    call.feed(v.HoldAsked(True), v.TransferAsked(TO))
    assert call.of(v.Transfer) and not call.bridge.uplink.muted


def test_full_duplex_providers_too():
    call = SimCall(carrier=REST, traits=structs.replace(TRAITS, turn_events=False)).connect()
    call.caller_frame(2)
    given(call).feed(v.TransferFinished("busy"), v.StreamOpened(), v.StreamStarted("MZ2", "CA1", v.PCMU_8K, {}))
    assert call.of(v.TellAgent)
