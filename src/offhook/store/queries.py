"""
Reading the store: calls by number, agent, verdict, words, time and cost, and all of one call.

For the command line and for the API; every answer is plain data, numbers in it are masked unless the store keeps them.
Raises StoreError.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from offhook.store import schema
from offhook.store.database import check, engine, reason, shown
from offhook.store.state import CallFilter, StoreError

__all__ = ["Reader"]

UPLOAD = ":upload"  # as offhook/after/plan.py queues it
Row = dict[str, Any]


class Reader:
    """``number_id`` is the keyed hash by which callers are found; None where there is no key."""

    def __init__(self, url: str, number_id: Callable[[str], str] | None = None) -> None:
        self._url = url
        self._number_id = number_id
        self._engine = engine(url)

    def close(self) -> None:
        self._engine.dispose()

    @contextmanager
    def _connection(self) -> Iterator[sa.Connection]:
        try:
            with self._engine.connect() as connection:
                check(connection)
                yield connection
        except SQLAlchemyError as error:
            raise StoreError(f"{shown(self._url)}: {reason(error)}") from error

    def calls(self, wanted: CallFilter) -> list[Row]:
        """The calls, newest first, each with the rules of its findings and its runs of tools, as ``NAME: OUTCOME``."""
        c = schema.calls.c
        with self._connection() as connection:
            where = self._where(connection, wanted)
            query = sa.select(schema.calls).where(*where).order_by(c.began_at.desc(), c.n.desc()).limit(wanted.limit)
            rows = [dict(row) for row in connection.execute(query).mappings()]
            keys = [row["n"] for row in rows]
            found, ran = self._findings(connection, keys), self._tools(connection, keys)
        for row in rows:
            row["findings"], row["tools"] = found.get(row["n"], []), ran.get(row["n"], [])
        return rows

    def totals(self, wanted: CallFilter) -> Row:
        """How many calls, how long, what is known of their cost, and in how many of them some of it is not."""
        c = schema.calls.c
        with self._connection() as connection:
            query = sa.select(
                sa.func.count().label("calls"),
                sa.func.sum(c.seconds).label("seconds"),
                sa.func.sum(c.usd).label("usd"),
                sa.func.sum(sa.case((sa.or_(c.cost_unknown != "", c.usd.is_(None)), 1), else_=0)).label("unknown"),
            ).where(*self._where(connection, wanted))
            return dict(connection.execute(query).mappings().one())

    def moments(self, wanted: CallFilter, kind: str) -> tuple[list[tuple[int, str]], list[tuple[int, float]]]:
        """Of the calls, the oldest first: when each began and its verdict; when it began and each latency's ms."""
        c, measured = schema.calls.c, schema.latencies.c
        with self._connection() as connection:
            where = self._where(connection, wanted)
            newest = sa.select(c.n, c.began_at, c.verdict).where(*where).order_by(c.began_at.desc()).limit(wanted.limit)
            chosen = newest.subquery()
            calls = sa.select(chosen.c.began_at, chosen.c.verdict).order_by(chosen.c.began_at)
            times = (
                sa.select(chosen.c.began_at, measured.ms)
                .join(schema.latencies, measured.call_n == chosen.c.n)
                .where(measured.kind == kind)
                .order_by(chosen.c.began_at)
            )
            told = [(int(at), str(verdict)) for at, verdict in connection.execute(calls)]
            return told, [(int(at), float(ms)) for at, ms in connection.execute(times)]

    def call(self, name: str) -> Row | None:
        """One call with all that is known of it; by its record's name, its id, or an id's beginning: the latest."""
        c = schema.calls.c
        with self._connection() as connection:
            row = None
            # each has an index; asked in one question the database would look at every call
            for where in (c.id == name, c.call == name, _begins(connection, c.call, name)) if name else ():
                query = sa.select(schema.calls).where(where).order_by(c.began_at.desc()).limit(1)
                row = connection.execute(query).mappings().first()
                if row is not None:
                    break
            if row is None:
                return None
            whole: Row = dict(row)
            for table in (schema.turns, schema.tool_runs, schema.findings, schema.latencies, schema.usage):
                query = sa.select(table).where(table.c.call_n == row["n"]).order_by(table.c.n)
                whole[table.name] = [_bare(child) for child in connection.execute(query).mappings()]
            return whole

    def sent(
        self, *, record: str = "", hook: str = "", state: str = "", before: int = 0, limit: int = 200
    ) -> list[Row]:
        """What is done after calls, the newest first, without what was told; ``before``: the id of an older page's."""
        o = schema.outbox.c
        columns = [column for column in o if column.name not in ("payload", "owner")]
        where = [column == value for column, value in ((o.record, record), (o.state, state)) if value]
        where += [o.hook.in_((hook, f":{hook}"))] if hook else []
        where += [o.id < before] if before else []
        query = sa.select(*columns).where(*where).order_by(o.id.desc()).limit(limit)
        with self._connection() as connection:
            return [dict(row) for row in connection.execute(query).mappings()]

    def found(self) -> list[tuple[str, int]]:
        """The rules of all findings, each with how many calls it was found in, the most first."""
        f = schema.findings.c
        n_calls = sa.func.count(f.call_n.distinct())
        query = sa.select(f.rule, n_calls).group_by(f.rule).order_by(n_calls.desc(), f.rule)
        with self._connection() as connection:
            return [(str(rule), int(n)) for rule, n in connection.execute(query)]

    def uploaded(self, record: str) -> str:
        """Where the recording of a call lies in a bucket; empty where none does."""
        o = schema.outbox.c
        query = sa.select(o.payload).where(o.record == record, o.hook == UPLOAD, o.state == "done")
        with self._connection() as connection:
            payload = connection.execute(query).scalar()
        return str(json.loads(payload)["url"]) if payload else ""

    def has(self, records: list[str]) -> set[str]:
        """Which of these records the store has whole."""
        c = schema.calls.c
        with self._connection() as connection:
            return set(connection.execute(sa.select(c.id).where(c.id.in_(records), c.state != "running")).scalars())

    def _findings(self, connection: sa.Connection, keys: list[int]) -> Mapping[int, list[str]]:
        f = schema.findings.c
        found: dict[int, list[str]] = {}
        query = sa.select(f.call_n, f.rule).where(f.call_n.in_(keys)).order_by(f.call_n, f.n)
        for n, rule in connection.execute(query):
            found.setdefault(n, []).append(rule)
        return found

    def _tools(self, connection: sa.Connection, keys: list[int]) -> Mapping[int, list[str]]:
        t = schema.tool_runs.c
        ran: dict[int, list[str]] = {}
        query = sa.select(t.call_n, t.name, t.outcome).where(t.call_n.in_(keys)).order_by(t.call_n, t.n)
        for n, name, outcome in connection.execute(query):
            ran.setdefault(n, []).append(f"{name}: {outcome or 'no end'}")
        return ran

    def _where(self, connection: sa.Connection, wanted: CallFilter) -> list[sa.ColumnElement[bool]]:
        c = schema.calls.c
        where = [
            getattr(c, name) == value
            for name in ("agent", "verdict", "state", "direction")
            if (value := getattr(wanted, name))
        ]
        if wanted.call:
            where.append(_begins(connection, c.call, wanted.call))
        if wanted.number:
            where.append(self._number(wanted.number))
        if wanted.finding:
            f = schema.findings.c
            name = wanted.finding.strip()
            rules = sa.or_(f.rule == name, f.boundary == name, f.rule.endswith(f"/{name}", autoescape=True))
            where.append(c.n.in_(sa.select(f.call_n).where(rules)))
        if wanted.text:
            where.append(c.n.in_(_words(connection, wanted.text)))
        if wanted.since_at is not None:
            where.append(c.began_at >= wanted.since_at)
        if wanted.until_at is not None:
            where.append(c.began_at < wanted.until_at)
        if wanted.min_usd is not None:
            where.append(c.usd >= wanted.min_usd)
        if wanted.before is not None:
            at, n = wanted.before
            where.append(sa.or_(c.began_at < at, sa.and_(c.began_at == at, c.n < n)))
        return where

    def _number(self, number: str) -> sa.ColumnElement[bool]:
        """In full by its hash; a few digits by the end that masking leaves."""
        c = schema.calls.c
        digits = re.sub(r"\D", "", number)
        if self._number_id is not None and len(digits) >= 7:
            hashed = self._number_id(number)
            return sa.or_(c.caller_id == hashed, c.called_id == hashed)
        if number.strip().isdigit():
            return sa.or_(c.caller.endswith(digits[-2:]), c.called.endswith(digits[-2:]))
        return sa.or_(c.caller == number, c.called == number)


