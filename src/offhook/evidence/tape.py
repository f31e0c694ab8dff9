"""
The tape of a recording: both sides of a call in samples, placed, and written as a WAV file that is whole at any moment.

The caller is placed by arrival, the agent by the playback clock; what a clear dropped is silence. The loop's side only
appends to lists, the writer's thread places and mixes. Where native/tape.c was compiled it makes the same file, byte
for byte, and places at once. Knows no wire.
"""

from __future__ import annotations

import binascii
import os
import struct

__all__ = ["Tape", "write_at"]

FRAME = 160
SILENCE = b"\xff"
SLACK = 2 * FRAME  # so late may a frame come and still follow the last one without a hole
# What is on the disk can still be placed anew, as long as it is kept. What the network held back comes in one burst
# after a hole, and the hole is then found to have been none: KEPT of it, until no hole came or shrank for SETTLED.
# A pause begins a little before it is known: NEAR is always kept.
KEPT = 5 * 8000
SETTLED = 2 * 8000
NEAR = 6400
CHUNK = 8000  # samples of one write: mixing more would hold the interpreter for too long
MAX_PENDING = 20_000  # caller frames that wait for a writer that hangs in the disk: some six minutes, 6 MB
MAX_PENDING_BYTES = 4 * 1024 * 1024  # the same, of the agent's audio


