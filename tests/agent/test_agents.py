"""Who answers, with which values from where, and whom an agent does not talk to."""

import wave
from datetime import UTC, datetime

import pytest

from offhook.agent.agents import gather, refusal
from offhook.agent.profile import Agent
from offhook.agent.prompt import CallFacts
from offhook.checks import settings as judge
from offhook.settings import SettingsError, load

NOW = datetime(2026, 11, 25, 20, 0, tzinfo=UTC)  # a Wednesday, 21:00 in Oslo
TWO = """
[provider]
name = "openai"
voice = "cedar"
[agent]
instructions = "You are everybody."
greeting = "Hello."
[agents.sales]
greeting = "Sales."
voice = "marin"
[agents.grok]
provider = "grok"
instructions = "You are Grok."
[[route]]
number = "+15550001111"
agent = "grok"
hours = "22:00-06:00"
zone = "Europe/Oslo"
[[route]]
number = "+1555*"
direction = "inbound"
agent = "sales"
"""


def settings(tmp_path, text, env=None):
    (tmp_path / "offhook.toml").write_text(text)
    return load({}, environment=env or {}, cwd=tmp_path)


def facts(to="+15550001111", caller="+15551230000", direction="inbound", **more):
    return CallFacts(caller_number=caller, called_number=to, call_id="CA1", direction=direction, webhook={}, **more)


def test_an_agent_has_what_it_says_and_else_what_the_server_says_each_with_its_origin(tmp_path):
    agents, problems = gather(settings(tmp_path, TWO))
    assert not problems
    sales = agents.profiles["sales"]
    assert (sales["voice"], sales.origin("voice")) == ("marin", "offhook.toml:10")
    assert (sales["greeting"], sales["instructions"]) == ("Sales.", "You are everybody.")
    assert sales.origin("instructions") == "agent.instructions, offhook.toml:6"
    assert sales.origin("provider") == "provider.name, offhook.toml:3"
    assert sales.origin("idle_s") == "default"


def test_another_provider_does_not_inherit_a_voice_that_it_has_not(tmp_path):
    grok = gather(settings(tmp_path, TWO))[0].profiles["grok"]
    assert grok["provider"] == "xai"
    assert (grok["voice"], grok.origin("voice")) == ("", "default of the provider")


def test_own_words_replace_the_inherited_ones_whole(tmp_path):
    text = '[agent]\nfiles = ["a.md"]\nlanguage = "en"\n[agents.x]\ninstructions = "x"\nlanguages = ["nb", "sv"]\n'
    agents, _ = gather(settings(tmp_path, '[provider]\nname = "openai"\n' + text))
    assert agents.profiles["x"]["files"] == () and agents.profiles["default"]["files"] == ("a.md",)
    assert agents.profiles["x"]["language"] == ""


@pytest.mark.parametrize(
    ("call", "moment", "who"),
    [
        (facts(), NOW, "sales"),
        (facts(), NOW.replace(hour=22), "grok"),
        (facts(to="+15559999999"), NOW.replace(hour=22), "sales"),
        (facts(to="+447700900000"), NOW, "default"),
        (facts(to="+447700900000", agent="grok"), NOW, "grok"),
        # outbound: our own number is the one that calls, and the second route is for those who call us
        (facts(caller="+15550001111", to="+447700900000", direction="outbound-api"), NOW.replace(hour=22), "grok"),
        (facts(caller="+15550001111", to="+447700900000", direction="outbound-api"), NOW, "default"),
    ],
)
def test_the_first_route_that_fits_decides(tmp_path, call, moment, who):
    agents, _ = gather(settings(tmp_path, TWO))
    choice = agents.choose(call, moment)
    assert choice.profile is not None and choice.profile.name == who


def test_without_a_route_that_fits_and_without_agent_nobody_answers_and_it_says_why(tmp_path):
    text = '[provider]\nname = "openai"\n[agents.a]\n[[route]]\nnumber = "+1*"\nagent = "a"\n'
    agents, problems = gather(settings(tmp_path, text))
    choice = agents.choose(facts(to="+447700900000"), NOW)
    assert not problems and choice.profile is None and choice.why == "no route fits, and there is no [agent]"
    assert "no agent 'b', only a" in agents.choose(facts(agent="b"), NOW).why


def test_todays_file_with_agent_alone_goes_on_to_work(tmp_path):
    agents, problems = gather(settings(tmp_path, '[provider]\nname = "openai"\n[agent]\ngreeting = "Hi."\n'))
    assert not problems and list(agents.profiles) == ["default"]
    assert agents.choose(facts(), NOW).why == "the only agent"
    assert gather(settings(tmp_path, ""))[0].default == "default"


