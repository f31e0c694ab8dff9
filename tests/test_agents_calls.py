"""Agents through the real host, call, legs and journal, with simulated peers, in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from datetime import UTC, datetime
from typing import Any

import pytest
from msgspec import structs

from offhook.agent.aside import Aside
from offhook.agent.lookup import Found, Lookup
from offhook.agent.profile import Agent
from offhook.agent.prompt import CallFacts
from offhook.agent.resume import FileResumes
from offhook.agent.tools.threads import INLINE
from offhook.checks.agents import ready_agents
from offhook.cli.agents import Switchboard
from offhook.diagnosis.report import report
from offhook.evidence.numbers import NumberHash
from offhook.evidence.record import Recording
from offhook.media.lines import spoken_lines
from offhook.net.calls import Calls
from offhook.settings import load
from offhook.sims.provider import Answer
from offhook.sims.run_world import TOKEN, OurServer
from offhook.sims.virtual import Link, World
from offhook.sims.virtual_carrier import Line
from offhook.sims.virtual_provider import Net, ProviderHost
from offhook.testing.speech import speech

NOON = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
VERIFIED = {"StirVerstat": "TN-Validation-Passed-A"}
TWO = """
[provider]
name = "openai"
openai_key = "sk-test-0001"
[agents.desk]
instructions = "You are the desk. {{caller.name}} calls, campaign {{parameter.campaign}}."
greeting = "Hello {{caller.name}}, the desk."
lookup_file = "p.csv"
[agents.night]
instructions = "You are the night watch."
greeting = "Night."
voice = "cedar"
fallback_say = "Nobody is awake."
max_call_s = 20
[[route]]
number = "+15550000001"
agent = "desk"
[[route]]
number = "+15550000002"
agent = "night"
"""


class Here(Aside):
    """Does at once what would be done beside the calls; what waits there is a mistake here."""

    def submit(self, work: Callable[[], Any]) -> Future[Any]:
        done: Future[Any] = Future()
        token = INLINE.set(True)
        try:
            work().send(None)
        except StopIteration as end:
            done.set_result(end.value)
        finally:
            INLINE.reset(token)
        return done


class Town:
    """Our server with the agents of a file, and lines that call it."""

    def __init__(self, tmp_path, text: str, declared=(), people: str = "number,name\n+15550100001,Ada\n") -> None:
        (tmp_path / "p.csv").write_text(people)
        self.path = tmp_path
        self.world = World(1)
        self.provider = ProviderHost(
            "openai", script=(Answer(audio=speech(1.0), transcript="Of course."),), think_s=0.3
        )
        self.board = Switchboard(
            *self._read(text, declared), spoken_lines(), aside=Here(),
            resumes=FileResumes(tmp_path / "r", NumberHash(b"key")), now=lambda: NOON,
        )  # fmt: skip
        net = Net(self.world, {"api.openai.com": self.provider})
        self.server = OurServer(self.world, net, "openai", answer_for=self.board.answer_for)

    def _read(self, text: str, declared=()):
        (self.path / "offhook.toml").write_text(text)
        settings = load({}, environment={}, cwd=self.path)
        roster, problems = ready_agents(settings, declared, Here())
        assert not problems, problems
        return settings, roster

    def edit(self, text: str) -> None:
        self.board.swap(*self._read(text), spoken_lines())

    def call(self, to: str, caller: str = "+15550100001", query: str = "", **form: str) -> Line:
        line = Line(
            self.world, self.server, auth_token=TOKEN, link=Link(0.03), form={"To": to, "From": caller, **form},
            url="https://voice.example.com/twilio/voice" + (f"?{query}" if query else ""),
        )  # fmt: skip
        self.server.lines[line.call_sid] = line
        line.begin()
        return line

    def told(self, n: int = -1) -> list[dict[str, Any]]:
        """Everything but audio that the provider was told in a session."""
        return self.provider.sessions[n].peer.received

    def session(self, n: int = -1) -> dict[str, Any]:
        (update,) = (message for message in self.told(n) if message["type"] == "session.update")
        return update["session"]

    def greeted(self, n: int = -1) -> str:
        return next(m["response"]["instructions"] for m in self.told(n) if m["type"] == "response.create")

    def records(self) -> list[Recording]:
        return self.server.recordings()


def notes(record: Recording, kind: str) -> list[dict[str, Any]]:
    return [line.data for line in record.notes(kind)]


@pytest.fixture
def town(tmp_path):
    made: list[Town] = []

    def make(text: str = TWO, **more: Any) -> Town:
        made.append(Town(tmp_path, text, **more))
        made[-1].world.__enter__()
        return made[-1]

    yield make
    for one in made:
        one.world.__exit__()


def test_two_numbers_have_two_agents_each_with_its_own_words_voice_and_length(town):
    here = town()
    here.call("+15550000001", query="campaign=spring")
    here.world.run(3.0)
    here.call("+15550000002", caller="+447700900000")
    here.world.run(3.0)
    assert here.session(0)["instructions"].startswith("You are the desk. Ada calls, campaign spring.")
    assert "Hello Ada, the desk." in here.greeted(0)
    assert here.session(1)["instructions"] == "You are the night watch."
    assert "Night." in here.greeted(1)
    voices = [here.session(n)["audio"]["output"]["voice"] for n in (0, 1)]
    assert voices == ["marin", "cedar"]
    here.world.run(40.0)
    desk, night = here.records()
    assert [record.begin["agent"] for record in (desk, night)] == ["desk", "night"]
    assert notes(desk, "lookup")[0]["outcome"] == "hit" and not notes(night, "lookup")
    assert notes(desk, "agent")[0]["why"].startswith("route 1 (offhook.toml:15)")
    assert notes(desk, "agent")[0]["parameters"] == ["campaign"]
    assert night.boot["voice"] == "cedar" and desk.boot["voice"] == "marin"
    assert night.boot["settings"]["provider.voice"] == {"value": "cedar", "origin": "offhook.toml:12"}
    assert not [name for name in night.boot["settings"] if name.startswith("agents.")]
    assert notes(night, "ending")[0]["why"] == "time limit"


def test_what_the_webhooks_address_says_comes_back_with_the_stream(town):
    here = town()
    line = here.call("+15550000001", query="campaign=spring")
    here.world.run(2.0)
    assert line.verbs[0].parameters["campaign"] == "spring"


def test_a_number_that_leads_nowhere_is_declined_and_named(town):
    here = town()
    line = here.call("+15559999999")
    here.world.run(5.0)
    assert [verb.name for verb in line.verbs][:1] == ["Say"] and not here.provider.sessions
    (record,) = here.records()
    found = report(record)
    assert found.verdict == "broken" and [one.rule for one in found.roots] == ["settings/call-declined"]


CLOSED = TWO + '[agents.closed]\ninstructions = "x"\nallow = ["+1555*"]\ndeny = ["+15550666666"]\n' \
    '[[route]]\nnumber = "+15550000003"\nagent = "closed"\n'  # fmt: skip


def test_an_allow_list_lets_in_whom_the_carrier_vouches_for_and_says_why_nobody_else(town):
    here = town(CLOSED)
    here.call("+15550000003", **VERIFIED)
    here.world.run(2.0)
    assert len(here.provider.sessions) == 1
    for said in (
        {},
        *({"StirVerstat": f"TN-Validation-{how}"} for how in ("Passed-B", "Failed-A", "Passed-A-Diverted")),
    ):
        here.call("+15550000003", **said)
        here.world.run(2.0)
    assert len(here.provider.sessions) == 1
    refused = [record for record in here.records() if "agent" not in record.begin]
    assert all(record.begin["call"].startswith("CA") and "*" in record.begin["caller"] for record in refused)
    assert [notes(record, "webhook")[0]["why"] for record in refused] == ["caller-not-verified"] * 4
    assert "does not vouch for it: TN-Validation-Passed-B" in notes(refused[1], "webhook")[0]["detail"]
    found = report(refused[1])
    assert found.verdict == "healthy" and found.others[0].rule == "settings/call-declined"


def test_a_denied_caller_is_rejected_without_an_answer(town):
    here = town(CLOSED)
    line = here.call("+15550000003", caller="+15550666666", **VERIFIED)
    here.world.run(2.0)
    assert [verb.name for verb in line.verbs] == ["Reject"] and not here.provider.sessions


def test_a_lookup_that_never_answers_delays_the_greeting_by_its_time_and_no_more(town):
    async def never(facts: Any) -> None:
        await asyncio.get_running_loop().create_future()

    class Apart(Here):
        """Its loop is the world's own: what hangs there hangs in virtual time."""

        def submit(self, work: Callable[[], Any]) -> Any:
            done: Future[Any] = Future()
            task = asyncio.get_running_loop().create_task(work())
            task.add_done_callback(
                lambda ended: (
                    done.set_exception(error) if (error := ended.exception()) else done.set_result(ended.result())
                )
            )
            return done

    here = town()
    declared = Agent(name="night", lookup=never, lookup_s=1.5)
    settings = load({}, environment={}, cwd=here.path)
    roster, problems = ready_agents(settings, [declared], Apart())
    assert not problems
    here.board.swap(settings, roster, spoken_lines())
    here.call("+15550000002")
    here.world.run(1.4)
    assert not [message for message in here.told() if message["type"] == "session.update"]
    here.world.run(3.0)
    assert here.session()["instructions"] == "You are the night watch." and "Night." in here.greeted()
    here.world.run(30.0)
    (record,) = here.records()
    assert [note["outcome"] for note in notes(record, "lookup")] == ["late"]
    assert notes(record, "lookup.came-late")[0]["outcome"] == "failed"
    assert report(record).verdict == "healthy"


