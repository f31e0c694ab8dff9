"""What is found out about a caller comes before the session is configured, or the call goes on without."""

from tests.simcall import SimCall

from offhook import vocab as v

HIT = v.Briefed(outcome="hit", source="file p.csv", ms=12.4, instructions="You know Ada.", greeting="Hello Ada.")


def begun(**settings) -> SimCall:
    call = SimCall(greeting="Hello.", briefing_s=2.0, **settings)
    call.feed(v.CallOffered(), v.StreamOpened(), v.StreamConnected())
    call.feed(v.StreamStarted("MZ1", "CA1", v.PCMU_8K, {}), v.ProviderOpened(), v.SessionGreeted())
    return call


def test_the_session_is_configured_with_what_was_found_while_the_provider_was_dialled():
    call = SimCall(greeting="Hello.", briefing_s=2.0)
    call.feed(v.CallOffered(), HIT)
    assert [command for command in call.did if type(command) is v.ConfigureSession] == []
    call.feed(v.ProviderOpened(), v.SessionGreeted())
    assert call.of(v.ConfigureSession) == [v.ConfigureSession(instructions="You know Ada.")]
    assert call.notes("lookup")[0]["outcome"] == "hit" and call.notes("lookup")[0]["ms"] == 12


def test_it_is_waited_for_when_the_provider_is_faster_and_the_greeting_is_the_found_one():
    call = begun()
    call.advance(900)
    assert not call.of(v.ConfigureSession)
    call.feed(HIT)
    assert call.of(v.ConfigureSession)[0].instructions == "You know Ada."
    call.feed(v.SessionConfigured())
    assert call.of(v.Greet) == [v.Greet(text="Hello Ada.")]


def test_after_its_time_the_call_goes_on_without_and_says_late():
    call = begun()
    call.advance(1999)
    assert not call.of(v.ConfigureSession)
    call.advance(1)
    assert call.of(v.ConfigureSession) == [v.ConfigureSession()]
    call.feed(v.SessionConfigured())
    assert call.of(v.Greet) == [v.Greet(text="Hello.")]
    assert [note["outcome"] for note in call.notes("lookup")] == ["late"]
    call.feed(HIT)
    assert len(call.of(v.ConfigureSession)) == 1
    assert call.notes("lookup.came-late")[0]["source"] == "file p.csv"


def test_a_miss_changes_nothing_and_is_on_record():
    call = begun()
    call.feed(v.Briefed(outcome="miss", source="file p.csv", ms=1.0))
    assert call.of(v.ConfigureSession) == [v.ConfigureSession()]
    call.feed(v.SessionConfigured())
    assert call.of(v.Greet)[0].text == "Hello."


def test_a_provider_that_does_not_greet_first_waits_for_it_too():
    call = SimCall(briefing_s=2.0, traits=v.ProviderTraits(
        name="sim", speaks_first="us", echoes_session=True, turn_events=True, cancels_itself=True, truncates=True,
        session_limit_s=None, audio_in=v.PCMU_8K, audio_out=v.PCMU_8K,
    ))  # fmt: skip
    call.feed(v.CallOffered(), v.ProviderOpened())
    assert not call.of(v.ConfigureSession)
    call.feed(HIT)
    assert len(call.of(v.ConfigureSession)) == 1


def test_a_call_that_ended_meanwhile_is_not_configured_any_more():
    call = begun()
    call.feed(v.StreamStopped(), HIT)
    call.advance(5000)
    assert not call.of(v.ConfigureSession) and call.ended is not None


def test_a_caller_without_a_greeting_is_not_given_one():
    call = SimCall(briefing_s=2.0)
    call.feed(v.CallOffered(), HIT)
    call.connect()
    assert not call.of(v.Greet)
