"""
Keys as sound: DTMF pairs in PCMU, and whether a frame holds one pure tone (a voicemail's beep). Knows no wire.

Plain Python, for both are needed in the middle of calls, where loading numpy would cost every caller a frame. A key
takes 2 ms to make, once a process; a frame 40 µs to look at, and only while a beep is awaited.

A media stream has no message for keys (twilio.com/docs/voice/media-streams/websocket-messages, read 2026-11-25), and
``<Play digits>`` by REST would end the stream, so keys go as sound. Frequencies: ITU-T Q.23. Levels and times: ITU-T
Q.24 wants receivers to take 40 ms with 40 ms between, from -25 dBm0; we send 100 ms and 100 ms, the low tone at -8, the
high one at -6 dBm0 as telephones do, so that compression and a second network leave enough.
"""

from __future__ import annotations

import math
from functools import cache

__all__ = ["KEYS", "keys_problem", "keys_pcmu", "tone_hz"]

KEYS = "0123456789*#ABCD"
PAUSES_MS = {"w": 500, "W": 1000}  # the carrier's own letters, as in its SendDigits
MOST_KEYS = 64
TONE_MS = PAUSE_MS = 100
_ROWS = (697, 770, 852, 941)
_COLUMNS = (1209, 1336, 1477, 1633)
_PAD = ("123A", "456B", "789C", "*0#D")
_FULL = 32124  # amplitude of the loudest sine in µ-law: +3.17 dBm0 (ITU-T G.711, table 5)
_LOW_DBM0, _HIGH_DBM0, _FULL_DBM0 = -8.0, -6.0, 3.17
_RATE = 8000
_QUIET = b"\xff"


def keys_problem(keys: str) -> str:
    """Why ``keys`` cannot be pressed; "" when they can."""
    if not keys:
        return "got no keys, wanted at least one of 0-9 * # A-D"
    if len(keys) > MOST_KEYS:
        return f"got {len(keys)} keys, wanted at most {MOST_KEYS}"
    strange = sorted({key for key in keys if key not in KEYS and key not in PAUSES_MS})
    return f"got {''.join(strange)[:20]!r} among them, wanted 0-9 * # A-D, w and W for pauses" if strange else ""


def keys_pcmu(keys: str) -> bytes:
    """``keys`` as PCMU: each a tone and a silence; ``keys_problem`` says whether they can be."""
    return b"".join(
        _QUIET * (PAUSES_MS[key] * 8) if key in PAUSES_MS else _key(key) + _QUIET * (PAUSE_MS * 8) for key in keys
    )


@cache
def _key(key: str) -> bytes:
    row = next(n for n, keys in enumerate(_PAD) if key in keys)
    low, high = _ROWS[row], _COLUMNS[_PAD[row].index(key)]
    a, b = (_FULL * 10 ** ((dbm0 - _FULL_DBM0) / 20) for dbm0 in (_LOW_DBM0, _HIGH_DBM0))
    w, u = 2 * math.pi * low / _RATE, 2 * math.pi * high / _RATE
    return bytes(_pcmu(a * math.sin(w * n) + b * math.sin(u * n)) for n in range(TONE_MS * 8))


def _pcmu(sample: float) -> int:
    """One sample of 16 bits as µ-law."""
    value = int(sample)
    sign = 0x80 if value < 0 else 0
    magnitude = min(abs(value), 32635) + 0x84
    exponent = magnitude.bit_length() - 8
    return ~(sign | exponent << 4 | magnitude >> exponent + 3 & 0x0F) & 0xFF


def _linear(code: int) -> int:
    code = ~code & 0xFF
    magnitude = (((code & 0x0F) << 3) + 0x84 << ((code & 0x70) >> 4)) - 0x84
    return -magnitude if code & 0x80 else magnitude


_LINEAR = [_linear(code) for code in range(256)]
_QUIETEST = 500**2  # mean square: -36 dBFS, quieter than any voicemail's beep
_IMPURE = 0.05  # of the energy that is none of the tone's; a sine in µ-law has 0.001, two notes or a voice far more
_LOWEST_HZ = 380.0  # below are hums of voices; no machine beeps there


def tone_hz(pcmu: bytes) -> float | None:
    """
    The frequency of the one pure tone that a frame consists of; None for speech, noise, quiet and keys.

    A sine's next sample is a fixed multiple of this one less the one before, x[n+1] + x[n-1] = 2 cos(w) x[n]: the best
    multiple gives its frequency. How much of the frame lies at that frequency tells whether it is a sine at all. A
    vowel may look like one for a frame or four, so who waits for a beep wants more, and all of one frequency.
    """
    x = [_LINEAR[code] for code in pcmu]
    energy = sum(value * value for value in x)
    if len(x) < 80 or energy < _QUIETEST * len(x):
        return None
    middle = x[1:-1]
    square = sum(value * value for value in middle)
    factor = sum((a + b) * c for a, b, c in zip(x[2:], x, middle, strict=False)) / square if square else 2.0
    if abs(factor) >= 2:
        return None
    w = math.acos(factor / 2)
    real = sum(value * math.cos(w * n) for n, value in enumerate(x))
    imaginary = sum(value * math.sin(w * n) for n, value in enumerate(x))
    share = 2 * (real * real + imaginary * imaginary) / (len(x) * energy)
    hz = w * _RATE / (2 * math.pi)
    return hz if share > 1 - _IMPURE and hz >= _LOWEST_HZ else None
