"""[tools.NAME] of offhook.toml: made into tools, or refused with the line, what was got, what was wanted, the fix."""

from pathlib import Path
from typing import Any

import pytest

from offhook.agent.tools.declared import Declared, declared
from offhook.settings import SettingsError, load

OWN = '''
from offhook import tool

@tool(changes=False)
def find(name: str) -> str:
    """Find somebody."""
    return name

@tool(deadline_s=3)
async def add(name: str) -> None:
    """Add somebody."""

def unmarked(day: str) -> str:
    """Say the day."""
    return day
'''


def read(tmp_path: Path, toml: str, **environment: str) -> Declared:
    (tmp_path / "own.py").write_text(OWN)
    (tmp_path / "offhook.toml").write_text(toml)
    return declared(load(cwd=tmp_path, environment=environment))


def test_every_kind_of_tool(tmp_path: Path):
    made = read(
        tmp_path,
        """
[tools.people]
python = "own.py"
max_chars = 500

[tools.day]
python = "own.py:unmarked"
description = "Say it."
filler = "moment"
changes = false

[tools.weather]
url = "https://api.example.com/{city}"
description = "The weather."
headers = {Authorization = "Bearer {env:WEATHER}"}
retries = 2
[tools.weather.parameters]
city = "string: the city"
days = "integer?: how many"
unit = {type = "string", choices = ["C", "F"], optional = true}
tags = {type = "string[]", description = "Tags."}

[tools.desk]
mcp = "uvx desk-server --quiet"
env = {KEY = "{env:WEATHER}"}

[tools.wiki]
mcp = "https://wiki.example.com/mcp"
oauth_client_id = "me"
oauth_secret = "env:WEATHER"

[tools.research]
command = ["research", "{task}"]
deadline_s = 90

[tools.think]
gptme = true
model = "openai/gpt-5"
background = true
""",
        WEATHER="secret-token",
    )
    assert not made.problems and made
    by_name = {tool.name: tool for tool in made.tools}
    assert list(by_name) == ["find", "add", "day", "weather", "research", "think"]
    assert by_name["find"].where == "own.py:4" and by_name["add"].limits.deadline_s == 3
    assert [by_name[name].limits.max_chars for name in ("find", "add", "day")] == [500, 500, 8000]
    assert by_name["day"].description == "Say it." and by_name["day"].limits.changes is False
    weather = by_name["weather"]
    assert weather.source == "GET https://api.example.com/{city}" and weather.limits.changes is False
    assert weather.limits.may_retry and weather.limits.retries == 2  # a GET only reads, also where nobody says so
    fields = weather.parameters["properties"]
    assert weather.parameters["required"] == ["city", "tags"] and fields["city"]["description"] == "the city"
    assert fields["tags"]["items"] == {"type": "string"} and "F" in str(fields["unit"])
    assert by_name["think"].source.startswith("gptme --non-interactive --context files --model openai/gpt-5")
    desk, wiki = made.servers
    assert desk._server.argv == ("uvx", "desk-server", "--quiet") and desk._server.env == {"KEY": "secret-token"}
    assert wiki._server.url == "https://wiki.example.com/mcp" and wiki._server.oauth_secret == "secret-token"


