"""``offhook talk`` as a user has it who has set up nothing: a pipe of lines, an agent that answers, a verdict."""

import asyncio
import importlib
import os
import signal
import subprocess
import sys
from pathlib import Path
from unittest.mock import Mock

import pytest

from offhook.cli.talk import _interrupt
from offhook.talk.playback import Playback


def test_with_nothing_set_up_a_written_line_is_answered_and_the_call_is_judged(tmp_path: Path):
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("OFFHOOK_", "TWILIO_"))}
    ran = subprocess.run(
        [sys.executable, "-m", "offhook", "talk", "--text"], input="Goodbye!\n", text=True, capture_output=True,
        cwd=tmp_path, env=environment, timeout=60,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert "loopback provider (no AI)" in ran.stdout and "Thank you for calling. Goodbye." in ran.stdout
    assert "healthy: ended by: agent hung up" in ran.stdout


def test_ctrl_c_hangs_up_and_a_second_one_ends_everything():
    async def talk() -> None:
        hung_up = asyncio.Event()
        with _interrupt(hung_up.set):
            signal.raise_signal(signal.SIGINT)
            await asyncio.wait_for(hung_up.wait(), 40)
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler

    asyncio.run(talk())


def test_marks_are_reached_when_all_before_them_was_played_and_flushed_by_a_clear():
    playback = Playback()
    playback.add(b"ab" * 80)
    playback.mark("m1")
    playback.add(b"cd" * 160)
    playback.mark("m2")
    assert playback.take(160) == (b"ab" * 80, ["m1"]) and playback.waiting_ms == 40
    assert playback.take(160) == (b"cd" * 80, [])
    assert playback.clear() == ["m2"] and playback.take(4) == (b"\xff" * 4, [])


@pytest.mark.parametrize("bye", ["/bye", "/quit"])
def test_lines_are_written_keys_pressed_and_a_word_ends_it(monkeypatch, bye):
    talk = importlib.import_module("offhook.cli.talk")  # the package has a command of that name
    typed = ["hello", "", "  what hours? ", "/1x#", bye, "after the end"]

    async def line() -> str | None:
        return typed.pop(0) if typed else None

    monkeypatch.setattr(talk, "_lines", lambda: line)
    monkeypatch.setattr("sys.stdin", Mock(isatty=lambda: True))
    stream = Mock()
    asyncio.run(talk._typed(stream, Mock()))
    assert [call.args[0] for call in stream.type.call_args_list] == ["hello", "what hours?"]
    assert [call.args[0] for call in stream.press.call_args_list] == ["1", "#"] and typed == ["after the end"]
