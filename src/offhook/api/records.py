"""
Calls' records for the API: found by name, read and judged once, and what is made of them. Every name is a file's in one
directory and nothing else.

Runs on threads beside the loop. A record is kept in memory while the same page asks for it again.
"""

from __future__ import annotations

import re
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from msgspec import structs

from offhook.api.problems import Problem
from offhook.diagnosis.report import Report, report
from offhook.evidence.files import PLAYGROUND, call_of, read
from offhook.evidence.record import Line, Recording, RecordingError
from offhook.store.projection import Judged, Projection, Rows

__all__ = ["Opened", "Records"]

KEPT = 4
WRITTEN_S = 3.0  # a disk takes the first lines of a call within this, or something is wrong with it
MOST_BYTES = 64 * 1024 * 1024
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,128}\Z")


class Opened:
    """A record that was read; its report and rows are made when they are asked for."""

    def __init__(
        self, path: Path, call: Recording, size: int, project: Projection, standing: Report | None = None
    ) -> None:
        self.path, self.call, self.size = path, call, size
        self._project = project
        self._lock, self._judging = threading.Lock(), threading.Lock()
        self._standing = standing is not None
        self._report = standing
        self._rows: Rows | None = None

    @property
    def id(self) -> str:
        return self.path.stem

    @property
    def running(self) -> bool:
        return self._standing or (self.call.end is None and self.call.live)

    def standing(self, at_ms: float, figures: Mapping[str, Any]) -> Opened:
        """The same with figures that a running call's server has and no record before its end; the verdict stays."""
        cut = {line.text("item") for line in self.call.notes("barge-in")}
        spoken = {  # what plays just now has not been missed
            item: [at, heard if item not in cut and at + ms > at_ms else ms, heard]
            for item, (at, ms, heard) in figures["spoken"].items()
        }
        told = {**figures, "spoken": spoken}
        line = Line(self.call.lines[-1].number + 1, "end", max(at_ms, self.call.last_ms), told)
        call = structs.replace(self.call, lines=(*self.call.lines, line))
        return Opened(self.path, call, self.size, self._project, self.report)

    @property
    def report(self) -> Report:
        with self._judging:
            if self._report is None:
                self._report = report(self.call)
            return self._report

    def _judged(self) -> Judged:
        return Judged(self.report.verdict, self.report.because, self.report.rows())

    @property
    def rows(self) -> Rows:
        with self._lock:
            if self._rows is None:
                self._rows = self._project(self.path, call=self.call, judge=lambda call: self._judged())
            return self._rows


class Records:
    """
    The records of one directory. ``named(call)`` is the record of a call by the store, or ``""``; ``runs(name)``
    whether it runs: its first lines are on the disk a moment after it has begun. ``elsewhere(record)`` brings a
    recording that is not on this disk; None where there is none, and it may raise Problem.
    """

    def __init__(
        self,
        directory: Path,
        project: Projection,
        named: Callable[[str], str] = lambda call: "",
        runs: Callable[[str], bool] = lambda name: False,
        elsewhere: Callable[[str], Path | None] = lambda record: None,
    ) -> None:
        self._directory = directory
        self._project = project
        self._named = named
        self._runs = runs
        self._elsewhere = elsewhere
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[Path, int, int], Opened] = OrderedDict()
        self._reading: dict[tuple[Path, int, int], threading.Lock] = {}

    def open(self, name: str) -> Opened:
        """Raises Problem."""
        path = self._begun(name)
        try:
            stat = path.stat()
            key = (path, stat.st_mtime_ns, stat.st_size)
            if stat.st_size > MOST_BYTES:
                raise Problem(413, f"the record has {stat.st_size} bytes", kind="too-long",
                              wanted=f"at most {MOST_BYTES}", fix=f"offhook explain {path.stem}")  # fmt: skip
            return self._once(key, lambda: Opened(path, read(path), stat.st_size, self._project))
        except FileNotFoundError:
            raise _unknown(name) from None
        except RecordingError as error:
            raise Problem(500, str(error), kind="record", field="call", got=name, wanted="a record that can be read",
                          fix="see the file; the store may still have the call") from None  # fmt: skip

    def _once(self, key: tuple[Path, int, int], make: Callable[[], Opened]) -> Opened:
        """What is kept, or made now. A page asks for four things at once: the first reads, the others wait for it."""
        with self._lock:
            reading = self._reading.setdefault(key, threading.Lock())
        try:
            with reading:
                with self._lock:
                    if key in self._kept:
                        self._kept.move_to_end(key)
                        return self._kept[key]
                opened = make()
                with self._lock:
                    self._kept[key] = opened
                    while len(self._kept) > KEPT:
                        self._kept.popitem(last=False)
                return opened
        finally:
            with self._lock:
                self._reading.pop(key, None)

    def _begun(self, name: str) -> Path:
        until = time.monotonic() + WRITTEN_S
        while True:
            try:
                return self.path(name)
            except Problem:
                if time.monotonic() > until or not self._runs(name):
                    raise
                time.sleep(0.05)

    def path(self, name: str) -> Path:
        """The record that is called so, or the bridge's own of the call that is. Raises Problem."""
        if not _NAME.match(name) or name.startswith("."):
            raise _unknown(name)
        path = self._directory / f"{name}.jsonl"
        if path.is_file():
            return path
        played = self._directory / PLAYGROUND / f"{name}.jsonl"
        if "-play-" in name and played.is_file():
            return played
        known = self._named(name)
        if known and (self._directory / f"{known}.jsonl").is_file():
            return self._directory / f"{known}.jsonl"
        own = [one for one in self._directory.glob(f"*-{name}*.jsonl") if call_of(one) == name]
        if not own:
            raise _unknown(name)
        return max(own, key=lambda one: (one.stem.endswith(name), one.name))

    def newest(self, before: str, limit: int) -> list[Path]:
        """Records by name, the newest first; those behind ``before``."""
        try:
            names = sorted((path for path in self._directory.glob("*.jsonl")), reverse=True, key=lambda path: path.stem)
        except OSError:
            return []
        return [path for path in names if not before or path.stem < before][:limit]

    def recording(self, name: str) -> Path:
        """The stereo recording of a call. Raises Problem."""
        opened = self.open(name)
        file: Any = opened.call.summary("recording").get("file")
        own = opened.path.with_suffix(".wav")
        found = opened.path.with_name(file) if isinstance(file, str) and _NAME.match(file) else own
        if found.is_file():
            return found
        brought = self._elsewhere(opened.id)
        if brought is None:
            fix = "set audio = true under [record]; it holds for the calls after"
            why = "this call was not recorded"
            if isinstance(file, str):
                why, fix = "the recording is not on this disk any more", "record.max_mb says how much is kept"
            raise Problem(404, why, kind="no-recording", field="call", got=name, fix=fix)
        return brought


def _unknown(name: str) -> Problem:
    return Problem(
        404, "no such call", kind="no-call", field="call", got=name, where="path",
        wanted="a call's id, or the name of its record", fix="GET /api/calls lists them",
    )  # fmt: skip