def _begins(connection: sa.Connection, column: sa.Column[Any], text: str) -> sa.ColumnElement[bool]:
    """Whether a column begins so; by the index in SQLite, which compares bytes and takes LIKE for another question."""
    if connection.dialect.name != "sqlite":
        return column.startswith(text, autoescape=True)
    return sa.and_(column >= text, column < text + chr(0x10FFFF))


def _bare(child: Mapping[Any, Any]) -> Row:
    return {str(name): value for name, value in child.items() if name not in ("call_n", "n")}


def _words(connection: sa.Connection, text: str) -> sa.Select[Any]:
    """Keys of the calls in which all of these words were said; the last one may be a beginning."""
    words = re.findall(r"\w+", text)
    rowid: sa.ColumnClause[int] = sa.column("rowid", sa.Integer)
    if connection.dialect.name == "sqlite":
        asked = " ".join(f'"{word}"' for word in words)
        match = sa.text("words MATCH :asked").bindparams(asked=f"{asked}*" if asked else '""')
        return sa.select(rowid).select_from(sa.table("words")).where(match)
    asked = " & ".join(words) + (":*" if words else "")
    match = sa.text("to_tsvector('simple', text) @@ to_tsquery('simple', :asked)").bindparams(asked=asked)
    # by its index first: where it takes words for common ones Postgres would read call after call for them
    found = sa.select(rowid).select_from(sa.table("words")).where(match).cte("found")
    return sa.select(found.prefix_with("MATERIALIZED", dialect="postgresql").c.rowid)
