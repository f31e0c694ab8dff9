"""docs/agents.md: each command as it stands there, in the folder it speaks of; and agents declared in Python."""

import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from offhook.cli import app
from offhook.cli.declared import AppError, declared_in

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "agents.md").read_text()
EXAMPLES = [(m[1], m[2]) for m in re.finditer(r"```console\n\$ offhook (.*)\n((?:.*\n)*?)```", PAGE)]


def offhook(command: str) -> tuple[int, str]:
    """Exit code and what it printed; ``| grep WORD`` as a shell does it."""
    words, _, sought = command.partition(" | grep ")
    ran = CliRunner().invoke(app, shlex.split(words), prog_name="offhook")
    lines = [line.rstrip() for line in ran.output.splitlines() if sought in line]
    return ran.exit_code, "".join(f"{line}\n" for line in lines)


@pytest.fixture
def folder(monkeypatch):
    monkeypatch.chdir(ROOT / "examples" / "agents")


def test_the_page_has_its_examples():
    assert len(EXAMPLES) == 4


@pytest.mark.parametrize(("command", "printed"), EXAMPLES, ids=[command for command, _ in EXAMPLES])
def test_an_example_prints_what_the_page_shows(folder, command, printed):
    assert offhook(command) == (0, printed)


def test_the_pages_toml_is_that_of_the_example(folder):
    night = PAGE.partition("[agents.night]")[2].partition("\n\n")[0]
    assert night in Path("offhook.toml").read_text()


def test_the_pages_program_declares_its_agent(tmp_path):
    (program,) = re.findall(r"```python\n(.*?)```", PAGE, re.S)
    (tmp_path / "desk.py").write_text(program)
    (receptionist,) = declared_in(tmp_path / "desk.py")
    assert receptionist.greeting == "Hello, the front desk." and receptionist.name == "default"
    assert declared_in(None) == ()


@pytest.mark.parametrize(
    ("text", "says"),
    [(None, "no such file"), ("x = 1\n", "no Agent(...) at its top"), ("1/0\n", "ZeroDivisionError: division by zero"),
     ("def\n", "SyntaxError")],
)  # fmt: skip
def test_a_program_without_agents_is_refused_by_name(tmp_path, text, says):
    if text is not None:
        (tmp_path / "a.py").write_text(text)
    with pytest.raises(AppError, match=re.escape(says)):
        declared_in(tmp_path / "a.py")


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("agent show nobody", "there is no agent 'nobody'; there are: default, desk, night, bob"),
        ("agent show --to 5550001", "--to 5550001: wanted a number with + and its country code"),
        ("agent show --at noon", "--at noon: wanted a time"),
        ("agent show --known name", "--known name: wanted NAME=VALUE"),
    ],
)
def test_words_that_name_nothing_are_refused_with_what_was_wanted(folder, command, says):
    ran = CliRunner().invoke(app, shlex.split(command))
    assert says in str(ran.exception)


def test_problems_of_all_agents_are_listed_and_the_exit_code_says_so(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("offhook.toml").write_text(
        '[agents.a]\nprovider = "opnai"\n[agents.b]\nprovider = "loopback"\nvoice = "marin"\n[[route]]\nagent = "c"\n'
    )
    ran = CliRunner().invoke(app, ["agent", "list"])
    assert ran.exit_code == 2
    for said in ("agents.a.provider: got 'opnai' (offhook.toml:2)", 'write provider = "openai"',
                 "agents.b.voice: got 'marin'", "(offhook.toml:5)", "route 1.agent: got 'c'"):  # fmt: skip
        assert said in ran.output, said
