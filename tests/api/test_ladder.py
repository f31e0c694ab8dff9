"""What the call page draws besides messages: what was waited for, and where a proof stands that is no message."""

from tests.diagnosis.tape import Tape, good

from offhook.api.ladder import ladder


def drawn(tape):
    return ladder(tape.recording(), tape.report(), [])


def reached(**at_ms):
    tape = Tape(source="bridge")
    for mid, at in at_ms.items():
        tape.note("milestone", at, id=mid, what="")
    return tape


def waits(tape):
    return {one["name"]: (one["met"], one["at_ms"], one["waited_ms"]) for one in drawn(tape)["deadlines"]}


def test_deadlines_that_were_met_have_their_time_from_the_milestones():
    tape = reached(M1=0.0, M5=40.0, M6=42.0, M7=60.0, M8=30.0, M8a=35.0, M9=50.0, M14=400.0, M15=400.0, M17=520.0)
    assert waits(tape) == {
        "stream after webhook": (True, 40.0, 40.0), "start": (True, 42.0, 2.0),
        "first caller frame": (True, 60.0, 18.0), "first message": (True, 35.0, 5.0),
        "session configured": (True, 50.0, 15.0), "greeting audio": (True, 400.0, 350.0),
        "first mark": (True, 520.0, 120.0),
    }  # fmt: skip
    assert all(one["n"] for one in drawn(tape)["deadlines"])


def test_a_missed_one_is_missed_though_what_it_waited_for_came_later():
    tape = reached(M15=400.0, M17=9000.0).note("deadline.missed", 5400.0, name="first mark", waited_ms=5000)
    assert waits(tape) == {"first mark": (False, 5400.0, 5000.0)}


def test_nobody_waited_for_what_never_comes():
    # a provider that confirms nothing, a caller who spoke first, and a recorder that waits for nothing
    tape = reached(M6=1.0, M8=2.0, M8a=3.0, M9=9.0, M11=100.0, M14=200.0).note("session.unconfirmed", 9.0)
    assert set(waits(tape)) == {"first message"}
    tape.begin["source"] = "tap"
    assert waits(tape) == {}


def test_a_proof_that_is_neither_message_nor_note_has_its_place_on_the_time_axis():
    (proof,) = drawn(good().violation("streamSid"))["guilty"]
    assert (proof["kind"], proof["at_ms"]) == ("violation", 1000.0) and proof["sentence"]
