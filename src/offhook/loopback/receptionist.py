"""
What the receptionist answers: a fixed dialogue over intents. Pure; knows no audio and no wire.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from offhook.loopback.dictated import dictated, sample
from offhook.loopback.grammar import intent_of
from offhook.loopback.lines import AGENT, NUMBERS

__all__ = [
    "Answer", "answer_key", "answer_result", "answer_say", "answer_speech", "answer_told", "answer_written", "greeting",
]  # fmt: skip

_NOT_TRIED = ("hang_up", "job_status", "job_cancel", "transfer_call", "press_keys", "collect_digits")
_ASKS = {"status": "job_status", "cancel": "job_cancel"}
# What the tools of longer tasks answer, by what is in it.
_OF_JOBS = {
    "running": ('"jobs":', '"state":"running"'), "cancelled": ('"cancelled":', '"proof":'),
    "handed_on": ('"job":', '"state":"running"'),
}  # fmt: skip
Schemas = Mapping[str, Mapping[str, Any]]  # of the session's tools, by name


class Answer(Struct, frozen=True):
    """One answer: the name of its line, its text, and whether the call shall end after it."""

    line: str  # several with spaces between them
    hang_up: bool = False
    calls: tuple[tuple[str, str], ...] = ()  # tools and their arguments: called instead of saying it
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


def answer_speech(words: str, sure: bool, tools: Schemas = {}) -> Answer:  # noqa: B006 (never changed)
    """The answer to what the ear made of an utterance; some of them call a tool of the session, where it has one."""
    intent = intent_of(words) if sure else None
    if intent is None or (intent == "transfer" and "transfer_call" not in tools):
        return Answer("unknown")
    own = [name for name in tools if name not in _NOT_TRIED]
    fits = [name for name in own if re.search("time|clock|hour", name)] if intent == "time" else own
    tool = fits[0] if intent in ("time", "try") and fits else _ASKS.get(intent, "")
    calls = ((tool, json.dumps(sample(tools[tool]))),) if tool in tools else ()
    return Answer(intent, hang_up=intent == "goodbye", calls=calls, transfer=intent == "transfer")


def answer_result(output: str) -> Answer:
    """What it says of a tool's result: the numbers in it, for it knows no other words of others."""
    if '"error"' in output:
        return Answer("did_not_work")
    for line, signs in _OF_JOBS.items():
        if all(sign in output for sign in signs):
            return Answer(line)
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
    if (result := re.match(r"\[(?:Result of )?[\w-]+, j\d+(, did not succeed)?.*?\]", told, re.DOTALL)) is not None:
        return Answer("did_not_work") if result[1] else answer_result(told[result.end() :])
    return answer_key(told)


def answer_written(text: str, tools: Schemas = {}) -> Answer:  # noqa: B006 (never changed)
    """The answer to a line that the caller wrote: as if it had been said; ``call NAME ...`` calls that tool."""
    calls = dictated(text, tools)
    if calls:
        return Answer("done", calls=tuple(calls))
    return answer_speech(re.sub(r"[^\w\s]", "", text), True, tools)


def answer_key(told: str) -> Answer | None:
    """The answer to a key, as the bridge tells of it; None when the text tells of none."""
    key = re.search(r"pressed key ([0-9*#A-D])", told)
    if key is None:
        return None
    return Answer(f"key_{key[1]}" if f"key_{key[1]}" in AGENT else "key")
