"""
The terminal's microphone and speakers, through PortAudio where it is installed (``pip install 'offhook[microphone]'``).

PCMU at 8 kHz on our side, the device's own rate on the other.
"""

from __future__ import annotations

import queue
from collections.abc import Callable
from typing import Any

import numpy as np

from offhook.media import g711
from offhook.media.resample import resample
from offhook.talk.playback import Playback

__all__ = ["SoundError", "Sound"]

BLOCK_S = 0.04
MOST_HEARD_S = 0.5  # of the microphone that waits: more is old


class SoundError(Exception):
    """Why there is no sound here, and what to do."""


class Sound:
    """Both devices, open. ``reached(marks)`` is called on PortAudio's thread. Raises SoundError."""

    def __init__(self, playback: Playback, reached: Callable[[list[str]], None]) -> None:
        try:
            import sounddevice
        except ImportError:
            raise SoundError("the package sounddevice is not installed: pip install 'offhook[microphone]'") from None
        except OSError as error:  # the package is there, the library behind it is not
            raise SoundError(f"{error}; install PortAudio (apt install libportaudio2)") from None
        self._playback = playback
        self._reached = reached
        self._heard: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self._buffer = b""
        try:
            self._in_hz = int(sounddevice.query_devices(kind="input")["default_samplerate"])
            self._out_hz = int(sounddevice.query_devices(kind="output")["default_samplerate"])
            self._streams: tuple[Any, ...] = (
                sounddevice.InputStream(
                    channels=1, dtype="int16", blocksize=round(self._in_hz * BLOCK_S), callback=self._came
                ),
                sounddevice.OutputStream(
                    channels=1, dtype="int16", blocksize=round(self._out_hz * BLOCK_S), callback=self._wanted
                ),
            )
            for stream in self._streams:
                stream.start()
        except Exception as error:  # PortAudioError and what its back ends raise: no device, no permission
            raise SoundError(f"no microphone and speakers: {error}") from None

    def _came(self, data: Any, frames: int, time: Any, status: Any) -> None:
        at_8k = resample(data[:, 0].astype(np.float64), self._in_hz, 8000)
        self._heard.put(g711.encode(np.clip(np.rint(at_8k), -32768, 32767).astype(np.int16)))
        while self._heard.qsize() > MOST_HEARD_S / BLOCK_S:
            self._heard.get()

    def _wanted(self, out: Any, frames: int, time: Any, status: Any) -> None:
        audio, marks = self._playback.take(round(frames * 8000 / self._out_hz))
        samples = resample(g711.decode(audio).astype(np.float64), 8000, self._out_hz)
        out[:, 0] = np.resize(np.clip(np.rint(samples), -32768, 32767), frames).astype(np.int16)
        if marks:
            self._reached(marks)

    def __call__(self, n: int) -> bytes:
        """``n`` bytes of the microphone; silence where it has nothing yet."""
        while len(self._buffer) < n and not self._heard.empty():
            self._buffer += self._heard.get()
        taken, self._buffer = self._buffer[:n], self._buffer[n:]
        return taken + b"\xff" * (n - len(taken))

    def close(self) -> None:
        for stream in self._streams:
            stream.close()
