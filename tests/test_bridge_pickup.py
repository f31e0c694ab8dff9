"""Who picked up a call that we placed: a hello, nobody's word, a machine and its beep."""

import base64
from collections.abc import Iterator
from typing import Any

import pytest
from msgspec import structs
from tests.signals import pcmu, sine
from tests.simcall import TRAITS, SimCall

from offhook import vocab as v
from offhook.loopback.lines import audio
from offhook.sims.virtual_voice import QUIET

HELLO = audio("callee_hello")
MENU = audio("services")  # 15 s of somebody who talks on
BEEP = pcmu(sine(1000, -12, seconds=0.5))


def frames(sound: bytes) -> Iterator[v.CallerAudio]:
    for at in range(0, len(sound) - 159, 160):
        yield v.CallerAudio(base64.b64encode(sound[at : at + 160]), 160)


def hears(call: SimCall, sound: bytes) -> None:
    for frame in frames(sound):
        if call.ended is None:
            call.feed(frame)
        call.advance(20)


def quiet(call: SimCall, seconds: float) -> None:
    hears(call, (QUIET * 200)[: int(seconds * 8000)])


def called(**more: Any) -> SimCall:
    given = {"greeting": "Good morning, this is Anna.", "hello_s": 3.0, **more}
    call = SimCall(**given)
    call.feed(v.CallOffered(), v.StreamOpened(), v.StreamStarted("MZ1", "CA1", v.PCMU_8K, {}))
    call.feed(v.ProviderOpened(), v.SessionGreeted(), v.SessionConfigured())
    return call


def greet(call: SimCall) -> None:
    assert call.of(v.Greet)
    call.agent_says(1500, "g", "g")


def test_the_greeting_waits_for_the_hello_and_answers_it():
    call = called()
    quiet(call, 0.6)
    assert not call.of(v.Greet)
    hears(call, HELLO)
    assert not call.of(v.Greet)
    quiet(call, 0.6)
    greet(call)
    assert call.notes("hello")[0]["heard"] is True and 300 < call.notes("hello")[0]["spoke_ms"] < 700
    sent = b"".join(base64.b64decode(append.payload) for append in call.of(v.AppendAudio))
    assert HELLO[800:2400] not in sent  # the model is not to answer it again


def test_the_model_knows_the_hello_before_it_greets_and_hears_it_once():
    call = called(traits=structs.replace(TRAITS, takes_said=True))
    quiet(call, 2.0)
    hears(call, HELLO)
    quiet(call, 0.6)
    kinds = [type(command) for command in call.did]
    assert kinds.index(v.TellSaid) < kinds.index(v.Greet) and kinds.count(v.TellSaid) == 1
    (said,) = call.of(v.TellSaid)
    sound = base64.b64decode(said.payload)
    assert HELLO[800:2400] in sound and said.n_bytes == len(sound) < len(HELLO) + 6400  # not the silence around it
    assert call.notes("hello")[0]["passed"] == "audio"
    call.agent_says(1500, "g", "g")
    quiet(call, 0.1)
    sent = b"".join(base64.b64decode(append.payload) for append in call.of(v.AppendAudio))
    assert sent and HELLO[800:2400] not in sent and not call.of(v.ClearPlayback)


def test_a_model_that_takes_no_sound_is_told_that_something_was_said():
    call = called()
    hears(call, HELLO)
    quiet(call, 0.6)
    kinds = [type(command) for command in call.did]
    assert kinds.index(v.TellAgent) < kinds.index(v.Greet)
    assert "did not hear" in call.of(v.TellAgent)[0].text and call.notes("hello")[0]["passed"] == "note"
    assert not call.of(v.AskResponse)


def test_a_hello_before_anything_is_ready_counts():
    call = SimCall(greeting="Good morning.", hello_s=3.0)
    call.feed(v.CallOffered(), v.StreamOpened(), v.StreamStarted("MZ1", "CA1", v.PCMU_8K, {}))
    hears(call, HELLO)
    quiet(call, 1.0)
    call.feed(v.ProviderOpened(), v.SessionGreeted(), v.SessionConfigured())
    quiet(call, 0.04)
    assert call.of(v.Greet)