class Tape:
    """One call's tape; ``t0`` is the call's begin in seconds, and so is each ``now``."""

    def __init__(self, t0: float) -> None:
        self.dropped = 0  # frames that came while the disk hung, or faster than time goes by
        self._pending: list[tuple[str, bytes, float]] = []
        # Of the caller's frames no object is kept: ten thousand a second would go out of the processor's cache and come
        # back. The loop only appends here, text first, and the writer takes only from the front.
        self._text = bytearray()
        self._lengths: list[int] = []
        self._times: list[float] = []
        self._pending_bytes = 0
        self._stopped = False
        self._mix = _Mix(t0)
        self._headed = -1  # samples of which the header on the disk tells

    # The methods below run on the loop.

    def caller(self, payload: bytes, n_bytes: int, now: float) -> None:
        """A frame of the caller arrived."""
        if len(self._times) < MAX_PENDING and not self._stopped:
            self._text.extend(payload)
            self._lengths.append(len(payload))
            self._times.append(now)
        else:
            self.dropped += 1

    def agent(self, payload: bytes, n_bytes: int, now: float) -> None:
        """Agent audio was sent; it plays when what was sent before has been played."""
        self._pending_bytes += len(payload)
        if self._pending_bytes > MAX_PENDING_BYTES or self._stopped:
            self.dropped += 1
            return
        self._pending.append(("agent", payload, now))

    def clear(self, now: float) -> None:
        """What has not been played by now never will be."""
        self._pending.append(("clear", b"", now))

    def pause(self, now: float, back_s: float = 0.0) -> None:
        """From ``back_s`` before now on both sides are silence, until it is resumed."""
        self._pending.append(("pause", b"", now - back_s))

    def resume(self, now: float) -> None:
        """What is heard from now on is kept again."""
        self._pending.append(("resume", b"", now))

    # The rest runs on the writer's thread.

    def write(self, fd: int) -> None:
        """All that is known so far. Raises OSError; what was not written keeps waiting."""
        taken, self._pending = self._pending, []
        self._pending_bytes = 0
        mix = self._mix
        self.dropped += mix.callers(*self._take())
        for what, payload, now in taken:
            if what == "agent":
                mix.agent(payload, now)
            elif what == "clear":
                mix.clear(now)
            else:
                mix.pause(now, on=what == "pause")
        mix.hush()
        if not self._stopped:
            self._write(fd)

    def stop(self) -> None:
        """Nothing is kept any more."""
        self._stopped = True
        self._mix = _Mix(0.0)
        self._take()

    def _take(self) -> tuple[bytes, list[int], list[float]]:
        """The caller's frames that are there whole: their text, how long each one's is, when each came."""
        n = len(self._times)
        lengths, times = self._lengths[:n], self._times[:n]
        text = bytes(self._text[: sum(lengths)])
        del self._text[: len(text)]
        del self._lengths[:n], self._times[:n]
        return text, lengths, times

    def _write(self, fd: int) -> None:
        mix = self._mix
        while mix.unwritten:
            at, stereo = mix.stereo()
            _put(fd, len(_header(0)) + 2 * at, stereo)
            mix.written(at + len(stereo) // 2)
        if self._headed != mix.length:
            _put(fd, 0, _header(mix.length))  # last: it never says more than there is
            self._headed = mix.length


class _Mix:
    """Both channels in samples: what may still change of them, and how much of that is not on the disk."""

    def __init__(self, t0: float) -> None:
        self.length = 0  # samples on the disk
        self._t0 = t0
        self._caller = bytearray()
        self._agent = bytearray()
        self._base = 0  # where both buffers begin
        self._dirty = 0  # from here on the disk does not say what we know
        self._until = 0  # as far as time has gone
        self._caller_end = 0
        self._agent_end = 0
        self._pauses: list[list[int | None]] = []  # begin, end (None: still on)
        self._holes: list[tuple[int, int]] = []  # of the caller's channel: where, how long; the latest last
        self._unsettled = 0  # how far time had gone when a hole came or was closed

    def callers(self, text: bytes, lengths: list[int], times: list[float]) -> int:
        """Place the caller's frames; how many were left out. Most follow the one before, and go in together."""
        t0, end, dropped, at = self._t0, self._caller_end, 0, 0
        following: list[bytes] = []
        for length, now in zip(lengths, times, strict=True):
            try:
                audio = binascii.a2b_base64(text[at : at + length])
            except binascii.Error:
                audio = b""  # the wire has already recorded it
            at += length
            early = end - (round((now - t0) * 8000) - len(audio))  # samples that the channel is ahead of it
            if end and -SLACK <= early <= FRAME:
                following.append(audio)
                end += len(audio)
                continue
            self._append_caller(following)
            dropped += not self._caller_frame(audio, now)
            end = self._caller_end
        self._append_caller(following)
        if times:
            self._sample(times[-1])
        return dropped

    def _append_caller(self, following: list[bytes]) -> None:
        if following:
            self._caller_end = self._place(self._caller, self._caller_end, b"".join(following))
            following.clear()

    def _caller_frame(self, audio: bytes, now: float) -> bool:
        """
        Place a frame: behind the last one, or behind a hole. Whether it was placed.

        A frame cannot come before it was spoken: where the channel runs ahead of time, a hole was the network
        holding back, and is closed. Without a hole the carrier's clock runs fast, and a frame is left out.
        """
        begin = self._sample(now) - len(audio)  # it was spoken in the time before it came
        if begin > self._caller_end + (SLACK if self._caller_end else 0):
            where = max(self._caller_end, self._base)
            self._holes.append((where, begin - where))
            self._caller_end = begin
            self._unsettled = self._until
        while self._caller_end - begin > FRAME and self._holes:
            self._close_hole(self._caller_end - begin)
        if self._caller_end - begin > SLACK:
            return False
        self._caller_end = self._place(self._caller, self._caller_end, audio)
        return True

    def _close_hole(self, samples: int) -> None:
        where, length = self._holes.pop()
        taken = min(samples, length)
        del self._caller[where - self._base : where - self._base + taken]
        self._caller_end -= taken
        self._unsettled = self._until
        self._dirty = min(self._dirty, where)
        if taken < length:
            self._holes.append((where, length - taken))

    def agent(self, payload: bytes, now: float) -> None:
        self._agent_end = self._put(self._agent, max(self._sample(now), self._agent_end), payload)

    def clear(self, now: float) -> None:
        at = self._sample(now)
        del self._agent[max(0, at - self._base) :]
        self._agent_end = min(self._agent_end, at)

    def pause(self, now: float, *, on: bool) -> None:
        at = self._sample(now)
        if on and not (self._pauses and self._pauses[-1][1] is None):
            self._pauses.append([at, None])
        elif not on and self._pauses and self._pauses[-1][1] is None:
            self._pauses[-1][1] = at

    def hush(self) -> None:
        """
        Silence where it was paused. Done again as long as frames of that time may still come: what the network held
        back is placed where it was spoken.
        """
        for begin, end in self._pauses:
            first, last = max(begin or 0, self._base), self._until if end is None else end
            for channel in (self._caller, self._agent):
                until = min(last, self._base + len(channel))
                if first < until:
                    channel[first - self._base : until - self._base] = SILENCE * (until - first)
                    self._dirty = min(self._dirty, first)
        self._pauses = [pause for pause in self._pauses if pause[1] is None or pause[1] > self._base]

    def _sample(self, now: float) -> int:
        at = max(0, round((now - self._t0) * 8000))
        self._until = max(self._until, at)
        return at

    def _put(self, channel: bytearray, begin: int, payload: bytes) -> int:
        """Audio into a channel. Where it ends."""
        try:
            audio = binascii.a2b_base64(payload)
        except binascii.Error:
            return begin  # the wire has already recorded it
        return self._place(channel, begin, audio)

    def _place(self, channel: bytearray, begin: int, audio: bytes) -> int:
        end, early = begin + len(audio), max(0, self._base - begin)
        begin, audio = begin + early, audio[early:]  # what is forgotten cannot be placed anew
        at = begin - self._base
        if len(channel) < at:
            channel.extend(SILENCE * (at - len(channel)))
        channel[at : at + len(audio)] = audio
        self._dirty = min(self._dirty, begin)
        return max(end, begin)

    @property
    def unwritten(self) -> int:
        """Samples that the disk does not have as they are."""
        return max(0, self._until - self._dirty)

    def stereo(self) -> tuple[int, bytes]:
        """The next piece to be written: where it begins, both channels."""
        n = min(self.unwritten, CHUNK)
        at = self._dirty - self._base
        stereo = bytearray(2 * n)
        stereo[::2] = bytes(self._caller[at : at + n]).ljust(n, SILENCE)
        stereo[1::2] = bytes(self._agent[at : at + n]).ljust(n, SILENCE)
        return self._dirty, bytes(stereo)

    def written(self, until: int) -> None:
        """The disk has it; what lies far enough back is forgotten."""
        self._dirty = until
        self.length = max(self.length, until)
        if self.length - self._unsettled > SETTLED:
            self._holes.clear()
        near = min(self.length - NEAR, self._caller_end, *(where for where, _ in self._holes[:1]))
        done = min(self._dirty, max(self.length - KEPT, near)) - self._base
        if done > 0:
            self._base += done
            del self._caller[:done]
            del self._agent[:done]
            ends = [(max(where, self._base), where + length) for where, length in self._holes]
            self._holes = [(where, end - where) for where, end in ends if end > where]


def _put(fd: int, at: int, data: bytes) -> None:
    """One call of the system where there is ``pwrite``: each lets go of the interpreter and has to get it back."""
    view = memoryview(data)
    while view:
        n = write_at(fd, view, at)
        at, view = at + n, view[n:]


def _seek_and_write(fd: int, data: memoryview, at: int) -> int:
    os.lseek(fd, at, os.SEEK_SET)
    return os.write(fd, data)


write_at = getattr(os, "pwrite", _seek_and_write)  # not on Windows


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