def test_an_edit_in_mid_call_is_for_the_next_call(town):
    here = town()
    first = here.call("+15550000002")
    here.world.run(3.0)
    here.edit(TWO.replace("Night.", "Good night.").replace("max_call_s = 20", "max_call_s = 600"))
    here.call("+15550000002")
    here.world.run(3.0)
    assert ("Night." in here.greeted(0), "Good night." in here.greeted(1)) == (True, True)
    here.world.run(30.0)
    assert first.over and len(here.server.host.calls) == 1  # the old one kept its old limit


RESUMING = TWO.replace('voice = "cedar"', 'voice = "cedar"\nresume_s = 300\ngreeting_resumed = "We were cut off."')


def cut_off(here: Town, **form: str) -> None:
    """A call in which something was said, and whose line then breaks."""
    line = here.call("+15550000002", **form)
    here.world.run(3.0)
    line.say(speech(1.5))
    here.world.run(5.0)
    line.drop()
    here.world.run(10.0)


def test_a_verified_caller_who_was_cut_off_goes_on_once(town):
    here = town(RESUMING)
    cut_off(here, **VERIFIED)
    here.call("+15550000002", **VERIFIED).then(3.0, lambda: None)
    here.world.run(3.0)
    assert (
        "The end of that call:" in here.session(1)["instructions"] and "Of course." in here.session(1)["instructions"]
    )
    assert "We were cut off." in here.greeted(1)
    assert notes(here.records()[1], "lookup")[0]["resumed"] is True
    here.call("+15550000002", **VERIFIED)
    here.world.run(3.0)
    assert here.session(2)["instructions"] == "You are the night watch." and "Night." in here.greeted(2)


