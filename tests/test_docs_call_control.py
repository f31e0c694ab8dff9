"""docs/call-control.md, executed: its settings are taken, its Python runs, its words are those of the program."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from offhook import vocab as v
from offhook.agent.handles import targets_of
from offhook.bridge.control import ASKED
from offhook.cli.call import WORDS
from offhook.settings import load
from offhook.sims.faults.scene import ours
from offhook.sims.virtual import World
from offhook.sims.virtual_carrier import Line

PAGE = (Path(__file__).parent.parent / "docs" / "call-control.md").read_text()


def block(kind: str) -> str:
    found = re.search(rf"```{kind}\n(.*?)```", PAGE, re.S)
    assert found is not None
    return found[1]


def test_the_settings_of_the_page_are_taken(tmp_path: Path):
    (tmp_path / "offhook.toml").write_text('[provider]\nname = "loopback"\n' + block("toml"))
    made = load(environment={}, cwd=tmp_path)
    assert targets_of(made["agent.transfer_to"])["doctor"] == "sip:doctor@clinic.example"
    assert (made["limits.spend_day_usd"], made["agent.keypad"]) == (50.0, True)


def test_the_python_of_the_page_does_what_it_says():
    names: dict[str, Any] = {}
    exec(compile(block("python"), "docs/call-control.md", "exec"), names)
    told: list[Any] = []

    def later(world: World, server: Any, lines: list[Line]) -> None:
        async def run() -> None:
            told.append(await names["take_over"](server.host.calls, lines[0].call_sid))

        world.after(6.0, lambda: world.loop.create_task(run()))

    def play(line: Line) -> None:
        for n, digit in enumerate("4711"):
            line.then(16.0 + n / 2, lambda digit=digit: line.press(digit))
        line.then(30.0, line.hang_up)

    ours("openai", play, greeting="Hello.", then=later)
    assert told == [("heard", "length", "4711")]


def test_every_order_is_in_the_table_and_every_status_in_the_words():
    rows = set(re.findall(r"^\| `(\w+Asked)\(", PAGE, re.M))
    assert rows == {kind.__name__ for kind in ASKED} and all(hasattr(v, name) for name in rows)
    said = re.findall(r"^ +[\d.]+s call +(.+)$", block("console"), re.M)
    assert set(said) - {"by the carrier's detection: human"} <= set(WORDS.values())
