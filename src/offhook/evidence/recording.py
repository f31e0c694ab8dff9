"""
A stereo recording of a call: caller left, agent right, as the caller heard it; 8 kHz µ-law WAV.

The loop's side only puts audio on a tape; the journal's writer thread writes it about once a second, the header last.
So what is on the disk is a whole WAV file at any moment, and a killed process loses at most the last second. Both sides
are aligned to one 20 ms frame. Knows no wire.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from offhook.evidence.tape import Tape

__all__ = ["AnyTape", "StereoRecorder"]

MAX_TRIES = 120  # one each round: a disk that takes nothing for a minute ends the recording, never the call


class _Keep(Protocol):
    def __call__(self, payload: bytes, n_bytes: int, now: float, /) -> None: ...


class AnyTape(Protocol):
    """``evidence/tape.py``, or the compiled one."""

    @property
    def dropped(self) -> int: ...
    @property
    def caller(self) -> _Keep: ...
    @property
    def agent(self) -> _Keep: ...
    def clear(self, now: float, /) -> None: ...
    def pause(self, now: float, back_s: float = ..., /) -> None: ...
    def resume(self, now: float, /) -> None: ...
    def write(self, fd: int, /) -> None: ...
    def stop(self) -> None: ...


class StereoRecorder:
    """
    One call's recording. ``now`` is the call's clock in seconds, ``t0`` its begin; ``tape`` makes its tape.

    ``on_failure(text)`` is called once, on the writer thread, when the disk does not take it. ``caller`` and ``agent``
    are the tape's own methods: the compiled way knows a compiled tape by them, and puts frames on it without Python.
    """

    def __init__(
        self,
        path: Path,
        t0: float,
        on_failure: Callable[[str], None] = lambda text: None,
        tape: Callable[[float], AnyTape] = Tape,
    ) -> None:
        self.path = path
        self.failed: str | None = None  # the disk's last word, while it does not take it
        self._tape = made = tape(t0)
        self.caller, self.agent = made.caller, made.agent
        self._closed = False
        self._tries = 0
        self._rests = False
        self._on_failure = on_failure
        self._fd: int | None = None

    # The methods below run on the loop.

    def clear(self, now: float) -> None:
        """What has not been played by now never will be."""
        self._tape.clear(now)

    def pause(self, now: float, back_s: float = 0.0) -> None:
        """From ``back_s`` before now on both sides are silence, until it is resumed."""
        self._tape.pause(now, back_s)

    def resume(self, now: float) -> None:
        """What is heard from now on is kept again."""
        self._tape.resume(now)

    def close(self, now: float) -> dict[str, Any]:
        """The call is over. What its record says of the recording."""
        self._tape.clear(now)
        self._closed = True
        return {"file": self.path.name, "failed": self.failed, "dropped_frames": self._tape.dropped}

    # The rest runs on the writer thread.

    def each_round(self) -> bool:
        """``flush`` for a writer that comes round twice a second: every other time is enough while all is well."""
        self._rests = not self._rests
        if self._rests or self._closed or self.failed is not None:
            return self.flush()
        return True

    def flush(self) -> bool:
        """Write what has come since; whether it wants to be called again."""
        closed = self._closed  # read before its frames are taken: what is closed has all of them
        try:
            if self._fd is None:
                self._fd = self._opened()
            self._tape.write(self._fd)
            self._tries, self.failed = 0, None
        except OSError as error:
            self.failed = error.strerror or str(error)
            self._tries += 1
            if self._tries == 1:
                self._on_failure(f"{self.path}: {self.failed}")
        over = closed if self.failed is None else self._tries >= MAX_TRIES
        if over:
            self._shut()
        return not over

    def _opened(self) -> int:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        return os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_BINARY", 0), 0o600)

    def _shut(self) -> None:
        self._tape.stop()
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None
