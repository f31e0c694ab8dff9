"""docs/tools.md is true: its file is read, its commands print what stands there, its test passes."""

import re
import runpy
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from offhook.cli import app
from offhook.settings import load

TEXT = (Path(__file__).parent.parent / "docs" / "tools.md").read_text()


def blocks(kind: str) -> list[str]:
    return re.findall(rf"```{kind}\n(.*?)```", TEXT, re.S)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "offhook.toml").write_text(blocks("toml")[0])
    (tmp_path / "desk.py").write_text(blocks("python")[0])
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WEATHER_TOKEN", "weather-secret")
    return tmp_path


def test_commands_print_what_the_page_says(folder: Path):
    commands = blocks("console")
    assert len(commands) == 3
    for block in commands:
        line, _, wanted = block.partition("\n")
        name, arguments = re.fullmatch(r"\$ offhook tools run (\w+) '(.*)'", line).groups()  # type: ignore[union-attr]
        output = CliRunner().invoke(app, ["tools", "run", name, arguments]).output
        got = re.sub(r"^(outcome +\w+)  .*$|^(job .* ok)  \d+$", lambda m: m[1] or m[2], output, flags=re.M)
        assert got == wanted, line
    listed = CliRunner().invoke(app, ["tools"])
    assert listed.exit_code == 0 and "weather  http  GET https://weather.example.com/v1/{city}" in listed.output


def test_the_other_file_is_one_that_can_be_read(tmp_path: Path):
    (tmp_path / "offhook.toml").write_text(blocks("toml")[1])
    from offhook.agent.tools.declared import declared

    made = declared(load(cwd=tmp_path, environment={"FILES_KEY": "k", "WIKI_TOKEN": "t"}))
    assert not made.problems and [server.name for server in made.servers] == ["files", "wiki"]


def test_the_test_of_the_page_passes(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setenv("OFFHOOK_SIDE_EFFECTS", "off")
    (folder / "page.py").write_text(blocks("python")[1])
    try:
        runpy.run_path(str(folder / "page.py"))["test_a_table_is_booked_once"]()
    finally:
        sys.modules.pop("desk", None)
