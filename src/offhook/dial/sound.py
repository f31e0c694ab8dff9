"""
What the audio that came back is: loud enough, µ-law, at the right rate, and not the caller's own voice. Pure.

Twilio cannot tell any of this and logs nothing; the caller just suffers.
"""

from __future__ import annotations

import base64
import math

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from offhook.media import g711
from offhook.media.levels import Meter, level_dbfs

__all__ = ["Heard", "judge", "similarity"]

FRAME = 160
FAINT_DBFS = -45.0  # speech below this is lost in a phone's own noise
SILENT_DBFS = -65.0
LOUD_SHARE = 0.02  # of samples at full scale: what is clipped or no audio at all
# A brick wall where a sampling rate's upper end would lie: density above it against below it. Measured 2026-11-25 on
# seven spoken lines: as they are -6 to 9 dB at either edge; made for 24 or 16 kHz and sent as they stand 18 to 33 dB
# (G.711's own noise fills the rest).
WALL_DB = 15.0
WALLS = ((24000, 1333.0), (16000, 2000.0))
SAME_VOICE = 0.6  # normalised correlation; two voices saying the same words stay below 0.3


class Heard(Struct, frozen=True):
    """The figures of one call's audio, and what they say."""

    ms: int
    level_dbfs: float | None  # of what is not silence; None when there was none
    judged: str  # ok, silent, pcm16, a-law, base64-twice, not proven
    full_scale: float  # share of samples
    rate: int | None  # that the audio seems to have been made for, when not 8000
    rate_proof: str
    own_voice: float  # how much of it is what the caller said, 0 to 1
    own_voice_ms: int  # how late it came back


def judge(received: bytes, said: bytes) -> Heard:
    """``received`` is all audio of the server in order, ``said`` all that the caller said."""
    meter = Meter()
    loud = []
    for at in range(0, len(received) - FRAME + 1, FRAME):
        frame = received[at : at + FRAME]
        meter.frames += 1
        meter.look(base64.b64encode(frame))
        if frame.translate(None, b"\xff\x7f\xfe\x7e"):
            loud.append(frame)
    sounding = b"".join(loud)
    level = _active_level(loud)
    samples = g711.decode(sounding).astype(np.float64)
    rate, proof = _rate(samples) if len(samples) >= 8000 else (None, "")
    like, late_ms = similarity(g711.decode(said), g711.decode(received)) if said and received else (0.0, 0)
    return Heard(
        ms=len(received) // 8,
        level_dbfs=round(level, 1) if level is not None else None,
        judged=_judged(meter, level) if loud else ("silent" if received else "not proven"),
        full_scale=round(float(np.mean(np.abs(samples) >= 32000)), 4) if len(samples) else 0.0,
        rate=rate,
        rate_proof=proof,
        own_voice=round(like, 2),
        own_voice_ms=late_ms,
    )


def _active_level(frames: list[bytes]) -> float | None:
    """The level while somebody speaks: of the loudest third, for pauses and breaths are no faint voice."""
    levels = sorted((level for frame in frames if not math.isinf(level := level_dbfs(frame))), reverse=True)
    third = levels[: len(levels) // 3 + 1]
    return 10 * math.log10(sum(10 ** (level / 10) for level in third) / len(third)) if third else None


def _judged(meter: Meter, level: float | None) -> str:
    """The meter's word, unless it looked at every eighth sample of a tone that is zero just there."""
    judged = meter.judge()
    return "not proven" if judged == "silent" and level is not None and level > SILENT_DBFS else judged


def _rate(samples: NDArray[np.float64]) -> tuple[int | None, str]:
    """The rate that audio was made for, told by where its spectrum ends."""
    n = 1024
    frames = samples[: len(samples) // n * n].reshape(-1, n) * np.hanning(n)
    power = (np.abs(np.fft.rfft(frames, axis=1)) ** 2).mean(axis=0)

    def density(low: float, high: float) -> float:
        return float(power[int(low * n / 8000) : int(high * n / 8000) + 1].mean()) + 1e-9

    peak = int(np.argmax(power))
    if power[max(0, peak - 2) : peak + 3].sum() > power.sum() * 0.9:
        return None, ""  # a tone has no upper end
    whole = density(100, 3900)
    for rate, edge in WALLS:
        below, above = density(edge - 450, edge - 80), density(edge + 120, 3400)
        wall = 10 * math.log10(below / above)
        if wall >= WALL_DB and below > whole / 200:
            return rate, f"the spectrum ends at {edge:.0f} Hz, {wall:.0f} dB down: 4 kHz at {rate} Hz"
    return None, ""


def similarity(said: NDArray[np.int16], received: NDArray[np.int16]) -> tuple[float, int]:
    """The best match of what was said within what was received (0 to 1), and where, in ms."""
    a, b = said.astype(np.float64)[: 8000 * 4], received.astype(np.float64)[: 8000 * 30]
    if len(a) < 2000 or len(b) < 2000:
        return 0.0, 0
    a = a[: min(len(a), len(b))]
    n = 1 << (len(a) + len(b) - 1).bit_length()
    cross = np.fft.irfft(np.fft.rfft(b, n) * np.conj(np.fft.rfft(a, n)), n)[: len(b) - len(a) + 1]
    energy = np.concatenate([[0.0], np.cumsum(b**2)])
    local = energy[len(a) :] - energy[: len(energy) - len(a)]
    norm = np.sqrt(np.maximum(local, 1.0) * max(float((a**2).sum()), 1.0))
    scores = cross / norm
    at = int(np.argmax(scores))
    return float(max(0.0, min(1.0, scores[at]))), at // 8
