"""
The whole of what an agent is told in one call: its parts, rendered, in order, and cut to a size by what matters least.

Nothing is cut silently: the outcome says of each part how much of it was kept and why.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct

from offhook.agent.persona import CALLER, Part
from offhook.agent.prompt import CallFacts, render

__all__ = ["Kept", "Prompt", "assemble", "caller_part", "resume_part", "tokens"]

BETWEEN = "\n\n"
LEAST_CHARS = 200  # a shorter rest of a part says nothing
MARK = "\n[… cut here …]"


class Kept(Struct, frozen=True):
    """What became of one part."""

    name: str
    source: str
    chars: int
    kept_chars: int
    why: str = ""  # less was kept than there is


class Prompt(Struct, frozen=True):
    """The text, and its parts in order."""

    text: str
    parts: tuple[Kept, ...]

    @property
    def cut(self) -> tuple[Kept, ...]:
        return tuple(part for part in self.parts if part.why)


def tokens(chars: int) -> int:
    """About how many tokens: English has four characters in one, other languages fewer."""
    return -(-chars // 4)


def assemble(parts: Sequence[Part], facts: CallFacts, most_chars: int) -> Prompt:
    """All ``parts`` with the call's facts filled in, in at most ``most_chars`` characters."""
    texts = [render(part.text, facts) for part in parts]
    full = [len(text) for text in texts]
    why = [""] * len(texts)
    for i in sorted(range(len(texts)), key=lambda i: (parts[i].rank, i), reverse=True):
        over = _size(texts) - most_chars
        if over <= 0:
            break
        texts[i] = _shortened(texts[i], over)
        limit = f"agent.max_prompt_chars is {most_chars}"
        why[i] = f"{limit}, and this part matters {'least' if parts[i].rank else 'most, but is alone too long'}"
    kept = tuple(
        Kept(part.name, part.source, chars, len(text), cause)
        for part, chars, text, cause in zip(parts, full, texts, why, strict=True)
    )
    return Prompt(BETWEEN.join(text for text in texts if text), kept)


def _size(texts: Sequence[str]) -> int:
    there = [len(text) for text in texts if text]
    return sum(there) + len(BETWEEN) * max(0, len(there) - 1)


def _shortened(text: str, over: int) -> str:
    """``text`` without ``over`` characters of its end, up to the end of a line; nothing where little would be left."""
    room = len(text) - over - len(MARK)
    if room < LEAST_CHARS:
        return ""
    head = text[:room]
    line = head.rpartition("\n")[0]
    return (line if len(line) >= room // 2 else head) + MARK


def caller_part(facts: CallFacts, found: Mapping[str, str], source: str) -> Part | None:
    """What was found out about the other side; None where nothing was."""
    if not found:
        return None
    who = "You called this person" if facts.outbound else "The number that calls is known"
    if facts.outbound or facts.verified:
        trust = "."
    else:
        trust = (
            ", but nobody vouches for it: the caller may be somebody else. Use this to be helpful, "
            "and give no private detail away before you are sure who speaks."
        )
    lines = "\n".join(f"- {name}: {value}" for name, value in found.items())
    return Part("caller", source, f"{who}{trust}\n{lines}", CALLER)


def resume_part(said: Sequence[tuple[str, str]], ago_s: float) -> Part:
    """The end of a call that was cut off a moment ago."""
    minutes = max(1, round(ago_s / 60))
    talk = "\n".join(f"{'Caller' if who == 'caller' else 'You'}: {text}" for who, text in said)
    text = (
        f"The same caller was cut off about {minutes} minute{'s' if minutes > 1 else ''} ago. Go on where you were, "
        f"and do not ask again what was said already. The end of that call:\n{talk}"
    )
    return Part("resume", "the call before", text, CALLER)