def test_whoever_says_nothing_is_greeted_when_the_wait_is_over():
    call = called()
    quiet(call, 2.9)
    assert not call.of(v.Greet)
    quiet(call, 0.2)
    assert call.of(v.Greet) and call.notes("hello") == [{"heard": False, "waited_ms": 3000}]


def test_a_click_is_no_hello():
    call = called()
    hears(call, b"\x00" * 160 + b"\xff" * 160)
    quiet(call, 1.0)
    assert not call.of(v.Greet)


def test_without_a_greeting_the_model_hears_the_hello_and_answers_it():
    call = called(greeting=None)
    hears(call, HELLO)
    quiet(call, 0.7)
    sent = b"".join(base64.b64decode(append.payload) for append in call.of(v.AppendAudio))
    assert HELLO[800:2400] in sent and not call.of(v.Greet)


def test_a_call_that_came_in_waits_for_nobody():
    call = SimCall(greeting="Hello.").connect()
    assert call.of(v.Greet)


@pytest.mark.parametrize("policy", ["hang_up", "message", "talk"])
def test_whoever_talks_long_is_noted_let_finish_and_greeted(policy: Any):
    call = called(machine=policy, machine_message="Your parcel is here.")
    hears(call, MENU[:48000])
    assert call.ended is None and not call.of(v.Greet) and not call.of(v.HangUp)
    party = {"who": "machine", "by": "own", "why": "talks on", "confidence": 0.7, "acted": False}
    (noted,) = call.notes("party")
    assert 4000 < noted.pop("ms") < 5000 and noted == party
    quiet(call, 1.3)
    greet(call)
    assert call.ended is None and not call.of(v.Say)


def test_who_wants_to_may_take_a_long_opening_for_a_machine():
    call = called(machine="hang_up", machine_sure=0.7)
    hears(call, MENU[:48000])
    assert call.bridge.summary()["end"] == {"why": "voicemail: agent hung up", "wanted": True}


def test_a_line_that_is_never_quiet_is_greeted_all_the_same():
    call = called(machine="hang_up")
    for _ in range(4):
        hears(call, MENU[8000:40000])
    assert call.of(v.Greet) and call.ended is None


def test_a_beep_behind_words_is_a_machine():
    call = called(machine="hang_up")
    hears(call, MENU[:24000])
    hears(call, BEEP)
    assert call.notes("party")[0]["confidence"] == 0.95
    assert call.bridge.summary()["end"] == {"why": "voicemail: agent hung up", "wanted": True}


@pytest.mark.parametrize(("words", "hz"), [(MENU[:24000], 425), (b"", 1000)])
def test_a_ringing_tone_and_a_tone_without_words_are_none(words: bytes, hz: int):
    call = called(machine="hang_up", hello_s=10.0)
    hears(call, words + pcmu(sine(hz, -12, seconds=1.0)))
    assert call.ended is None and not call.notes("party")


def test_a_machine_gets_the_message_after_its_beep_and_is_hung_up_on():
    call = called(machine="message", machine_message="Your parcel is here.")
    hears(call, MENU[:64000])
    assert not call.of(v.Greet) and not call.of(v.Say)
    hears(call, BEEP)
    quiet(call, 0.1)
    assert call.of(v.Say) == [v.Say("Your parcel is here.")]
    assert call.notes("voicemail")[0]["hz"] == pytest.approx(1000, abs=20)
    call.agent_says(2000, "m", "m")
    call.advance(2100)
    call.feed(v.LegClosed(v.Leg.PROVIDER, 1000, "", "us"), v.LegClosed(v.Leg.CARRIER, 1000, "", "them"))
    assert call.ended == v.EndCall(True, "voicemail: message left, agent hung up")


