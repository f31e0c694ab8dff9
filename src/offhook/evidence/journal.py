"""
Writing calls down while they run, without ever making a call wait.

The loop's side only appends to lists; one writer thread a process takes them twice a second, redacts them
with the wire that knows them, and appends to one file a call. So a killed process loses at most the last
second. A slow, full or broken disk is counted and named, and touches no call. Knows no wire.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from offhook.evidence.echo import Echo
from offhook.evidence.files import remove_oldest
from offhook.evidence.lines import Redactor, Scribe
from offhook.evidence.outbox import Outbox, append
from offhook.evidence.record import VERSION, Channel
from offhook.media.levels import LONG_BYTES, LOOK_EVERY, Meter
from offhook.vocab import Leg
from offhook.wires._wire import Violation

__all__ = ["Journal", "JournalDir"]

ROUND_S = 0.45  # from one round to the next: what is done in every other one is done within the second
LEAST_S = 0.02  # between rounds of a writer that is late
COUNTERS_S = 0.8
COUNTERS_KEPT_S = 300.0  # one line of counters in five minutes stays; between, the last one is overwritten
# The loop wants the interpreter, and often the same core. So a round is spread over most of the time there is for it:
# a few calls (0.2 ms), a pause, and so on.
BATCH = 8
SPREAD_S = 0.3
MOST_PAUSE_S = 0.01
CAP_S = 30.0  # how often the directory's size is looked at
STUCK_S = 5.0  # a writer that has not come round for so long hangs in the disk
WHOLE_MEDIA = 1  # the first media message of a channel is kept whole; then each change of length
MAX_SHAPES = 4
MAX_KINDS = 128  # of notes and violations; those beyond share one count
MAX_OF_A_NOTE = 200
MAX_OF_A_VIOLATION = 20
# What waits for the writer, which takes it every half second unless the disk hangs.
MAX_PENDING = 20_000
MAX_PENDING_BYTES = 8 * 1024 * 1024
MAX_ENDED = 256  # calls that have ended, to whose records something may still be joined
MAX_WAITING_BYTES = 64 * 1024 * 1024  # of all calls that wait for a failing disk


class Journal:
    """One call's evidence, as the loop sees it."""

    __slots__ = (
        "_gap_max_s", "_lengths", "_marks", "_notes", "_notes_dropped", "_pending", "_pending_bytes",
        "_unkept", "closed", "echo", "ended_at", "last_frame_at", "meters", "name", "path", "redactors", "scribe",
        "unsettled",
    )  # fmt: skip

    def __init__(self, name: str, path: Path, t0: float, scribe: Scribe, begin: Mapping[str, Any]) -> None:
        self.name = name
        self.path = path
        self.redactors = scribe.redactors
        self.scribe = scribe
        self.meters = (Meter(), Meter(), Meter(), Meter())
        self._pending: list[tuple[Any, ...]] = [("begin", t0, {"version": VERSION, **begin})]
        self._lengths: tuple[set[int], ...] = (set(), set(), set(), set())
        self._marks = [0, 0, 0, 0]
        self._notes: dict[str, int] = {}
        self._notes_dropped = 0
        self._unkept = 0
        self._pending_bytes = 0
        self._gap_max_s = 0.0
        self.echo = Echo(t0)
        # frames of the caller and their bytes, then pieces of the agent's speech, that are not counted here yet
        self.unsettled: Callable[[], tuple[int, int, int, int, float]] | None = None
        self.last_frame_at = t0
        self.closed = False
        self.ended_at = t0

    # The methods below run on the loop.

    def frame(self, channel: Channel, data: bytes, now: float, binary: bool = False) -> None:
        """A message crossed a boundary."""
        self._pending_bytes += len(data)
        if self._pending_bytes > MAX_PENDING_BYTES or len(self._pending) > MAX_PENDING:
            self._unkept += 1  # the writer hangs in the disk: the call goes on, the message is only counted
            return
        self._pending.append(("msg", now, channel, data, binary))

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
        if (n_bytes > LONG_BYTES or not frames % LOOK_EVERY) and not channel & 1:
            level = meter.look(payload)
            if channel:
                self.echo.agent(level, meter.n_bytes, now)
            else:
                self.echo.caller(level, now)

    def _shape(self, channel: int, n_bytes: int, now: float, data: bytes) -> None:
        """One of the first audio messages, or one of another length than the last."""
        lengths = self._lengths[channel]
        if self.meters[channel].frames <= WHOLE_MEDIA or (n_bytes not in lengths and len(lengths) < MAX_SHAPES):
            lengths.add(n_bytes)
            self._pending.append(("msg", now, channel, data, False))

    def passed(self, frames: int, n_bytes: int, gap_s: float, at: float, payload: bytes) -> None:
        """
        Frames of the caller, of the shape they had before, went through both wires; the last one at ``at``.

        ``gap_s`` is the longest wait before any of them so far; ``payload``, if given, is measured.
        """
        meter, out = self.meters[0], self.meters[3]
        meter.frames += frames
        meter.n_bytes += n_bytes
        out.frames += frames
        out.n_bytes += n_bytes
        self.last_frame_at = at
        if gap_s > self._gap_max_s:
            self._gap_max_s = gap_s
        if payload:
            self.echo.caller(meter.look(payload), at)

    def looks(self, channel: int, looks: tuple[int, ...]) -> None:
        """Looks at frames of a channel that somebody else has taken."""
        self.meters[channel].add_looks(looks)

    def levels(self, now: float) -> tuple[int | None, int | None]:
        """Loudness classes of the caller and of what they hear, at this moment."""
        return self.echo.levels(now)

    def spoke(self, pieces: int, n_bytes: int) -> int:
        """Pieces of the agent's speech went from wire to wire; the bytes of all before."""
        came, went = self.meters[2], self.meters[1]
        before = came.n_bytes
        for meter in (came, went):
            meter.frames += pieces
            meter.n_bytes += n_bytes
        return before

    def marks(self, channel: int, n: int) -> None:
        """Marks that are no news."""
        self._marks[channel] += n

    def knows_marks(self, channel: int) -> bool:
        """Whether marks of a channel are no news."""
        return self._marks[channel] >= WHOLE_MEDIA

    def shapes(self) -> tuple[tuple[int, ...], bool]:
        """The lengths of the agent's speech that are on record, and whether any other would go unrecorded."""
        came, went = self._lengths[2], self._lengths[1]
        return tuple(came & went), len(came) >= MAX_SHAPES and len(went) >= MAX_SHAPES

    def mark(self, channel: int, data: bytes, now: float) -> None:
        """A mark, sent or returned: kept whole only while it is news, for five a second say no more."""
        marks = self._marks
        marks[channel] = n = marks[channel] + 1
        if n <= WHOLE_MEDIA:
            self.frame(Channel(channel), data, now)

    def cut(self, now: float) -> None:
        """What the carrier had not played of the agent was cleared."""
        self.echo.cut(now)

    def note(self, kind: str, now: float, /, **data: Any) -> None:
        """Something was decided, confirmed or missed."""
        if self._room(kind, MAX_OF_A_NOTE):
            self._pending.append(("note", now, {"note": kind, **data}))

    def violation(self, violation: Violation, channel: Channel, now: float) -> None:
        """A rule of a wire was broken."""
        if self._room(f"!{violation.message[:40]} {(violation.field or '')[:40]}", MAX_OF_A_VIOLATION):
            self._pending.append(("violation", now, {"ch": int(channel), **msgspec.to_builtins(violation)}))

    def _room(self, kind: str, most: int) -> bool:
        """Whether one more of its kind is kept: a flood of one must not push out the others."""
        if kind not in self._notes and len(self._notes) >= MAX_KINDS:
            kind = "?"
        n = self._notes[kind] = self._notes.get(kind, 0) + 1
        if n <= most and len(self._pending) <= MAX_PENDING:
            return True
        self._notes_dropped += 1
        return False

    def close(self, now: float, summary: Mapping[str, Any]) -> None:
        """The call is over."""
        self._pending.append(("counters", now, self.counters()))
        self._pending.append(("end", now, dict(summary)))
        self.ended_at = now
        self.closed = True

    def counters(self) -> dict[str, Any]:
        """The figures so far."""
        channels = [meter.figures() for meter in self.meters]
        for channel, (frames, n_bytes) in enumerate(self._passing()):
            channels[channel][0] += frames
            channels[channel][1] += n_bytes
        return {
            "channels": channels,
            "marks": list(self._marks),
            "gap_max_ms": round(self._gap_max_s * 1000),
            "notes_dropped": self._notes_dropped,
            "messages_dropped": self._unkept,
        }

    def _passing(self) -> list[tuple[int, int]]:
        """Frames and bytes of each channel that the meters do not know of: what came in went out."""
        unsettled = self.unsettled  # the loop may take it away meanwhile
        if unsettled is None:
            return []
        frames, n_bytes, pieces, spoken_bytes, _ = unsettled()
        return [(frames, n_bytes), (pieces, spoken_bytes), (pieces, spoken_bytes), (frames, n_bytes)]

    @property
    def frames(self) -> int:
        """Audio messages of all channels so far."""
        return sum(meter.frames for meter in self.meters) + sum(frames for frames, _ in self._passing())

    # The rest runs on the writer thread.

    @property
    def waiting(self) -> bool:
        return bool(self._pending)

    def take(self) -> list[tuple[Any, ...]]:
        """What has come since; the list is swapped, the loop goes on with a new one."""
        taken, self._pending = self._pending, []
        self._pending_bytes = 0
        if taken and taken[-1][0] == "end" and (echo := self.echo.figures()) is not None:
            kind, now, summary = taken[-1]
            taken[-1] = (kind, now, {**summary, "carrier_in": {"echo": echo}})
        return taken


