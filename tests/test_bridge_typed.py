"""A caller at a screen: what they write is a turn of theirs, and they read what is said."""

from msgspec import structs
from tests.simcall import CARRIER, SOUND, SimCall

from offhook import vocab as v

SCREEN = structs.replace(CARRIER, shows=True)


def test_a_written_line_interrupts_the_agent_and_is_answered():
    call = SimCall().connect()
    call.caller_frame(2)
    call.feed(v.ResponseStarted("r1"))
    call.feed(*[v.AgentAudio("r1", "i1", 0, SOUND, 800)] * 10)
    call.advance(400)
    did = call.feed(v.CallerTyped("When do you open?"))
    (cut,) = [one for one in did if type(one) is v.Truncate]
    assert 350 <= cut.heard_ms <= 450 and v.ClearPlayback() in did and v.CancelResponse("r1") in did
    assert did[-1] == v.TellAgent("When do you open?") and not call.of(v.AskResponse)  # one runs still
    call.feed(v.ResponseDone("r1", "cancelled"))
    assert call.of(v.AskResponse)
    assert call.notes("typed") == [{"text": "When do you open?"}]


def test_what_is_written_before_the_greeting_is_heard_waits_and_cuts_nothing():
    call = SimCall(greeting="Hello.").connect()
    call.feed(v.CallerTyped("Are you there?"))
    assert not call.of(v.TellAgent)
    call.agent_says(500)
    assert call.of(v.TellAgent) == [v.TellAgent("Are you there?")] and call.of(v.AskResponse)
    assert not call.of(v.ClearPlayback)


def test_only_a_caller_with_a_screen_is_shown_what_was_said():
    said = (
        v.CallerTranscript("i0", "open the", False), v.CallerTranscript("i0", "open the door", True),
        v.AgentTranscript("r1", "i1", "It is", False), v.AgentTranscript("r1", "i1", "It is open.", True),
    )  # fmt: skip
    call = SimCall(carrier=SCREEN).connect()
    call.feed(*said)
    assert call.of(v.Show) == [v.Show("caller", "open the door"), v.Show("agent", "It is open.")]
    phone = SimCall().connect()
    phone.feed(*said)
    assert not phone.of(v.Show)