def test_a_machine_that_does_not_beep_is_spoken_to_when_it_falls_silent():
    call = called(machine="message", machine_message="Your parcel is here.")
    call.feed(v.PartyDetected("machine_start"))
    hears(call, MENU[:64000])
    quiet(call, 2.4)
    assert not call.of(v.Say)
    quiet(call, 0.3)
    assert call.of(v.Say)


def test_the_carriers_word_stops_a_greeting_that_has_begun():
    call = called(machine="message", machine_message="Your parcel is here.")
    hears(call, HELLO)
    quiet(call, 0.6)
    greet(call)
    call.advance(500)
    call.feed(v.PartyDetected("machine_start", 3800))
    assert call.of(v.ClearPlayback)
    party = call.notes("party")[0]
    assert (party["by"], party["ms"]) == ("carrier", 3800)
    hears(call, BEEP)
    quiet(call, 0.1)
    assert call.of(v.Say)
    said = b"".join(base64.b64decode(append.payload) for append in call.of(v.AppendAudio))
    assert BEEP[800:2400] not in said  # the model hears nothing of the machine


def test_the_carrier_heard_the_beep_itself():
    call = called(machine="message", machine_message="Your parcel is here.")
    hears(call, MENU[:16000])
    call.feed(v.PartyDetected("machine_end_beep", 9000))
    assert call.of(v.Say)


@pytest.mark.parametrize(("policy", "who", "why"), [
    ("hang_up", "machine_start", "voicemail: agent hung up"), ("message", "fax", "fax: agent hung up"),
])  # fmt: skip
def test_by_policy_a_machine_is_hung_up_on(policy: Any, who: str, why: str):
    call = called(machine=policy, machine_message="Hello.")
    call.feed(v.PartyDetected(who))
    assert call.bridge.summary()["end"] == {"why": why, "wanted": True}


def test_by_policy_a_machine_is_talked_to_and_a_person_always_is():
    call = called()
    call.feed(v.PartyDetected("machine_start"))
    assert call.of(v.Greet)
    call = called(machine="hang_up")
    call.feed(v.PartyDetected("human", 900))
    assert call.ended is None and call.notes("party")[0]["who"] == "human"


def test_a_voicemail_that_never_ends_gets_the_message_all_the_same():
    call = called(machine="message", machine_message="Hello.", beep_s=10.0)
    call.feed(v.PartyDetected("machine_start"))
    hears(call, MENU[:72000])
    hears(call, MENU[:12000])
    assert call.of(v.Say) and call.notes("deadline.missed")[0]["name"] == "beep"


def test_what_a_provider_answers_to_a_machine_by_itself_is_cancelled():
    call = called(machine="message", machine_message="Hello.")
    call.feed(v.PartyDetected("machine_start"))
    call.feed(v.ResponseStarted("r1"))
    assert call.of(v.CancelResponse) == [v.CancelResponse("r1")]


def test_a_machine_is_not_asked_whether_it_is_still_there():
    call = called(machine="message", machine_message="Hello.", idle_prompt_s=6.0, warn_s=5.0, max_call_s=20.0)
    call.feed(v.PartyDetected("machine_start"))
    hears(call, MENU[:96000])
    assert not call.notes("idle.prompt") and not call.notes("limit.warning")


def test_what_the_model_was_asked_before_the_beep_does_not_keep_the_message_waiting():
    call = called(machine="message", machine_message="Hello.")
    call.feed(v.PartyDetected("machine_start"), v.InjectAsked("A number was found.", respond=True))
    call.feed(v.ResponseStarted("r1"), v.ResponseDone("r1", "cancelled"))
    hears(call, MENU[:16000])
    hears(call, BEEP)
    quiet(call, 0.1)
    assert call.of(v.Say)


def test_what_was_asked_before_a_hello_that_never_comes_is_said_without_a_greeting_too():
    call = called(greeting="")
    call.feed(v.InjectAsked("Ask for the name.", respond=True, id="a1"))
    quiet(call, 2.5)
    assert not call.notes("control.done")
    quiet(call, 1.0)  # nobody said a word: no message of the provider's comes either
    assert [done["outcome"] for done in call.notes("control.done")] == ["told"]
