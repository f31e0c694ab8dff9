"""
What may come over a telephone line, and what must not: signals as bytes, for the meters of media/levels.py.

``python -m tests.signals`` prints how the meters' statistics lie, from which their thresholds were chosen.
"""

from __future__ import annotations

import base64
import sys
from collections.abc import Iterator
from itertools import product

import numpy as np

from offhook.loopback.lines import AGENT, CALLER, audio
from offhook.media import g711
from offhook.media.levels import Meter

LINES = tuple(sorted({*AGENT, *CALLER}))
GAINS = (3.0, 1.0, 0.3, 0.1, 0.03)
KEYS = tuple(product((697, 770, 852, 941), (1209, 1336, 1477, 1633)))
SECONDS = 4


def pcmu(samples: np.ndarray) -> bytes:
    return g711.encode(np.clip(samples, -32768, 32767).astype(np.int16))


def sine(hz: float, dbfs: float, phase: float = 0.0, seconds: float = SECONDS) -> np.ndarray:
    """``dbfs`` is that of the peak."""
    return np.sin(2 * np.pi * hz * np.arange(int(seconds * 8000)) / 8000 + phase) * 32767 * 10 ** (dbfs / 20)


def speech(line: str, gain: float) -> np.ndarray:
    """A shipped line, again and again until it is as long as an answer."""
    samples = g711.decode(audio(line)).astype(float) * gain
    return np.clip(np.tile(samples, 1 + SECONDS * 8000 // len(samples)), -32768, 32767)


Named = Iterator[tuple[str, bytes]]


def sines(every: int = 1) -> Named:
    """``every`` 7 leaves all levels and phases in, each with fewer pitches: it divides neither of the tables' rows."""
    levels = (6, 0, -6, -12, -20, -30, -33, -40, -50, -60)
    table = list(product(range(200, 3401, 50), levels, (0.0, 0.4, np.pi / 4, 1.3)))
    for hz, dbfs, phase in table[::every]:
        yield f"sine {hz} Hz {dbfs} dBFS phase {phase:.1f}", pcmu(sine(hz, dbfs, phase))
    table = list(product((300, 440, 697, 1000, 1001.3, 2000, 3333), range(-420, -260, 2)))
    for hz, tenth in table[::every]:
        yield f"sine {hz} Hz {tenth / 10} dBFS", pcmu(sine(hz, tenth / 10, np.pi / 4))  # where a peak sits in one code


def keys() -> Named:
    for (low, high), dbfs in product(KEYS, (-3, -9, -18, -30)):
        yield f"dtmf {low}+{high} {dbfs} dBFS", pcmu((sine(low, dbfs) + sine(high, dbfs)) / 2)


def call_progress() -> Named:
    for low, high, on_s, off_s in (
        (440, 480, 2, 4),
        (425, 0, 1, 4),
        (400, 450, 0.4, 0.2),
        (350, 440, 9, 0),
        (480, 620, 0.5, 0.5),
    ):
        for dbfs in (-3, -13, -24):
            both = (sine(low, dbfs, seconds=12) + (sine(high, dbfs, seconds=12) if high else 0)) / 2
            cadence = np.arange(len(both)) / 8000 % (on_s + off_s) < on_s
            yield f"call progress {low}+{high} {dbfs} dBFS", pcmu(both * cadence)


def noise() -> Named:
    rng = np.random.default_rng(1)
    for level in (1, 3, 8, 18, 60, 200, 716, 1000, 3000, 9000, 20000):
        yield f"noise {level}", pcmu(rng.normal(0, level, SECONDS * 8000))


def music() -> Named:
    for hz in (110, 220, 440):
        chord = sum(sine(hz * ratio, -14, ratio, 8) for ratio in (1, 1.25, 1.5, 2))
        yield f"music from {hz} Hz", pcmu(chord * (0.6 + 0.4 * np.sin(np.arange(64000) / 3000)))


def silence() -> Named:
    for code in (b"\xff", b"\x7f", b"\xff\x7f", b"\xfe\x7e"):
        yield f"silence {code.hex()}", code * (SECONDS * 8000 // len(code))


def spoken() -> Named:
    for line, gain in product(LINES, GAINS):
        data = pcmu(speech(line, gain))
        yield f"speech {line} x{gain}", data
        cut = (data[at : at + 4000] + b"\xff" * 4000 for at in range(0, SECONDS * 8000, 4000))
        yield f"speech {line} x{gain} with pauses of digital silence", b"".join(cut)


# All that a line may carry as PCMU.
GROUPS = {
    "sine": sines, "dtmf": keys, "call progress": call_progress, "noise": noise, "music": music, "silence": silence,
    "speech": spoken,
}  # fmt: skip


def alaw(samples: np.ndarray) -> bytes:
    """G.711 A-law by its definition: sign, segment, mantissa, every other bit turned."""
    x = samples.astype(np.int32)
    sign = np.where(x >= 0, 0x80, 0)
    magnitude = np.minimum(np.where(x >= 0, x, -x - 1) >> 4, 2047)
    segment = np.maximum(np.floor(np.log2(np.maximum(magnitude, 1))).astype(int) - 4, 0)
    mantissa = np.where(segment <= 1, magnitude >> 1, magnitude >> segment) & 0x0F
    return ((sign | segment << 4 | mantissa) ^ 0x55).astype(np.uint8).tobytes()


WRONG = {
    "pcm16-le": ("pcm16", lambda samples: samples.astype("<i2").tobytes()),
    "pcm16-be": ("pcm16", lambda samples: samples.astype(">i2").tobytes()),
    "pcm16-shifted": ("pcm16", lambda samples: samples.astype("<i2").tobytes()[1:]),
    "a-law": ("a-law", alaw),
    "base64-twice": ("base64-twice", lambda samples: base64.b64encode(pcmu(samples))),
}


def wrong(kind: str) -> Iterator[tuple[str, bytes]]:
    """The shipped lines as something else than PCMU."""
    for line, gain in product(LINES, GAINS):
        yield f"{kind} of {line} x{gain}", WRONG[kind][1](speech(line, gain))


def measured(data: bytes) -> Meter:
    """Every frame is looked at: a call of five times the length."""
    meter = Meter()
    for at in range(0, len(data) - 159, 160):
        meter.look(base64.b64encode(data[at : at + 160]))
    return meter


def table() -> None:
    groups: dict[str, list[dict]] = {}
    for group, made in GROUPS.items():
        groups[group] = [measured(data).snapshot() for _, data in made()]
    for kind in WRONG:
        groups[kind] = [measured(data).snapshot() for _, data in wrong(kind)]
    say = sys.stdout.write
    say(f"{'':14} {'n':>5}   |par| 5%..95% (max)   zero 5%..95% (max)   a-law 5%..95% (max)  base64 max  judged\n")
    for group, seen in groups.items():
        say(f"{group:14} {len(seen):5}")
        for name in ("par", "zero", "a_law"):
            values = sorted(abs(one[name]) if name == "par" else one[name] for one in seen)
            at = [values[int(len(values) * share)] for share in (0.05, 0.95)]
            say(f"   {at[0]:6.3f}..{at[1]:5.3f} ({values[-1]:5.3f})")
        counts = {word: sum(one["judged"] == word for one in seen) for word in sorted({one["judged"] for one in seen})}
        say(f"   {max(one['base64'] for one in seen):5.3f}   {counts}\n")


if __name__ == "__main__":
    table()
