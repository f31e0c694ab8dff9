"""
A stereo recording of a call: caller left, agent right, as the caller heard it; 8 kHz µ-law WAV.

The caller is placed by arrival, frame after frame; the agent by the playback clock, and what a clear dropped is
silence. Both are aligned to one 20 ms frame. Samples are written as they become final; a killed process leaves a
file whose header says less than there is, which players read all the same. Knows no wire.
"""

from __future__ import annotations

import binascii
import struct
from pathlib import Path
from typing import BinaryIO

__all__ = ["StereoRecorder"]

FRAME = 160
SILENCE = 0xFF
# Agent audio up to so far ahead of the clock is kept in memory; written when it has been played.
CHUNK_FRAMES = 50


class StereoRecorder:
    """
    One call's recording. ``now`` is the call's clock in seconds.

    Frames reach the disk once a second from the loop: one second is 16 kB into the page cache.
    """

    def __init__(self, path: Path, t0: float) -> None:
        self.path = path
        self.failed: str | None = None
        self._t0 = t0
        self._caller = bytearray()
        self._agent = bytearray()
        self._written = 0  # samples on disk
        self._caller_end = 0  # samples placed
        self._agent_end = 0
        self._file: BinaryIO | None = None
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("wb")
            self._file.write(_header(0))
        except OSError as error:
            self._fail(error)

    def caller(self, payload: bytes, n_bytes: int, now: float) -> None:
        """A frame of the caller arrived; a gap of more than two frames before it is silence."""
        begin = self._sample(now) - n_bytes  # it was spoken in the time before it came
        begin = self._caller_end if abs(begin - self._caller_end) <= 2 * FRAME else max(begin, self._caller_end)
        self._caller_end = self._put(self._caller, begin, payload)
        if self._caller_end - self._written > CHUNK_FRAMES * FRAME:
            self._flush(min(self._caller_end, self._sample(now)))

    def agent(self, payload: bytes, n_bytes: int, now: float) -> None:
        """Agent audio was sent; it plays when what was sent before has been played."""
        begin = max(self._sample(now), self._agent_end)
        self._agent_end = self._put(self._agent, begin, payload)

    def clear(self, now: float) -> None:
        """What has not been played by now never will be."""
        at = max(0, self._sample(now) - self._written)
        del self._agent[at:]
        self._agent_end = min(self._agent_end, self._sample(now))

    def close(self, now: float) -> None:
        """Write what is left, and the true length into the header."""
        self.clear(now)
        self._flush(max(self._caller_end, self._agent_end))
        if self._file is None:
            return
        try:
            self._file.seek(0)
            self._file.write(_header(self._written))
            self._file.close()
        except OSError as error:
            self._fail(error)

    def _sample(self, now: float) -> int:
        return max(0, round((now - self._t0) * 8000))

    def _put(self, channel: bytearray, begin: int, payload: bytes) -> int:
        try:
            audio = binascii.a2b_base64(payload)
        except binascii.Error:
            return begin
        at = max(0, begin - self._written)
        if len(channel) < at:
            channel.extend(bytes([SILENCE]) * (at - len(channel)))
        channel[at : at + len(audio)] = audio
        return max(begin, self._written) + len(audio)

    def _flush(self, until: int) -> None:
        n = until - self._written
        if n <= 0 or self._file is None:
            return
        stereo = bytearray(2 * n)
        stereo[::2] = bytes(self._caller[:n]).ljust(n, bytes([SILENCE]))
        stereo[1::2] = bytes(self._agent[:n]).ljust(n, bytes([SILENCE]))
        del self._caller[:n]
        del self._agent[:n]
        self._written = until
        try:
            self._file.write(stereo)
        except OSError as error:
            self._fail(error)

    def _fail(self, error: OSError) -> None:
        """A disk that fails ends the recording, never the call."""
        self.failed = error.strerror or str(error)
        self._file = None


def _header(samples: int) -> bytes:
    """A WAV header: format tag 7 (µ-law), two channels, 8 kHz."""
    data = 2 * samples
    return b"".join(
        (
            b"RIFF", struct.pack("<I", 4 + 26 + 12 + 8 + data), b"WAVE",
            b"fmt ", struct.pack("<IHHIIHHH", 18, 7, 2, 8000, 16000, 2, 8, 0),
            b"fact", struct.pack("<II", 4, samples),
            b"data", struct.pack("<I", data),
        )
    )  # fmt: skip
