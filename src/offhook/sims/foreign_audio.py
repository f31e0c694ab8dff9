"""
The naive bridge's audio path, right and wrong ways: what the provider sent becomes bytes for the carrier, and back.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from offhook.media import g711
from offhook.sims.foreign_knobs import Knobs

__all__ = ["Downlink", "uplink"]


class Downlink:
    """Provider audio to the carrier's bytes, with the state that a right resampler keeps."""

    def __init__(self, knobs: Knobs) -> None:
        self._k = knobs
        self._tail = np.zeros(0, dtype=np.float64)
        self._head = knobs.header

    def convert(self, audio: bytes) -> bytes:
        k = self._k
        if k.audio == "pcmu" and k.law == "pcmu" and k.gain == 1.0 and not self._head:
            return audio
        samples = g711.decode(audio) if k.audio == "pcmu" else self._to_8k(np.frombuffer(audio, dtype="<i2"))
        samples = np.clip(samples * k.gain, -32768, 32767).astype(np.int16)
        head, self._head = self._head, b""
        return head + _encoded(samples, k.law)

    def _to_8k(self, samples: NDArray[np.int16]) -> NDArray[np.int16]:
        factor = self._k.out_rate // 8000
        if factor == 1:
            return samples
        if self._k.resample == "alias":
            return samples[::factor]
        if self._k.resample == "stateless":
            return _filtered(samples.astype(np.float64), np.zeros(0), factor)[0]
        out, self._tail = _filtered(samples.astype(np.float64), self._tail, factor)
        return out


_TAPS = np.sinc((np.arange(63) - 31) / 3) * np.hamming(63) / 3


def _filtered(
    samples: NDArray[np.float64], tail: NDArray[np.float64], factor: int
) -> tuple[NDArray[np.int16], NDArray[np.float64]]:
    """Low-pass and decimate; ``tail`` is what the last piece left for this one."""
    whole = np.concatenate([tail if len(tail) else np.zeros(62), samples])
    out = np.convolve(whole, _TAPS, "valid")[::factor]
    keep = len(whole) - len(out) * factor
    return np.clip(out, -32768, 32767).astype(np.int16), whole[-keep:] if keep > 0 else np.zeros(0)


def _encoded(samples: NDArray[np.int16], law: str) -> bytes:
    match law:
        case "pcm16":
            return samples.astype("<i2").tobytes()
        case "pcm16be":
            return samples.astype(">i2").tobytes()
        case "a-law":
            return g711.encode_pcma(samples)
        case "float32":
            return (samples.astype(np.float32) / 32768).astype("<f4").tobytes()
        case "u8":
            return ((samples.astype(np.int32) >> 8) + 128).astype(np.uint8).tobytes()
        case "stereo":
            return np.repeat(samples.astype("<i2"), 2).tobytes()
    return g711.encode(samples)


def uplink(knobs: Knobs, pcmu: bytes) -> bytes:
    """Caller audio as the session shall get it."""
    if knobs.audio == "pcmu" or knobs.upsample == "none":
        return pcmu
    samples = g711.decode(pcmu)
    if knobs.upsample == "8k":  # the bytes of 8 kHz, whatever was announced
        return samples.astype("<i2").tobytes()
    return np.repeat(samples, 3).astype("<i2").tobytes()
