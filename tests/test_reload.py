"""Settings that change under a running server: taken, or refused by name; never half of them."""

import asyncio
import logging
import os

import pytest

from offhook.agent.aside import Aside
from offhook.agent.resume import FileResumes
from offhook.checks.agents import ready_agents
from offhook.cli import reload as module
from offhook.cli.agents import Switchboard
from offhook.cli.reload import Reload
from offhook.evidence.numbers import NumberHash
from offhook.media.lines import spoken_lines
from offhook.settings import load

FILE = """
[provider]
name = "loopback"
[agent]
greeting = "One."
instructions_file = "told.md"
[carrier]
auth = "none"
[server]
port = 8080
"""


class Server:
    """A switchboard over a file, and its reload."""

    def __init__(self, folder) -> None:
        self.folder = folder
        (folder / "told.md").write_text("Told.")
        self.write(FILE)
        settings = load({}, environment={}, cwd=folder)
        roster, problems = ready_agents(settings)
        assert not problems
        aside = Aside()
        self.board = Switchboard(
            settings, roster, spoken_lines(), aside=aside, resumes=FileResumes(folder / "r", NumberHash(b"key"))
        )
        self.prepared: list[str] = []
        self.reload = Reload(self.board, (), aside, self._prepare, lambda settings: spoken_lines())

    async def _prepare(self, settings, roster) -> None:
        assert self.board.settings is not settings, "before the exchange, not after it"
        self.prepared.append(settings["agent.greeting"])

    def write(self, text: str) -> None:
        """As an editor does: whole, and in place of the old one."""
        fresh = self.folder / "new"
        fresh.write_text(text)
        os.replace(fresh, self.folder / "offhook.toml")

    @property
    def greeting(self) -> str:
        return self.board.roster.ready["default"].profile["greeting"]


@pytest.fixture
def server(tmp_path, monkeypatch):
    for name in [name for name in os.environ if name.startswith(("OFFHOOK_", "TWILIO_"))]:
        monkeypatch.delenv(name)
    return Server(tmp_path)


def test_a_good_edit_answers_the_next_call(server):
    server.write(FILE.replace("One.", "Two."))
    assert asyncio.run(server.reload.again("SIGHUP")) is True
    assert server.greeting == "Two." and server.prepared == ["Two."]
    assert server.reload.state()["reloads"] == 1 and "refused" not in server.reload.state()


@pytest.mark.parametrize(
    ("text", "names", "says"),
    [
        (FILE + "[agent\n", "offhook.toml", "not TOML"),
        (FILE.replace("greeting", "greting"), "agent.greting", "did you mean agent.greeting?"),
        (FILE.replace('"loopback"', '"openai"'), "provider.openai_key", "OPENAI_API_KEY"),
        (FILE.replace("told.md", "gone.md"), "agent.instructions_file", "gone.md"),
        (FILE + '[[route]]\nagent = "nobody"\n', "route 1.agent", "'nobody' (offhook.toml:12)"),
        (FILE.replace('"none"', '"signature"'), "carrier.auth_token", "TWILIO_AUTH_TOKEN"),
    ],
)  # fmt: skip
def test_a_broken_edit_is_refused_named_and_the_agents_before_go_on(server, caplog, text, names, says):
    logging.getLogger("offhook").propagate = True
    server.write(text)
    assert asyncio.run(server.reload.again("SIGHUP")) is False
    assert server.greeting == "One." and not server.prepared
    refused = server.reload.state()["refused"]
    assert any(name.endswith(names) for name in refused), refused
    assert any(says in getattr(record, "problem", "") for record in caplog.records)
    server.write(FILE.replace("One.", "Three."))
    assert asyncio.run(server.reload.again("SIGHUP")) is True
    assert server.greeting == "Three." and "refused" not in server.reload.state()


def test_what_takes_a_restart_is_said_and_not_pretended(server):
    server.write(FILE.replace("8080", "8090").replace("One.", "Two."))
    assert asyncio.run(server.reload.again("SIGHUP")) is True
    assert server.greeting == "Two." and server.reload.state()["wants_restart"] == ["server.port"]
    server.write(FILE)
    assert asyncio.run(server.reload.again("SIGHUP")) is True
    assert "wants_restart" not in server.reload.state(), "it was put back"


def test_an_edit_of_any_file_that_an_agent_came_from_is_seen_once_it_stands_still(server, monkeypatch):
    monkeypatch.setattr(module, "LOOK_EVERY_S", 0.01)

    async def until(what) -> None:
        async with asyncio.timeout(40):
            while not what():  # noqa: ASYNC110  # files have no events
                await asyncio.sleep(0.005)

    async def main() -> None:
        server.reload.start()
        await asyncio.sleep(0.03)
        (server.folder / "told.md").write_text("Told anew.")
        await until(lambda: server.board.roster.ready["default"].persona.parts[0].text == "Told anew.")
        server.write(FILE + "[agent\n")
        await until(lambda: "refused" in server.reload.state())
        server.write(FILE.replace("One.", "Four."))
        await until(lambda: server.greeting == "Four.")
        (server.folder / "told.md").unlink()
        await until(lambda: server.reload.state().get("refused") == ["agent.instructions_file"])

        (server.folder / "told.md").write_text("Back.")
        assert await server.reload.again("SIGHUP") is True
        await asyncio.sleep(0.05)  # some rounds of the watch
        await server.reload.stop()

    asyncio.run(main())
    assert server.reload.state()["reloads"] == 3, "what SIGHUP has read is not read again"


def test_a_file_that_is_still_being_written_is_not_read(server, monkeypatch):
    before, half, whole = ({server.folder / "told.md": (size, 0, 0)} for size in (1, 2, 3))
    looks = [before, before, half, whole, whole]
    read: list[tuple[str, int]] = []

    async def again(why: str) -> bool:
        read.append((why, len(looks)))
        server.reload._known = whole
        return True

    async def main() -> None:
        monkeypatch.setattr(module, "LOOK_EVERY_S", 0)
        monkeypatch.setattr(module, "_looks", lambda files: looks.pop(0))
        monkeypatch.setattr(server.reload, "again", again)
        with pytest.raises(IndexError):  # when there are no looks any more
            await server.reload._watch()

    asyncio.run(main())
    assert read == [("changed: told.md", 0)]
