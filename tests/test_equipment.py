"""Tools that change under a running server: new calls get them, running ones keep theirs, broken ones are refused."""

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest

from offhook import vocab as v
from offhook.agent.prompt import CallFacts
from offhook.agent.tools import CallContext
from offhook.cli import equipment as module
from offhook.cli.equipment import Equipment
from offhook.cli.reload import ReloadRefused
from offhook.net.hands import Hands
from offhook.settings import Settings, load
from offhook.testing.effects import VARIABLE

TOML = '[tools.hours]\npython = "own.py:hours"\nchanges = false\n'
CODE = 'def hours() -> str:\n    """When we are open."""\n    return "from {} on"\n'
FACTS = CallFacts("+15550001111", "+15550002222", "CA1", "inbound", {})


class Clock:
    def now(self) -> float:
        return 0.0


class Place:
    """A folder with settings and a file of tools."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.write("nine")
        self.equipment = Equipment(self.settings(), ())
        self.hands = Hands(self.equipment.box, Clock(), None)  # type: ignore[arg-type]

    def write(self, word: str, toml: str = TOML) -> None:
        """Within one second and with the same size, which Python's own cache of modules does not notice."""
        (self.folder / "offhook.toml").write_text(toml)
        path = self.folder / "own.py"
        path.write_text(CODE.format(word))
        fresh = path.stat().st_mtime_ns + 1000
        os.utime(path, ns=(fresh, fresh))

    def settings(self) -> Settings:
        return load({}, environment={}, cwd=self.folder)

    async def change(self) -> bool:
        fresh = await self.equipment.made(self.settings())
        if fresh is not None:
            self.equipment.exchange(fresh, self.hands)
        return fresh is not None


async def asked(box: Any, name: str = "hours") -> str:
    answer: asyncio.Future[v.ToolFinished] = asyncio.get_running_loop().create_future()
    box.run(v.RunTool("c1", name, "{}"), CallContext("CA1"), answer.set_result, lambda kind, data: None)
    async with asyncio.timeout(10):
        return (await answer).output


def run(folder: Path, monkeypatch: pytest.MonkeyPatch, body: Any) -> None:
    monkeypatch.setattr(module, "LOOK_S", 0.01)

    async def main() -> None:
        place = Place(folder)
        await place.equipment.start()
        try:
            await body(place)
        finally:
            await place.equipment.stop()

    asyncio.run(main())


def test_an_edited_file_answers_the_next_call_and_the_old_one_is_retired_when_its_last_call_is_over(
    tmp_path, monkeypatch
):
    async def body(place: Place) -> None:
        old = place.equipment.box
        place.hands.begin("CA1", FACTS)
        assert await place.change() is False, "nothing was changed"
        place.write("five")
        assert await place.change() is True
        new = place.equipment.box
        assert (await asked(old), await asked(new)) == ("from nine on", "from five on")
        for _ in range(5):
            await asyncio.sleep(0.01)
        assert place.equipment._retiring, "a call still has them"
        place.hands.ended("CA1")
        async with asyncio.timeout(10):
            while place.equipment._retiring:  # noqa: ASYNC110  # the box ends threads
                await asyncio.sleep(0.01)
        assert await asked(new) == "from five on"

    run(tmp_path, monkeypatch, body)


def test_what_still_runs_in_a_box_that_was_replaced_goes_on_to_its_end(tmp_path, monkeypatch):
    async def body(place: Place) -> None:
        slow = "async def hours() -> str:\n    'When.'\n    await asyncio.sleep(0.1)\n    return 'late'\n"
        (tmp_path / "own.py").write_text(f"import asyncio\n{slow}")
        await place.change()
        running = asyncio.ensure_future(asked(place.equipment.box))
        await asyncio.sleep(0)
        place.write("five")
        await place.change()
        assert await running == "late"

    run(tmp_path, monkeypatch, body)


@pytest.mark.parametrize(
    ("toml", "code", "says"),
    [
        (TOML, "def hours(:\n", "SyntaxError"),
        (TOML.replace("own.py:hours", "own.py:days"), CODE, "'days'"),
        (TOML + '[tools.more]\nurl = "ftp://x"\n', CODE, "tools.more"),
    ],
)
def test_broken_tools_are_refused_by_name_and_those_before_go_on(tmp_path, monkeypatch, toml, code, says):
    async def body(place: Place) -> None:
        place.write("nine", toml)
        (tmp_path / "own.py").write_text(code)
        with pytest.raises(ReloadRefused) as refused:
            await place.change()
        assert says in f"{refused.value} {refused.value.where}" and refused.value.where[0].startswith("tools.")
        assert await asked(place.equipment.box) == "from nine on"

    run(tmp_path, monkeypatch, body)


@pytest.mark.parametrize(("said", "output"), [("off", "was not carried out"), ("on", "from nine on")])
def test_where_side_effects_are_off_no_tool_of_the_server_does_what_it_does(tmp_path, monkeypatch, said, output):
    monkeypatch.setenv(VARIABLE, said)

    async def body(place: Place) -> None:
        place.write("nine", TOML.replace("changes = false", "changes = true"))
        await place.change()
        assert output in await asked(place.equipment.box)

    run(tmp_path, monkeypatch, body)


def test_tools_come_and_go(tmp_path, monkeypatch):
    async def body(place: Place) -> None:
        place.write("nine", "")
        assert await place.change() is True and place.equipment.box is None and place.hands.specs(None) == ()
        place.write("nine", TOML + "deadline_s = 3.0\n")
        assert await place.change() is True
        assert place.hands.policies(None)["hours"].deadline_s >= 3.0 and await asked(place.equipment.box)

    run(tmp_path, monkeypatch, body)
