"""
What a caller's line sounds like: quiet, noise, music, the agent's own voice coming back. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offhook.media import g711, synth
from offhook.sims.carrier import Phone
from offhook.sims.carrier_faults import Fault, named

__all__ = ["QUIET", "Sound", "heard_between", "pcmu_of"]

# The line's own noise: what a phone line carries when nobody speaks is not digital silence.
QUIET = bytes((0xFF, 0x7F, 0xFE, 0x7F, 0xFF, 0xFE, 0x7E, 0xFF) * 20)
BEEP_MS = 500
BURST_EVERY_S = 1.5
# A second of each sound is made once and played over and over; a frame then costs a slice.
_LOOP_S = 4


def pcmu_of(samples: NDArray[np.floating[Any]]) -> bytes:
    """PCMU of samples in 16-bit scale, clipped."""
    return g711.encode(np.clip(np.rint(samples), -32768, 32767).astype(np.int16))


def heard_between(phone: Phone, begin: float, n: int) -> bytes:
    """What the phone played from ``begin`` on, ``n`` bytes, silence where nothing was."""
    out = bytearray(b"\xff" * n)
    for segment in reversed(phone.heard):
        if segment.ended <= begin:
            break
        at = round((segment.began - begin) * 8000)
        audio = bytes(segment.audio[max(0, -at) : n - at]) if at < n else b""
        out[max(0, at) : max(0, at) + len(audio)] = audio
    return bytes(out[:n])


class Sound:
    """One caller's line."""

    def __init__(self, phone: Phone, faults: Sequence[Fault], seed: int) -> None:
        self._phone = phone
        self._faults = [fault for fault in faults if fault.kind.where == "audio" and fault.name != "voicemail"]
        self._seed = seed
        self._loops: dict[str, NDArray[np.float64]] = {}
        self._burst_at = -BURST_EVERY_S
        self._at = 0
        quiet = named(faults, "quiet")
        self._quiet = pcmu_of(synth.noise(8000, quiet.figure, seed)) if quiet is not None else QUIET * 50

    def quiet(self, n: int) -> bytes:
        """The line when nobody speaks."""
        self._at = (self._at + n) % 8000
        return (self._quiet + self._quiet)[self._at : self._at + n]

    def heard(self, begin: float, n: int) -> bytes:
        """What the caller heard of the agent."""
        return heard_between(self._phone, begin, n)

    def voicemail(self, seconds: float) -> bytes:
        """A greeting without a pause, then the beep."""
        greeting = synth.babble(round(seconds * 8000), -18.0, self._seed)
        return pcmu_of(np.concatenate([greeting, synth.sine(BEEP_MS * 8, 1000.0, -12.0)]))

    def bend(self, audio: bytes, due: float, age_s: float) -> bytes:
        """A frame as it arrives, spoken at ``due``."""
        for fault in self._faults:
            if age_s >= fault.at_s:
                audio = self._bent(fault, audio, due)
        return audio

    def _bent(self, fault: Fault, audio: bytes, due: float) -> bytes:
        n = len(audio)
        if fault.name == "digital-silence":
            return b"\xff" * n
        if fault.name == "low-level":
            return pcmu_of(g711.decode(audio) * 10 ** (-fault.figure / 20))
        if fault.name == "echo":
            gain_db, delay_ms = fault.figures()
            back = g711.decode(self.heard(due - n / 8000 - delay_ms / 1000, n)) * 10 ** (gain_db / 20)
            return pcmu_of(g711.decode(audio) + back)
        if fault.name == "noise-bursts":
            return self._burst(fault, audio, due)
        if fault.name in ("noise", "music"):
            return pcmu_of(g711.decode(audio) + self._loop(fault, n, due))
        return audio  # quiet: see there

    def _burst(self, fault: Fault, audio: bytes, due: float) -> bytes:
        if self._phone.unplayed_ms and due - self._burst_at >= BURST_EVERY_S:
            self._burst_at = due
        if due - self._burst_at >= fault.figure / 1000:
            return audio
        return pcmu_of(g711.decode(audio) + synth.babble(len(audio), -15.0, self._seed))

    def _loop(self, fault: Fault, n: int, due: float) -> NDArray[np.float64]:
        if fault.name not in self._loops:
            make = synth.chord if fault.name == "music" else synth.noise
            self._loops[fault.name] = make(_LOOP_S * 8000, fault.figure)
        at = round(due * 8000) % (_LOOP_S * 8000)
        loop = self._loops[fault.name]
        return np.concatenate([loop[at : at + n], loop])[:n]
