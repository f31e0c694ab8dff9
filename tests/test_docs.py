"""Docs that cannot rot: generated pages are fresh, and names in the README are those of the wires."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from offhook.cli.init import text
from offhook.settings import load
from offhook.wires.providers import openai, xai

ROOT = Path(__file__).parent.parent
spec = importlib.util.spec_from_file_location("docs", ROOT / "tools" / "docs.py")
assert spec is not None and spec.loader is not None
docs = importlib.util.module_from_spec(spec)
spec.loader.exec_module(docs)


@pytest.mark.parametrize("name", docs.PAGES)
def test_generated_pages_are_fresh(name):
    assert (ROOT / "docs" / name).read_text() == docs.PAGES[name](), "run: python tools/docs.py"


def test_models_in_the_docs_are_served():
    pages = "".join(path.read_text() for path in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")))
    pages = re.sub(r"```console.*?```", "", pages, flags=re.S)  # what a program printed of others' mistakes
    dead = {*openai.DEAD_MODELS.value, *xai.DEAD_MODELS.value}
    for model in set(re.findall(r"\b(?:gpt-(?:4o-)?realtime|grok)-[\w.-]+\w", pages)):
        assert model not in dead, model


def test_the_readmes_commands_exist(tmp_path):
    commands = set(
        re.findall(r"^offhook ([a-z]+(?: settings| provider| systemd)?)", (ROOT / "README.md").read_text(), re.M)
    )
    assert {"init", "check settings", "check provider", "serve", "show", "trace"} <= commands
    for command in commands:
        ran = subprocess.run(
            [sys.executable, "-m", "offhook", *command.split(), "--help"],
            capture_output=True, cwd=tmp_path, timeout=80, env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        )  # fmt: skip
        assert ran.returncode == 0, command


@pytest.mark.parametrize("provider", ["openai", "xai", "loopback"])
def test_the_file_that_init_writes_is_taken_as_it_stands(tmp_path, provider):
    (tmp_path / "offhook.toml").write_text(text(provider, "https://voice.example.com"))
    assert load({}, environment={}, cwd=tmp_path)["provider.name"] == provider
