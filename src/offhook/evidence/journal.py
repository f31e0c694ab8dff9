"""
Writing calls down while they run, without ever making a call wait.

The loop's side only appends to lists; one writer thread a process takes them every half second, redacts them
with the wire that knows them, and appends to one file a call. So a killed process loses at most the last
second. A slow, full or broken disk is counted and named, and touches no call. Knows no wire.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from offhook.evidence.record import VERSION, Channel
from offhook.media.levels import Meter
from offhook.vocab import Leg
from offhook.wires._wire import Violation

__all__ = ["Journal", "JournalDir"]

FLUSH_S = 0.5
COUNTERS_S = 0.9
BATCH = 10  # calls written in one hold of the interpreter: about 0.2 ms
PAUSE_S = 0.001
WHOLE_MEDIA = 3  # the first media messages of a channel are kept whole; then each change of length
MAX_SHAPES = 8
MAX_RARE = 400  # whole messages kept of a channel; those beyond are counted by type
MAX_NOTES = 2000
MAX_PENDING = 20_000  # lines that wait for a disk that does not take them
_encode = msgspec.json.Encoder().encode

Redactor = Callable[..., Mapping[str, Any]]


class Journal:
    """One call's evidence, as the loop sees it."""

    def __init__(
        self, name: str, path: Path, t0: float, redactors: dict[Leg, Redactor], begin: Mapping[str, Any]
    ) -> None:
        self.name = name
        self.path = path
        self.redactors = redactors
        self.meters = (Meter(), Meter(), Meter(), Meter())
        self._t0 = t0
        self._pending: list[tuple[Any, ...]] = [("begin", t0, {"version": VERSION, **begin})]
        self._lengths: tuple[set[int], ...] = (set(), set(), set(), set())
        self._rare = [0, 0, 0, 0]
        self._marks = [0, 0, 0, 0]
        self._skipped: dict[str, int] = {}
        self._notes = 0
        self._gap_max_s = 0.0
        self._last: tuple[Any, ...] = ()
        self.last_frame_at = t0
        self.closed = False

    # The methods below run on the loop.

    def frame(self, channel: Channel, data: bytes, now: float, binary: bool = False) -> None:
        """A message crossed a boundary."""
        self._last = ("msg", now, channel, data, binary)
        self._pending.append(self._last)

    def audio(self, channel: int, payload: bytes, n_bytes: int, now: float, data: bytes) -> None:
        """
        A message that is audio crossed a boundary: counted and measured, kept whole only while its shape is new.

        The one method that runs for every frame; ``channel`` is a Channel's plain number, which costs less.
        """
        meter = self.meters[channel]
        meter.frames = frames = meter.frames + 1
        meter.n_bytes += n_bytes
        if channel == 0:
            gap = now - self.last_frame_at
            self.last_frame_at = now
            if gap > self._gap_max_s and frames > 1:
                self._gap_max_s = gap
        if n_bytes != meter.usual or frames <= WHOLE_MEDIA:
            meter.usual = n_bytes
            self._shape(channel, n_bytes, now, data)
        # what goes out is what came in, byte for byte, as long as both wires speak one format: measured once
        if not frames % 5 and not channel & 1:
            meter.look(payload)

    def _shape(self, channel: int, n_bytes: int, now: float, data: bytes) -> None:
        """One of the first audio messages, or one of another length than the last."""
        lengths = self._lengths[channel]
        if self.meters[channel].frames <= WHOLE_MEDIA or (n_bytes not in lengths and len(lengths) < MAX_SHAPES):
            lengths.add(n_bytes)
            self._pending.append(("msg", now, channel, data, False))

    def routine(self, channel: Channel) -> None:
        """The last message was a mark: kept whole only while it is news, for five a second say no more."""
        if self._marks[channel] >= WHOLE_MEDIA:
            self._take_back()
        self._marks[channel] += 1

    def _take_back(self) -> None:
        pending = self._pending
        if pending and pending[-1] is self._last:  # else the writer took it meanwhile: one more line
            del pending[-1]

    def note(self, kind: str, now: float, /, **data: Any) -> None:
        """Something was decided, confirmed or missed."""
        self._notes += 1
        if self._notes <= MAX_NOTES:
            self._pending.append(("note", now, {"note": kind, **data}))

    def violation(self, violation: Violation, channel: Channel, now: float) -> None:
        """A rule of a wire was broken."""
        self._notes += 1
        if self._notes <= MAX_NOTES:
            self._pending.append(("violation", now, {"ch": int(channel), **msgspec.to_builtins(violation)}))

    def close(self, now: float, summary: Mapping[str, Any]) -> None:
        """The call is over."""
        self._pending.append(("counters", now, self.counters()))
        self._pending.append(("end", now, dict(summary)))
        self.closed = True

    def counters(self) -> dict[str, Any]:
        """The figures so far."""
        return {
            "channels": [meter.figures() for meter in self.meters],
            "marks": list(self._marks),
            "gap_max_ms": round(self._gap_max_s * 1000),
            "skipped": dict(self._skipped),
            "notes_dropped": max(0, self._notes - MAX_NOTES),
        }

    # The rest runs on the writer thread.

    @property
    def waiting(self) -> bool:
        return bool(self._pending)

    def take(self) -> list[tuple[Any, ...]]:
        """What has come since; the list is swapped, the loop goes on with a new one."""
        taken, self._pending = self._pending, []
        return taken

    def lines(self, taken: list[tuple[Any, ...]]) -> list[bytes]:
        """Records as lines of JSON, redacted."""
        out = []
        for entry in taken:
            at = round((entry[1] - self._t0) * 1000, 2)
            if entry[0] == "msg":
                data = self._message(*entry[2:])
                if data is None:
                    continue
                out.append(_encode({"k": "msg", "t": at, **data}))
            else:
                out.append(_encode({"k": entry[0], "t": at, **entry[2]}))
        return out

    def _message(self, channel: Channel, data: bytes, binary: bool) -> dict[str, Any] | None:
        redactor = self.redactors.get(Leg.CARRIER if channel < 2 else Leg.PROVIDER)
        if redactor is None:
            return {"ch": int(channel), "bytes": len(data)}
        seen: Mapping[str, Any]
        try:
            seen = redactor(data, binary=binary)
        except Exception as error:  # a redactor that fails must not let the message through, nor end the writer
            return {"ch": int(channel), "bytes": len(data), "redactor_failed": type(error).__name__}
        self._rare[channel] += 1
        if self._rare[channel] > MAX_RARE:
            kind = str(seen.get("type") or seen.get("event") or "?")[:60]
            if kind in self._skipped or len(self._skipped) < 64:
                self._skipped[kind] = self._skipped.get(kind, 0) + 1
            return None
        return {"ch": int(channel), "bytes": len(data), "m": seen}


