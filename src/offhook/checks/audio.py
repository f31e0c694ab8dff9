"""
Our own audio, proven without a peer (C8): G.711 against its definition, the 1:2 filter by tones, frames, the lines.

Proves the codec and the filters of this installation; not what a carrier or provider makes of the audio.
"""

from __future__ import annotations

import math
import time

import numpy as np

from offhook.checks._check import Ask, Check, Trail
from offhook.checks.settings import own_lines
from offhook.media.g711 import decode, encode
from offhook.media.lines import LineError, spoken_lines
from offhook.media.resample import Upsample2

__all__ = ["CHECK"]

FRAME = 160
# 8-bit µ-law is specified for about 38 dB of signal over its own noise; measured here 37.4 to 38.6 on tones.
LEAST_SNR_DB = 35.0
# The image of a tone above half the old rate; 24 taps measure below -45 dB, and speech hides -40.
MOST_IMAGE_DB = -40.0


def _tone(hz: float, rate: int, seconds: float, peak: int = 8000) -> np.ndarray:
    t = np.arange(int(rate * seconds)) / rate
    return np.round(peak * np.sin(2 * math.pi * hz * t)).astype(np.int16)


def _db(power: float, reference: float) -> float:
    return 10 * math.log10(max(power, 1e-12) / max(reference, 1e-12))


def snr_db(hz: float) -> float:
    """Signal over noise of a tone that went through µ-law and back."""
    tone = _tone(hz, 8000, 0.5)
    back = np.asarray(decode(encode(tone)), dtype=np.float64)
    return _db(float(np.mean(tone.astype(np.float64) ** 2)), float(np.mean((back - tone) ** 2)))


def image_db(hz: float) -> float:
    """How loud the image of a tone is after 8 to 16 kHz, against the tone itself; fed frame by frame."""
    up = Upsample2()
    tone = _tone(hz, 8000, 1.0)
    frames = [up.push(tone[at : at + FRAME]) for at in range(0, len(tone), FRAME)]
    out = np.concatenate([np.asarray(frame, dtype=np.float64) for frame in frames])[2000:-2000]
    spectrum = np.abs(np.fft.rfft(out * np.hanning(len(out)))) ** 2
    at = np.fft.rfftfreq(len(out), 1 / 16000)

    def around(wanted: float) -> float:
        return float(spectrum[np.abs(at - wanted) < 40].sum())

    return _db(around(8000 - hz), around(hz))


async def run(ask: Ask, trail: Trail) -> str:
    began = time.perf_counter()
    worst = min(snr_db(hz) for hz in (300, 1000, 3000))
    ms = (time.perf_counter() - began) * 1000
    if worst < LEAST_SNR_DB:
        trail.broken(
            "PCMU",
            f"{worst:.1f} dB over its noise, wanted {LEAST_SNR_DB:g}",
            fix="reinstall Offhook",
            ms=ms,
            decides="F-019",
        )
    else:
        trail.proven("PCMU", f"tones there and back: {worst:.1f} dB over the noise", ms=ms)
    silence = encode(np.zeros(FRAME, np.int16))
    if silence != b"\xff" * FRAME:
        trail.broken("silence", f"encodes as 0x{silence[0]:02x}, wanted 0xff", fix="reinstall Offhook", decides="F-019")
    else:
        trail.proven("silence", "0xff, as G.711 says")
    began = time.perf_counter()
    image = max(image_db(hz) for hz in (500, 1500, 3000))
    ms = (time.perf_counter() - began) * 1000
    if image > MOST_IMAGE_DB:
        trail.broken(
            "8 to 16 kHz",
            f"image at {image:.0f} dB, wanted {MOST_IMAGE_DB:g} or less",
            fix="reinstall Offhook",
            ms=ms,
            decides="F-131 F-132",
        )
    else:
        trail.proven("8 to 16 kHz", f"images below {image:.0f} dB, frame by frame", ms=ms)
    _lines(ask, trail)
    return "codec, filter and spoken lines of this installation are right"


def _lines(ask: Ask, trail: Trail) -> None:
    folder = ask.settings.path("record.lines_dir")
    try:
        lines = spoken_lines(folder, own_lines(ask.settings))
    except LineError as error:
        trail.broken("spoken lines", str(error), fix="mend the file, or take record.lines_dir out of the settings")
        return
    quiet = [name for name, audio in lines.items() if not any(byte & 0x7F < 0x60 for byte in audio)]
    if quiet:
        trail.broken(
            "spoken lines", f"{', '.join(quiet)} cannot be heard", fix="record it louder than -40 dBFS", decides="F-138"
        )
    else:
        seconds = sum(map(len, lines.values())) / 8000
        where = f"yours from {folder.name}" if folder is not None else "the shipped ones"
        trail.proven("spoken lines", f"{len(lines)} lines, {seconds:.1f} s, all audible ({where})")


CHECK = Check(
    name="audio",
    boundary="media",
    proves="codec, filters and spoken lines of this installation",
    cannot="the provider's and the carrier's audio",
    run=run,
)
