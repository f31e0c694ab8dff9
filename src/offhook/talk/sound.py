"""
The terminal's microphone and speakers, through PortAudio where it is installed (``pip install 'offhook[microphone]'``).

PCMU at 8 kHz on our side, the device's own rate on the other, through filters that keep their state between blocks.
"""

from __future__ import annotations

import queue
from collections.abc import Callable
from typing import Any

import numpy as np

from offhook.media import g711
from offhook.media.resample import Resampler
from offhook.talk.echo import EchoGate
from offhook.talk.playback import QUIET, Playback

__all__ = ["SoundError", "Sound"]

BLOCK_S = 0.04
MOST_HEARD_S = 0.5  # of the microphone that waits: more is old
MOST_LATE_S = 1.0  # that a sound card may hold before it is heard
PIECE = 160  # of what is played: 20 ms


class SoundError(Exception):
    """Why there is no sound here, and what to do."""


class Sound:
    """
    Both devices, open. All three are called on PortAudio's threads: ``reached(marks, late_s)`` with how long the sound
    card still holds what stands before them, ``echo(both)`` whether both sides may speak at once as far as is known,
    ``gone()`` when a device was taken away. Raises SoundError.
    """

    def __init__(
        self,
        playback: Playback,
        reached: Callable[[list[str], float], None],
        echo: Callable[[bool], None] = lambda both: None,
        gone: Callable[[], None] = lambda: None,
    ) -> None:
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
        self._gate = EchoGate(echo)
        self._gone = gone
        self._streams: list[Any] = []
        try:
            self._in_hz = int(sounddevice.query_devices(kind="input")["default_samplerate"])
            self._out_hz = int(sounddevice.query_devices(kind="output")["default_samplerate"])
            self._ears, self._mouth = Resampler(self._in_hz, 8000), Resampler(8000, self._out_hz)
            self._out = np.zeros(0)  # at the device's rate, ahead of what it has asked for
            for kind, rate, callback in (
                (sounddevice.InputStream, self._in_hz, self._came),
                (sounddevice.OutputStream, self._out_hz, self._wanted),
            ):
                self._streams.append(
                    kind(
                        samplerate=rate,
                        channels=1,
                        dtype="int16",
                        blocksize=round(rate * BLOCK_S),
                        callback=callback,
                        finished_callback=self._finished,
                    )  # fmt: skip
                )
            for stream in self._streams:
                stream.start()
        except Exception as error:  # PortAudioError and what its back ends raise: no device, no permission
            self.close()
            none = "device -1" in str(error)  # PortAudio's word for a default that there is not
            why = "this machine has no default sound device for one of them" if none else error
            raise SoundError(f"no microphone and speakers: {why}") from None

    def _finished(self) -> None:
        if self._streams:  # not by us
            self._gone()

    def _came(self, data: Any, frames: int, time: Any, status: Any) -> None:
        at_8k = self._ears.push(data[:, 0].astype(np.float64))
        open_ = self._gate.heard(at_8k)
        heard = g711.encode(np.clip(np.rint(at_8k), -32768, 32767).astype(np.int16))
        self._heard.put(heard if open_ else (QUIET * (len(heard) // len(QUIET) + 1))[: len(heard)])
        while self._heard.qsize() > MOST_HEARD_S / BLOCK_S:
            self._heard.get()

    def _wanted(self, out: Any, frames: int, time: Any, status: Any) -> None:
        marks: list[str] = []
        while len(self._out) < frames:
            audio, passed = self._playback.take(PIECE)
            marks += passed
            samples = g711.decode(audio).astype(np.float64)
            self._gate.played(samples)
            self._out = np.concatenate([self._out, self._mouth.push(samples)])
        now, self._out = self._out[:frames], self._out[frames:]
        out[:, 0] = np.clip(np.rint(now), -32768, 32767).astype(np.int16)
        if marks:
            self._reached(marks, min(MOST_LATE_S, max(0.0, time.outputBufferDacTime - time.currentTime)))

    def __call__(self, n: int) -> bytes:
        """``n`` bytes of the microphone; silence where it has nothing yet."""
        while len(self._buffer) < n and not self._heard.empty():
            self._buffer += self._heard.get()
        taken, self._buffer = self._buffer[:n], self._buffer[n:]
        return taken + b"\xff" * (n - len(taken))

    def close(self) -> None:
        streams, self._streams = self._streams, []
        for stream in streams:
            stream.close()
