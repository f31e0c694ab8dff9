"""
What a simulated phone line carries: speech louder or quieter, two sounds at once, the line's own noise.
"""

from __future__ import annotations

import numpy as np

from offhook.media import g711
from offhook.sims.carrier import Phone, Verb

__all__ = ["FRAME", "QUIET", "SILENCE", "heard_at", "lasts", "mixed", "scaled"]

FRAME = 160
# The line's own noise, two seconds of it: what a phone line carries when nobody speaks is not digital silence.
QUIET = g711.encode(np.random.default_rng(1).normal(0, 18, FRAME * 100).astype(np.int16))  # -65 dBFS
SILENCE = b"\xff" * FRAME


def lasts(verb: Verb) -> float:
    """How long a verb takes, in seconds."""
    if verb.name == "Pause":
        return float(verb.attributes.get("length", "1"))
    if verb.name == "Say":
        return 0.5 + 0.065 * len(verb.text)  # a telephone voice says about 15 characters a second
    return 0.1


def scaled(pcmu: bytes, gain: float) -> bytes:
    """Louder or quieter."""
    return g711.encode(np.clip(g711.decode(pcmu) * gain, -32768, 32767).astype(np.int16))


def mixed(one: bytes, two: bytes) -> bytes:
    """Both at once."""
    n = min(len(one), len(two))
    total = g711.decode(one[:n]).astype(np.int32) + g711.decode(two[:n])
    return g711.encode(np.clip(total, -32768, 32767).astype(np.int16))


def heard_at(phone: Phone, at: float) -> bytes:
    """20 ms of what a phone played at ``at``."""
    for segment in reversed(phone.heard):
        begin = int((at - segment.began) * 8000)
        if 0 <= begin < len(segment.audio):
            return bytes(segment.audio[begin : begin + FRAME]).ljust(FRAME, b"\xff")
    return SILENCE
