"""
The one thread that writes to the store. Calls never wait for it: they only append to a list.

What waits is the names of records, which are on the disk and whole; so a store that is stalled, full, locked or gone
costs no memory and no call, and is caught up later. Its state is always known by a word and a sentence. The database
is imported on the thread: a server that starts does not wait for that either.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from offhook.store.projection import Judged, Projection, begun
from offhook.store.state import State, StoreBusy, StoreError, Word

if TYPE_CHECKING:
    from offhook.store.rounds import Entry, OnStored, Rounds

__all__ = ["Writer"]

log = logging.getLogger("offhook")

ROUND_S = 0.25
MAX_WAITING = 10_000  # names of records; those beyond are found again on the disk
STUCK_S = 3.0  # a round that takes longer hangs in the disk or the network
RETRY_S = (1.0, 2.0, 5.0, 10.0, 30.0)


class Writer:
    """
    ``on_stored(connection, rows)`` runs inside the transaction that stores a whole call, once for each call: what it
    writes is there exactly when the call is. ``on_stall(ms, error)`` is told of every round that failed and of every
    write that took long, ``on_closed`` of each record whose server died. All run on the writer's thread.
    """

    def __init__(
        self,
        url: str,
        directory: Path,
        projection: Projection,
        *,
        server: str = "",
        keep_days: float = 0,
        on_stored: OnStored | None = None,
        on_stall: Callable[[float, str], None] = lambda ms, error: None,
        on_closed: Callable[[Path], None] = lambda path: None,
        retry_s: tuple[float, ...] = RETRY_S,
    ) -> None:
        self.where = url
        self._given: dict[str, Any] = {
            "server": server, "keep_days": keep_days, "on_stored": on_stored, "on_closed": on_closed,
        }  # fmt: skip
        self._directory = directory
        self._project = projection
        self._server = server
        self._on_stall = on_stall
        self._retry_s = retry_s
        self._waiting: deque[Entry] = deque()
        self._overflowed = False
        self._word: Word = "starting"
        self._why = ""
        self._died = ""
        self._since = time.monotonic()
        self._tries = 0
        self._busy_since: float | None = None
        self._rounds: Rounds | None = None
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    # The methods below may be called from any thread, and never wait.

    def begun(self, path: Path, facts: Mapping[str, Any]) -> None:
        """A call has begun."""
        self._add((path, begun(path, facts, self._server)))

    def whole(self, path: Path, judged: Judged | None = None) -> None:
        """A call's record is whole."""
        self._add((path, judged))

    def _add(self, entry: Entry) -> None:
        if len(self._waiting) >= MAX_WAITING:
            self._overflowed = True
            return
        self._waiting.append(entry)

    @property
    def state(self) -> State:
        now, busy_since, waiting = time.monotonic(), self._busy_since, len(self.unstored())
        if self._died:
            return State("off", waiting, self._died, now - self._since)
        if self._word == "ok" and busy_since is not None and now - busy_since > STUCK_S:
            hung_s = now - busy_since
            return State("behind", waiting, f"has not answered for {hung_s:.0f} s", hung_s)
        return State(self._word, waiting, self._why, now - self._since)

    def unstored(self) -> list[Path]:
        """Records of calls that it has been told of and not written, in this order; one may still be written."""
        return list(dict.fromkeys(path for path, _ in list(self._waiting)))

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="store", daemon=True)
        self._thread.start()

    def stop(self, wait_s: float = 3.0) -> None:
        """Write what waits, for at most ``wait_s``; what is left is found on the disk at the next start."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout=wait_s)
            if left := self.unstored():
                log.warning(
                    "calls are not in the store; the next start finds them",
                    extra={"calls": len(left), "why": self._why},
                )
        elif self._rounds is not None:
            self._rounds.close()

    # The rest runs on the writer's thread.

    def _run(self) -> None:
        try:
            self.round()
            while not self._stop.wait(self._pause()):
                self.round()
            if self._word == "ok":
                self.round()
            if self._rounds is not None:
                self._rounds.close()
        except BaseException as error:
            self._died = f"its thread has died of {type(error).__name__}; a restart stores what waits"
            self._since = time.monotonic()
            log.critical("nothing writes to the store any more; calls go on", exc_info=error)
            self._on_stall(0.0, self._died)

    def _pause(self) -> float:
        return ROUND_S if not self._tries else self._retry_s[min(self._tries, len(self._retry_s)) - 1]

    def round(self) -> None:
        """One round; what comes of it is the writer's state."""
        self._busy_since = began = time.monotonic()
        try:
            rounds = self._made()
            if self._overflowed:
                self._overflowed, rounds.search = False, True
            rounds.run(self._waiting)
        except StoreError as error:
            self._fails("off", str(error), began)
        except StoreBusy as error:
            self._fails("behind", str(error), began)
        except Exception as error:  # a defect of ours: tried again, for what waits may be stored in spite of it
            self._fails("behind", f"defect: {type(error).__name__}", began, error)
        else:
            self._works()
        finally:
            self._busy_since = None

    def _made(self) -> Rounds:
        if self._rounds is None:
            from offhook.store.rounds import Rounds

            self._rounds = Rounds(
                self.where, self._directory, self._project, **self._given,
                slow=lambda ms: self._on_stall(ms, ""), stopping=self._stop.is_set,
            )  # fmt: skip
        return self._rounds

    def _fails(self, word: Word, why: str, began: float, defect: Exception | None = None) -> None:
        from offhook.store.database import shown

        self._tries += 1
        if self._word != word or self._why != why:
            told = {"where": shown(self.where), "why": why}
            log.error("the store takes nothing; calls go on", extra=told, exc_info=defect)
        if self._word not in ("behind", "off"):
            self._since = began
        self._word, self._why = word, why
        self._on_stall((time.monotonic() - began) * 1000, why)

    def _works(self) -> None:
        from offhook.store.database import shown

        if self._word in ("behind", "off"):
            away_s = round(time.monotonic() - self._since, 1)
            log.warning("the store takes calls again", extra={"where": shown(self.where), "after_s": away_s})
        if self._word != "ok":
            self._since = time.monotonic()
        self._word, self._why, self._tries = "ok", "", 0
