"""
Healthy calls in many shapes: every provider, our bridge and the naive one, with timing, levels, lengths, jitter,
barge-ins, keys and silence drawn from a seed. None of them may give a finding.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

from offhook.evidence.record import Recording
from offhook.sims.faults.scene import AGENT, CALLER, LINES, LONG, SHORT, WORDS, foreign, ours
from offhook.sims.provider import Answer
from offhook.sims.virtual import Link
from offhook.sims.virtual_carrier import Line
from offhook.sims.virtual_voice import scaled

__all__ = ["COUNT", "describe", "vary"]

COUNT = 200
PIECES = (CALLER, SHORT, LINES["provider_lost"], SHORT[:10000], CALLER[4000:20000])
MANNERS = ("talks", "talks", "talks", "interrupts", "presses keys", "is silent", "leaves early", "hears goodbye")


def describe(seed: int) -> str:
    """What the call of a seed is, in a few words."""
    chance = random.Random(seed)
    who, manner = _who(chance, seed), chance.choice(MANNERS)
    return f"{who[0]} with {who[1]}, the caller {manner}"


def _who(chance: random.Random, seed: int) -> tuple[str, str]:
    side = ("ours", "ours", "foreign")[seed % 3]
    return side, chance.choice(("openai", "xai", "loopback") if side == "ours" else ("openai", "xai"))


def vary(seed: int) -> list[Recording]:
    """The call of a seed."""
    chance = random.Random(seed)
    side, provider = _who(chance, seed)
    manner = chance.choice(MANNERS)
    line: dict[str, Any] = {
        "link": Link(chance.uniform(0.005, 0.12), chance.choice((0.0, 0.0, chance.uniform(0, 0.06))))
    }
    net = _provider(chance, provider, manner)

    def play(one: Line) -> None:
        one.gain = chance.uniform(0.5, 1.6)
        if chance.random() < 0.15:
            one.lost = frozenset({chance.randrange(100, 300)})
        _caller(chance, one, manner)

    if side == "foreign":
        turned: dict[str, Any] = {"pace": chance.choice(("burst", "burst", "absolute"))}
        if chance.random() < 0.3:
            turned["audio"] = "pcm"
        return foreign(provider=provider, play=play, net=net, line=line, seed=seed, **turned)
    server: dict[str, Any] = {"with_rest": chance.random() < 0.7}
    if chance.random() < 0.8 or manner in ("is silent", "leaves early"):
        server["greeting"] = "Say hello."
    return ours(provider, play, net=net, line=line, seed=seed, **server)


def _provider(chance: random.Random, provider: str, manner: str) -> Mapping[str, Any]:
    def answer() -> Answer:
        audio = chance.choice((AGENT, SHORT, LONG, AGENT[:16000], LINES["provider_lost"]))
        return Answer(audio=scaled(audio, chance.uniform(0.5, 1.3)), transcript=WORDS[: max(20, len(audio) // 500)])

    script: tuple[Answer, ...] = tuple(answer() for _ in range(chance.randrange(1, 4)))
    if manner == "hears goodbye":
        script = (Answer(audio=SHORT, transcript="Thank you. Goodbye.", tool="hang_up"),)
    if manner == "interrupts":
        script = (Answer(audio=LONG, transcript=WORDS * 2), *script)
    net: dict[str, Any] = {"script": script, "think_s": chance.choice((0.0, chance.uniform(0.1, 3.5)))}
    if provider != "loopback":
        net["speedup"] = chance.choice((3.0, 5.0, 20.0, 40.0))
    if chance.random() < 0.2:
        net["slow_s"] = {"tls": chance.uniform(0, 0.8), "greeting": chance.uniform(0, 0.5)}
    net["link"] = Link(chance.uniform(0.005, 0.15), chance.choice((0.0, chance.uniform(0, 0.05))))
    return net


def _caller(chance: random.Random, line: Line, manner: str) -> None:
    at = chance.uniform(4.5, 6.0)
    if manner == "leaves early":
        line.then(chance.uniform(0.2, 3.0), line.hang_up)
        return
    if manner == "is silent":
        line.then(chance.uniform(8.0, 18.0), line.hang_up)
        return
    if manner == "presses keys":
        for _ in range(chance.randrange(1, 3)):
            line.then(at, lambda: line.press(chance.choice("0123456789*#")))
            at += chance.uniform(5.0, 8.0)
        line.then(at + 2.0, line.hang_up)
        return
    for n in range(1 if manner in ("hears goodbye", "interrupts") else chance.randrange(1, 3)):
        piece = chance.choice(PIECES)
        line.then(at, lambda piece=piece: line.say(piece))  # type: ignore[misc]
        at += len(piece) / 8000 + chance.uniform(4.0, 7.0)
        if manner == "interrupts" and n == 0:
            line.then(at - 1.0, lambda: line.say(SHORT[:14000]))
            at += 4.0
    line.then(at + (25.0 if manner == "hears goodbye" else chance.uniform(1.0, 6.0)), line.hang_up)