@pytest.mark.parametrize(
    ("toml", "said"),
    [
        ("[tools.x]\ndescription = 'x'", "none of them"),
        ("[tools.x]\npython = 'own.py'\nurl = 'https://a.example/'", "python and url"),
        ("[tools.x]\npython = 'none.py'", "no such file"),
        ("[tools.x]\npython = 'own.py:fnid'", "own.py has"),
        ("[tools.x]\npython = 'no_such_module:f'", "ModuleNotFoundError"),
        ("[tools.x]\nurl = 'ftp://a.example/'\ndescription = 'x'", "scheme ftp"),
        ("[tools.x]\nurl = 'https://me:pw@a.example/'\ndescription = 'x'", "credentials in the address"),
        ("[tools.x]\nurl = 'https://a.example/'", "no description"),
        ("[tools.x]\nurl = 'https://a.example/{who}'\ndescription = 'x'", "{who} in url"),
        ("[tools.x]\nurl = 'https://a.example/'\ndescription = 'x'\nparameters = {n = 'complex: a number'}", "complex"),
        ("[tools.x]\nmcp = 'ftp://a.example'\n[tools.x2]\nurl='x'", "scheme"),
        ("[tools.x]\nurl = 'https://a.example/'\nmethod = 'POST'\ndescription = 'x'\nretries = 2", "idempotent = true"),
        ("[tools.x]\ncommand = ['bash', '-lc', 'find {task}']", "OFFHOOK_TASK"),
        ("[tools.x]\ncommand = ['find', '{task}']\ncwd = 'nowhere'", "which is no folder"),
        ("[tools.hang_up]\npython = 'own.py:find'", "a name of Offhook's own"),
        ("[tools.find]\npython = 'own.py:find'\n[tools.x]\npython = 'own.py'", "a second tool of this name"),
        ("[tools.1st]\npython = 'own.py:find'", "this name"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_with_place_and_fix(tmp_path: Path, toml: str, said: str):
    problems = read(tmp_path, toml).problems
    assert any(said in str(problem) for problem in problems), [str(problem) for problem in problems]
    assert all(problem.fix and problem.where for problem in problems)


def test_a_file_that_cannot_be_imported_is_named_by_its_error(tmp_path: Path):
    (tmp_path / "bad.py").write_text("import sys\nsys.exit('no')\n")
    (tmp_path / "offhook.toml").write_text("[tools.x]\npython = 'bad.py'\n")
    assert "bad.py: SystemExit: no" in str(declared(load(cwd=tmp_path, environment={})).problems[0])


@pytest.mark.parametrize(
    ("toml", "said"),
    [
        ("[tools.x]\nheaders = {A = 'Bearer {env:NOT_SET}'}", "NOT_SET is not set"),
        ("[tools.x]\ncommand = 5", "a command line"),
        ("[tools.x]\ncommand = 'a \"b'", "close the quotes"),
        ("[tools.x]\nheaders = 'a'", "a table"),
        ("[tools.x]\npyton = 'own.py'", "did you mean python"),
    ],
)
def test_what_is_no_setting_is_refused_when_the_file_is_read(tmp_path: Path, toml: str, said: str):
    with pytest.raises(SettingsError, match=said):
        read(tmp_path, toml)


def test_secrets_in_tables_are_known_to_the_sieve_and_shown_as_fingerprints(tmp_path: Path):
    (tmp_path / "offhook.toml").write_text(
        "[tools.x]\nurl='https://a.example'\nheaders = {A = 'Bearer {env:TOKEN}', B = 'open'}"
    )
    settings = load(cwd=tmp_path, environment={"TOKEN": "abcdefghijkl"})
    assert "abcdefghijkl" in settings.secrets() and "Bearer abcdefghijkl" in settings.secrets()
    shown: dict[str, Any] = {name: value for name, value, _ in settings.table()}
    assert "abcdefghijkl" not in shown["tools.x.headers"] and "B = open" in shown["tools.x.headers"]


def test_a_function_may_say_itself_that_it_is_a_job(tmp_path: Path):
    (tmp_path / "jobs.py").write_text(
        "from offhook import tool\n@tool(background=True)\nasync def dig(n: int) -> int:\n    'Dig.'\n    return n\n"
    )
    (tmp_path / "offhook.toml").write_text("[tools.x]\npython = 'jobs.py'\n")
    made = declared(load(cwd=tmp_path, environment={}))
    assert made.tools[0].limits.deadline_s == 5.0, "its receipt is quick"
    assert [tool.name for tool in made.sources[-1].tools] == ["job_status", "job_cancel"]
    assert made.ready(made.tools[0]).name == "dig"
