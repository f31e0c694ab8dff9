"""
Writing a call's rows. The same call again replaces what is there, so that catching up may repeat itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from offhook.store import schema
from offhook.store.projection import Rows

__all__ = ["begin", "ingest", "remove"]

_CHILDREN = (schema.turns, schema.tool_runs, schema.findings, schema.latencies, schema.usage)


def begin(connection: sa.Connection, row: Mapping[str, Any]) -> None:
    """A call that has begun; one that is already there is left as it is."""
    known = connection.execute(sa.select(schema.calls.c.n).where(schema.calls.c.id == row["id"])).scalar()
    if known is None:
        connection.execute(schema.calls.insert(), dict(row))


def ingest(connection: sa.Connection, rows: Rows) -> tuple[int, bool]:
    """A call's rows: its key, and whether this is the first time that they are whole."""
    calls, whole = schema.calls, rows.call["state"] != "running"
    known = connection.execute(sa.select(calls.c.n, calls.c.state).where(calls.c.id == rows.call["id"])).first()
    if known is None:
        n = int(connection.execute(calls.insert().returning(calls.c.n), rows.call).scalar_one())
        news = whole
    else:
        n, news = int(known.n), whole and known.state == "running"
        connection.execute(calls.update().where(calls.c.n == n), rows.call)
        _clear(connection, [n])
    for table in _CHILDREN:
        if many := rows.children.get(table.name):
            connection.execute(table.insert(), [{"call_n": n, "n": at, **row} for at, row in enumerate(many)])
    if rows.words:
        connection.execute(sa.text("INSERT INTO words (rowid, text) VALUES (:n, :text)"), {"n": n, "text": rows.words})
    return n, news


def _clear(connection: sa.Connection, keys: Sequence[int]) -> None:
    for table in _CHILDREN:
        connection.execute(table.delete().where(table.c.call_n.in_(keys)))
    words: sa.ColumnClause[int] = sa.column("rowid", sa.Integer)
    connection.execute(sa.delete(sa.table("words", words)).where(words.in_(keys)))


def remove(connection: sa.Connection, keys: Sequence[int]) -> None:
    """Calls and all that hangs on them; some hundreds at most."""
    if keys:
        _clear(connection, keys)
        connection.execute(schema.calls.delete().where(schema.calls.c.n.in_(keys)))
