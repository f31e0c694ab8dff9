"""Call control through the real host, call, legs and journal, with simulated peers, in virtual time."""

from __future__ import annotations

from typing import Any

import pytest

from offhook import vocab as v
from offhook.diagnosis.report import report
from offhook.evidence.record import Recording
from offhook.sims.faults.scene import mute, ours
from offhook.sims.virtual import World
from offhook.sims.virtual_carrier import Line
from offhook.sims.virtual_dial import Person


class Asking:
    """Asks things of the first call at given times and keeps the answers."""

    def __init__(self, *asks: tuple[float, v.Event]) -> None:
        self._asks = asks
        self.answers: list[v.Done] = []
        self.line: Line | None = None

    def __call__(self, world: World, server: Any, lines: list[Line]) -> None:
        self.line = lines[0]
        for at, event in self._asks:
            world.after(at, self._ask, world, server, event)

    def _ask(self, world: World, server: Any, event: v.Event) -> None:
        async def ask() -> None:
            assert self.line is not None
            self.answers.append(await server.host.calls.ask(self.line.call_sid, event))

        world.loop.create_task(ask())


def notes(call: Recording, kind: str) -> list[dict[str, Any]]:
    return [line.data for line in call.notes(kind)]


@pytest.mark.parametrize("provider", ["openai", "xai", "loopback"])
def test_every_provider_says_a_line_and_the_asker_learns_that_it_was_heard(provider: str):
    asking = Asking((6.0, v.SayAsked("Your taxi is here.")))
    (call,) = ours(provider, mute(15.0), then=asking)
    (answer,) = asking.answers
    assert (answer.what, answer.outcome) == ("say", "heard")
    assert notes(call, "control.done")[0]["outcome"] == "heard"
    assert report(call).verdict == "healthy"


def test_hold_and_mute_leave_a_call_healthy():
    asking = Asking((10.0, v.HoldAsked(True)), (25.0, v.HoldAsked(False)), (26.0, v.MuteAsked("caller", True)))
    (call,) = ours("openai", mute(40.0), then=asking)
    assert [answer.outcome for answer in asking.answers] == ["done", "done", "done"]
    assert report(call).verdict == "healthy"


def test_what_a_call_had_no_time_to_answer_is_answered_by_its_end_and_a_stranger_at_once():
    asking = Asking((8.0, v.CollectAsked(first_s=60.0)), (60.0, v.SayAsked("Anybody?")))
    ours("openai", mute(10.0), then=asking, settle_s=60.0)
    assert [(answer.outcome, answer.what) for answer in asking.answers] == [("ended", ""), ("refused", "")]


def test_gathered_keys_reach_the_asker_and_not_the_record():
    def play(line: Line) -> None:
        for n, digit in enumerate("4711#"):
            line.then(8.0 + n / 2, lambda digit=digit: line.press(digit))
        line.then(20.0, line.hang_up)

    asking = Asking((7.0, v.CollectAsked(secret=True)))
    (call,) = ours("openai", play, then=asking)
    assert asking.answers[0].value == "4711"
    written = repr([line.data for line in call.lines])
    assert "4711" not in written and "4 7 1 1" not in written


# -------------------------------------------------------------------------------------------- transfer

TO = "+15550100077"


def given_away(person: Person, *, talk_s: float = 40.0, **ask: Any) -> tuple[Recording, v.Done, Line]:
    def play(line: Line) -> None:
        line.people = {TO: person}
        line.then(talk_s, line.hang_up)

    asking = Asking((8.0, v.TransferAsked(TO, **ask)))
    (call,) = ours("openai", play, then=asking, limit_s=200.0, greeting="Hello.")
    assert asking.line is not None
    return call, asking.answers[0], asking.line


def test_a_caller_is_put_through_and_the_record_says_how_it_ended():
    call, answer, line = given_away(Person(answers_s=5.0, talks_s=30.0), announcement="One moment please.", talk_s=90.0)
    assert answer.outcome == "answered" and line.legs == [(TO, "completed")]
    assert [note["state"] for note in notes(call, "transfer")] == ["ringing", "answered", "completed"]
    assert notes(call, "transfer")[-1]["seconds"] == 30
    assert call.end is not None and call.end["end"] == {"wanted": True, "why": "transferred"}
    assert [verb.name for verb in line.verbs] == ["Connect", "Dial", "Hangup"] and line.alerts == []
    assert report(call).verdict == "healthy"


def test_nobody_takes_the_caller_who_comes_back_to_the_agent_and_talks_on():
    call, answer, line = given_away(Person(how="busy"), talk_s=30.0)
    assert answer.outcome == "busy" and [verb.name for verb in line.verbs] == ["Connect", "Dial", "Connect"]
    assert line.alerts == [] and line.over
    assert call.end is not None and call.end["end"] == {"wanted": True, "why": "caller hung up"}
    found = report(call)
    assert found.verdict == "healthy" and [one.rule for one in found.others] == ["call-control/transfer-not-taken"]


def test_by_policy_the_carrier_tells_the_caller_and_hangs_up():
    call, answer, line = given_away(Person(how="no-answer"), failed="line", talk_s=90.0)
    assert answer.outcome == "no-answer" and [verb.name for verb in line.verbs] == ["Connect", "Dial", "Say", "Hangup"]
    assert call.end is not None and call.end["end"]["why"] == "transfer failed: no-answer"


def test_the_caller_hangs_up_while_it_rings_and_the_carriers_own_callback_tells():
    def play(line: Line) -> None:
        line.people = {TO: Person(answers_s=25.0)}
        line.world.after(15.0, line.hang_up)

    asking = Asking((8.0, v.TransferAsked(TO)))
    (call,) = ours("openai", play, then=asking)
    assert asking.answers[0].outcome == "canceled"
    assert call.end is not None and call.end["end"] == {"wanted": True, "why": "caller hung up"}


def test_a_transfer_that_the_carrier_refuses_is_named_and_the_talk_goes_on():
    asking = Asking((8.0, v.TransferAsked(TO)))
    (call,) = ours("openai", mute(20.0), then=asking, rest=(401, 20003), greeting="Hello.")
    assert asking.answers[0].outcome == "refused"
    assert notes(call, "rest.result")[0]["op"] == "update"
    assert [found.rule for found in report(call).roots] == ["call-control/transfer-refused"]