class JournalDir:
    """
    The directory of records and its writer thread.

    ``on_failure(text)`` is called once when writing begins to fail and ``on_recovery(text)`` when it works again,
    on the writer thread or, where that hangs in the disk, by the next call that begins. ``clean`` is the last
    sieve over every line; ``digits`` keeps the keys that callers press. ``on_begin(path, facts, numbers)`` is called
    on the loop when a record is opened, with the numbers in full, and must not wait. ``on_whole(path)`` is called on
    the writer thread when a record is complete; what it returns becomes the record's last line, of the kind
    ``verdict``.
    """

    def __init__(
        self,
        directory: Path,
        *,
        max_bytes: int = 512 * 1024 * 1024,
        on_failure: Callable[[str], None] = lambda text: None,
        on_recovery: Callable[[str], None] = lambda text: None,
        clean: Callable[[bytes], bytes] | None = None,
        on_begin: Callable[[Path, Mapping[str, Any], tuple[str, ...]], None] = lambda path, facts, numbers: None,
        on_whole: Callable[[Path], Mapping[str, Any] | None] = lambda path: None,
        digits: bool = False,
    ) -> None:
        self.directory = directory
        self.failures = 0
        self.calls_lost = 0  # ended while the disk took nothing, and given up for the memory
        self.boot: Mapping[str, Any] = {}
        self._max_bytes = max_bytes
        self._on_failure = on_failure
        self._on_recovery = on_recovery
        self._clean = clean
        self._on_begin = on_begin
        self._on_whole = on_whole
        self._digits = digits
        self._open: dict[Journal, _Writing] = {}
        self._recent: set[Path] = set()
        self._ended: dict[str, tuple[Path, Scribe]] = {}  # the last calls, by name; belongs to the writer thread
        self._jobs: deque[Callable[[], None]] = deque()
        self._rounds: deque[Callable[[], bool]] = deque()
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._stop = False
        self._failing = False
        self._why = ""
        self._defect = ""  # of the last round
        self._thread: threading.Thread | None = None
        self._round_at = time.monotonic()
        self._cap_at = 0.0
        self._cap_fails = False

    # The methods below run on the loop.

    def open(
        self,
        name: str,
        redactors: dict[Leg, Redactor],
        t0: float,
        facts: Mapping[str, Any],
        numbers: Iterable[str] = (),
    ) -> Journal:
        """Begin the record of a call between ``numbers``, which it masks; nothing is written yet."""
        self._look_at_writer()
        moment = time.time()
        now = time.gmtime(moment)
        stamp = time.strftime("%Y%m%dT%H%M%SZ", now)
        # what a dial or a tap records of a call is another record than the server's, in the same directory or not
        by = "" if (source := facts.get("source", "bridge")) == "bridge" else f"-{source}"
        begins, n = f"{stamp}-{name}{by}", 1
        path = self.directory / f"{begins}.jsonl"
        while path in self._recent:
            n += 1
            path = self.directory / f"{begins}-{n}.jsonl"
        if not any(stamp in other.name for other in self._recent):
            self._recent.clear()
        self._recent.add(path)
        began = time.strftime("%Y-%m-%dT%H:%M:%SZ", now)
        numbers = tuple(numbers)
        scribe = Scribe(t0, redactors, numbers, self._digits)
        boot = {**self.boot, **facts.get("boot", {})}
        begin = {"began": began, "began_ms": round(moment * 1000), **facts, "boot": boot}
        journal = Journal(name, path, t0, scribe, begin)
        with self._lock:
            self._open[journal] = _Writing()
        self._on_begin(path, {"began": began, **facts}, numbers)
        return journal

    def late(self, name: str, kind: str, now: float, /, **data: Any) -> None:
        """Something that is said of a call after its end: joined to its record, where that still exists."""
        self._jobs.append(lambda: self._join(name, ("note", now, {"note": kind, **data})))

    def submit(self, job: Callable[[], None]) -> None:
        """Let the writer thread do something with the disk; the job bounds and mends itself."""
        self._jobs.append(job)

    def each_round(self, work: Callable[[], bool]) -> None:
        """Let the writer thread do ``work`` in each round until it returns False; it mends its own OSErrors."""
        self._rounds.append(work)

    def _look_at_writer(self) -> None:
        """A disk that hangs raises nothing: the writer just does not come round."""
        late = time.monotonic() - self._round_at
        if self._thread is not None and self._thread.is_alive() and late > STUCK_S and not self._failing:
            self.failures += 1
            self._fails(f"{self.directory}: the disk has taken nothing for {late:.0f} s")

    def _fails(self, text: str) -> None:
        self._failing, self._why = True, text
        self._on_failure(text)

    def state(self) -> dict[str, str]:
        """Whether records are written, for /readyz: why not, without where."""
        if self._thread is not None and not self._thread.is_alive() and not self._stop:
            return {"state": "off", "why": "its thread has died; a restart writes what comes then"}
        if self._failing or self._defect:
            why = self._why.removeprefix(f"{self.directory}: ")
            return {"state": "behind", "why": why if self._failing else f"defect: {self._defect}"}
        return {"state": "ok"}

    def start(self) -> None:
        self._round_at = time.monotonic()
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

    # The rest runs on the writer thread.

    def _run(self) -> None:
        while not self._stop:
            self._wake.wait(max(LEAST_S, self._round_at + ROUND_S - time.monotonic()))
            try:
                self._round(_Pace(len(self._open) + len(self._rounds)))
                self._defect = ""
            except Exception as error:  # a defect with one call must not end the records of all
                self.failures += 1
                if self._defect != repr(error):
                    self._defect = repr(error)
                    self._on_failure(f"{self.directory}: defect: {self._defect}")
        self.flush()

    def flush(self) -> None:
        """One round of the writer, at once."""
        self._round(_Pace(0))

    def _round(self, pace: _Pace) -> None:
        """Recordings, every call's new lines, counters where due, the cap."""
        self._round_at = time.monotonic()
        for _ in range(len(self._rounds)):
            self._once_more(self._rounds.popleft())
            self._give_way(pace)
        with self._lock:
            writings = list(self._open.items())
        for journal, writing in writings:
            closed = journal.closed  # read before its lines are taken: what is closed has all of them
            if not self._prepare(journal, writing):
                continue
            self._write(journal, writing)
            self._give_way(pace)
            if closed and not writing.outbox.waiting:
                self._judge(journal, writing)
                self._forget(journal, writing)
                self._cap_at = min(self._cap_at, self._round_at)
        if self._failing:
            self._give_up_oldest()
        for _ in range(len(self._jobs)):
            self._jobs.popleft()()
        if self._cap_at <= self._round_at:
            self._cap_at = self._round_at + CAP_S
            self._cap()

    def _give_way(self, pace: _Pace) -> None:
        if pace.is_due() and not self._stop:
            time.sleep(pace.pause_s)

    def _join(self, name: str, entry: tuple[Any, ...]) -> None:
        with self._lock:
            unwritten = any(journal.name == name for journal in self._open)
        if unwritten:  # its end waits for the disk: once more in the next round
            self._jobs.append(lambda: self._join(name, entry))
            return
        path, scribe = self._ended.get(name, (None, None))
        if path is None or scribe is None:
            return
        try:
            append(path, [self._sifted(line) for line in scribe.lines([entry])])
        except FileNotFoundError:
            del self._ended[name]  # removed to keep the directory's size
        except OSError as error:
            self.failures += 1
            self._on_failure(f"{path}: {error.strerror or error}")

    def _once_more(self, work: Callable[[], bool]) -> None:
        try:
            if work():
                self._rounds.append(work)
        except Exception as error:  # a defect in one call's recording is named, and must not end the writer
            self.failures += 1
            self._on_failure(f"{self.directory}: defect in the writer's work: {type(error).__name__}")

    def _prepare(self, journal: Journal, writing: _Writing) -> bool:
        """Take what the loop left since; whether there is anything to write."""
        due = not journal.closed and writing.due(self._round_at, journal)
        if not (due or journal.waiting or writing.outbox.waiting):
            return False
        taken = journal.take()
        writing.outbox.add([self._sifted(line) for line in journal.scribe.lines(taken)])
        if due:
            (line,) = journal.scribe.lines([("counters", time_of(taken, journal), journal.counters())])
            writing.count(self._round_at, self._sifted(line))
        return True

    def _sifted(self, line: bytes) -> bytes:
        return self._clean(line) if self._clean is not None else line

    def _write(self, journal: Journal, writing: _Writing) -> None:
        if not writing.outbox.waiting:
            return
        try:
            journal.path = writing.outbox.write(journal.path)
        except OSError as error:
            self.failures += 1
            writing.outbox.trim()
            if not self._failing:
                self._fails(f"{journal.path.parent}: {error.strerror or error}")
            return
        if self._failing:
            self._failing = False
            self._on_recovery(str(journal.path.parent))

    def _give_up_oldest(self) -> None:
        """Calls that ended while the disk takes nothing are kept as long as there is room for them."""
        with self._lock:
            writings = list(self._open.items())
        total = sum(writing.outbox.n_bytes for _, writing in writings)
        for journal, writing in writings:
            if total <= MAX_WAITING_BYTES:
                break
            if journal.closed:
                total -= writing.outbox.n_bytes
                self.calls_lost += 1
                self._forget(journal, writing)

    def _judge(self, journal: Journal, writing: _Writing) -> None:
        """A record is whole: what is said of it is its last line."""
        try:
            said = self._on_whole(journal.path)
        except Exception as error:  # a record that cannot be judged is a record all the same
            self.failures += 1
            self._on_failure(f"{journal.path}: defect while it was judged: {type(error).__name__}")
            return
        if said is not None:
            lines = journal.scribe.lines([("verdict", journal.ended_at, said)])
            writing.outbox.add([self._sifted(line) for line in lines])
            self._write(journal, writing)

    def _forget(self, journal: Journal, writing: _Writing) -> None:
        with self._lock:
            del self._open[journal]
        writing.outbox.close()
        self._ended[journal.name] = (journal.path, journal.scribe)
        if len(self._ended) > MAX_ENDED:
            del self._ended[next(iter(self._ended))]

    def _cap(self) -> None:
        with self._lock:
            live = [journal.path for journal in self._open]
        try:
            remove_oldest(self.directory, self._max_bytes, live)
            self._cap_fails = False
        except FileNotFoundError:
            pass  # nothing has been written yet
        except OSError as error:
            if not (self._cap_fails or self._failing):
                self._cap_fails = True
                self._on_failure(f"{self.directory}: its size cannot be kept: {error.strerror or error}")


