"""Another agent takes over in the same call: in the bridge, and through the real host between two providers."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import structs
from tests.simcall import TRAITS, SimCall
from tests.test_control_calls import Asking, notes

from offhook import vocab as v
from offhook.agent.prompt import CallFacts
from offhook.bridge import BridgeSettings
from offhook.diagnosis.report import report
from offhook.media.lines import spoken_lines
from offhook.net.answerer import Answerer, Declined
from offhook.sims.faults.scene import CALLER, HOSTS, SHORT, WORDS, host, ours
from offhook.sims.provider import Answer
from offhook.sims.virtual_carrier import Line
from offhook.wires.providers import openai, xai

OTHER = structs.replace(TRAITS, name="other", session_limit_s=600.0)


def talking(**more: Any) -> SimCall:
    call = SimCall(**more).connect()
    call.caller_frame(2)
    return call


def ready(call: SimCall, traits: v.ProviderTraits = OTHER, **settings: Any) -> None:
    """The next session comes up."""
    call.feed(v.NextDialled("billing", traits, BridgeSettings(**settings)))
    call.feed(v.FromNext(v.ProviderOpened()), v.FromNext(v.SessionGreeted()), v.FromNext(v.SessionConfigured()))


def outcomes(call: SimCall) -> list[tuple[str, str]]:
    return [(done.outcome, done.detail) for done in call.of(v.Done)]


def test_the_old_agent_stays_until_the_next_is_ready_and_is_heard_out():
    call = talking()
    call.agent_says(2000)
    call.feed(v.HandOverAsked("billing", id="h"))
    assert call.of(v.Redial) == [v.Redial("billing")] and not call.of(v.SwapProvider)
    call.caller_frame(2)
    call.advance(500)
    ready(call)
    assert call.of(v.ToNext) == [v.ToNext(v.ConfigureSession())] and call.of(v.SwapProvider)
    assert not call.of(v.ClearPlayback)  # what was on its way is still heard
    assert call.of(v.Done)[0].outcome == "done" and "take over" in call.of(v.AskResponse)[-1].instructions
    call.agent_says(500, "n1", "ni1")
    assert call.notes("handover.heard") == [{"gap_ms": 0}]


def test_frames_go_on_and_the_next_providers_clock_begins_at_nothing():
    call = talking()
    call.caller_frame(200)  # four seconds that only the old one heard
    call.feed(v.HandOverAsked("billing"))
    ready(call)
    call.agent_says(3000, "n1", "ni1")
    call.caller_frame(50)
    before = len(call.of(v.AppendAudio))
    call.caller_frame(1)
    assert len(call.of(v.AppendAudio)) == before + 1 and call.bridge.uplink.open
    call.feed(v.SpeechStarted(at_ms=980))
    assert call.bridge.uplink.spoken_at(980, call.now) == pytest.approx(call.now - 0.04, abs=0.03)
    assert call.of(v.Truncate)


@pytest.mark.parametrize("event", [
    v.NextFailed("there is no agent"), v.FromNext(v.SessionRejected("voice", "bad", "no such voice")),
    v.FromNext(v.ProviderError("invalid_api_key", "no", fatal=True)),
    v.FromNext(v.SessionConfigured((v.Difference("audio", "PCMU", "PCM16", True),))),
])  # fmt: skip
def test_when_the_next_cannot_come_the_old_one_stays_and_tells_the_caller(event: v.Event):
    call = talking()
    call.feed(v.HandOverAsked("billing"), v.NextDialled("billing", OTHER, BridgeSettings()), event)
    assert outcomes(call)[0][0] == "failed" and call.of(v.DropNext) and not call.of(v.SwapProvider)
    assert call.of(v.TellAgent) and call.of(v.AskResponse) and call.ended is None


def test_a_next_session_that_writes_no_caller_down_is_taken_without():
    refused = v.SessionRejected("session.audio.input.transcription.model", "invalid_value", "no", spares=True)
    call = talking()
    call.feed(v.HandOverAsked("billing"), v.NextDialled("billing", OTHER, BridgeSettings()))
    call.feed(v.FromNext(v.ProviderOpened()), v.FromNext(v.SessionGreeted()), v.FromNext(refused))
    assert call.of(v.ToNext)[-1] == v.ToNext(v.ConfigureSession(transcribe=False))
    call.feed(v.FromNext(v.SessionConfigured()))
    assert call.of(v.SwapProvider) and call.notes("session.without")


def test_a_next_session_that_is_never_ready_is_named():
    call = talking(handover_s=12.0)
    call.feed(v.HandOverAsked("billing"), v.NextDialled("billing", OTHER, BridgeSettings()))
    call.advance(12_100)
    assert call.notes("deadline.missed")[0]["name"] == "handover" and outcomes(call)[0][0] == "failed"
    call.feed(v.FromNext(v.SessionConfigured()))
    assert not call.of(v.SwapProvider)


def test_another_format_a_second_hand_over_and_a_call_that_is_not_up_are_refused():
    call = talking()
    call.feed(v.HandOverAsked("a"), v.HandOverAsked("b"))
    assert outcomes(call) == [("refused", "a hand-over is under way already")]
    wide = structs.replace(OTHER, audio_in=v.AudioFormat(v.Encoding.L16, 24000))
    call.feed(v.NextDialled("a", wide, BridgeSettings()))
    assert ("failed", "its provider hears L16/24000 and speaks PCMU/8000, not PCMU/8000") in outcomes(call)
    early = SimCall()
    early.feed(v.CallOffered(), v.HandOverAsked("a"))
    assert outcomes(early)[0][0] == "refused"


def test_what_the_old_agent_had_running_changes_nothing_any_more():
    policy = v.ToolPolicy()
    call = talking(tools={"book": policy}, transfer_to={"sales": "+15550100077"})
    call.feed(v.ResponseStarted("r1"), v.ToolCalled("t1", "book", "{}", "r1"))
    call.feed(v.ResponseDone("r1", "completed"), v.HandOverAsked("billing"))
    ready(call, tools={})
    call.feed(v.ToolFinished("t1", "ok", '"done"'))
    assert not call.of(v.AnswerTool)
    call.agent_says(100, "n1", "ni1")
    call.feed(v.ResponseStarted("n2"), v.ToolCalled("t2", "transfer_call", "{}", "n2"))
    assert "no tool" in call.of(v.AnswerTool)[0].output  # the next agent may not


def test_a_provider_that_echoes_nothing_takes_over_unconfirmed():
    call = talking()
    call.feed(v.HandOverAsked("billing"))
    quiet = structs.replace(OTHER, speaks_first="us", echoes_session=False)
    call.feed(v.NextDialled("billing", quiet, BridgeSettings()), v.FromNext(v.ProviderOpened()))
    call.advance(1_100)
    assert call.of(v.SwapProvider)


# ------------------------------------------------------------------------------------------ the whole host


def switchboard(facts: CallFacts) -> Answerer | Declined:
    lines = spoken_lines()
    if facts.agent == "billing":
        session = xai.SessionSettings(api_key="xai-test-0001", instructions="You know the bills.")
        return Answerer(xai, session, BridgeSettings(), lines, agent="billing")
    if facts.agent:
        return Declined("no-agent", detail=f"there is no agent {facts.agent!r}")
    session = openai.SessionSettings(api_key="sk-test-0001", instructions="You answer the phone.")
    return Answerer(openai, session, BridgeSettings(greeting="Hello."), lines)


def handed(agent: str, **billing: Any) -> tuple[Any, Any, Any]:
    hosts = {
        HOSTS["openai"]: host("openai"),
        HOSTS["xai"]: host("xai", **{"script": (Answer(audio=SHORT, transcript="Billing here."),), **billing}),
    }

    def play(line: Line) -> None:
        line.then(6.0, lambda: line.say(CALLER)).then(30.0, lambda: line.say(CALLER)).then(45.0, line.hang_up)

    asking = Asking((18.0, v.HandOverAsked(agent)))
    (call,) = ours("openai", play, then=asking, hosts=hosts, answer_for=switchboard)
    return call, asking.answers[0], hosts


def test_a_call_goes_from_one_provider_to_another():
    call, answer, hosts = handed("billing")
    assert answer.outcome == "done" and int(answer.detail.removesuffix(" ms")) < 1000
    assert notes(call, "handover")[0]["agent"] == "billing"
    said = [text for who, text in spoken(call) if who == "agent"]
    assert said[0] == "Hello, how can I help you?" and said[-1] == "Billing here."
    (gap,) = notes(call, "handover.heard")
    assert gap["gap_ms"] < 1500
    (session,) = hosts[HOSTS["xai"]].sessions
    assert "What was said last" in repr(session.peer.received) and WORDS in repr(session.peer.received)
    assert WORDS not in repr(notes(call, "next.message"))  # what is long is a hash in a record
    assert report(call).verdict == "healthy"


def test_an_agent_that_there_is_not_leaves_the_call_as_it_is():
    call, answer, _ = handed("nobody")
    assert (answer.outcome, answer.detail) == ("failed", "there is no agent 'nobody'")
    assert call.end is not None and call.end["end"]["why"] == "caller hung up"


def test_a_next_provider_that_refuses_leaves_the_call_as_it_is():
    call, answer, _ = handed("billing", faults=("refuse-401",))
    assert answer.outcome == "failed" and "401" in answer.detail
    assert report(call).verdict == "healthy"
    assert call.end is not None and call.end["end"]["wanted"]


def spoken(call: Any) -> list[tuple[str, str]]:
    found = []
    for line in call.lines:
        message = line.data.get("m") or {}
        if str(message.get("type", "")).endswith("output_audio_transcript.done"):
            found.append(("agent", message["transcript"]))
    return found
