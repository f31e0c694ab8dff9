"""Keys as sound, and the beep of a voicemail: against a Fourier transform, which knows nothing of how they are made."""

import numpy as np
import pytest
from tests.signals import noise, pcmu, sine, spoken

from offhook.media import g711
from offhook.media.tones import KEYS, keys_pcmu, keys_problem, tone_hz

PAD = {"1": (697, 1209), "5": (770, 1336), "9": (852, 1477), "0": (941, 1336), "*": (941, 1209), "#": (941, 1477),
       "A": (697, 1633), "D": (941, 1633)}  # fmt: skip


@pytest.mark.parametrize(("key", "tones"), PAD.items())
def test_a_key_is_its_two_tones_at_a_telephones_levels(key: str, tones: tuple[int, int]):
    samples = g711.decode(keys_pcmu(key))
    assert len(samples) == 1600 and not samples[800:].any()  # 100 ms, then as much silence
    spectrum = np.abs(np.fft.rfft(samples[:800] * np.hanning(800), 8000)) / 400 * 2
    low, high = (int(np.argmax(spectrum[at : at + 560])) + at for at in (600, 1160))
    assert (low, high) == pytest.approx(tones, abs=1)
    dbm0 = [20 * np.log10(spectrum[hz] / 32124) + 3.17 for hz in (low, high)]
    assert dbm0 == pytest.approx([-8.0, -6.0], abs=0.3)


def test_pauses_are_silence_and_strangers_are_named():
    assert len(keys_pcmu("1wW2")) == 2 * 1600 + 4000 + 8000
    assert keys_problem("12*#ABCDw") == "" and "'x'" in keys_problem("1x") and keys_problem("")


@pytest.mark.parametrize("hz", [400, 440, 1000, 1400, 2000])
@pytest.mark.parametrize("dbfs", [-6, -20, -30])
def test_a_beep_is_a_tone_of_its_frequency(hz: int, dbfs: int):
    found = tone_hz(pcmu(sine(hz, dbfs))[:160])
    assert found is not None and abs(found - hz) < 0.02 * hz


def test_speech_noise_keys_and_silence_are_no_beep():
    frames = [data[at : at + 160] for name, data in spoken() if name.endswith("x1.0") for at in range(0, 32000, 1600)]
    frames += [data[at : at + 160] for _, data in noise() for at in range(0, 32000, 3200)]
    frames += [keys_pcmu(key)[:160] for key in KEYS] + [b"\xff" * 160, b""]
    beeps = sum(tone_hz(frame) is not None for frame in frames)
    assert len(frames) > 700 and beeps == 0
