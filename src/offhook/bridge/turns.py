"""
What the caller has heard: a ledger of the audio sent, a playback clock, and the marks that came back.

Positions are bytes of PCMU 8 kHz (8 a millisecond) since the call began, without what was cleared.
The carrier plays from the moment audio reaches an idle buffer, in real time, in order; so the clock alone
knows what was played, up to the network's delay. Marks prove it, and correct the clock where
playback started late or stalled. Knows no wire and no clock of its own: callers pass ``now`` (seconds).
"""

from __future__ import annotations

from collections import deque

from msgspec import Struct

__all__ = ["MARK_PREFIX", "Cut", "Item", "Playback"]

BYTES_PER_S = 8000
MARK_PREFIX = "m"  # of a mark's name, before its number
# A mark's way back jitters; a clock that is off by less than two frames is left alone.
_DEAD_BAND_S = 0.04
# What is kept of marks that never came back, and of marks that were cleared: at five marks a second more than ten
# seconds of either. A carrier that returns none must not make a long call grow.
_MARKS_KEPT = 64
_OVERDUE_S = 5.0  # longer than any network keeps a mark
# Items kept for the record: an hour of answers. Older ones are forgotten, their bytes stay counted.
_ITEMS_KEPT = 500
# Audio that the clock counts as played may still be on its way to the phone for about so long; while the last mark
# is out, a playback that stalled may go on for longer than that.
_ON_THE_WAY_S = 0.15
_DOUBT_S = 1.0


class Item(Struct):
    """One item of the agent's speech, as far as it was sent."""

    item_id: str
    response_id: str
    content_index: int
    ranges: list[tuple[int, int]]  # positions; after a clear only those that were played
    sent_bytes: int
    at: float = 0.0  # when it began to play, by the clock


class Cut(Struct, frozen=True):
    """
    An item that a clear cut short.

    ``heard_ms`` by clock and marks; ``proven_ms`` of it by marks alone, so the truth lies between the two
    (plus the network's one-way delay) even where the clock should be wrong.
    """

    item_id: str
    response_id: str
    content_index: int
    heard_ms: int
    sent_ms: int
    proven_ms: int


