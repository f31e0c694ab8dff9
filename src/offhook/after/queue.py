"""
The outbox: what is to be done after calls, in the store, so that it outlives the process.

A row is written in the transaction that stores its call, once for each hook. Whoever does the work claims the row
first; a claim is one statement that only one process can win. States: ``held`` (waits for the summary), ``queued``,
``running``, ``done``, ``given up``.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Collection, Mapping
from typing import Any

import sqlalchemy as sa

from offhook.after.hook import Hook, Job
from offhook.after.payload import with_summary
from offhook.store import schema

__all__ = ["OPEN", "Queue", "add", "key_for"]

OPEN = ("held", "queued", "running", "given up")
ERROR_CHARS = 300
SUMMARY = ":summary"  # no [hooks.NAME] can be called so
_o = schema.outbox.c


def key_for(record: str, hook: str) -> str:
    """The idempotency key of a call and a hook: also after the store was lost and made anew from the records."""
    return "msg_" + hashlib.sha256(f"offhook\0{record}\0{hook}".encode()).hexdigest()[:32]


def now_ms() -> int:
    return round(time.time() * 1000)


def add(connection: sa.Connection, call: Mapping[str, Any], hook: Hook, payload: str, *, held: bool) -> bool:
    """Queue something for a call; False where it is there already."""
    known = sa.select(_o.id).where(_o.record == call["id"], _o.hook == hook.name)
    if connection.execute(known).first() is not None:
        return False
    now = now_ms()
    row = {
        "call": call["call"], "record": call["id"], "hook": hook.name, "key": key_for(call["id"], hook.name),
        "payload": payload, "state": "held" if held else "queued", "tries": 0,
        "due_at": now + round(hook.delay_s * 1000), "queued_at": now, "error": "", "owner": "",
    }  # fmt: skip
    connection.execute(schema.outbox.insert(), row)
    return True


class Queue:
    """The outbox of one store, for one process. Every method is a transaction; they raise SQLAlchemyError."""

    def __init__(self, target: sa.Engine, owner: str) -> None:
        self._target = target
        self._owner = owner

    def due(self, busy: Collection[int], most: int) -> list[Job]:
        """What may be begun now, oldest first; rows in ``busy`` are this process's own."""
        query = sa.select(schema.outbox).where(_o.state == "queued", _o.due_at <= now_ms()).order_by(_o.due_at, _o.id)
        with self._target.connect() as connection:
            rows = connection.execute(query.limit(most + len(busy))).all()
        return [_job(row, row.tries + 1) for row in rows if row.id not in busy][:most]

    def claim(self, job: Job, lease_s: float) -> bool:
        """Take a row: True for exactly one asker."""
        until = now_ms() + round(lease_s * 1000)
        mine = {"state": "running", "owner": self._owner, "tries": job.tries, "due_at": until}
        where = (_o.id == job.id, _o.state == "queued", _o.tries == job.tries - 1)
        with self._target.begin() as connection:
            return bool(connection.execute(schema.outbox.update().where(*where).values(mine)).rowcount == 1)

    def again(self, job: Job, in_s: float, why: str, *, counted: bool = True) -> None:
        """It failed and is tried again; ``counted`` False: it was we who broke it off."""
        values: dict[str, Any] = {
            "state": "queued", "owner": "", "due_at": now_ms() + round(in_s * 1000), "error": why[:ERROR_CHARS],
            "tries": job.tries if counted else job.tries - 1,
        }  # fmt: skip
        self._close(job, values)

    def done(self, job: Job, *, keep: bool) -> None:
        """It is done; what was told is not kept, unless it says where something lies that must be found again."""
        values: dict[str, Any] = {"state": "done", "owner": "", "done_at": now_ms(), "error": ""}
        self._close(job, values if keep else {**values, "payload": ""})

    def give_up(self, job: Job, why: str) -> None:
        """Nothing more is tried by itself."""
        self._close(job, {"state": "given up", "owner": "", "done_at": now_ms(), "error": why[:ERROR_CHARS]})

    def _close(self, job: Job, values: Mapping[str, Any]) -> None:
        where = (_o.id == job.id, _o.state == "running", _o.owner == self._owner)
        with self._target.begin() as connection:
            connection.execute(schema.outbox.update().where(*where).values(dict(values)))

    def summarized(self, record: str, text: str | None, why: str) -> None:
        """A call's summary is there, or will not be: keep it, and let those go that waited for it."""
        calls = schema.calls
        said = {"text": text, "error": why or None}
        with self._target.begin() as connection:
            connection.execute(
                calls.update().where(calls.c.id == record).values({"summary": text, "summary_why": why[:ERROR_CHARS]})
            )
            waiting = sa.select(_o.id, _o.payload).where(_o.record == record, _o.state == "held")
            for row in connection.execute(waiting).all():
                told = {"payload": with_summary(row.payload, said), "state": "queued"}
                connection.execute(schema.outbox.update().where(_o.id == row.id).values(told))

    def release(self) -> int:
        """Rows that wait for a summary which nobody is going to make: of a process whose settings were others."""
        pending = sa.select(_o.record).where(_o.hook == SUMMARY, _o.state.in_(("queued", "running")))
        where = (_o.state == "held", _o.record.not_in(pending))
        with self._target.begin() as connection:
            return int(connection.execute(schema.outbox.update().where(*where).values(state="queued")).rowcount)

    def orphans(self, lives: Callable[[str], bool | None]) -> list[Job]:
        """
        Rows that a dead process was at work on, now this one's. ``lives`` may not know (None: another machine's):
        then the claim's time decides.
        """
        with self._target.connect() as connection:
            rows = connection.execute(sa.select(schema.outbox).where(_o.state == "running")).all()
        dead = []
        for row in rows:
            if row.owner == self._owner:
                continue
            alive = lives(row.owner)
            if alive or (alive is None and row.due_at > now_ms()):
                continue
            where = (_o.id == row.id, _o.state == "running", _o.owner == row.owner)
            with self._target.begin() as connection:
                mine = schema.outbox.update().where(*where).values(owner=self._owner)
                if connection.execute(mine).rowcount == 1:
                    dead.append(_job(row, row.tries))
        return dead

    def next_due(self) -> int | None:
        """When something is next to be begun, ms since 1970."""
        with self._target.connect() as connection:
            found = connection.execute(sa.select(sa.func.min(_o.due_at)).where(_o.state == "queued")).scalar()
        return int(found) if found is not None else None

    def counts(self) -> dict[str, int]:
        with self._target.connect() as connection:
            query = sa.select(_o.state, sa.func.count()).where(_o.state.in_(OPEN)).group_by(_o.state)
            return {str(state): int(n) for state, n in connection.execute(query).all()}

    # ------------------------------------------------------------------------------- for the command line

    def listed(self, *, everything: bool, most: int = 200) -> list[dict[str, Any]]:
        """Rows for people, newest first: what is not done, or all."""
        columns = [column for column in schema.outbox.c if column.name != "payload"]
        query = sa.select(*columns).order_by(_o.id.desc()).limit(most)
        with self._target.connect() as connection:
            rows = connection.execute(query if everything else query.where(_o.state.in_(OPEN))).mappings()
            return [dict(row) for row in rows]

    def retry(self, which: str) -> int:
        """Begin anew with what was given up: one row by its number, all of a hook, or ``all``."""
        where = [_o.state == "given up"]
        if which.isdigit():
            where.append(_o.id == int(which))
        elif which != "all":
            where.append(_o.hook == which)
        values = {"state": "queued", "tries": 0, "due_at": now_ms(), "done_at": None}
        with self._target.begin() as connection:
            return int(connection.execute(schema.outbox.update().where(*where).values(values)).rowcount)


def _job(row: Any, tries: int) -> Job:
    return Job(
        id=row.id, hook=row.hook, call=row.call, record=row.record, key=row.key, payload=row.payload, tries=tries,
        queued_at=row.queued_at,
    )  # fmt: skip
