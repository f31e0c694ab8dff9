"""What fits a terminal, and what a pipe gets."""

import os
import sys

import pytest

from offhook.cli.screen import colored, fitted

TEXT = "We offer check ups, cleaning, whitening, and repairs."


@pytest.fixture
def terminal(monkeypatch):
    def make(columns: int, *, tty: bool = True) -> None:
        monkeypatch.setattr(sys.stdout, "isatty", lambda: tty, raising=False)
        monkeypatch.setattr("shutil.get_terminal_size", lambda: os.terminal_size((columns, 24)))

    return make


def test_what_does_not_fit_goes_on_below_itself(terminal):
    terminal(50)
    assert fitted("12.00s  agent  ", TEXT).splitlines() == [
        "12.00s  agent  We offer check ups, cleaning,",
        "               whitening, and repairs.",
    ]


def test_a_long_word_is_not_broken_so_that_a_path_can_be_copied(terminal):
    terminal(50)
    assert fitted("read  ", "/tmp/" + "x" * 60).splitlines() == ["read  /tmp/" + "x" * 60]


@pytest.mark.parametrize(("columns", "tty"), [(50, False), (200, True), (10, True)])
def test_a_pipe_a_wide_and_a_hopeless_terminal_get_the_line_as_it_is(terminal, columns, tty):
    terminal(columns, tty=tty)
    assert fitted("12.00s  agent  ", TEXT) == "12.00s  agent  " + TEXT


def test_colours_are_for_terminals_that_want_them(terminal, monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    terminal(80)
    assert colored()
    monkeypatch.setenv("TERM", "dumb")
    assert not colored()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "1")
    assert not colored()
    monkeypatch.delenv("NO_COLOR")
    terminal(80, tty=False)
    assert not colored()
