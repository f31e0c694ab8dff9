"""What the meters say of everything that may come over a line, and of what must not."""

import base64
import random

import numpy as np
import pytest
from tests import signals

from offhook.loopback.lines import audio
from offhook.media.levels import Meter, is_silence, level_dbfs
from offhook.sims.provider import tone


@pytest.mark.parametrize("group", signals.GROUPS)
def test_what_a_line_may_carry_is_never_judged_to_be_something_else(group):
    known = signals.sines(every=7) if group == "sine" else signals.GROUPS[group]()  # all: python -m tests.signals
    judged = {name: signals.measured(data).judge() for name, data in known}
    assert judged and {name: word for name, word in judged.items() if word not in ("ok", "silent")} == {}


def test_tones_of_any_pitch_level_and_phase_are_pcmu():
    rng = random.Random(7)
    for _ in range(800):
        hz, dbfs, phase = rng.uniform(200, 3400), rng.uniform(-60, 9), rng.uniform(0, 6.3)
        if rng.random() < 0.5:
            hz = 8000 / rng.randint(3, 40)  # the same few codes again and again
        data = signals.pcmu(signals.sine(hz, dbfs, phase, 3.5))
        assert signals.measured(data).judge() in ("ok", "silent"), (hz, dbfs, phase)


@pytest.mark.parametrize("kind", signals.WRONG)
def test_every_shipped_line_as_something_else_is_named(kind):
    wanted = signals.WRONG[kind][0]
    judged = {name: signals.measured(data).judge() for name, data in signals.wrong(kind)}
    assert len(judged) == len(signals.LINES) * len(signals.GAINS) > 100
    assert {name: word for name, word in judged.items() if word != wanted} == {}


def test_pcm16_between_pauses_of_digital_silence_is_named():
    for gain in signals.GAINS:
        samples = signals.speech("greeting", gain)
        samples[: len(samples) // 2] = 0
        assert signals.measured(samples.astype("<i2").tobytes()).judge() == "pcm16"


def test_little_audio_proves_nothing_and_figures_survive_the_record():
    assert signals.measured(audio("greeting")[:1600]).judge() == "not proven"
    meter = signals.measured(signals.WRONG["a-law"][1](signals.speech("greeting", 1.0)))
    again = Meter.read(meter.figures())
    assert again.figures() == meter.figures() and again.snapshot() == meter.snapshot()
    assert again.judge() == "a-law"


def test_levels_and_silence_are_told_from_the_bytes():
    assert abs(level_dbfs(tone(1000, 440, -20)) + 20) < 0.5
    assert level_dbfs(b"\xff" * 160) == -np.inf
    assert is_silence(base64.b64encode(b"\xff" * 160)) and not is_silence(base64.b64encode(audio("greeting")[:160]))
