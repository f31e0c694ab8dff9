"""
WAV files of the kinds that people have, read into samples at 8 kHz. Knows no wire and no disk: bytes come in.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from offhook.media import g711
from offhook.media.resample import resample

__all__ = ["WavError", "pcmu_of_wav"]

MAX_SECONDS = 600
_PCM, _FLOAT, _MULAW, _EXTENSIBLE = 1, 3, 7, 0xFFFE


class WavError(Exception):
    """Bytes that are no WAV file, or one of a kind that is not read."""


def pcmu_of_wav(data: bytes) -> bytes:
    """A WAV file as PCMU: µ-law, 8 to 32 bits of PCM or float, any rate from 4 to 192 kHz, any channels (mixed)."""
    fmt, audio = _chunks(data)
    tag, channels = int.from_bytes(fmt[:2], "little"), int.from_bytes(fmt[2:4], "little")
    rate, bits = int.from_bytes(fmt[4:8], "little"), int.from_bytes(fmt[14:16], "little")
    if tag == _EXTENSIBLE and len(fmt) >= 26:
        tag = int.from_bytes(fmt[24:26], "little")
    if not 4000 <= rate <= 192000 or not 1 <= channels <= 8:
        raise WavError(f"got {rate} Hz and {channels} channel(s), wanted 4 to 192 kHz")
    if tag == _MULAW and rate == 8000 and channels == 1:
        return audio  # as it is: no sample is touched
    samples = _samples(tag, bits, audio)
    if len(samples) > MAX_SECONDS * rate * channels:
        raise WavError(f"longer than {MAX_SECONDS} s")
    mono = samples[: len(samples) // channels * channels].reshape(-1, channels).mean(axis=1)
    at_8k = resample(mono, rate, 8000)
    return g711.encode(np.clip(np.rint(at_8k), -32768, 32767).astype(np.int16))


def _samples(tag: int, bits: int, audio: bytes) -> NDArray[np.float64]:
    """Samples in 16-bit scale."""
    width = bits // 8
    whole = audio[: len(audio) // width * width] if width else b""
    if tag == _MULAW and bits == 8:
        return g711.decode(whole).astype(np.float64)
    if tag == _FLOAT and bits == 32:
        return np.frombuffer(whole, "<f4").astype(np.float64) * 32768
    if tag == _PCM and bits == 8:
        return (np.frombuffer(whole, np.uint8).astype(np.float64) - 128) * 256
    if tag == _PCM and bits == 16:
        return np.frombuffer(whole, "<i2").astype(np.float64)
    if tag == _PCM and bits == 24:
        bytes_of = np.frombuffer(whole, np.uint8).reshape(-1, 3).astype(np.int32)
        value = bytes_of[:, 0] | bytes_of[:, 1] << 8 | bytes_of[:, 2] << 16
        return np.where(value >= 1 << 23, value - (1 << 24), value) / 256.0
    if tag == _PCM and bits == 32:
        return np.frombuffer(whole, "<i4").astype(np.float64) / 65536
    raise WavError(f"got format {tag} with {bits} bits, wanted µ-law, PCM or 32-bit float")


def _chunks(data: bytes) -> tuple[bytes, bytes]:
    """Format and audio. A length of 0 or more than there is (a pipe wrote it) means the rest."""
    if data[:4] != b"RIFF" or data[8:12] != b"WAVE":
        raise WavError("got no RIFF/WAVE header, wanted a WAV file")
    fmt, at = b"", 12
    while at + 8 <= len(data):
        name, size = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
        body = data[at + 8 : at + 8 + size]
        if name == b"fmt ":
            fmt = body
        elif name == b"data":
            audio = body if size else data[at + 8 :]
            if len(fmt) < 16 or not audio:
                break
            return fmt, audio
        at += 8 + size + size % 2
    raise WavError("no format or no audio in it")
