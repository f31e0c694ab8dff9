"""
G.711 as tables: bytes to 16-bit samples and back; µ-law, and A-law for peers that mix them up. Knows no wire.

Source: ITU-T G.711 (11/88), tables 1a and 2a. The tables equal CPython 3.11's audioop bit for bit (tested there).
"""

import numpy as np
from numpy.typing import NDArray

__all__ = ["SILENCE", "decode", "decode_pcma", "encode", "encode_pcma"]

SILENCE = b"\xff"  # +0; 0x7f is -0. A zero byte is full scale.

_BIAS = 0x84
_CLIP = 32635


def _decode_one(code: int) -> int:
    code = ~code & 0xFF
    magnitude = (((code & 0x0F) << 3) + _BIAS) << ((code & 0x70) >> 4)
    return _BIAS - magnitude if code & 0x80 else magnitude - _BIAS


_TO_LINEAR = np.array([_decode_one(code) for code in range(256)], dtype=np.int16)


def _encode_all() -> NDArray[np.uint8]:
    samples = np.arange(-32768, 32768, dtype=np.int32)
    # 14 significant bits, as the reference: the two lowest do not count
    samples = (samples >> 2) << 2
    sign = np.where(samples < 0, 0x80, 0)
    magnitude = np.minimum(np.abs(samples), _CLIP) + _BIAS
    exponent = np.floor(np.log2(magnitude)).astype(np.int32) - 7
    mantissa = (magnitude >> (exponent + 3)) & 0x0F
    table: NDArray[np.uint8] = (~(sign | (exponent << 4) | mantissa) & 0xFF).astype(np.uint8)
    return table


_TO_PCMU = _encode_all()


def decode(pcmu: bytes) -> NDArray[np.int16]:
    """Samples of PCMU bytes, 16-bit."""
    samples: NDArray[np.int16] = _TO_LINEAR[np.frombuffer(pcmu, dtype=np.uint8)]
    return samples


def encode(samples: NDArray[np.int16]) -> bytes:
    """PCMU bytes of 16-bit samples."""
    return _TO_PCMU[samples.astype(np.int32) + 32768].tobytes()


def encode_pcma(samples: NDArray[np.int16]) -> bytes:
    """PCMA bytes of 16-bit samples."""
    value = samples.astype(np.int32) >> 3
    mask = np.where(value >= 0, 0xD5, 0x55)
    value = np.where(value >= 0, value, -value - 1)
    segment = np.searchsorted(np.array([0x1F, 0x3F, 0x7F, 0xFF, 0x1FF, 0x3FF, 0x7FF]), value)
    code = (segment << 4) | ((value >> np.maximum(segment, 1)) & 0x0F)
    return (code ^ mask).astype(np.uint8).tobytes()


def _decode_one_pcma(code: int) -> int:
    code ^= 0x55
    segment, step = (code & 0x70) >> 4, (code & 0x0F) << 4
    magnitude = step + 8 if segment == 0 else (step + 0x108) << (segment - 1)
    return magnitude if code & 0x80 else -magnitude


_PCMA_TO_LINEAR = np.array([_decode_one_pcma(code) for code in range(256)], dtype=np.int16)


def decode_pcma(pcma: bytes) -> NDArray[np.int16]:
    """Samples of PCMA bytes, 16-bit."""
    samples: NDArray[np.int16] = _PCMA_TO_LINEAR[np.frombuffer(pcma, dtype=np.uint8)]
    return samples
