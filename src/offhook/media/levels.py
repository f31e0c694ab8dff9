"""
How loud audio is and whether its bytes are what they claim to be: meters that cost little per frame.

Every fifth frame gives its level, from a few samples, and every tenth the pattern of its bytes, which
tells PCM16, A-law and doubled base64 from µ-law without listening. Knows no wire.
"""

from __future__ import annotations

import base64
import binascii
import math
from typing import Any, Literal

__all__ = ["CLASSES", "KINDS", "Meter", "is_silence", "level_dbfs", "loudness"]


def _magnitude(code: int) -> int:
    code = ~code & 0x7F
    return ((((code & 0x0F) << 3) + 0x84) << (code >> 4)) - 0x84


LOOK_EVERY = 5  # frames
# A longer message than two frames is looked at each time: providers send 100 ms and more, and with every fifth of those
# no answer of a short call would be long enough to be judged.
LONG_BYTES = 400
_MAGNITUDES = [_magnitude(code) for code in range(256)]
# Loudness class of a code: 0 digital silence, then about 6 dB a step up to 15 (full scale).
CLASSES = bytes(0 if m == 0 else max(1, min(15, m.bit_length())) for m in _MAGNITUDES)
SPEECH_CLASS = 10  # a peak of 512 of 32768, -36 dBFS: the quietest speech on a phone line

# How the statistics lie, as `python -m tests.signals` printed them on 2026-11-25 (the 24 shipped lines at five gains
# from 0.03 to 3; 3160 sines 200 to 3400 Hz at levels from -60 dBFS to clipped and in several phases, DTMF, call
# progress, music, noise; 5 to 95 % of the signals, and the extreme):
#
#                  |par|                   zero                    a-law
#   PCMU sines     0.00 to 0.20 (0.75)     0.00 to 0.00 (0.20)     0.00 to 0.15 (1.00), with its steps 0.05
#   PCMU others    0.00 to 0.03 (1.00)     0.00 to 0.00 (0.00)     0.00 to 0.04 (0.04)
#   PCM16          0.25 to 0.81            0.07 to 0.47
#   A-law          0.00 to 0.00            0.00 to 0.00            0.09 to 0.60, least 0.07
#
# A tone visits few codes, always at the same places: of them alone |par| and A-law's silence are no proof. So |par|
# counts only where 0x00 is heard as well; a clipped tone hits 0x00 and 0x80 alike, so the one is taken from the other
# ("zero"); and next to A-law's silence stand its smallest steps, which in PCMU are louder than the loudest of a tone
# that would look like silence.
PAR_SUSPECT = 0.06
ZERO_WITH_PAR = 0.03
ZERO_SUSPECT = 0.05
ZERO_PROVES = 0.4  # PCM16 with much digital silence; no tone has so many
BESIDE_ZERO = 0.15  # quiet PCM16 has 0x01, 0xFE and 0xFF as well, at least a third of 0x00; a clipped tone has none
A_LAW_SUSPECT = 0.06
A_LAW_STEPS = (1 / 32, 3 / 4)  # of the steps to the silence; A-law speech has 1/16 to 1/2
B64_SUSPECT = 0.99
ENOUGH_BYTES = 1600

_SILENCE_B64 = frozenset((b"/" * 8, b"f39/f39/"))  # 0xFF and 0x7F runs
_B64 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/="
_A_LAW_SILENCE, _A_LAW_SMALL = b"\xd5\x55", b"\xd1\x51\xd0\x50"
_PAR = b"\x00\x01\xfe\xff"
_NOT_PAR = bytes(set(range(256)) - set(_PAR))
# What a byte counts as, one bit each, for a meter that is not written in Python (native/meter.c).
KINDS = bytes(
    (code == 0) | (code == 0x80) << 1 | (code in _A_LAW_SILENCE) << 2 | (code in _A_LAW_SMALL) << 3
    | (code in _B64) << 4 | (code in _PAR) << 5
    for code in range(256)
)  # fmt: skip


def is_silence(payload_b64: bytes) -> bool:
    """Whether a payload is digital silence throughout (0xFF or 0x7F), told from its base64 text."""
    head = payload_b64[:8]
    if head not in _SILENCE_B64:
        return False
    unit = head[:4]
    return payload_b64.count(unit) >= len(payload_b64) // 4 - 1


def loudness(pcmu: bytes) -> int:
    """The loudness class of a frame: 0 digital silence, then about 6 dB a step up to 15."""
    return max(pcmu[::8].translate(CLASSES), default=0)


def level_dbfs(pcmu: bytes) -> float:
    """RMS level of PCMU audio in dB below full scale; -inf for digital silence."""
    if not pcmu:
        return -math.inf
    total = sum(_MAGNITUDES[code] ** 2 for code in pcmu)
    return 10 * math.log10(total / len(pcmu) / 32768**2) if total else -math.inf


