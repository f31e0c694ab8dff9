"""
What the receptionist answers: a fixed dialogue over intents. Pure; knows no audio and no wire.
"""

import re
from collections.abc import Sequence

from msgspec import Struct

from offhook.loopback.grammar import intent_of
from offhook.loopback.lines import AGENT, NUMBERS

__all__ = [
    "Answer", "answer_key", "answer_result", "answer_say", "answer_speech", "answer_told", "answer_written", "greeting",
]  # fmt: skip

_NOT_TRIED = ("hang_up", "job_status", "job_cancel", "transfer_call", "press_keys", "collect_digits")


class Answer(Struct, frozen=True):
    """One answer: the name of its line, its text, and whether the call shall end after it."""

    line: str  # several with spaces between them
    hang_up: bool = False
    tool: str = ""  # called instead, where the session has it
    transfer: bool = False  # and the caller is given away, where the session can

    @property
    def lines(self) -> list[str]:
        return self.line.split()

    @property
    def text(self) -> str:
        return " ".join(AGENT.get(line) or NUMBERS[line] for line in self.lines)


def greeting(text: str = "") -> Answer:
    """The greeting it is given where it knows the words, as any line of its own; else its own."""
    return Answer(next((line for line, known in AGENT.items() if known == text), "greeting"))


def answer_speech(words: str, sure: bool, tools: Sequence[str] = ()) -> Answer:
    """The answer to what the ear made of an utterance; two of them call a tool of the session, where it has one."""
    intent = intent_of(words) if sure else None
    if intent is None or (intent == "transfer" and "transfer_call" not in tools):
        return Answer("unknown")
    own = [name for name in tools if name not in _NOT_TRIED]
    fits = [name for name in own if re.search("time|clock|hour", name)] if intent == "time" else own
    tool = fits[0] if intent in ("time", "try") and fits else ""
    return Answer(intent, hang_up=intent == "goodbye", tool=tool, transfer=intent == "transfer")


def answer_result(output: str) -> Answer:
    """What it says of a tool's result: the numbers in it, for it knows no other words of others."""
    if '"error"' in output:
        return Answer("did_not_work")
    found = [int(number) for number in re.findall(r"(?<!\d)\d{1,2}(?!\d)", output)][:4]
    spoken = [line for number in found if number < 60 for line in _number(number)]
    return Answer(" ".join(spoken) or "done")


def _number(number: int) -> list[str]:
    if number <= 20 or number % 10 == 0:
        return [f"number_{number}"]
    return [f"number_{number - number % 10}", f"number_{number % 10}"]


def answer_say(text: str) -> Answer:
    """What it says when it is given a text: that text where it knows it, else that it cannot."""
    return Answer(next((line for line, known in AGENT.items() if known == text), "fixed"))


def answer_told(told: str) -> Answer | None:
    """The answer to something that the bridge tells of; None when it is nothing known."""
    if "transfer failed" in told:
        return Answer("back")
    return answer_key(told)


def answer_written(text: str, tools: Sequence[str] = ()) -> Answer:
    """The answer to a line that the caller wrote: as if it had been said."""
    return answer_speech(re.sub(r"[^\w\s]", "", text), True, tools)


def answer_key(told: str) -> Answer | None:
    """The answer to a key, as the bridge tells of it; None when the text tells of none."""
    key = re.search(r"pressed key ([0-9*#A-D])", told)
    if key is None:
        return None
    return Answer(f"key_{key[1]}" if f"key_{key[1]}" in AGENT else "key")
