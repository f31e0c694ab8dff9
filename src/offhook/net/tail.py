"""
The last of what was said in a call, by both sides, for whoever goes on with it. Bounded; knows no audio.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

from offhook import vocab as v

__all__ = ["Tail"]

MOST_TURNS = 24


class Tail:
    """One call's last turns, in the order in which they were reported."""

    def __init__(self) -> None:
        self._turns: deque[tuple[str, str, str]] = deque(maxlen=MOST_TURNS)  # who, item, text

    def hear(self, event: object) -> None:
        """Take note of an event, if it says something."""
        if isinstance(event, v.CallerTranscript | v.AgentTranscript) and event.final and event.text.strip():
            who = "caller" if isinstance(event, v.CallerTranscript) else "agent"
            self._turns.append((who, event.item_id, event.text.strip()))

    def said(self, heard: Mapping[str, str] | None = None) -> list[tuple[str, str]]:
        """Who said what; of items in ``heard`` only what the caller heard of them, if anything."""
        cut = heard or {}
        turns = [(who, cut.get(item, text) if who == "agent" else text) for who, item, text in self._turns]
        return [(who, text) for who, text in turns if text]