def time_of(taken: list[tuple[Any, ...]], journal: Journal) -> float:
    """The latest stamp that is known: of what was just taken, or of the last caller frame."""
    unsettled = journal.unsettled
    passed_at = unsettled()[4] if unsettled is not None else 0.0
    return max(journal.last_frame_at, passed_at, float(taken[-1][1]) if taken else 0.0)


class _Pace:
    """When a round of so many pieces of work pauses, and for how long; one of none never does."""

    def __init__(self, work: int) -> None:
        self.pause_s = min(MOST_PAUSE_S, SPREAD_S * BATCH / max(1, work))
        self._pauses = work > 0
        self._done = 0

    def is_due(self) -> bool:
        self._done += 1
        return self._pauses and self._done % BATCH == 0


class _Writing:
    """One call at the writer: its file, and when its counters were written last."""

    def __init__(self) -> None:
        self.outbox = Outbox()
        self._counted_at = float("-inf")
        self._kept_at = float("-inf")
        self._frames = 0

    def due(self, now: float, journal: Journal) -> bool:
        """Whether the figures are old enough to be written again, and have changed."""
        if now - self._counted_at < COUNTERS_S:
            return False
        frames = journal.frames
        if frames == self._frames:
            return False
        self._counted_at, self._frames = now, frames
        return True

    def count(self, now: float, line: bytes) -> None:
        if self._kept_at == float("-inf"):
            self._kept_at = now
        if now - self._kept_at >= COUNTERS_KEPT_S:
            self._kept_at = now
            self.outbox.add([line])
        else:
            self.outbox.show(line)
