"""
What waits to be written of one call, and its file.

The file ends in a line of counters that is overwritten by what comes next: a killed process leaves figures of the
last second, and an hour of them costs one line. What a full disk took half of is written again at the same place,
so no line is ever doubled. Belongs to the writer thread.
"""

from __future__ import annotations

import contextlib
import os
from collections import deque
from pathlib import Path

import msgspec

from offhook.evidence.tape import write_at

try:
    import fcntl
except ImportError:  # Windows: nobody can tell there whether a record is still being written
    fcntl = None  # type: ignore[assignment]

__all__ = ["Outbox", "append", "is_written"]

CHUNK_BYTES = 256 * 1024  # of one write: joining more would hold the interpreter for milliseconds
MAX_LINES = 20_000
MAX_BYTES = 1024 * 1024  # of one call that waits for a disk
_encode = msgspec.json.Encoder().encode


class Outbox:
    """Lines of one call on their way to its file."""

    def __init__(self) -> None:
        self.n_bytes = 0
        self.lost = 0
        self._lines: deque[bytes] = deque()
        self._tail = b""  # the latest counters; replaced by whatever is written next
        self._fd: int | None = None
        self._end = 0  # where the next line begins in the file
        self._size = 0  # where the file ends: behind the tail
        self._written = 0  # where the latest write ended

    @property
    def waiting(self) -> bool:
        return bool(self._lines) or bool(self._tail)

    def add(self, lines: list[bytes]) -> None:
        """Lines that stay."""
        self._lines.extend(lines)
        self.n_bytes += sum(map(len, lines))

    def show(self, line: bytes) -> None:
        """A line that stands at the file's end until the next one comes."""
        self._tail = line + b"\n"

    def write(self, path: Path) -> Path:
        """
        Write what waits; the path that it went to, numbered where another process had taken this one.

        Raises OSError; what was not written keeps waiting.
        """
        if self._fd is None:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._fd, path = _new(path)
        if self.lost:
            gap = _encode({"k": "gap", "t": 0.0, "lines_lost": self.lost})
            self._put(gap + b"\n", stays=True)
            self.lost = 0
        while self._lines:
            n, chunk = self._chunk()
            self._put(chunk, stays=True)
            for _ in range(n):
                self.n_bytes -= len(self._lines.popleft())
        if self._tail:
            self._put(self._tail, stays=False)
            self._tail = b""
        self._cut()
        return path

    def _chunk(self) -> tuple[int, bytes]:
        taken, size = [], 0
        for line in self._lines:
            taken.append(line)
            size += len(line) + 1
            if size >= CHUNK_BYTES:
                break
        return len(taken), b"\n".join(taken) + b"\n"

    def _put(self, data: bytes, *, stays: bool) -> None:
        assert self._fd is not None
        view = memoryview(data)
        at = self._end
        while view:
            n = write_at(self._fd, view, at)
            view = view[n:]
            at += n
            self._size = max(self._size, at)
        self._written = at
        if stays:
            self._end = at

    def _cut(self) -> None:
        """Take away what is left of a longer tail."""
        assert self._fd is not None
        if self._written < self._size:
            os.ftruncate(self._fd, self._written)
            self._size = self._written

    def trim(self) -> None:
        """A disk that takes nothing must not fill the memory: the begin line stays, the oldest others go."""
        while len(self._lines) > 1 and (len(self._lines) > MAX_LINES or self.n_bytes > MAX_BYTES):
            self.n_bytes -= len(self._lines[1])
            del self._lines[1]
            self.lost += 1

    def close(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


def append(path: Path, lines: list[bytes]) -> None:
    """Lines behind the end of a record that is whole. Raises OSError: FileNotFoundError where it is gone."""
    fd = os.open(path, os.O_WRONLY | os.O_APPEND | getattr(os, "O_BINARY", 0))
    try:
        view = memoryview(b"".join(line + b"\n" for line in lines))
        while view:
            view = view[os.write(fd, view) :]
    finally:
        os.close(fd)


def is_written(path: Path) -> bool:
    """Whether a process that lives holds the record open: its lock goes with it, however it dies."""
    if fcntl is None:
        return False
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:  # a file system without locks
            return False
    return False


def _locked(fd: int) -> int:
    if fcntl is not None:
        with contextlib.suppress(OSError):  # a file system without locks
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return fd


def _new(path: Path) -> tuple[int, Path]:
    """A file that nobody else writes: two writers in one would overwrite each other."""
    n, free = 1, path
    while True:
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
            return _locked(os.open(free, flags, 0o600)), free
        except FileExistsError:
            if path.parent.is_file():  # where the directory should be
                raise
            n += 1
            free = path.with_stem(f"{path.stem}-{n}")
