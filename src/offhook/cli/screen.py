"""What a terminal is: how wide, in colours or not. A pipe has neither width nor colours. Knows no command."""

from __future__ import annotations

import os
import shutil
import sys
import textwrap

__all__ = ["colored", "fitted"]

NARROWEST = 40


def colored() -> bool:
    """Whether standard output takes colours (no-color.org)."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def fitted(head: str, text: str) -> str:
    """``head`` and ``text`` in lines that fit the terminal; what does not fit goes on below ``text``."""
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else 0
    room = width - len(head)
    if width < NARROWEST or room < NARROWEST // 2 or len(text) <= room:
        return head + text
    lines = textwrap.wrap(text, room, break_long_words=False, break_on_hyphens=False)
    return head + ("\n" + " " * len(head)).join(lines)