class JournalDir:
    """
    The directory of records and its writer thread.

    ``on_failure(text)`` is called once when writing begins to fail and ``on_recovery(text)`` when it works
    again, both on the writer thread.
    """

    def __init__(
        self,
        directory: Path,
        *,
        max_bytes: int = 512 * 1024 * 1024,
        on_failure: Callable[[str], None] = lambda text: None,
        on_recovery: Callable[[str], None] = lambda text: None,
    ) -> None:
        self.directory = directory
        self.failures = 0
        self.boot: Mapping[str, Any] = {}
        self._max_bytes = max_bytes
        self._on_failure = on_failure
        self._on_recovery = on_recovery
        self._journals: list[Journal] = []
        self._files: dict[Path, _File] = {}
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._stop = False
        self._failing = False
        self._thread: threading.Thread | None = None
        self._since_cap = 0

    def open(
        self,
        name: str,
        redactors: dict[Leg, Redactor],
        t0: float,
        facts: Mapping[str, Any],
    ) -> Journal:
        """Begin the record of a call; nothing is written yet."""
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        path = self.directory / f"{stamp}-{name}.jsonl"
        n = 1
        while path in self._files:
            n += 1
            path = self.directory / f"{stamp}-{name}-{n}.jsonl"
        began = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        journal = Journal(name, path, t0, redactors, {"began": began, **facts, "boot": dict(self.boot)})
        with self._lock:
            self._files[path] = _File()
            self._journals.append(journal)
        return journal

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Write what is left; waits for the disk at most two seconds."""
        self._stop = True
        self._wake.set()
        if self._thread is not None:
            self._thread.join(timeout=2)
        else:
            self.flush()

    def _run(self) -> None:
        while not self._stop:
            self._wake.wait(FLUSH_S)
            self.flush()
        self.flush()

    def flush(self) -> None:
        """One round of the writer: every call's new lines, counters where due, the cap."""
        with self._lock:
            journals = list(self._journals)
        done = 0
        for journal in journals:
            closed = journal.closed
            file = self._files[journal.path]
            due = not closed and file.counters_due(bool(journal.meters[0].frames))
            if not (due or journal.waiting or file.waiting):
                continue
            taken = journal.take()
            file.add(journal.lines(taken))
            if due:
                file.add(journal.lines([("counters", time_of(taken, journal), journal.counters())]))
            self._write(journal, file)
            done += 1
            if done % BATCH == 0 and not self._stop:
                time.sleep(PAUSE_S)  # the loop wants the interpreter: a round is spread, never one long hold
            if closed and not file.waiting:
                with self._lock:
                    self._journals.remove(journal)
                    del self._files[journal.path]
                file.close()
                self._since_cap += 1
        if self._since_cap:
            self._since_cap = 0
            self._cap()

    def _write(self, journal: Journal, file: _File) -> None:
        if not file.waiting:
            return
        try:
            file.append_to(journal.path)
        except OSError as error:
            self.failures += 1
            file.trim()
            if not self._failing:
                self._failing = True
                self._on_failure(f"{journal.path.parent}: {error.strerror or error}")
            return
        if self._failing:
            self._failing = False
            self._on_recovery(f"{journal.path.parent}: writing again")

    def _cap(self) -> None:
        """Remove the oldest finished calls until the directory is under its size."""
        live = {journal.path for journal in self._journals}
        with contextlib.suppress(OSError):
            files = sorted(path for path in self.directory.iterdir() if path.is_file() and path not in live)
            sizes = {path: path.stat().st_size for path in files}
            total = sum(sizes.values())
            for path in files:
                if total <= self._max_bytes:
                    break
                path.unlink()
                total -= sizes[path]


