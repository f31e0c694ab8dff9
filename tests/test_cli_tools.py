"""``offhook tools`` and ``offhook check tools``, as a user sees them."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from offhook.cli import app

TOML = """
[provider]
name = "loopback"
[tools.hours]
python = "own_tools.py:hours"
[tools.crm]
url = "http://127.0.0.1:9/guests/{name}"
description = "A guest."
headers = {Authorization = "Bearer {env:CRM}"}
parameters = {name = "string: who"}
[tools.research]
command = ["sh", "-c", "echo warned >&2; echo found $OFFHOOK_TASK"]
description = "Research."
[agents.night]
tools = ["crm"]
"""
OWN = '''
def hours(day: str) -> dict[str, str]:
    """When we are open.

    Args:
        day: Which day.
    """
    return {day: "9-17"}
'''


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "offhook.toml").write_text(TOML)
    (tmp_path / "own_tools.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CRM", "crm-secret-token")
    return tmp_path


def offhook(*args: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, args)
    return result.exit_code, result.output


def test_the_list_says_what_each_is_made_of_where_it_stands_and_who_has_it():
    code, text = offhook("tools")
    assert code == 0
    assert "hours  python  own_tools.py:hours  [offhook.toml:5, own_tools.py:2]" in text
    assert "day: string  Which day." in text and "agents: default\n" in text
    assert "crm  http  GET http://127.0.0.1:9/guests/{name}" in text and "agents: default, night" in text
    assert "only reads" in text and "changes something: never run twice" in text
    data = json.loads(offhook("tools", "--json")[1])
    assert [tool["name"] for tool in data["tools"]] == ["hours", "crm", "research", "job_status", "job_cancel"]


def test_the_calls_own_tools_are_listed_with_the_setting_that_gives_them(folder: Path):
    with (folder / "offhook.toml").open("a") as file:
        file.write('transfer_to = ["sales = +15550100077"]\nhang_up = false\n[agents.day]\ntools = []\n')
    text = offhook("tools")[1]
    assert "hang_up  the call's own" in text and "day: agents.day.hang_up = true (default)" in text
    assert (
        "night: agents.night.transfer_to names sales (offhook.toml:" in text and "night: agents.night.hang" not in text
    )
    assert "no agent has it: agent.keypad gives it" in text and "+15550100077" not in text
    own = {tool["name"]: tool["agents"] for tool in json.loads(offhook("tools", "--json")[1])["own"]}
    assert list(own) == ["hang_up", "transfer_call", "press_keys", "collect_digits"]
    assert list(own["hang_up"]) == ["day"] and list(own["transfer_call"]) == ["night"] and not own["press_keys"]


def test_one_is_tried_alone_and_its_exit_code_says_how_it_went():
    code, text = offhook("tools", "run", "hours", '{"day": "Mon"}')
    assert code == 0 and '{"Mon":"9-17"}' in text and "outcome   ok" in text
    code, text = offhook("tools", "run", "hours", '{"dy": "Mon"}')
    assert code == 1 and "unknown field `dy`" in text
    code, text = offhook("tools", "run", "hours", '{"day": "Mon"}', "--dry")
    assert code == 3 and "was not carried out" in text
    code, text = offhook("tools", "run", "nothing")
    assert code == 2 and "there are: hours, crm" in text
    code, text = offhook("tools", "run", "crm", '{"name": "Ada"}')
    assert code == 1 and "no public address" in text and "crm-secret-token" not in text


def test_a_delegate_is_followed_to_its_end():
    code, text = offhook("tools", "run", "research", '{"task": "plumbers; rm -rf /"}')
    assert code == 0 and "j1" in text and "found plumbers; rm -rf /" in text and "stderr: warned" in text


def test_check_says_what_stands_behind_each(folder: Path):
    code, text = offhook("check", "tools")
    assert code == 1 and "its program is" in text and 'allow = ["127.0.0.1"]' in text
    (folder / "offhook.toml").write_text(
        TOML.replace('description = "A guest."', 'description = "A."\nallow = ["127.0.0.1"]')
    )
    code, text = offhook("check", "tools")
    assert code == 0 and "nothing was sent to it" in text
    (folder / "offhook.toml").write_text('[provider]\nname = "loopback"\n[tools.x]\nmcp = "/no/such/server"\n')
    code, text = offhook("check", "tools")
    assert code == 1 and "FileNotFoundError" in text


def test_a_mistake_keeps_serve_from_starting(folder: Path):
    (folder / "offhook.toml").write_text(TOML.replace("own_tools.py:hours", "own_tools.py:huors"))
    code, text = offhook("check", "settings")
    assert code == 1 and "tools.hours: got 'huors'" in text and "own_tools.py has hours" in text
