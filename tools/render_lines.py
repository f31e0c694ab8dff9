"""
Render every spoken line that ships with Offhook, as raw PCMU at 8 kHz.

    python tools/render_lines.py        (needs flite: apt-get install flite)

System lines and the receptionist speak with flite's voice slt, the demo's caller with rms. Each line is
brought to -20 dBFS, its edges trimmed, and given a floor of noise, because digital silence is not what a
phone line carries. Run it after a text in ``offhook/loopback/lines.py`` or ``offhook/media/lines.py`` changed.
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


def main() -> None:
    jobs = [(media_lines.FOLDER, name, text, "slt") for name, text in media_lines.TEXTS.items()]
    jobs += [(loopback_lines.FOLDER, name, text, "slt") for name, text in loopback_lines.AGENT.items()]
    jobs += [(loopback_lines.FOLDER, name, text, "rms") for name, text in loopback_lines.CALLER.items()]
    for seed, (folder, name, text, voice) in enumerate(jobs):
        audio = dress(speak(text, voice), seed)
        (folder / f"{name}.ulaw").write_bytes(audio)
        sys.stdout.write(f"{len(audio) / 8000:5.2f} s  {voice}  {name}: {text}\n")


if __name__ == "__main__":
    main()
