"""Calls that we place, through the real host, with a strict simulated account and telephones, in virtual time."""

from __future__ import annotations

from typing import Any

import pytest

from offhook import vocab as v
from offhook.diagnosis.report import report
from offhook.evidence.record import Channel, Recording
from offhook.loopback.lines import audio
from offhook.net.outbound import Options, Placed
from offhook.sims.faults.scene import ours
from offhook.sims.provider import tone
from offhook.sims.virtual import World
from offhook.sims.virtual_carrier import Line
from offhook.sims.virtual_dial import Person
from offhook.wires.carriers import twilio

OURS, THEM = "+15550100002", "+15550100077"


def says_hello(line: Line) -> None:
    line.then(0.6, lambda: line.say(audio("callee_hello")))
    line.then(14.0, line.hang_up)


def voicemail(line: Line) -> None:
    line.then(0.4, lambda: line.say(audio("services")[:64000]))
    line.then(8.6, lambda: line.say(tone(500, 1000.0, -12.0)))
    line.then(60.0, line.hang_up)


class Placing:
    """Places a call and keeps what became of it."""

    def __init__(self, person: Person | None, to: str = THEM, cancel_after_s: float = 0.0, **options: Any) -> None:
        self.placed: Placed | None = None
        self.line: Line | None = None
        self._person, self._to, self._cancel = person, to, cancel_after_s
        self._options = Options(**{"from_": OURS, **options})

    def __call__(self, world: World, server: Any, lines: list[Line]) -> None:
        if self._person is not None:
            server.people[self._to] = self._person

        async def place() -> None:
            self.placed = await server.host.outbound.place(self._to, self._options)
            if self._cancel:
                world.after(self._cancel, lambda: world.loop.create_task(server.host.outbound.cancel(self.placed)))
            await server.host.outbound.over(self.placed)
            self.line = server.called[0] if server.called else None

        world.loop.create_task(place())


def placed(placing: Placing, *, run_s: float = 120.0, **more: Any) -> list[Recording]:
    given = {"greeting": "Hello, this is the clinic.", **more}
    return ours("openai", then=placing, calls=0, settle_s=run_s, **given)


def notes(call: Recording, kind: str) -> list[dict[str, Any]]:
    return [line.data for line in call.notes(kind)]


def told(call: Recording, channel: Channel) -> list[dict[str, Any]]:
    return [line.data["m"] for line in call.messages() if line.data["ch"] == channel]


def test_a_call_is_placed_followed_and_answered_after_the_hello():
    placing = Placing(Person(answers_s=4.0, does=says_hello), parameters={"visit": "Tuesday", "token": "of nobody"})
    (call,) = placed(placing)
    one = placing.placed
    assert one is not None and [status for _, status in one.history] == [
        "queued", "initiated", "ringing", "in-progress", "completed",
    ]  # fmt: skip
    assert notes(call, "hello")[0]["heard"] is True
    assert notes(call, "party")[0]["who"] == "human"
    assert call.begin["direction"] == "outbound-api" and THEM not in repr([line.data for line in call.lines])
    (start,) = [m for m in told(call, Channel.FROM_CARRIER) if m.get("event") == "start"]
    given = start["start"]["customParameters"]
    assert given == {"visit": "Tuesday", "token": "***"}
    assert report(call).verdict == "healthy"
    assert placing.line is not None and placing.line.alerts == []


@pytest.mark.parametrize(
    ("provider", "kind"), [("openai", "input_audio"), ("xai", "input_text"), ("loopback", "input_text")]
)
def test_the_model_knows_the_hello_and_answers_it_once_by_the_greeting(provider: str, kind: str):
    placing = Placing(Person(answers_s=4.0, does=says_hello))
    (call,) = ours(provider, then=placing, calls=0, settle_s=120.0, greeting="Hello, this is the clinic.")
    sent = [line.data["m"] for line in call.lines if line.data.get("ch") == Channel.TO_PROVIDER and "m" in line.data]
    at = [n for n, m in enumerate(sent) if m.get("item", {}).get("role") == "user"]
    (part,) = sent[at[0]]["item"]["content"]
    assert len(at) == 1 and part["type"] == kind and part.get("audio", "<").startswith("<")  # its size alone
    got = [line.data["m"] for line in call.lines if line.data.get("ch") == Channel.FROM_PROVIDER and "m" in line.data]
    assert [m["type"] for m in got].count("response.created") == 1  # nothing beside the greeting
    assert not [m for m in got if m["type"] == "error"] and report(call).verdict == "healthy"


@pytest.mark.parametrize("how", ["busy", "no-answer", "failed"])
def test_nobody_takes_the_call_and_the_record_says_so(how: Any):
    placing = Placing(Person(how=how), ring_s=20)
    (call,) = placed(placing)
    assert placing.placed is not None and placing.placed.status == how
    assert call.end is not None and call.end["end"]["why"] == f"outbound call {how}"
    found = report(call)
    assert [one.rule for one in (*found.roots, *found.others)] == ["far-end/not-taken"] and found.verdict == "healthy"


REFUSED = [(21219, {"verified": frozenset()}), (21215, {"closed_countries": ("+1555",)}), (21216, {"blocked": {THEM}})]


@pytest.mark.parametrize(("code", "account"), REFUSED)
def test_what_the_carrier_refuses_is_named_by_its_code(code: int, account: dict[str, Any]):
    placing = Placing(None)
    (call,) = placed(placing, run_s=5.0, account=account)
    assert placing.placed is not None and (placing.placed.status, placing.placed.code) == ("refused", code)
    found = report(call)
    assert [one.rule for one in found.roots] == ["call-control/call-refused"] and str(code) in found.because


