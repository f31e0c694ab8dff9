"""
Render every spoken line that ships with Offhook, as raw PCMU at 8 kHz.

    python tools/render_lines.py [NAME ...]        (needs flite: apt-get install flite)

System lines and the receptionist speak with flite's voice slt, the demo's caller with rms. Each line is
brought to -20 dBFS, its edges trimmed, and given a floor of noise, because digital silence is not what a
phone line carries. Run it with the names of those whose text in ``offhook/loopback/lines.py`` or
``offhook/media/lines.py`` changed; without names it renders all of them, and the music on hold.
"""

import subprocess
import sys
import tempfile
import wave
from pathlib import Path

import numpy as np

from offhook.loopback import lines as loopback_lines
from offhook.media import g711
from offhook.media import lines as media_lines
from offhook.media.resample import downsample_to_8k

LEVEL_DBFS = -20.0
FLOOR_LSB = 6.0  # about -75 dBFS
PAD_S = 0.06


def speak(text: str, voice: str) -> np.ndarray:
    """16-bit samples of ``text`` at 8 kHz."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "line.wav"
        subprocess.run(["flite", "-voice", voice, "-t", text, "-o", str(path)], check=True)
        with wave.open(str(path)) as file:
            rate = file.getframerate()
            samples = np.frombuffer(file.readframes(file.getnframes()), dtype="<i2")
    return downsample_to_8k(samples.astype(np.float64), rate)


def dress(samples: np.ndarray, seed: int) -> bytes:
    """Trimmed, levelled, padded to whole 20 ms frames, with its floor of noise, as PCMU."""
    loud = np.flatnonzero(np.abs(samples) > np.max(np.abs(samples)) * 0.02)
    samples = samples[loud[0] : loud[-1] + 1]
    active = samples[np.abs(samples) > np.max(np.abs(samples)) * 0.05]
    samples = samples * (32768 * 10 ** (LEVEL_DBFS / 20) / np.sqrt(np.mean(active**2)))
    pad = np.zeros(int(8000 * PAD_S))
    samples = np.concatenate([pad, samples, pad])
    samples = np.concatenate([samples, np.zeros(-len(samples) % 160)])
    noise = np.random.default_rng(seed).normal(0, FLOOR_LSB, len(samples))
    return g711.encode(np.clip(samples + noise, -32768, 32767).astype(np.int16))


def hold_music() -> bytes:
    """Four broken chords, each note plucked and fading; ends where it begins, so that it can go on for ever."""
    beat, notes = int(8000 * 0.3), 8
    samples = np.zeros(4 * notes * beat)
    for bar, chord in enumerate(
        ((262, 330, 392, 523), (220, 262, 330, 440), (175, 220, 262, 349), (196, 247, 294, 392))
    ):
        for step, note in enumerate((0, 1, 2, 3, 2, 1, 2, 1)):
            at = (bar * notes + step) * beat
            t = np.arange(4 * beat) / 8000
            pluck = np.exp(-3.2 * t) * np.minimum(1, t / 0.006)
            tone = sum(np.sin(2 * np.pi * chord[note] * k * t) / k**2 for k in (1, 2, 3))
            where = np.arange(at, at + len(t)) % len(samples)  # what rings on rings into the beginning
            samples[where] += pluck * tone
    samples *= 32768 * 10 ** ((LEVEL_DBFS - 4) / 20) / np.sqrt(np.mean(samples**2))
    noise = np.random.default_rng(99).normal(0, FLOOR_LSB, len(samples))
    return g711.encode(np.clip(samples + noise, -32768, 32767).astype(np.int16))


def cue() -> bytes:
    """Two soft notes, C5 and E5, quick in and slow out: a tool is at work."""

    def note(hz: float, ms: int) -> np.ndarray:
        t = np.arange(8 * ms)
        envelope = np.minimum(1, np.minimum(t / 120, (8 * ms - t) / 720))
        return 2600 * envelope * (np.sin(2 * np.pi * hz * t / 8000) + np.sin(4 * np.pi * hz * t / 8000) / 4)

    samples = np.concatenate([note(523.25, 140), np.zeros(240), note(659.25, 200)])
    return g711.encode(np.concatenate([samples, np.zeros(-len(samples) % 160)]).astype(np.int16))


def main() -> None:
    wanted = sys.argv[1:]
    if not wanted or "cue" in wanted:
        (media_lines.FOLDER / "cue.ulaw").write_bytes(cue())
    if not wanted or "hold" in wanted:
        (media_lines.FOLDER / "hold.ulaw").write_bytes(hold_music())
    jobs = [(media_lines.FOLDER, name, text, "slt") for name, text in media_lines.TEXTS.items()]
    jobs += [(loopback_lines.FOLDER, name, text, "slt") for name, text in loopback_lines.AGENT.items()]
    jobs += [(loopback_lines.FOLDER, name, text, "slt") for name, text in loopback_lines.NUMBERS.items()]
    jobs += [(loopback_lines.FOLDER, name, text, "rms") for name, text in loopback_lines.CALLER.items()]
    for seed, (folder, name, text, voice) in enumerate(jobs):
        if wanted and name not in wanted:
            continue
        audio = dress(speak(text, voice), seed)
        (folder / f"{name}.ulaw").write_bytes(audio)
        sys.stdout.write(f"{len(audio) / 8000:5.2f} s  {voice}  {name}: {text}\n")


if __name__ == "__main__":
    main()
