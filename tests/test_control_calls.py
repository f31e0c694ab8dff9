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
