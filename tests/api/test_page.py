"""docs/api.md, executed: its curl commands are typed as they stand there, its tables are the program's."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.api.kit import CALL, RUNNING
from tests.api.on_port import Running

from offhook.api.access import SCOPES

PAGE = (Path(__file__).parents[2] / "docs" / "api.md").read_text()
SCOPED = ("read", "control", "place")  # as the tokens that the page makes, and no more


def commands() -> list[str]:
    """Every curl command of the page, each with the lines that it goes on over."""
    blocks = re.findall(r"```\n(curl .*?)```", PAGE, re.S)
    return [one for block in blocks for one in re.findall(r"^curl (?:.*\\\n)*.*$", block, re.M)]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    made = Running(tmp_path_factory.mktemp("page"), *SCOPED, **{"outbound.from": "+15550100002"})
    yield made
    made.stop()


def typed(running: Running, command: str) -> tuple[int, Any]:
    """Type a command; the status and the answer. Port and call are this test's."""
    running.do(running.ring())
    acts = "/say" in command
    shell = command.replace("localhost:8080", running.url.removeprefix("http://"))
    shell = shell.replace("CA0123...", RUNNING if acts else CALL)
    if acts:  # nobody answers on the provider's side of this call: how it went comes later
        shell = shell.replace("/say ", "/say?wait_s=0 ")
    ended = subprocess.run(
        ["sh", "-c", f'{shell} -sS -w "\n%{{http_code}}"'], env={"TOKEN": running.token, "PATH": "/usr/bin:/bin"},
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    body, _, status = ended.stdout.rpartition("\n")
    return int(status), json.loads(body)


def test_the_page_has_the_commands_that_are_looked_for():
    assert len(commands()) == PAGE.count("\ncurl ") >= 5


def test_every_curl_command_of_the_page_is_answered_as_it_says(running: Running):
    status: dict[str, int] = {}
    said: dict[str, Any] = {}
    for command in commands():
        found = re.search(r"/api/([^ \"?]*)", command)
        assert found is not None, command
        what = found[1].rpartition("/")[2] + (" -d" if " -d " in command else "")
        status[what], said[what] = typed(running, command)
    assert status == {"calls": 200, "transcript": 200, "findings": 200, "calls -d": 201, "say -d": 202}, said
    assert said["transcript"]["turns"] and said["findings"]["verdict"] and said["calls"]["source"] == "store"
    assert (said["calls -d"]["to"], said["calls -d"]["agent"]) == ("+15550100077", "billing")
    assert said["say -d"]["outcome"] == "asked"


def test_the_mistake_of_the_page_is_told_in_these_words(running: Running):
    shown = re.search(r"```json\n(\{.*?)```", PAGE, re.S)
    assert shown is not None
    running.do(running.ring())
    answer = running.session.post(
        f"{running.url}/api/calls/{RUNNING}/dtmf", json={"digits": "12x"}, headers=running.headers
    )
    assert answer.json() == json.loads(shown[1])


def test_the_scopes_of_the_page_are_those_there_are():
    assert set(re.findall(r"^\| `(\w+)` \|", PAGE.partition("## Asking")[0], re.M)) == set(SCOPES)
