"""
Recordings that lie in a bucket only, brought here for as long as somebody listens.

They are kept in a folder beside the records, which erasure looks into as well; a few at most, and none for long: the
disk was to be rid of them.
"""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable
from pathlib import Path

from offhook.api.problems import Problem
from offhook.evidence.files import FETCHED
from offhook.store.queries import Reader

__all__ = ["Fetched"]

KEPT = 4
KEPT_S = 600.0
WAIT_S = 10.0  # a bucket that hangs must not hold up everything else that is asked on threads
MOST_BYTES = 256 * 1024 * 1024  # nine hours of a call


class Fetched:
    """``fetch(url, path, most_bytes)`` brings what lies there; raises LookupError, which says why it does not."""

    def __init__(
        self, directory: Path, reader: Callable[[], Reader | None], fetch: Callable[[str, Path, int], None]
    ) -> None:
        self._folder = directory / FETCHED
        self._reader = reader
        self._fetch = fetch
        self._lock = threading.Lock()
        self._timers: dict[Path, threading.Timer] = {}
        self.clear()

    def path(self, record: str) -> Path | None:
        """A call's recording; None where there is none. Raises Problem and StoreError."""
        kept = self._folder / f"{record}.wav"
        if kept.is_file():
            return kept
        if not self._lock.acquire(timeout=WAIT_S):  # several ask at once for the same one: the first brings it
            raise Problem(503, "another recording is being brought from the bucket", kind="bucket", field="call",
                          got=record, where="path", wanted="a bucket that answers", fix="ask again")  # fmt: skip
        try:
            return kept if kept.is_file() else self._brought(record, kept)
        finally:
            self._lock.release()

    def _brought(self, record: str, kept: Path) -> Path | None:
        reader = self._reader()
        url = reader.uploaded(record) if reader is not None else ""
        if not url:
            return None
        self._folder.mkdir(mode=0o700, exist_ok=True)
        try:
            self._fetch(url, kept, MOST_BYTES)
        except LookupError as error:
            why = f"the recording lies in {url}, and cannot be had: {error}"
            fix = "see record.s3 and its keys; hooks in /api/health say whether uploads fail too"
            raise Problem(503, why, kind="bucket", field="call", got=record, where="path",
                          wanted="a bucket that answers", fix=fix) from None  # fmt: skip
        self._keep(kept)
        return kept

    def _keep(self, path: Path) -> None:
        while len(self._timers) >= KEPT:
            oldest = next(iter(self._timers))
            self._timers.pop(oldest).cancel()
            oldest.unlink(missing_ok=True)
        timer = threading.Timer(KEPT_S, self._forget, (path,))
        timer.daemon = True
        timer.start()
        self._timers[path] = timer

    def _forget(self, path: Path) -> None:
        with self._lock:
            self._timers.pop(path, None)
            path.unlink(missing_ok=True)

    def clear(self) -> None:
        """Remove what is here, also what a server that was killed has left. Waits for nobody: the loop calls it."""
        for timer in list(self._timers.values()):
            timer.cancel()
        shutil.rmtree(self._folder, ignore_errors=True)
