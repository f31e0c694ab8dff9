"""
What the receptionist answers: a fixed dialogue over intents. Pure; knows no audio and no wire.
"""

import re

from msgspec import Struct

from offhook.loopback.grammar import intent_of
from offhook.loopback.lines import AGENT

__all__ = ["Answer", "answer_key", "answer_say", "answer_speech", "greeting"]


class Answer(Struct, frozen=True):
    """One answer: the name of its line, its text, and whether the call shall end after it."""

    line: str
    hang_up: bool = False

    @property
    def text(self) -> str:
        return AGENT[self.line]


def greeting(text: str = "") -> Answer:
    """The greeting it is given where it knows the words, as any line of its own; else its own."""
    return Answer(next((line for line, known in AGENT.items() if known == text), "greeting"))


def answer_speech(words: str, sure: bool) -> Answer:
    """The answer to what the ear made of an utterance."""
    intent = intent_of(words) if sure else None
    if intent is None:
        return Answer("unknown")
    return Answer(intent, hang_up=intent == "goodbye")


def answer_say(text: str) -> Answer:
    """What it says when it is given a text: that text where it knows it, else that it cannot."""
    return Answer(next((line for line, known in AGENT.items() if known == text), "fixed"))


def answer_key(told: str) -> Answer | None:
    """The answer to a key, as the bridge tells of it; None when the text tells of none."""
    key = re.search(r"pressed key ([0-9*#A-D])", told)
    if key is None:
        return None
    return Answer(f"key_{key[1]}" if f"key_{key[1]}" in AGENT else "key")
