"""
What an agent says it did, or does: found in its words, by language, to be compared with what it really did.

Patterns are data (``english.py`` and its neighbours): a claim is a statement in the first person or the passive, never a
question, an offer, a condition or a denial. Pure; knows no call.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cache

from msgspec import Struct

from offhook.claims import english, german, spanish

__all__ = ["DONE", "HANG_UP", "KINDS", "LOOK_UP", "TRANSFER", "Claim", "claims", "does", "is_farewell"]

LANGUAGES = (english, german, spanish)

HANG_UP, TRANSFER, LOOK_UP = "hang_up", "transfer", "look_up"  # what it is about to do
DONE = ("booked", "sent", "cancelled", "changed", "ordered", "handed_on")  # what it did
KINDS = (HANG_UP, TRANSFER, LOOK_UP, *DONE)

# Which tools, by their names, may have done it; what a tool declares (``does``) goes before.
_NAMES: Mapping[str, str] = {
    HANG_UP: r"hang_?up|end_?(the_?)?call|finish_?call|terminate|disconnect|goodbye",
    TRANSFER: r"transfer|forward|connect|put_?through|hand_?over|handoff|escalat|dial",
}

_OF_THE_CALL = rf"{_NAMES[HANG_UP]}|^(?:transfer_call|press_keys|collect_digits|job_status|job_cancel)$"


class Claim(Struct, frozen=True):
    """One claim: its kind, the words, and whether they were the last ones of what was said."""

    kind: str
    words: str
    last: bool = False


def claims(text: str) -> list[Claim]:
    """The claims in ``text``, in order, each kind once."""
    sentences = [one for one in re.findall(r"[^.!?…]+[.!?…]*", " ".join(text.split())) if one.strip()]
    found: dict[str, Claim] = {}
    for n, sentence in enumerate(sentences):
        if "?" in sentence:
            continue
        for clause in re.split(r"[,;:–—]", sentence):
            for kind in _kinds(clause):
                found.setdefault(kind, Claim(kind, sentence.strip()[:160], n == len(sentences) - 1))
    return list(found.values())


def _kinds(clause: str) -> Iterable[str]:
    for pattern, hedge, kind in _compiled():
        match = pattern.search(clause)
        if match is not None and not hedge.search(clause[: match.end()]):
            yield kind


@cache
def _compiled() -> tuple[tuple[re.Pattern[str], re.Pattern[str], str], ...]:
    made = []
    for language in LANGUAGES:
        hedge = re.compile(rf"\b(?:{language.HEDGES})(?!\w)", re.IGNORECASE)
        for kind, pattern in language.CLAIMS.items():
            made.append((re.compile(rf"(?<!\w)(?:{pattern})(?!\w)", re.IGNORECASE | re.VERBOSE), hedge, kind))
    return tuple(made)


@cache
def _farewells() -> re.Pattern[str]:
    return re.compile(rf"(?<!\w)(?:{'|'.join(language.FAREWELLS for language in LANGUAGES)})(?!\w)", re.IGNORECASE)


def is_farewell(text: str) -> bool:
    """Whether somebody takes leave in ``text``."""
    return bool(_farewells().search(text))


def does(kind: str, name: str, declared: Iterable[str] = ()) -> bool:
    """
    Whether a run of the tool ``name`` makes a claim true.

    What was not declared is judged kindly: any tool but one that ends the call may have looked up or done a thing.
    """
    given = tuple(declared)
    if given and kind not in (HANG_UP, TRANSFER, LOOK_UP):
        return kind in given
    own = _NAMES.get(kind)
    if own is not None:
        return bool(re.search(own, name, re.IGNORECASE)) or kind in given
    return not re.search(_OF_THE_CALL, name, re.IGNORECASE)