@pytest.mark.parametrize(
    ("text", "setting", "says"),
    [
        ('[agents.a]\n[[route]]\nagent = "b"\n', "route 1.agent", "'b' (offhook.toml:3)"),
        ('[agents.a]\n[[route]]\nnumber = "+1*"\n', "route 1.agent", "nothing (offhook.toml:2)"),
        ('[agents.a]\n[[route]]\nagent = "a"\nnumber = "5550001111"\n', "route 1.number", "(offhook.toml:4)"),
        ('[agents.a]\n[[route]]\nagent = "a"\nhours = "9 to 5"\nzone = "UTC"\n', "route 1.hours", "'9 to 5'"),
        ('[agents.a]\n[[route]]\nagent = "a"\nhours = "09:00-17:00"\n', "route 1.zone", "nothing"),
        ('[agents.a]\n[agents.b]\n', "route", "2 agents, no [[route]] and no [agent]"),
        ('[agents.a]\nallow = ["12"]\n', "agents.a.allow", "'12' (offhook.toml:2)"),
    ],
)  # fmt: skip
def test_what_cannot_work_is_named_with_its_line(tmp_path, text, setting, says):
    _, problems = gather(settings(tmp_path, text))
    assert [problem.setting for problem in problems] == [setting]
    assert says in problems[0].got and problems[0].fix


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('[agents.a]\ngreting = "x"\n', "agents.a.greting: no such setting (offhook.toml:2); did you mean greeting?"),
        ('[agents]\nname = "a"\n', "wanted [agents.NAME] and key = value"),
        ('[route]\nagent = "a"\n', "wanted [[route]] and key = value"),
        ('[agents.a]\nmax_call_s = "long"\n', "agents.a.max_call_s: got 'long' (offhook.toml:2), wanted a number"),
        ('[agents.a]\nallow = "+1*,+2*"\nfiles = [1]\n', "agents.a.files: got [1] (offhook.toml:3), wanted a list"),
        ('[agents."a b"]\n', "agents.a b: got 'a b' (offhook.toml:1), wanted letters"),
        ('[agents.a]\nlookup_token = "s3cret-value"\n', 'wanted "env:NAME"'),
        ('[agents.a]\nlookup_token = "env:CRM"\n', "CRM is not set (offhook.toml:2)"),
    ],
)
def test_a_section_that_cannot_be_read_is_refused_with_its_line_and_without_its_secret(tmp_path, text, says):
    with pytest.raises(SettingsError) as error:
        settings(tmp_path, text)
    assert says in str(error.value) and "s3cret" not in str(error.value)


def test_a_secret_of_an_agent_comes_from_a_variable_and_is_kept_out_of_logs(tmp_path):
    text = '[agents.a]\nlookup_url = "https://crm.example.com/{number}"\nlookup_token = "env:CRM"\n'
    found = settings(tmp_path, text, {"CRM": "s3cret-value"})
    assert found.secrets() == ["s3cret-value"] and "s3cret" not in str(found.table())
    token = gather(found)[0].profiles["a"].values["lookup_token"]
    assert (token.value.reveal(), token.origin) == ("s3cret-value", "environment CRM")


def test_lines_are_found_in_the_second_of_two_equal_headers(tmp_path):
    text = '[agents.a]\n[[route]]\nagent = "a"\n# again\n[[route]]\nnumber = "+1*"\nagent = "a"\n'
    routes = settings(tmp_path, text).sections("route")
    assert [route.origin("agent") for route in routes] == ["offhook.toml:3", "offhook.toml:7"]
    assert [route.where for route in routes] == ["offhook.toml:2", "offhook.toml:5"]


def test_an_agent_declared_in_python_stands_beside_those_of_the_file_and_over_its_own_section(tmp_path):
    declared = Agent(name="sales", greeting="From Python.", allow=["+1*"], lookup=lambda facts: None)
    agents, problems = gather(settings(tmp_path, TWO), [declared])
    sales = agents.profiles["sales"]
    assert not problems and sales["greeting"] == "From Python." and sales["voice"] == "marin"
    assert sales.origin("greeting") == "Agent('sales')" and sales["allow"] == ("+1*",)
    assert sales.lookup is declared.lookup
    assert gather(settings(tmp_path, TWO), [declared, declared])[1][0].got == "two Agent(...) of one name"


class TestLists:
    """Allow and deny."""

    @pytest.fixture
    def closed(self, tmp_path):
        text = '[agent]\nallow = ["+1555*"]\ndeny = ["+15556660000"]\nrefused_say = "No."\n'
        return gather(settings(tmp_path, text))[0].profiles["default"]

    def test_a_verified_caller_on_the_allow_list_gets_in(self, closed):
        assert refusal(closed, facts(verified=True)) is None

    def test_the_same_number_unverified_does_not_and_the_reason_says_so(self, closed):
        found = refusal(closed, facts(attestation="No-TN-Validation"))
        assert found is not None and found.why == "caller-not-verified" and found.say == "No."
        assert found.detail.endswith("but the carrier does not vouch for it: No-TN-Validation")
        assert "+1555" not in found.detail  # no number in a log

    def test_a_verified_caller_who_is_not_on_it_stays_out(self, closed):
        found = refusal(closed, facts(caller="+447700900000", verified=True))
        assert found is not None and found.why == "caller-not-allowed"

    @pytest.mark.parametrize("verified", [True, False])
    def test_a_denied_number_is_not_even_answered_vouched_for_or_not(self, closed, verified):
        found = refusal(closed, facts(caller="+15556660000", verified=verified))
        assert found is not None and (found.why, found.say) == ("caller-denied", None)

    def test_whom_we_call_is_nobody_to_be_kept_out(self, closed):
        assert refusal(closed, facts(to="+15556660000", direction="outbound-api")) is None


@pytest.mark.parametrize("where", ["limits", "agents.night"])
def test_a_line_that_is_not_there_is_refused_by_name_and_one_of_ones_own_is_taken(tmp_path, where):
    (tmp_path / "offhook.toml").write_text(
        '[provider]\nname = "loopback"\n[carrier]\nauth = "none"\n[record]\nlines_dir = "."\n'
        f'[{where}]\nidle_line = "ciao"\n'
    )
    (problem,) = judge.problems(load({}, environment={}, cwd=tmp_path))
    assert problem.setting == f"{where}.idle_line" and "a file ciao.wav in record.lines_dir" in problem.wanted
    with wave.open(str(tmp_path / "ciao.wav"), "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(b"\0\1" * 800)
    assert judge.problems(load({}, environment={}, cwd=tmp_path)) == []