class Meter:
    """One direction of one leg."""

    __slots__ = (
        "_a_law", "_b64", "_bytes", "_classes", "_clip", "_even", "_looked", "_odd", "_silent", "_steps", "_zero",
        "frames", "n_bytes", "usual",
    )  # fmt: skip

    def __init__(self) -> None:
        self.frames = 0
        self.n_bytes = 0
        self.usual = 0  # length of the last frame
        self._classes = [0] * 16
        self._silent = 0
        self._looked = 0
        self._bytes = self._zero = self._a_law = self._b64 = self._odd = self._even = self._steps = self._clip = 0

    def add(self, payload_b64: bytes, n_bytes: int) -> None:
        """Count a frame; every fifth is measured."""
        self.frames = frames = self.frames + 1
        self.n_bytes += n_bytes
        if not frames % LOOK_EVERY:
            self.look(payload_b64)

    def look(self, payload_b64: bytes) -> int:
        """Measure one frame; its loudness class."""
        try:
            audio = binascii.a2b_base64(payload_b64[:216])  # 20 ms is enough of a longer message
        except binascii.Error:
            return 0  # the wire has already recorded it
        self._looked += 1
        loudest = max(audio[::8].translate(CLASSES), default=0)
        self._classes[loudest] += 1
        if loudest == 0:
            self._silent += 1
            return 0  # digital silence says nothing about the codec, and 0xFF would count as PCM's -1
        if self._looked & 1:
            return loudest  # the bytes' pattern on every second look: half a microsecond less a frame
        self._bytes += len(audio)
        count = audio.count
        self._zero += count(0)
        self._clip += count(0x80)
        self._a_law += len(audio) - len(audio.translate(None, _A_LAW_SILENCE))
        self._steps += len(audio) - len(audio.translate(None, _A_LAW_SMALL))
        self._b64 += len(audio) - len(audio.translate(None, _B64))
        odd = audio[1::2].translate(None, _NOT_PAR)
        self._odd += len(odd)
        self._even += len(audio.translate(None, _NOT_PAR)) - len(odd)
        return loudest

    def add_looks(self, looks: tuple[int, ...]) -> None:
        """Count looks that were taken elsewhere: ``figures`` without the first two."""
        self._looked += looks[0]
        self._silent += looks[1]
        self._bytes += looks[2]
        self._zero += looks[3]
        self._a_law += looks[4]
        self._b64 += looks[5]
        self._odd += looks[6]
        self._even += looks[7]
        self._steps += looks[8]
        self._clip += looks[9]
        self._classes = [a + b for a, b in zip(self._classes, looks[10:], strict=True)]

    @property
    def looked(self) -> int:
        return self._looked

    def judge(self) -> Literal["ok", "silent", "pcm16", "a-law", "base64-twice", "not proven"]:
        """What the bytes are; "not proven" until enough was heard."""
        if self._looked >= 10 and self._silent == self._looked:
            return "silent"
        if self._bytes < ENOUGH_BYTES:
            return "not proven"
        if self._b64 / self._bytes >= B64_SUSPECT:
            return "base64-twice"
        par, zero = (self._odd - self._even) * 2 / self._bytes, (self._zero - self._clip) / self._bytes
        if zero >= ZERO_SUSPECT or (zero >= ZERO_WITH_PAR and abs(par) >= PAR_SUSPECT):
            beside = (self._odd + self._even - self._zero) / self._bytes  # 0x01, 0xFE and 0xFF
            if zero >= ZERO_PROVES or beside >= zero * BESIDE_ZERO:
                return "pcm16"
        least, most = (self._a_law * share for share in A_LAW_STEPS)
        if self._a_law / self._bytes >= A_LAW_SUSPECT and least <= self._steps <= most:
            return "a-law"
        return "ok"

    def figures(self) -> list[int]:
        """The raw figures, as a record keeps them; ``read`` makes them readable."""
        own = (self.frames, self.n_bytes, self._looked, self._silent, self._bytes, self._zero, self._a_law)
        return [*own, self._b64, self._odd, self._even, self._steps, self._clip, *self._classes]

    @classmethod
    def read(cls, figures: list[int]) -> Meter:
        """A meter as it stood when it gave ``figures``."""
        meter = cls()
        meter.frames, meter.n_bytes, meter._looked, meter._silent, meter._bytes = figures[:5]
        meter._zero, meter._a_law, meter._b64, meter._odd, meter._even = figures[5:10]
        meter._steps, meter._clip = figures[10:12]
        meter._classes = list(figures[12:])
        return meter

    def snapshot(self) -> dict[str, Any]:
        """The figures in words."""
        n = self._bytes or 1
        return {
            "frames": self.frames,
            "bytes": self.n_bytes,
            "measured": self._looked,
            "silent": self._silent,
            "speech_ms": round(sum(self._classes[SPEECH_CLASS:]) / (self._looked or 1) * self.n_bytes / 8),
            "levels": list(self._classes),
            "par": round((self._odd - self._even) * 2 / n, 3),
            "zero": round((self._zero - self._clip) / n, 3),
            "a_law": round(self._a_law / n, 3),
            "base64": round(self._b64 / n, 3),
            "judged": self.judge(),
        }


def silence_b64(n_bytes: int) -> bytes:
    """Digital silence as a payload."""
    return base64.b64encode(b"\xff" * n_bytes)
