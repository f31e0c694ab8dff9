"""The terminal's microphone and speakers: no seams between blocks, and an agent that does not interrupt itself."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest

from offhook.loopback.lines import audio
from offhook.media import g711
from offhook.media.resample import Resampler
from offhook.talk.echo import EchoGate
from offhook.talk.playback import Playback
from offhook.talk.sound import Sound, SoundError

RATES = (48_000, 44_100, 24_000, 16_000, 11_025)
CLICKS_DB = -80  # above what the line carries; with blocks that are each filtered alone -33


def tone(hz, rate, seconds=0.5):
    return 10_000 * np.sin(2 * np.pi * hz / rate * np.arange(int(rate * seconds)))


def power(samples):
    settled = samples[len(samples) // 2 :]
    return 10 * np.log10(2 * np.mean(settled**2) / 1e8)


@pytest.mark.parametrize("rate", RATES)
def test_a_filter_keeps_its_state_so_that_blocks_have_no_seams_and_nothing_is_folded(rate):
    for from_hz, to_hz in ((rate, 8000), (8000, rate)):
        x = tone(1000, from_hz)
        whole, pieces = Resampler(from_hz, to_hz), Resampler(from_hz, to_hz)
        at_once = whole.push(x)
        cut = np.concatenate([pieces.push(x[at : at + 77]) for at in range(0, len(x), 77)])
        assert len(at_once) == len(cut) and np.abs(at_once - cut).max() < 1e-6
        assert abs(len(cut) - len(x) * to_hz / from_hz) <= 1 and abs(power(cut)) < 0.1
    assert power(Resampler(rate, 8000).push(tone(5000, rate))) < -60


class Devices(SimpleNamespace):
    """What of sounddevice is used, without a device."""

    def __init__(self, in_hz, out_hz, broken=False):
        super().__init__(made=[], closed=[])
        self.rates, self.broken = {"input": in_hz, "output": out_hz}, broken
        self.InputStream = lambda **given: self.stream("input", given)
        self.OutputStream = lambda **given: self.stream("output", given)

    def query_devices(self, kind):
        return {"default_samplerate": float(self.rates[kind])}

    def stream(self, kind, given):
        if kind == "output" and self.broken:
            raise OSError("device is busy")
        assert given["samplerate"] == self.rates[kind] and given["blocksize"] == round(self.rates[kind] * 0.04)
        self.made.append(SimpleNamespace(start=lambda: None, close=lambda: self.closed.append(kind), **given))
        return self.made[-1]


def sound(monkeypatch, devices, playback, **heard):
    monkeypatch.setitem(sys.modules, "sounddevice", devices)
    return Sound(playback, heard.pop("reached", lambda marks, late_s: None), **heard)


def test_what_goes_in_and_out_of_a_sound_card_is_whole_and_marks_wait_for_what_it_still_holds(monkeypatch):
    devices, playback, reached = Devices(48_000, 44_100), Playback(), []
    card = sound(monkeypatch, devices, playback, reached=lambda marks, late_s: reached.append((marks, late_s)))
    came, wanted = devices.made[0].callback, devices.made[1].callback
    playback.add(g711.encode(np.rint(tone(337, 8000, 1.0)).astype(np.int16)))
    playback.mark("m1")
    said, heard, line = tone(440, 48_000, 1.0), [], b""
    for n in range(25):
        out = np.zeros((1764, 1), np.int16)
        wanted(out, 1764, SimpleNamespace(outputBufferDacTime=5.12, currentTime=5.0), None)
        heard.append(out[:, 0])
        came(np.rint(said[n * 1920 : (n + 1) * 1920])[:, None].astype(np.int16), 1920, None, None)
        line += card(320)
    spectrum = np.abs(np.fft.rfft(np.concatenate(heard)[8_820:35_280] * np.hanning(26_460))) ** 2
    hz = np.fft.rfftfreq(26_460, 1 / 44_100)
    assert hz[spectrum.argmax()] == pytest.approx(337, abs=2)
    assert 10 * np.log10(spectrum[hz > 4300].sum() / spectrum.sum()) < CLICKS_DB
    assert reached == [(["m1"], pytest.approx(0.12))]
    assert len(line) == 8000 and set(line[-1600:]) <= set(b"\xff\x7f\xfe\x7e")  # closed: it may be the agent's echo
    card.close()
    assert devices.closed == ["input", "output"]


def test_a_card_that_opens_by_half_is_closed_and_one_that_is_pulled_out_is_told(monkeypatch):
    devices = Devices(48_000, 48_000, broken=True)
    with pytest.raises(SoundError, match="device is busy"):
        sound(monkeypatch, devices, Playback())
    assert devices.closed == ["input"]
    devices, gone = Devices(16_000, 16_000), []
    card = sound(monkeypatch, devices, Playback(), gone=lambda: gone.append(True))
    devices.made[0].finished_callback()
    assert gone == [True]
    card.close()
    devices.made[1].finished_callback()
    assert gone == [True]  # by us


def lines(*names, n):
    row = np.concatenate([g711.decode(audio(name)).astype(np.float64) for name in names])
    return np.resize(row, n)


def through(gate, played, heard):
    """How much of the microphone's audio was passed on, in order."""
    passed = []
    for at in range(0, len(played), 320):
        gate.played(played[at : at + 320])
        passed.append(gate.heard(heard[at : at + 320]))
    return passed


def test_a_microphone_that_hears_the_speakers_is_closed_while_the_agent_speaks():
    told, n = [], 5 * 8000
    gate, agent = EchoGate(told.append), lines("services", n=n)
    echo = 0.1 * np.concatenate([np.zeros(1500), agent])[:n]  # after 190 ms, 20 dB less
    assert not any(through(gate, agent, echo)[2:]) and told == [False]
    quiet = np.zeros(8000)
    assert through(gate, quiet, lines("caller_hours", n=8000))[-12:] == [True] * 12  # the agent is silent
    told.clear()
    person = lines("caller_hours", "caller_price", n=n)  # a headset was put on
    assert through(gate, agent, person)[-1] and not told  # louder than any echo: a person
    assert through(gate, agent, np.zeros(n))[-1] and told == [True]  # and nothing of the agent any more


@pytest.mark.parametrize("decibels", [-14, -20, -28])
def test_who_speaks_well_above_the_echo_is_let_through_and_the_echo_never_is(decibels):
    told, n = [], 8 * 8000
    gate = EchoGate(told.append)
    room = np.random.default_rng(7).normal(size=2400) * np.exp(-6.9 * np.arange(2400) / 2400)
    agent = lines("services", "hours", n=n)
    echo = np.convolve(agent, np.concatenate([np.zeros(800), room / np.linalg.norm(room)]))[:n] * 10 ** (decibels / 20)
    assert not any(through(gate, agent, echo)[2:]) and told == [False]
    person = np.zeros(n)
    person[16_000:30_000] = lines("caller_services", n=14_000)
    passed = through(gate, agent, echo + person)
    begins, ends = 16_000 // 320, 30_000 // 320
    assert not any(passed[:begins]) and any(passed[begins : begins + 25])  # within a second
    assert not any(passed[ends + 20 :]) and told == [False]


def test_a_headset_lets_both_speak_at_once_after_the_first_words():
    told, n = [], 5 * 8000
    passed = through(EchoGate(told.append), lines("services", n=n), lines("caller_location", "caller_thanks", n=n))
    assert told == [True] and not passed[10] and all(passed[75:])  # 3 s
    told.clear()
    noise = np.random.default_rng(1).normal(0, 5, n)
    assert through(EchoGate(told.append), lines("hours", "price", n=n), noise)[-1] and told == [True]