def test_a_number_that_is_none_and_a_caller_id_that_is_not_ours():
    placing = Placing(None, to="5550100")
    placed(placing, run_s=5.0)
    assert placing.placed is not None and placing.placed.code == 21211
    placing = Placing(None, from_="+15550100009")
    placed(placing, run_s=5.0)
    assert placing.placed is not None and placing.placed.code == 21210


def test_a_voicemail_gets_the_message_after_its_beep_by_our_own_ear():
    machine = Person(answers_s=4.0, does=voicemail, answered_by="machine_start", detected_s=6.0)
    placing = Placing(machine, voicemail="message", message="Your parcel is here.")
    (call,) = placed(placing)
    own, carrier = notes(call, "party")
    assert (own["by"], carrier["by"], carrier["ms"]) == ("own", "carrier", 6000)
    heard, left = notes(call, "voicemail")
    assert heard["hz"] == pytest.approx(1000, abs=20) and left["left"] is True
    assert call.end is not None and call.end["end"] == {"wanted": True, "why": "voicemail: message left, agent hung up"}
    assert report(call).verdict == "healthy"


def test_the_carrier_waits_for_the_beep_where_it_was_asked_to():
    machine = Person(answers_s=4.0, does=voicemail, answered_by="machine_start", detected_s=9.3)
    placing = Placing(machine, voicemail="message", message="Your parcel is here.", machine="beep")
    (call,) = placed(placing)
    assert notes(call, "voicemail")[-1]["left"] is True


def test_an_agent_that_talks_to_a_machine_is_named():
    machine = Person(answers_s=4.0, does=voicemail, answered_by="machine_start", detected_s=6.0)
    (call,) = placed(Placing(machine, voicemail="talk"))
    found = report(call)
    assert "far-end/voicemail" in [one.rule for one in (*found.roots, *found.others)]


def test_a_call_that_rings_is_taken_back():
    placing = Placing(Person(answers_s=25.0), cancel_after_s=5.0)
    (call,) = placed(placing)
    assert placing.placed is not None and placing.placed.status == "canceled"
    assert call.end is not None and call.end["end"]["wanted"] is True


def test_the_server_takes_no_call_that_it_has_no_room_for():
    placing = Placing(Person())
    assert placed(placing, run_s=1.0, limits={"max_calls": 0}) == []
    assert placing.placed is not None and placing.placed.status == "refused" and "max_calls" in placing.placed.detail


def test_a_call_whose_end_the_carrier_does_not_tell_is_over_all_the_same():
    """Its callbacks lead nowhere: what is known of it is its webhook and its stream."""
    placing = Placing(Person(answers_s=4.0, does=says_hello), ring_s=20)
    records = placed(placing, carrier={"call_path": "/nobody/serves/this"})
    (call,) = (one for one in records if one.milestone("M6"))  # the other tells of callbacks that nobody served
    one = placing.placed
    assert one is not None and [status for _, status in one.history] == ["queued", "in-progress", "completed"]
    assert one.detail == "the carrier did not tell its end"
    assert call.end is not None and call.end["end"]["why"] == "caller hung up"


def test_a_call_that_is_answered_and_then_heard_of_no_more_is_over_for_whoever_waits():
    """The carrier, or the way to it, is gone between its status callback and its webhook."""

    class Lost(Placing):
        def __call__(self, world: World, server: Any, lines: list[Line]) -> None:
            super().__call__(world, server, lines)

            def told() -> None:
                assert self.placed is not None
                asked = twilio.Webhook(
                    call_sid=self.placed.sid, account_sid="AC", from_=OURS, to=THEM, direction="outbound-api",
                    status="in-progress", parameters={},
                )  # fmt: skip
                server.host.outbound.status(self.placed, asked, None)

            world.after(2.0, told)

    placing = Lost(Person(answers_s=500.0), ring_s=120)
    (call,) = placed(placing, run_s=60.0)
    one = placing.placed
    assert one is not None and one.status == "failed" and "asked nothing" in one.detail
    assert 30 < one.history[-1][0] < 40 and call.end is not None and not call.end["end"]["wanted"]


def test_a_callee_may_be_given_away_too_and_its_end_is_told():
    def play(line: Line) -> None:
        says_hello(line)
        line.then(40.0, line.hang_up)

    class Giving(Placing):
        def __call__(self, world: World, server: Any, lines: list[Line]) -> None:
            super().__call__(world, server, lines)
            server.people["+15550100088"] = Person(answers_s=2.0, talks_s=5.0)

            async def give() -> None:
                assert self.placed is not None
                await server.host.calls.ask(self.placed.sid, v.TransferAsked("+15550100088"))

            world.after(12.0, lambda: world.loop.create_task(give()))

    placing = Giving(Person(answers_s=4.0, does=play))
    (call,) = placed(placing)
    assert placing.placed is not None and placing.placed.status == "completed"
    assert call.end is not None and call.end["end"] == {"wanted": True, "why": "transferred"}


def test_the_number_that_calls_show_is_the_only_one_or_has_to_be_named():
    placing = Placing(Person(answers_s=4.0, does=says_hello), from_="")
    placed(placing)
    assert placing.placed is not None and placing.placed.options.from_ == OURS
    placing = Placing(Person(), from_="")
    placed(placing, run_s=2.0, more_numbers=("+15550100003",))
    assert placing.placed is not None and "has 2 numbers" in placing.placed.detail
