"""
A terminal has no echo cancellation: whether its microphone hears its speakers, and what is let through if it does.

While the agent is audible the microphone is closed until it is shown that it does not hear the agent, as with a
headset; then both may speak at once. Both sides are laid on each other by their phases (GCC-PHAT), which finds an echo
of any delay and colour, and nothing between two people who speak at once. Pure: told of audio in the order of time.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

__all__ = ["EchoGate"]

RATE = 8000
WINDOW = 16_000  # 2 s of both sides are compared
MOST_LAG = 4_800  # 0.6 s: both buffers of a sound card, and the room
LOOK_EVERY = 4_000
ACTIVE = WINDOW * 2 // 3  # of which the agent must have spoken so much
LOUD = 120.0  # of 32767: the agent is audible
TAIL = 3_200  # 0.4 s: what the room and the buffers still hold
# The highest peak in multiples of all the others. Measured 2026-11-26 with the spoken lines of this package: speech
# against other speech and noise 7.2 at most (300 windows); echoes of -6 to -40 dB of a room of 0.3 s, 8.4 and more
# (240). Whoever speaks over an echo below -10 dB hides it meanwhile; a later look finds it.
ECHO = 7.7
_BAND = (300, 3400)


class EchoGate:
    """``told(open)`` is called when what is known changes: whether both may speak at once."""

    def __init__(self, told: Callable[[bool], None] = lambda both: None) -> None:
        self._told = told
        self._played = np.zeros(WINDOW + MOST_LAG)
        self._heard = np.zeros(WINDOW)
        self._since_look = 0
        self._silent_for = TAIL  # since the agent was last audible
        self.open: bool | None = None  # unknown: closed

    def played(self, samples: NDArray[np.float64]) -> None:
        """What goes to the speakers, 8 kHz; silence too."""
        self._played = np.concatenate([self._played, samples])[-len(self._played) :]
        audible = len(samples) > 0 and float(np.abs(samples).max()) > LOUD
        self._silent_for = 0 if audible else self._silent_for + len(samples)

    def heard(self, samples: NDArray[np.float64]) -> bool:
        """What the microphone gives, 8 kHz; whether it may be passed on."""
        self._heard = np.concatenate([self._heard, samples])[-WINDOW:]
        self._since_look += len(samples)
        if self._since_look >= LOOK_EVERY:
            self._since_look = 0
            self._look()
        return self.open is True or self._silent_for >= TAIL

    def _look(self) -> None:
        frames = np.abs(self._played[-WINDOW:]).reshape(-1, 160).max(axis=1)
        if np.count_nonzero(frames > LOUD) * 160 < ACTIVE:
            return  # too little was said to be heard again
        both = self.alike() < ECHO
        if both is not self.open:
            self.open = both
            self._told(both)

    def alike(self) -> float:
        """How far the best delay stands out."""
        n = 1 << (len(self._played) + WINDOW - 1).bit_length()
        played, heard = np.fft.rfft(self._played, n), np.fft.rfft(self._heard, n)
        cross = played * np.conj(heard)  # at MOST_LAG less the delay
        hz = np.fft.rfftfreq(n, 1 / RATE)
        size = np.abs(cross)
        cross[(hz < _BAND[0]) | (hz > _BAND[1]) | (size < 1e-9)] = 0
        row = np.fft.irfft(cross / np.maximum(size, 1e-9), n)[: MOST_LAG + 1]
        rest = float(np.sqrt(np.mean(row**2)))
        return float(np.abs(row).max()) / rest if rest else 0.0
