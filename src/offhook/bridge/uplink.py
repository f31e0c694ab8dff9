"""
Caller to agent: what the caller says is kept until the provider may hear it, then goes straight through.

Also the map between the provider's clock of audio and ours, and a look at how loud the caller is. Knows no
provider and no greeting: the bridge says when to open.
"""

from __future__ import annotations

from base64 import b64encode
from binascii import a2b_base64
from collections import deque
from collections.abc import Iterator

from offhook import vocab as v
from offhook.bridge.turns import BYTES_PER_S

__all__ = ["LOOK_EVERY", "QUIET", "Uplink", "is_loud"]

LOOK_EVERY = 5  # one frame in five is looked at: 100 ms, finer than any word

# µ-law codes below -31 dBFS (a peak of 924 of 32768): room noise on a phone line, not speech.
QUIET = bytes(code for code in range(256) if (~code & 0x7F) < 0x30)
_LOUD_BYTES = 8  # a click is shorter than a millisecond


_AROUND = 10  # frames beside a word: what is said softly before and after it
_SILENT_FRAME = b64encode(b"\xff" * 160)


def is_loud(payload: bytes) -> bool:
    """Whether a frame of PCMU (base64 text) holds sound as loud as speech. False for text that is no base64."""
    try:
        return len(a2b_base64(payload).translate(None, QUIET)) >= _LOUD_BYTES
    except ValueError:
        return False


class Uplink:
    """The caller's audio of one call. ``open`` means: frames go straight through."""

    __slots__ = (
        "_anchors", "_base", "_closed", "_held", "_held_bytes", "_held_since", "_keep_bytes", "_loud_since",
        "appended_bytes", "dropped_bytes", "early_bytes", "early_dropped_bytes", "frames", "muted", "muted_bytes",
        "open", "paused", "released_at",
    )  # fmt: skip

    def __init__(self, keep_s: float) -> None:
        self.open = False
        self.paused = False  # the provider does not read
        self.muted = False  # the provider gets silence instead of the caller
        self.muted_bytes = 0
        self._closed = False
        self.frames = 0
        self.appended_bytes = 0
        self._base = 0  # of them, when the provider that hears now began to
        self.early_bytes = 0
        self.early_dropped_bytes = 0
        self.dropped_bytes = 0
        self.released_at: float | None = None
        self._keep_bytes = keep_s * BYTES_PER_S
        self._held: deque[v.CallerAudio] = deque()
        self._held_bytes = 0
        self._held_since = 0.0
        self._loud_since: float | None = None  # the first loud frame that was held
        self._anchors: list[tuple[int, float]] = []  # position in appended bytes -> when it was spoken

    def hold(self, frame: v.CallerAudio, now: float) -> None:
        """Keep a frame for later; the oldest give way. A provider that does not read gets nothing at all."""
        if self.paused:
            # Live speech that is late is worth less than the words that follow, so the newest goes: what is
            # already written stays in order, and the conversation is in step again once the provider reads.
            self.dropped_bytes += frame.n_bytes
            return
        if not self._held:
            self._held_since = now
        self._held.append(frame)
        self._held_bytes += frame.n_bytes
        self.early_bytes += frame.n_bytes
        if self._loud_since is None and is_loud(frame.payload):
            self._loud_since = now
        while self._held_bytes > self._keep_bytes:
            # The oldest goes: of a long opening the end is what the agent should answer.
            n_bytes = self._held.popleft().n_bytes
            self._held_bytes -= n_bytes
            self.early_dropped_bytes += n_bytes
            self._held_since += n_bytes / BYTES_PER_S

    def release(self, now: float) -> Iterator[v.AppendAudio]:
        """What was held, oldest first; from here on frames go straight through."""
        if self._held:
            self._anchors.append((self.appended_bytes, self._held_since))
        held, self._held = self._held, deque()
        self._held_bytes = 0
        self.appended_bytes += sum(frame.n_bytes for frame in held)
        self._anchors.append((self.appended_bytes, now))
        self.released_at = now
        self.open = self.frames > 0 and not self.paused and not self.muted
        return (v.AppendAudio(frame.payload, frame.n_bytes) for frame in held)

    def forget(self) -> None:
        """Drop what is held: it has been answered otherwise."""
        self.early_dropped_bytes += self._held_bytes
        self._held.clear()
        self._held_bytes = 0
        self._loud_since = None

    def take(self) -> bytes:
        """What is held, without the silence around it, for whoever passes it on as a whole; then it is gone."""
        sounds = [is_loud(frame.payload) for frame in self._held]
        first = sounds.index(True) if True in sounds else len(sounds)
        last = len(sounds) - sounds[::-1].index(True) if True in sounds else 0
        frames = [a2b_base64(frame.payload) for frame in self._held]
        self._held_bytes = 0
        self.forget()
        return b"".join(frames[max(0, first - _AROUND) : last + _AROUND])

    def begun(self) -> bool:
        """The first frame came. Whether it and the next go straight through: what was released before is open now."""
        self._look()
        return self.open

    def _look(self) -> None:
        ready = self.frames > 0 and self.released_at is not None and not self._closed
        self.open = ready and not self.paused and not self.muted

    def mute(self, on: bool) -> None:
        """Let the provider hear silence instead of the caller, or the caller again."""
        self.muted = on
        self._look()

    def silent(self, frame: v.CallerAudio) -> v.AppendAudio | None:
        """
        What goes on instead of a frame of a muted caller.

        Silence, for a provider that hears nothing at all waits for the end of a turn for ever, and its clock of audio
        would stand still.
        """
        self.muted_bytes += frame.n_bytes
        if self.released_at is None or self.paused or self._closed:
            return None
        self.appended_bytes += frame.n_bytes
        n = frame.n_bytes
        return v.AppendAudio(_SILENT_FRAME if n == 160 else b64encode(b"\xff" * n), n)

    @property
    def held_ms(self) -> int:
        return self._held_bytes // 8

    def pause(self) -> None:
        self.paused = True
        self.open = False

    def resume(self, now: float) -> None:
        """The provider reads again: its clock of audio stood still meanwhile."""
        self.paused = False
        if self.released_at is not None:
            self._anchors.append((self.appended_bytes, now))
        self._look()

    def renew(self, now: float) -> None:
        """Another provider hears from here on: its clock of audio begins at nothing."""
        self._base = self.appended_bytes
        self._anchors = [(self._base, now)]
        self._loud_since = None
        self.paused = False
        self._look()

    def close(self) -> None:
        self.open = False
        self._closed = True
        self._held.clear()
        self._held_bytes = 0

    def spoken_at(self, at_ms: int | None, now: float) -> float:
        """
        When the audio at ``at_ms`` of the provider's clock was spoken, on ours.

        Where the wire does not say: now; but in the first second after a release the provider is still hearing
        what was held, so it is the first loud sound in that, if there was one.
        """
        if at_ms is None:
            fresh = self.released_at is not None and now - self.released_at < 1.0
            return self._loud_since if fresh and self._loud_since is not None else now
        position = self._base + at_ms * BYTES_PER_S // 1000
        for start, spoken in reversed(self._anchors):
            if position >= start:
                return min(now, spoken + (position - start) / BYTES_PER_S)
        return now
