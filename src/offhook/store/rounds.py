"""
What the store's thread does in a round: open what is not open, write what waits, look for what was never told.

Raises StoreBusy where another try may work, StoreError where somebody must mend something; what was not written is
still waiting then. Nothing here knows of threads.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from offhook.evidence.record import RecordingError
from offhook.store import alive, catchup
from offhook.store.database import engine, identity, make_room, migrate, reason, refuses_data, shown
from offhook.store.ingest import begin, ingest
from offhook.store.projection import Projection, Rows
from offhook.store.state import StoreBusy

__all__ = ["Entry", "OnStored", "Rounds"]

log = logging.getLogger("offhook")

BATCH = 50  # calls of one transaction
PAUSE_S = 0.001
SLOW_S = 0.2  # a batch that took longer was a stall, and the calls that ran say so
PRUNE_S = 3600.0
LOOK_S = 5.0  # a database that goes away while no call ends is known after this

Entry = tuple[Path, Any]  # a record, and the row of a call that began or the verdict on one that is whole
OnStored = Callable[[sa.Connection, Rows], None]


class Rounds:
    """
    One store, as its writer uses it. ``on_stored`` runs in the transaction that stores a whole call, once a call;
    ``on_closed`` is told of each record whose server died; ``slow(ms)`` of a transaction that took long.
    """

    def __init__(
        self,
        url: str,
        directory: Path,
        projection: Projection,
        *,
        server: str,
        keep_days: float,
        on_stored: OnStored | None,
        on_closed: Callable[[Path], None],
        slow: Callable[[float], None],
        stopping: Callable[[], bool],
    ) -> None:
        self._url = url
        self._directory = directory
        self._project = projection
        self._server = server
        self._keep_days = keep_days
        self._on_stored = on_stored
        self._on_closed = on_closed
        self._slow = slow
        self._stopping = stopping
        self._prune_at = 0.0
        self._look_at = 0.0
        self._engine: sa.Engine | None = None
        self._file: tuple[int, int] | None = None  # SQLite's, as it was opened
        self.search = True  # the disk may have records that were never told of

    def run(self, waiting: deque[Entry]) -> None:
        try:
            target = self._open()
            self._look(target)
            self._write(target, waiting)
            if self.search:
                self._catch_up(target)
            self._prune(target)
        except (SQLAlchemyError, OSError) as error:
            self.close()
            raise StoreBusy(reason(error)) from error
        except StoreBusy:
            self.close()
            raise

    def close(self) -> None:
        if self._engine is not None:
            self._engine.dispose()
            self._engine = None

    def _open(self) -> sa.Engine:
        if self._engine is not None:
            return self._engine
        made = engine(self._url, write=True)
        try:
            make_room(self._url)
            done = migrate(made)
        except Exception:
            made.dispose()
            raise
        if done:
            log.info("store", extra={"where": shown(self._url), "did": done})
        self._engine, self._file = made, identity(self._url)
        return made

    def _look(self, target: sa.Engine) -> None:
        """Whether it is still there. A file of SQLite's that was removed takes everything, and it is gone with it."""
        if identity(self._url) != self._file:
            self.search = True  # in the new one are no calls
            raise StoreBusy("its file was removed or replaced while it was open")
        if target.dialect.name != "sqlite" and time.monotonic() > self._look_at:
            with target.connect() as connection:
                connection.exec_driver_sql("SELECT 1")
            self._look_at = time.monotonic() + LOOK_S

    def _write(self, target: sa.Engine, waiting: deque[Entry]) -> None:
        while waiting:
            batch = [waiting[n] for n in range(min(BATCH, len(waiting)))]
            self._store(target, batch)
            for _ in batch:
                waiting.popleft()

    def _store(self, target: sa.Engine, batch: list[Entry]) -> None:
        """One transaction; where the database refuses what is in it, each by itself, and what it refuses is named."""
        made: list[Rows | dict[str, Any]] = []
        for path, given in batch:
            if (entry := self._made(path, given)) is not None:
                made.append(entry)
            time.sleep(PAUSE_S)  # the calls want the interpreter
        began = time.monotonic()
        try:
            self._transact(target, made)
        except DBAPIError as error:
            if not refuses_data(error):
                raise
            for entry in made:
                self._alone(target, entry)
        took = time.monotonic() - began
        if took > SLOW_S:
            self._slow(took * 1000)

    def _transact(self, target: sa.Engine, made: list[Rows | dict[str, Any]]) -> None:
        with target.begin() as connection:
            for entry in made:
                if isinstance(entry, dict):
                    begin(connection, entry)
                    continue
                _, news = ingest(connection, entry)
                if news and self._on_stored is not None:
                    self._on_stored(connection, entry)

    def _alone(self, target: sa.Engine, entry: Rows | dict[str, Any]) -> None:
        try:
            self._transact(target, [entry])
        except DBAPIError as error:
            if not refuses_data(error):
                raise
            which = entry["id"] if isinstance(entry, dict) else entry.call["id"]
            log.error("a call cannot be stored; its record is whole", extra={"record": which, "why": reason(error)})

    def _made(self, path: Path, given: Any) -> Rows | dict[str, Any] | None:
        """What is to be written; None where there is nothing to read."""
        if isinstance(given, dict):
            return given
        try:
            return self._project(path, given)
        except RecordingError as error:  # removed meanwhile, or no record
            log.warning("a record cannot be read for the store", extra={"record": path.name, "why": str(error)})
        except Exception as error:  # a defect with one record must not keep the others out
            log.error("defect while a record was read for the store", extra={"record": path.name}, exc_info=error)
        return None

    def _catch_up(self, target: sa.Engine) -> None:
        """Records on the disk that the store has not got: of this server's past, and of servers that died."""
        self.search = False
        try:
            told = alive.tell_lost_jobs(self._directory)
            for path, why in alive.close_dead(self._directory, self._server):
                log.warning("a call was cut off", extra={"record": path.name, "why": why})
                self._on_closed(path)
            missing = list(dict.fromkeys([*told, *catchup.missing(target, self._directory)]))
            for at in range(0, len(missing), BATCH):
                if self._stopping():
                    self.search = True
                    return
                self._store(target, [(path, None) for path in missing[at : at + BATCH]])
            lost = catchup.end_rowless(target, self._directory)
        except BaseException:
            self.search = True
            raise
        if missing or lost:
            log.info("store caught up", extra={"calls": len(missing), "without_record": lost})

    def _prune(self, target: sa.Engine) -> None:
        """Calls older than is kept."""
        now = time.monotonic()
        if not self._keep_days or now < self._prune_at:
            return
        self._prune_at = now + PRUNE_S
        gone = catchup.prune(target, self._directory, self._keep_days)
        if gone:
            log.info("old calls removed", extra={"calls": gone, "keep_days": self._keep_days})
