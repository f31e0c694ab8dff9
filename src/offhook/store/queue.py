"""
The list of calls to place and the list of numbers that are never called, in the store.

Both outlive every process. A call's number stands in full as long as it is to be called, then only masked and as a
keyed hash; a number that is never called stands as a hash alone, so erasing a caller does not undo their wish. Knows
no carrier: how a number is masked is told.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa
from msgspec import Struct
from sqlalchemy.exc import SQLAlchemyError

from offhook.store.database import engine, migrate, reason, shown
from offhook.store.schema import do_not_call, queue
from offhook.store.state import StoreError

__all__ = ["QueueRow", "QueueTable"]

WAITING, CALLING = "waiting", "calling"
OVER = ("done", "given up", "refused", "cancelled", "blocked")


class QueueRow(Struct, frozen=True):
    """A call on the list, as it is stored."""

    id: str
    number: str
    called: str  # masked
    agent: str
    options: Mapping[str, Any]
    state: str
    tries: int
    most_tries: int
    due_at: int  # milliseconds since 1970
    call: str
    status: str
    detail: str


class QueueTable:
    """``server`` is this process's id, ``alive`` tells whether another one lives. Raises StoreError."""

    def __init__(
        self,
        url: str,
        hashed: Callable[[str], str],
        masked: Callable[[str], str],
        *,
        server: str = "",
        alive: Callable[[str], bool] = lambda server: False,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._url = url
        self._engine = engine(url, write=True)
        self._hashed, self._masked = hashed, masked
        self._server, self._alive, self._now = server, alive, now

    def prepare(self) -> None:
        """Make or migrate the tables."""
        with self._told():
            migrate(self._engine)

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except SQLAlchemyError as error:
            raise StoreError(f"{shown(self._url)}: {reason(error)}") from error

    @contextmanager
    def _transaction(self) -> Iterator[sa.Connection]:
        with self._told(), self._engine.begin() as connection:
            yield connection

    def close(self) -> None:
        self._engine.dispose()

    # --------------------------------------------------------------------------------------- the list

    def add(self, number: str, agent: str, due_at: int, most_tries: int, options: Mapping[str, Any]) -> str:
        """Put a call on the list; its id."""
        id_ = f"q{secrets.token_hex(4)}"  # never all digits: that would be masked as a number
        row = {
            "id": id_, "number": number, "called": self._masked(number), "called_id": self._hashed(number),
            "agent": agent, "options": json.dumps(options), "state": WAITING, "tries": 0, "most_tries": most_tries,
            "due_at": due_at, "call": "", "status": "", "detail": "", "server": "", "changed_at": self._ms(),
        }  # fmt: skip
        with self._transaction() as connection:
            connection.execute(queue.insert().values(**row))
        return id_

    def rows(self, *, everything: bool = False) -> list[QueueRow]:
        """The list, next first; ``everything``: what is over as well."""
        chosen = sa.select(queue).order_by(queue.c.due_at)
        if not everything:
            chosen = chosen.where(queue.c.state.not_in(OVER))
        with self._transaction() as connection:
            return [_row(dict(found)) for found in connection.execute(chosen).mappings()]

    def claim(self, now: float) -> QueueRow | None:
        """The next that is due; no other process gets it."""
        due = sa.select(queue).where(queue.c.state == WAITING, queue.c.due_at <= int(now * 1000))
        with self._transaction() as connection:
            next_ = due.order_by(queue.c.due_at).limit(1).with_for_update(skip_locked=True)
            found = connection.execute(next_).mappings().first()
            if found is None:
                return None
            mine = queue.update().where(queue.c.id == found["id"], queue.c.state == WAITING)
            taken = connection.execute(mine.values(state=CALLING, server=self._server, call="", changed_at=self._ms()))
            return _row({**dict(found), "state": CALLING, "call": ""}) if taken.rowcount == 1 else None

    def save(self, row: QueueRow) -> None:
        """Write down how a call on the list is; of one that is over the number goes."""
        given = {
            "state": row.state, "tries": row.tries, "due_at": row.due_at, "call": row.call, "status": row.status,
            "detail": row.detail, "changed_at": self._ms(), "number": "" if row.state in OVER else row.number,
        }  # fmt: skip
        with self._transaction() as connection:
            connection.execute(queue.update().where(queue.c.id == row.id).values(**given))

    def cancel(self, id_: str) -> bool:
        """Take a call off the list that is not being placed; False where there is none such."""
        wanted = queue.update().where(queue.c.id == id_, queue.c.state.in_((WAITING, "unknown")))
        with self._transaction() as connection:
            done = connection.execute(wanted.values(state="cancelled", number="", changed_at=self._ms()))
        return done.rowcount == 1

    def left_over(self) -> Sequence[QueueRow]:
        """What processes that are gone were placing."""
        with self._transaction() as connection:
            found = connection.execute(sa.select(queue).where(queue.c.state == CALLING)).mappings().all()
        return [_row(dict(row)) for row in found if row["server"] == self._server or not self._alive(row["server"])]

    # ---------------------------------------------------------------------------------- the other list

    def never(self, number: str) -> bool:
        wanted = sa.select(do_not_call.c.number_id).where(do_not_call.c.number_id == self._hashed(number))
        with self._transaction() as connection:
            return connection.execute(wanted).first() is not None

    def refuse(self, number: str, why: str) -> dict[str, Any]:
        """From now on nobody is called under this number; the row of it."""
        id_ = self._hashed(number)
        row = {"number_id": id_, "number_masked": self._masked(number), "why": why[:200], "added_at": self._ms()}
        with self._transaction() as connection:
            connection.execute(do_not_call.delete().where(do_not_call.c.number_id == id_))
            connection.execute(do_not_call.insert().values(**row))
        return row

    def refused(self, *, number: str = "", after: str = "", limit: int = 1000) -> list[dict[str, Any]]:
        """The numbers that are never called, by their hashes from ``after`` on; ``number``: that one alone."""
        c = do_not_call.c
        where = [c.number_id > after] + ([c.number_id == self._hashed(number)] if number else [])
        query = sa.select(do_not_call).where(*where).order_by(c.number_id).limit(limit)
        with self._transaction() as connection:
            return [dict(row) for row in connection.execute(query).mappings()]

    def allow_id(self, id_: str) -> bool:
        """Take the number with this hash off that list; False where it was not on it."""
        with self._transaction() as connection:
            gone = connection.execute(do_not_call.delete().where(do_not_call.c.number_id == id_))
        return gone.rowcount == 1

    def allow(self, number: str) -> bool:
        """As ``allow_id``, by the number itself."""
        return self.allow_id(self._hashed(number))

    def _ms(self) -> int:
        return int(self._now() * 1000)


def _row(found: Mapping[str, Any]) -> QueueRow:
    names = QueueRow.__struct_fields__
    return QueueRow(**{**{name: found[name] for name in names}, "options": json.loads(found["options"])})