def time_of(taken: list[tuple[Any, ...]], journal: Journal) -> float:
    """The latest stamp that is known: of what was just taken, or of the last caller frame."""
    return max(journal.last_frame_at, float(taken[-1][1]) if taken else 0.0)


class _File:
    """What waits to be written of one call."""

    def __init__(self) -> None:
        self.waiting: list[bytes] = []
        self._fd: int | None = None
        self._lost = 0
        self._counters_at = 0.0

    def add(self, lines: list[bytes]) -> None:
        self.waiting += lines

    def counters_due(self, any_media: bool) -> bool:
        now = time.monotonic()
        if not any_media or now - self._counters_at < COUNTERS_S:
            return False
        self._counters_at = now
        return True

    def append_to(self, path: Path) -> None:
        lines = self.waiting
        if self._lost:
            lines = [_encode({"k": "gap", "t": 0.0, "lines_lost": self._lost}), *lines]
        if self._fd is None:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        data = b"".join(line + b"\n" for line in lines)
        try:
            written = os.write(self._fd, data)
            while written < len(data):
                written += os.write(self._fd, data[written:])
        except OSError:
            # the part that was written stays; a whole new line begins behind it
            self.waiting = [b"", *lines]
            self._lost = 0
            raise
        self.waiting = []
        self._lost = 0

    def close(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def trim(self) -> None:
        """A disk that takes nothing must not fill the memory: the begin line stays, the oldest others go."""
        excess = len(self.waiting) - MAX_PENDING
        if excess > 0:
            del self.waiting[1 : 1 + excess]
            self._lost += excess