class Playback:
    """The downlink of one call."""

    __slots__ = (
        "_cleared", "_floor", "_flushed", "_idle_at", "_lags", "_late_s", "_least_lag", "_marks", "_most_lag",
        "_playing", "items", "marks_flushed", "marks_lost", "marks_played", "marks_sent", "marks_unknown", "sent_bytes",
    )  # fmt: skip

    def __init__(self) -> None:
        self.sent_bytes = 0
        self.items: dict[str, Item] = {}
        self.marks_sent = 0
        self.marks_played = 0
        self.marks_flushed = 0
        self.marks_unknown = 0
        self.marks_lost = 0
        self._idle_at = 0.0  # when everything sent will have been played, by the clock
        self._marks: dict[str, tuple[int, float]] = {}  # name -> position, when it is due
        self._flushed: dict[str, None] = {}  # in the order of the clears
        self._floor = 0  # position proven played
        self._cleared = 0  # position up to which the carrier's buffer was emptied
        self._lags: deque[float] = deque(maxlen=3)
        self._least_lag: float | None = None
        self._most_lag = 0.0
        self._late_s = 0.0
        self._playing: deque[Item] = deque()  # items that may hold unplayed audio

    # ------------------------------------------------------------------------------------------- sending

    def sent(self, item_id: str, response_id: str, content_index: int, n_bytes: int, now: float) -> None:
        """Audio was written to the carrier."""
        start = self.sent_bytes
        self.sent_bytes = end = start + n_bytes
        if self._idle_at + self._late_s < now:
            self._idle_at = now
            self._late_s = 0.0
            self._lags.clear()
        begins = self._idle_at + self._late_s
        self._idle_at += n_bytes / BYTES_PER_S
        item = self.items.get(item_id)
        if item is None:
            item = self.items[item_id] = Item(item_id, response_id, content_index, [(start, end)], n_bytes, begins)
            self._playing.append(item)
            if len(self.items) > _ITEMS_KEPT:
                self._forget()
            return
        item.sent_bytes += n_bytes
        ranges = item.ranges
        if ranges and ranges[-1][1] == start:
            ranges[-1] = (ranges[-1][0], end)
        else:
            ranges.append((start, end))
        if self._playing and self._playing[-1] is item:
            return
        if not any(playing is item for playing in self._playing):
            self._playing.append(item)

    def _forget(self) -> None:
        playing = {item.item_id for item in self._playing}
        for item_id in list(self.items)[: len(self.items) - _ITEMS_KEPT]:
            if item_id not in playing:
                del self.items[item_id]

    def mark(self, now: float) -> str:
        """The name of a new mark behind everything sent so far; unique in the call."""
        self.marks_sent += 1
        name = f"{MARK_PREFIX}{self.marks_sent}"
        self._marks[name] = (self.sent_bytes, max(self._idle_at, now))
        if len(self._marks) > _MARKS_KEPT:
            oldest = next(iter(self._marks))
            if self._marks[oldest][1] + _OVERDUE_S < now:
                del self._marks[oldest]
                self.marks_lost += 1
        return name

    # ------------------------------------------------------------------------------------------- reports

    def mark_returned(self, name: str, now: float) -> bool:
        """Book a mark that came back; True when it proves that its audio was played."""
        if name in self._flushed:
            del self._flushed[name]
            self.marks_flushed += 1
            return False
        due = self._marks.pop(name, None)
        if due is None:
            self.marks_unknown += 1
            return False
        self.marks_played += 1
        position, at = due
        self._floor = max(self._floor, position)
        # Marks come back in the order of the audio: one that was skipped is lost, and what it stood for was played.
        skipped = []
        for other, (before, _) in self._marks.items():
            if before >= position:
                break
            skipped.append(other)
        for other in skipped:
            del self._marks[other]
        self.marks_lost += len(skipped)
        self._correct(now - at)
        return True

    def _correct(self, lag: float) -> None:
        """
        ``lag`` is how much later than the clock said a mark came back: two ways of network, and whatever
        playback is late. One late mark is jitter; the least of the last three is not.
        """
        self._least_lag = lag if self._least_lag is None else min(self._least_lag, lag)
        self._most_lag = max(self._most_lag, lag)
        self._lags.append(lag)
        late = min(self._lags) - self._least_lag
        self._late_s = late if late > _DEAD_BAND_S else 0.0

    def clear(self, now: float) -> list[Cut]:
        """Everything unplayed is dropped; the items that lose audio, with what was heard of each."""
        position = self.position(now)
        cuts = []
        for item in self._playing:
            if item.ranges[-1][1] <= position:
                continue
            proven = _played(item.ranges, self._floor) // 8
            item.ranges = [(start, min(end, position)) for start, end in item.ranges if start < position]
            heard = _played(item.ranges, position) // 8
            cuts.append(
                Cut(item.item_id, item.response_id, item.content_index, heard, item.sent_bytes // 8, min(proven, heard))
            )
        self._playing.clear()
        self._flushed.update(dict.fromkeys(self._marks))
        while len(self._flushed) > _MARKS_KEPT:
            del self._flushed[next(iter(self._flushed))]
        self._marks.clear()
        # What follows is counted on from here.
        self._floor = self._cleared = self.sent_bytes
        self._idle_at = now
        self._late_s = 0.0
        return cuts

    # ------------------------------------------------------------------------------------------- reading

    def position(self, now: float) -> int:
        """The position played by ``now``: what the clock says, never less than a mark proved."""
        waiting = self._idle_at - (now - self._late_s)
        if waiting <= 0:
            return self.sent_bytes
        return min(self.sent_bytes, max(self._floor, self.sent_bytes - round(waiting * BYTES_PER_S)))

    def unplayed_ms(self, now: float) -> int:
        """Milliseconds of audio that the caller has not heard yet."""
        return (self.sent_bytes - self.position(now)) // 8

    def may_be_unplayed(self, now: float) -> bool:
        """Whether anything that was sent may not have been heard: by the clock, and by what is on its way."""
        if self.sent_bytes == self._cleared:
            return False
        stalled = bool(self._marks) and self.marks_played > 0
        return now <= self.idle_at() + (_DOUBT_S if stalled else _ON_THE_WAY_S)

    def heard_ms(self, item_id: str, now: float) -> int:
        """
        Milliseconds of an item that the caller has heard, never more than was sent.

        Right to one 20 ms frame, beyond the one-way delay: audio and a clear travel the same way, so what was
        played when a clear takes effect is what the clock says when it is sent.
        """
        return _played(self.items[item_id].ranges, self.position(now)) // 8

    def idle_at(self) -> float:
        """When the caller will have heard everything, by the corrected clock."""
        return self._idle_at + self._late_s

    @property
    def marks_waiting(self) -> int:
        return len(self._marks)

    @property
    def round_trip_ms(self) -> int | None:
        """The quickest a mark came back behind its audio: two ways of network and the carrier's own delay."""
        return None if self._least_lag is None else round(self._least_lag * 1000)

    @property
    def latest_ms(self) -> int:
        """The latest a mark came back behind the moment when its audio was due."""
        return round(self._most_lag * 1000)

    @property
    def proven(self) -> str:
        """What the figures rest on: ``marks``, or ``clock`` where none ever came back."""
        return "marks" if self.marks_played else "clock"

    def settle(self, now: float) -> None:
        """Forget items that were heard whole, so that a long call does not grow."""
        position = self.position(now)
        while self._playing and self._playing[0].ranges[-1][1] <= position:
            self._playing.popleft()


def _played(ranges: list[tuple[int, int]], position: int) -> int:
    return sum(max(0, min(end, position) - start) for start, end in ranges)
