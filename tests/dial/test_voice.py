"""What a caller can say: WAV files of every usual kind keep pitch and level, and what cannot be said has a reason."""

import struct
import sys
import types

import numpy as np
import pytest

from offhook.dial import voice
from offhook.loopback.lines import audio
from offhook.media import g711
from offhook.media.levels import level_dbfs
from offhook.media.resample import resample
from offhook.media.wav import WavError, pcmu_of_wav


def wav(samples: np.ndarray, rate: int, kind: str = "<i2", channels: int = 1, tag: int = 1) -> bytes:
    raw = samples.astype(kind).tobytes()
    width = np.dtype(kind).itemsize
    fmt = struct.pack("<HHIIHH", tag, channels, rate, rate * width * channels, width * channels, width * 8)
    body = b"WAVEfmt " + struct.pack("<I", len(fmt)) + fmt + b"LIST\x03\0\0\0abc\0" + b"data"
    return b"RIFF" + struct.pack("<I", 0) + body + struct.pack("<I", len(raw)) + raw


def sine(rate: int, hz: float = 1000.0, level: float = 0.1, seconds: float = 1.0) -> np.ndarray:
    return np.sin(2 * np.pi * hz * np.arange(int(rate * seconds)) / rate) * 32767 * level


def pitch(pcmu: bytes) -> float:
    samples = g711.decode(pcmu).astype(float)
    return float(np.argmax(np.abs(np.fft.rfft(samples * np.hanning(len(samples)))))) * 8000 / len(samples)


@pytest.mark.parametrize("rate", [8000, 11025, 16000, 22050, 24000, 44100, 48000])
def test_a_tone_keeps_pitch_and_level_at_every_rate(rate):
    pcmu = pcmu_of_wav(wav(sine(rate), rate))
    assert abs(len(pcmu) - 8000) <= 1 and pitch(pcmu) == pytest.approx(1000, abs=2)
    assert level_dbfs(pcmu) == pytest.approx(-23.0, abs=0.3)


@pytest.mark.parametrize("rate", [16000, 22050, 24000, 48000])
def test_what_a_phone_cannot_carry_is_filtered_not_folded(rate):
    folded = resample(sine(rate, 5000.0, 0.5), rate, 8000)
    assert 20 * np.log10(np.sqrt(np.mean(folded[200:-200] ** 2)) / 11584) < -70


def test_other_kinds_of_samples():
    loud = sine(8000)
    assert pcmu_of_wav(wav(np.stack([loud, loud], 1).ravel(), 8000, channels=2)) == pcmu_of_wav(wav(loud, 8000))
    for kind, scale, tag in (("<i4", 65536, 1), ("<f4", 1 / 32768, 3)):
        assert level_dbfs(pcmu_of_wav(wav(loud * scale, 8000, kind, tag=tag))) == pytest.approx(-23, abs=0.3)
    assert level_dbfs(pcmu_of_wav(wav(loud / 256 + 128, 8000, "u1"))) == pytest.approx(-23, abs=0.5)
    raw = audio("caller_hours")
    mulaw = wav(np.frombuffer(raw, np.uint8), 8000, "u1", tag=7)
    assert pcmu_of_wav(mulaw) == raw


def test_24_bits():
    ints = (sine(8000) * 256).astype(np.int32)
    raw = b"".join(int(value).to_bytes(3, "little", signed=True) for value in ints)
    head = struct.pack("<HHIIHH", 1, 1, 8000, 24000, 3, 24)
    data = b"RIFF\0\0\0\0WAVEfmt " + struct.pack("<I", 16) + head + b"data" + struct.pack("<I", len(raw)) + raw
    assert level_dbfs(pcmu_of_wav(data)) == pytest.approx(-23, abs=0.3)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"ID3....", "no RIFF"),
        (wav(sine(8000), 8000)[:40], "no audio"),
        (wav(sine(8000), 1000), "1000 Hz"),
        (wav(sine(8000), 8000, tag=6), "format 6"),
    ],
)
def test_what_is_no_wav_file_says_why(data, says):
    with pytest.raises(WavError, match=says):
        pcmu_of_wav(data)


@pytest.mark.parametrize(
    ("what", "seconds", "level"), [("tone:440:0.5", 0.5, -18), ("noise:-30:1", 1, -30), ("babble:1", 1, -20)]
)
def test_sounds_are_made_to_measure(what, seconds, level):
    pcmu = voice.pcmu_for(what)
    assert len(pcmu) == seconds * 8000 and level_dbfs(pcmu) == pytest.approx(level, abs=1)


def test_silence_shipped_lines_and_files(tmp_path):
    assert voice.pcmu_for("silence:1") == b"\xff" * 8000
    assert voice.pcmu_for("caller_hours") == audio("caller_hours")
    (tmp_path / "x.wav").write_bytes(wav(sine(16000), 16000))
    assert len(voice.pcmu_for("x.wav", tmp_path)) == 8000


@pytest.mark.parametrize(("what", "says"), [("tone:440", "tone:HZ:SECONDS"), ("no.wav", "cannot be read"),
                                            ("tone:a:b", "wanted tone")])  # fmt: skip
def test_what_cannot_be_said(what, says):
    with pytest.raises(voice.VoiceError, match=says):
        voice.pcmu_for(what)


def test_words_need_a_speech_program_and_the_error_names_one(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(voice.VoiceError, match="install espeak-ng"):
        voice.pcmu_for("hello nobody")


def test_words_go_through_the_program_that_is_there(monkeypatch, tmp_path):
    (tmp_path / "said.wav").write_bytes(wav(sine(22050), 22050))
    program = tmp_path / "espeak-ng"
    program.write_text(f"#!/bin/sh\n/bin/cat > {tmp_path}/words\nexec /bin/cat {tmp_path}/said.wav\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert abs(len(voice.pcmu_for("hello there")) - 8000) <= 1
    assert (tmp_path / "words").read_text() == "hello there"
    program.write_text("#!/bin/sh\necho no voice >&2\n")
    with pytest.raises(voice.VoiceError, match="it said: no voice"):
        voice.pcmu_for("hello again")


def test_flite_is_given_the_words_and_no_file_for_with_a_pipe_behind_it_never_ends_then(monkeypatch, tmp_path):
    (tmp_path / "said.wav").write_bytes(wav(sine(8000), 8000))
    program = tmp_path / "flite"
    program.write_text(f'#!/bin/sh\n[ "$3 $4" = "-t -hello there" ] || exit 1\nexec /bin/cat {tmp_path}/said.wav\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert len(voice.pcmu_for("-hello there")) == 8000


def test_a_microphone_needs_its_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    with pytest.raises(voice.VoiceError, match=r"pip install 'offhook\[microphone\]'"):
        voice.Microphone()


def test_a_microphone_gives_what_it_heard_then_silence(monkeypatch):
    class Input:
        def __init__(self, channels, dtype, callback):
            callback(sine(48000, seconds=0.1).astype(np.int16).reshape(-1, 1), 4800, None, None)

        def start(self):
            pass

        def close(self):
            pass

    fake = types.SimpleNamespace(query_devices=lambda kind: {"default_samplerate": 48000.0}, InputStream=Input)
    monkeypatch.setitem(sys.modules, "sounddevice", fake)
    microphone = voice.Microphone()
    heard = microphone(1000)
    assert heard[800:] == b"\xff" * 200 and level_dbfs(heard[:800]) == pytest.approx(-23, abs=1)
    microphone.close()
