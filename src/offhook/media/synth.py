"""
Sounds made by arithmetic: line noise, music, something that a voice detector takes for speech. Knows no wire.

All give 16-bit samples at 8 kHz; levels are RMS in dB below full scale.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["at_level", "babble", "chord", "noise", "sine"]

RATE = 8000


def at_level(samples: NDArray[np.float64], dbfs: float) -> NDArray[np.float64]:
    """``samples`` scaled to an RMS level; silence stays silence."""
    rms = float(np.sqrt(np.mean(samples**2))) if len(samples) else 0.0
    scaled: NDArray[np.float64] = samples * (32768 * 10 ** (dbfs / 20) / rms) if rms else samples
    return scaled


def noise(n: int, dbfs: float, seed: int = 0) -> NDArray[np.float64]:
    """White noise."""
    return at_level(np.random.default_rng(seed).standard_normal(n), dbfs)


def sine(n: int, hz: float, dbfs: float) -> NDArray[np.float64]:
    """A tone."""
    return at_level(np.sin(2 * np.pi * hz * np.arange(n) / RATE), dbfs)


def chord(n: int, dbfs: float) -> NDArray[np.float64]:
    """Hold music: four chords of a second each, over and over."""
    roots = (261.6, 220.0, 174.6, 196.0)
    t = np.arange(n)
    out = np.zeros(n)
    for index, root in enumerate(roots):
        part = (t // RATE) % len(roots) == index
        for ratio in (1.0, 1.25, 1.5):
            out[part] += np.sin(2 * np.pi * root * ratio * t[part] / RATE)
    return at_level(out, dbfs)


def babble(n: int, dbfs: float = -20.0, seed: int = 0) -> NDArray[np.float64]:
    """Like a voice: a gliding pitch with harmonics up to 3 kHz, four syllables a second, no pauses over 100 ms."""
    random = np.random.default_rng(seed)
    t = np.arange(n) / RATE
    pitch = 120 + 25 * np.sin(2 * np.pi * 0.7 * t + random.uniform(0, 6)) + 10 * np.sin(2 * np.pi * 2.3 * t)
    phase = 2 * np.pi * np.cumsum(pitch) / RATE
    out = np.zeros(n)
    for harmonic in range(1, 24):
        formants = sum(np.exp(-(((harmonic * 125 - centre) / width) ** 2)) for centre, width in
                       ((500 + 200 * np.sin(2 * np.pi * 1.1 * t), 250), (1600 + 300 * np.sin(2 * np.pi * 0.9 * t), 350),
                        (2500, 400)))  # fmt: skip
        out += formants * np.sin(harmonic * phase) / harmonic**0.5
    syllables = 0.15 + 0.85 * np.sin(2 * np.pi * 2 * t) ** 2
    return at_level(out * syllables, dbfs)