def test_the_same_number_that_nobody_vouches_for_hears_nothing_of_that_call(town):
    here = town(RESUMING)
    cut_off(here, **VERIFIED)
    here.call("+15550000002")
    here.world.run(3.0)
    assert here.session(1)["instructions"] == "You are the night watch."
    here.call("+15550000002", **VERIFIED)
    here.world.run(3.0)
    assert "The end of that call:" in here.session(2)["instructions"]  # and it was not spent on the stranger


def waiting(here: Town, seconds: float) -> None:
    """Make the night's lookup hang for so long."""

    async def ask(facts: CallFacts) -> Found:
        await asyncio.sleep(seconds)
        return Found({"name": "Ada"})

    ready = here.board.roster.ready["night"]
    ready = structs.replace(ready, lookup=Lookup("slow", ask))
    here.board.roster = structs.replace(here.board.roster, ready={**here.board.roster.ready, "night": ready})


def test_a_lookup_that_hangs_does_not_cost_the_caller_the_call_that_was_cut_off(town):
    here = town(RESUMING)
    cut_off(here, **VERIFIED)
    waiting(here, 60.0)
    here.call("+15550000002", **VERIFIED)
    here.world.run(5.0)
    assert "The end of that call:" in here.session(1)["instructions"] and "We were cut off." in here.greeted(1)


def test_a_call_that_was_cut_off_is_not_spent_on_one_that_ends_before_it_is_told(town):
    here = town(RESUMING)
    cut_off(here, **VERIFIED)
    waiting(here, 60.0)
    line = here.call("+15550000002", **VERIFIED)
    here.world.run(0.2)
    line.hang_up()
    here.world.run(10.0)
    waiting(here, 0.1)
    here.call("+15550000002", **VERIFIED)
    here.world.run(5.0)
    assert "The end of that call:" in here.session(-1)["instructions"]


def test_nothing_is_kept_of_an_unverified_call_or_without_the_setting(town):
    here = town(RESUMING)
    cut_off(here)
    here.edit(TWO)
    cut_off(here, **VERIFIED)
    assert not list((here.path / "r").glob("*.json"))


def test_a_stream_that_breaks_is_followed_by_the_agents_own_fallback_line(town):
    here = town()
    line = here.call("+15550000002")
    here.world.run(3.0)
    here.server.host.calls.running[line.call_sid].abandon("a defect")
    here.world.run(8.0)
    assert [verb.text for verb in line.verbs if verb.name == "Say"] == ["Nobody is awake."]


@pytest.mark.parametrize(
    ("why", "said"), [("spend_day", "the spend cap of the day"), ("draining", "was being stopped")]
)
def test_who_is_declined_by_the_servers_own_state_is_no_fault(
    town, monkeypatch: pytest.MonkeyPatch, why: str, said: str
):
    here = town()
    monkeypatch.setattr(Calls, "full", lambda self: why)
    here.call("+15550000001")
    here.world.run(2.0)
    (record,) = here.records()
    found = report(record)
    assert found.verdict == "healthy" and said in found.others[0].sentence
