"""
The phone at the end of a simulated Twilio: it plays what it is sent, and knows what was heard.

Knows no sockets and no clock: callers pass ``now`` in seconds.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from msgspec import Struct

from offhook.sims.twiml import TwimlError, Verb, parse_twiml
from offhook.wires.carriers._twilio_peer import Cleared, Marked, Peer, Played

__all__ = ["Phone", "Segment", "TwimlError", "Verb", "parse_twiml"]

BYTES_PER_S = 8000
MAX_UNPLAYED_BYTES = 600 * BYTES_PER_S
MORE_S = 1.0  # nothing new for so long: more of this answer is not on its way
IDLE_S = 0.5  # marks and the network's delay leave a server so long in doubt
MAX_KEPT_BYTES = 120 * BYTES_PER_S


class Segment(Struct):
    """Audio that was played without a break."""

    began: float
    audio: bytearray

    @property
    def ended(self) -> float:
        return self.began + len(self.audio) / BYTES_PER_S


class Phone:
    """
    The playout buffer of one stream: real time, in order, marks returned as they are reached.

    ``heard`` is the truth: what was played, and when. ``keeps_mark`` says of a mark whether it comes back.
    """

    def __init__(self, peer: Peer, *, returns_marks: bool = True) -> None:
        self.peer = peer
        self.keeps_mark: Callable[[str], bool] = lambda name: returns_marks
        self.marks_on_clear = True
        self.muted = False  # what is played is not heard
        self.heard: list[Segment] = []
        self.clears: list[float] = []
        self.dropped_ms: list[int] = []  # by each clear
        self.idle_clears = 0  # long after everything was played: the server could have known
        self.arrivals: list[tuple[float, int]] = []  # when how many bytes came
        self.received = bytearray()  # the first two minutes of what came, played or not: enough to judge it
        self.marks: list[tuple[str, float]] = []  # as they came
        self.marked: set[int] = set()  # how many arrivals there were when a mark came
        self.marks_returned: list[str] = []
        self._queue: deque[bytes | str] = deque()
        self._clock: float | None = None  # played up to here
        self._waiting = 0
        self._discarding = False

    def receive(self, data: bytes, now: float, *, binary: bool = False) -> list[bytes]:
        """A message of the server; the messages that go back at once."""
        out = self.tick(now)
        happened = self.peer.receive(data, now, binary=binary)
        if isinstance(happened, Played):
            self.arrivals.append((now, len(happened.audio)))
            self.received += happened.audio[: MAX_KEPT_BYTES - len(self.received)]
            self._append(happened.audio, now)
        elif isinstance(happened, Marked):
            self.marks.append((happened.name, now))
            self.marked.add(len(self.arrivals))
            self._queue.append(happened.name)
            out += self.tick(now)
        elif isinstance(happened, Cleared):
            self.clears.append(now)
            self.dropped_ms.append(self.unplayed_ms)
            played = self.heard[-1].ended if self.heard else now - 2 * IDLE_S
            self.idle_clears += not self.unplayed_ms and now - played > IDLE_S
            names = [entry for entry in self._queue if isinstance(entry, str)]
            self._queue.clear()
            self._waiting = 0
            out += self._return(names if self.marks_on_clear else [])
        return out

    def _append(self, audio: bytes, now: float) -> None:
        if self._waiting + len(audio) > MAX_UNPLAYED_BYTES:
            if not self._discarding:
                self.peer.logged.append("31931")
            self._discarding = True
            return
        if not self._waiting:
            self._clock = now
        self._queue.append(audio)
        self._waiting += len(audio)

    def tick(self, now: float) -> list[bytes]:
        """Play up to ``now``; the marks that were reached."""
        reached: list[str] = []
        while self._queue:
            entry = self._queue[0]
            if isinstance(entry, str):
                self._queue.popleft()
                reached.append(entry)
                continue
            assert self._clock is not None
            n = min(len(entry), int((now - self._clock) * BYTES_PER_S + 1e-6))
            if n <= 0:
                break
            self._play(entry[:n])
            if n < len(entry):
                self._queue[0] = entry[n:]
                break
            self._queue.popleft()
        return self._return(reached)

    def _play(self, audio: bytes) -> None:
        assert self._clock is not None
        last = self.heard[-1] if self.heard else None
        if self.muted:
            pass
        elif last is not None and abs(last.ended - self._clock) < 1e-4:
            last.audio += audio
        else:
            self.heard.append(Segment(self._clock, bytearray(audio)))
        self._clock += len(audio) / BYTES_PER_S
        self._waiting -= len(audio)

    def _return(self, names: list[str]) -> list[bytes]:
        given = [name for name in names if self.keeps_mark(name)]
        self.marks_returned += given
        return [self.peer.mark(name) for name in given]

    @property
    def unplayed(self) -> bytes:
        """What waits to be played."""
        return b"".join(entry for entry in self._queue if isinstance(entry, bytes))

    def deadline(self) -> float | None:
        """When the next mark is reached."""
        at, any_mark = self._clock or 0.0, False
        for entry in self._queue:
            if isinstance(entry, str):
                any_mark = True
                break
            at += len(entry) / BYTES_PER_S
        return at if any_mark else None

    def marked_last(self, over: float) -> bool | None:
        """
        Whether a mark came behind the last answer that came to its end before ``over``; None: none did.

        An answer that was cleared, or after whose last sound the call was over, may have had more on its way.
        """
        came = [at for at, _ in self.arrivals if at <= over]
        for n in range(len(came), 0, -1):
            at, then = came[n - 1], came[n] if n < len(came) else over
            cut = any(at <= clear < at + MORE_S for clear in self.clears)
            if then - at >= MORE_S and not cut:
                return n in self.marked
        return None

    @property
    def unplayed_ms(self) -> int:
        return self._waiting // 8

    def audio(self) -> bytes:
        """Everything that was heard, without the silences."""
        return b"".join(bytes(segment.audio) for segment in self.heard)
