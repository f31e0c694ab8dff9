"""
What a simulated caller says: shipped lines, WAV files, sounds, words through a speech program, a microphone.

Speech programs and the microphone are used where they are; where they are not, the error says what to install.
"""

from __future__ import annotations

import functools
import queue
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np

from offhook.loopback.lines import CALLER, audio
from offhook.media import g711, synth
from offhook.media.resample import resample
from offhook.media.wav import WavError, pcmu_of_wav

__all__ = ["Microphone", "VoiceError", "pcmu_for"]

TTS = ("espeak-ng", "flite")
TTS_S = 30.0
MAX_SECONDS = 600.0
_SOUNDS = "tone:HZ:SECONDS, noise:DBFS:SECONDS, babble:SECONDS or silence:SECONDS"


class VoiceError(Exception):
    """Something that cannot be said, and what to do."""


@functools.lru_cache(64)  # said again and again, and never made while a call runs: a plan has asked before
def pcmu_for(what: str, folder: Path | None = None) -> bytes:
    """
    PCMU for one thing to say: a sound, a shipped line, a WAV file (from ``folder``), else words to be spoken.

    Raises VoiceError.
    """
    kind, _, rest = what.partition(":")
    if kind in ("tone", "noise", "babble", "silence") and rest:
        return _sound(kind, rest)
    if what in CALLER:
        return audio(what)
    if what.lower().endswith((".wav", ".ulaw")):
        return _file((folder or Path()) / what)
    return _spoken(what)


def _sound(kind: str, rest: str) -> bytes:
    wanted = {"tone": 2, "noise": 2, "babble": 1, "silence": 1}[kind]
    try:
        figures = [float(part) for part in rest.split(":")]
    except ValueError:
        figures = []
    if len(figures) != wanted or not 0 < figures[-1] <= MAX_SECONDS:
        raise VoiceError(f"{kind}:{rest}: wanted {_SOUNDS}")
    n = round(figures[-1] * 8000)
    if kind == "silence":
        return b"\xff" * n
    if kind == "tone":
        samples = synth.sine(n, figures[0], -18.0)
    else:
        samples = synth.noise(n, figures[0]) if kind == "noise" else synth.babble(n)
    return g711.encode(np.clip(np.rint(samples), -32768, 32767).astype(np.int16))


def _file(path: Path) -> bytes:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise VoiceError(f"{path}: cannot be read: {error.strerror}") from None
    if path.suffix.lower() == ".ulaw":
        return data
    try:
        return pcmu_of_wav(data)
    except WavError as error:
        raise VoiceError(f"{path}: {error}; convert it: sox {path.name} -r 8000 -c 1 -b 16 out.wav") from None


def _spoken(text: str) -> bytes:
    program = next((found for name in TTS if (found := shutil.which(name))), None)
    if program is None:
        shipped = ", ".join(CALLER)
        raise VoiceError(
            f"say {text[:40]!r}: no speech program on PATH; install espeak-ng (apt install espeak-ng, brew install "
            f"espeak-ng) or flite, or say a WAV file, {_SOUNDS}, or a shipped line ({shipped})"
        )
    name = Path(program).name
    # flite 2.2 never ends with -f where it writes into a pipe; with -t it does
    words = ["--stdout", "-s", "150", "--stdin"] if name == "espeak-ng" else ["-o", "/dev/stdout", "-t", text]
    try:
        ran = subprocess.run([program, *words], input=text.encode(), capture_output=True, timeout=TTS_S, check=False)
    except subprocess.TimeoutExpired:
        raise VoiceError(f"{name}: not done within {TTS_S:g} s") from None
    try:
        return pcmu_of_wav(ran.stdout)
    except WavError as error:
        said = ran.stderr.decode(errors="replace").strip()[:200]
        raise VoiceError(f"{name} gave no WAV ({error}); it said: {said or 'nothing'}") from None


class Microphone:
    """The default microphone as a source of PCMU at 8 kHz; silence where it has nothing yet. Raises VoiceError."""

    def __init__(self) -> None:
        try:
            import sounddevice
        except ImportError:
            raise VoiceError(
                "--microphone: the package sounddevice is not installed: pip install 'offhook[microphone]'"
            ) from None
        except OSError as error:  # the package is there, the library behind it is not
            raise VoiceError(f"--microphone: {error}; install PortAudio (apt install libportaudio2)") from None
        self._waiting: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self._buffer = b""
        try:
            info = sounddevice.query_devices(kind="input")
            self._rate = int(info["default_samplerate"])
            self._stream: Any = sounddevice.InputStream(channels=1, dtype="int16", callback=self._came)
            self._stream.start()
        except Exception as error:  # PortAudioError and what its back ends raise: no device, no permission
            raise VoiceError(f"--microphone: {error}") from None

    def _came(self, data: Any, frames: int, time: Any, status: Any) -> None:
        at_8k = resample(data[:, 0].astype(np.float64), self._rate, 8000)
        self._waiting.put(g711.encode(np.clip(np.rint(at_8k), -32768, 32767).astype(np.int16)))

    def __call__(self, n: int) -> bytes:
        while len(self._buffer) < n and not self._waiting.empty():
            self._buffer += self._waiting.get()
        taken, self._buffer = self._buffer[:n], self._buffer[n:]
        return taken + b"\xff" * (n - len(taken))

    def close(self) -> None:
        self._stream.close()
