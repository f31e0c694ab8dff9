"""What the call page draws besides messages: what was waited for, and where a proof stands that is no message."""

from pathlib import Path

from tests.diagnosis.tape import Tape, good

from offhook.api.ladder import ladder
from offhook.api.records import Opened


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


def test_of_a_call_that_runs_what_plays_just_now_has_not_been_missed():
    tape = Tape(source="bridge").note("barge-in", 4000.0, item="cut", heard_ms=500, sent_ms=6000)
    for item in ("over", "cut", "plays"):
        said = {"type": "response.output_audio_transcript.done", "item_id": item, "transcript": f"{item} it is"}
        tape.msg(2, 100.0, **said)
    figures = {
        "marks": {"sent": 7},
        "spoken": {"over": [0, 900, 900], "cut": [3500, 6000, 500], "plays": [4500, 3000, 250]},
    }
    opened = Opened(Path("x.jsonl"), tape.recording(), 1, lambda *_, **__: None).standing(4750.0, figures)
    told = ladder(opened.call, opened.report, [])
    unheard = [(one["item"], one["to_ms"] - one["from_ms"]) for one in told["spans"] if one["kind"] == "unheard"]
    assert (opened.running, told["length_ms"], told["marks"]["sent"], unheard) == (True, 4750.0, 7, [("cut", 5500.0)])
    assert "over" in {one["item"] for one in told["spans"] if one["kind"] == "heard"}
