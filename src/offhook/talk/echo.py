"""
A terminal has no echo cancellation: whether its microphone hears its speakers, and what is let through if it does.

While the agent is audible the microphone is closed until it is shown that it does not hear the agent, as with a
headset; then both may speak at once. Both sides are laid on each other by their phases (GCC-PHAT), which finds an echo
of any delay and colour, and nothing between two people who speak at once. Where it is found, how much of the agent
comes back is learned, and who speaks well above that is let through: it can be no echo. Pure: told of audio in the
order of time.
"""

from __future__ import annotations

from collections import deque
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
# (240). Whoever speaks over an echo below -10 dB hides it: once there was one, three looks without them must miss it.
ECHO = 7.7
LOOKS = 3
_BAND = (300, 3400)
PIECE = 160  # 20 ms, in which levels are taken
ROOM = 1_600  # 0.2 s: what is heard now was played within this before the delay, or up to a block after it
EARLY = 480
LEARNED = 500  # 10 s of pieces with the agent in them
SHARE = 0.97  # of which so many are below what counts as the echo's level
ABOVE = 2.0  # 6 dB over that is a person
SPOKEN = 5  # pieces in a row


class EchoGate:
    """``told(open)`` is called when what is known changes: whether both may speak at once."""

    def __init__(self, told: Callable[[bool], None] = lambda both: None) -> None:
        self._told = told
        self._played = np.zeros(WINDOW + MOST_LAG)
        self._heard = np.zeros(WINDOW)
        self._since_look = 0
        self._silent_for = TAIL  # since the agent was last audible
        self._missed = 0  # looks in a row that found no echo
        self._delay = 0
        self._ratios: deque[float] = deque(maxlen=LEARNED)  # of what was heard to what was played
        self._level = 0.0  # of the echo, by that
        self._above = 0  # pieces in a row that are louder
        self._person_for = WINDOW  # since somebody was louder
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
        if self.open is False:
            self._compare(len(samples))
        return self.open is True or self._silent_for >= TAIL or self._person_for < TAIL

    def _look(self) -> None:
        frames = np.abs(self._played[-WINDOW:]).reshape(-1, 160).max(axis=1)
        if np.count_nonzero(frames > LOUD) * 160 < ACTIVE:
            return  # too little was said to be heard again
        if self._person_for < WINDOW:
            return  # whoever speaks over an echo hides it
        peak, delay = self.alike()
        self._missed = 0 if peak >= ECHO else self._missed + 1
        if not self._missed:
            self._delay = delay
        both = self._missed > 0 if self.open is not False else self._missed >= LOOKS
        if both is not self.open:
            self.open = both
            if not both:
                self._learn_from_window()
            self._told(both)

    def alike(self) -> tuple[float, int]:
        """How far the best delay stands out, and that delay in samples."""
        n = 1 << (len(self._played) + WINDOW - 1).bit_length()
        played, heard = np.fft.rfft(self._played, n), np.fft.rfft(self._heard, n)
        cross = played * np.conj(heard)  # at MOST_LAG less the delay
        hz = np.fft.rfftfreq(n, 1 / RATE)
        size = np.abs(cross)
        cross[(hz < _BAND[0]) | (hz > _BAND[1]) | (size < 1e-9)] = 0
        row = np.abs(np.fft.irfft(cross / np.maximum(size, 1e-9), n)[: MOST_LAG + 1])
        rest, best = float(np.sqrt(np.mean(row**2))), int(row.argmax())
        return (float(row[best]) / rest if rest else 0.0), MOST_LAG - best

    # ------------------------------------------------------------------------------ how loud an echo can be

    def _learn_from_window(self) -> None:
        self._ratios.clear()
        self._above, self._person_for = 0, WINDOW
        for back in range(WINDOW, 0, -PIECE):
            heard, played = self._levels(back)
            if played > LOUD:
                self._ratios.append(heard / played)
        self._weigh()

    def _compare(self, n: int) -> None:
        """The newest pieces: echo, from which its level is learned, or somebody who is louder."""
        for back in range(n // PIECE * PIECE, 0, -PIECE):
            heard, played = self._levels(back)
            if heard > LOUD and heard > ABOVE * self._level * played:
                self._above += 1
            else:
                self._above = 0
            self._person_for = 0 if self._above >= SPOKEN else self._person_for + PIECE
            if played > LOUD and self._person_for >= TAIL:
                self._ratios.append(heard / played)
        self._weigh()

    def _weigh(self) -> None:
        if self._ratios:
            self._level = float(np.quantile(self._ratios, SHARE))

    def _levels(self, back: int) -> tuple[float, float]:
        """Of the piece that began so many samples ago, and of the loudest that it can be an echo of."""
        heard = self._heard[len(self._heard) - back :][:PIECE]
        at = len(self._played) - back - self._delay
        played = self._played[max(0, at - ROOM) : at + PIECE + EARLY]
        pieces = played[len(played) % PIECE :].reshape(-1, PIECE)
        loudest = float(np.sqrt((pieces**2).mean(axis=1).max())) if len(pieces) else 0.0
        return float(np.sqrt(np.mean(heard**2))), loudest
