"""
The database proven without a call: it opens, has the schema that this program reads, and what is written can be read.

Leaves nothing behind. Blocks, at most as long as the database's own deadlines (``database.py``). Knows no setting.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import sqlalchemy as sa
from msgspec import Struct
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from offhook.store import schema
from offhook.store.database import engine, known_revisions, migrate, reason, revision, shown
from offhook.store.state import StoreError

__all__ = ["Proof", "prove"]

SLOW_MS = 1000.0  # calls never wait for it, but the store falls behind
_HOOK = ":check"  # of no [hooks.NAME], and done: nobody acts on its row


class Proof(Struct, frozen=True):
    """One thing that was looked at."""

    name: str
    state: Literal["proven", "broken", "not proven"]
    detail: str
    fix: str = ""
    ms: float | None = None


def prove(url: str) -> Iterator[Proof]:
    """Step by step; the first that is broken is the last."""
    try:
        parsed = make_url(url) if url.startswith("sqlite") else None
        if parsed is not None and not (parsed.database and Path(parsed.database).exists()):
            yield from _not_yet(Path(parsed.database or ""))
            return
        target, reader = engine(url, write=True), engine(url)
    except StoreError as error:
        yield Proof("database", "broken", str(error), "correct store.url, or leave it out for a file")
        return
    try:
        yield from _there(url, target, reader)
    except StoreError as error:
        yield Proof("schema", "broken", str(error), "as it says")
    finally:
        target.dispose()
        reader.dispose()


def _there(url: str, target: sa.Engine, reader: sa.Engine) -> Iterator[Proof]:
    began = time.perf_counter()
    try:
        with reader.connect() as connection:
            found = revision(connection)
    except SQLAlchemyError as error:
        yield _broken("database", url, error)
        return
    yield Proof("database", "proven", f"{shown(url)} opens", ms=_ms(began))
    yield _schema(found)
    if found is not None and found not in known_revisions():
        return  # whose tables they are is not ours to guess
    write = _row if found == schema.HEAD else _table
    began = time.perf_counter()
    try:
        write(target, reader)
    except SQLAlchemyError as error:
        yield _broken("write and read", url, error)
        return
    yield _timed("write and read", "a row was written, committed and read back", _ms(began))


def _schema(found: str | None) -> Proof:
    if found is None:
        return Proof("schema", "proven", "none yet: offhook serve makes it")
    if found == schema.HEAD:
        return Proof("schema", "proven", f"{found}, as this program reads it")
    if found in known_revisions():
        fix = "start offhook serve once with this version, which brings it up to date"
        return Proof("schema", "not proven", f"{found}, this program reads {schema.HEAD}", fix)
    fix = "upgrade Offhook, or set store.url to another database"
    return Proof("schema", "broken", f"{found}, which is newer than this program's {schema.HEAD}", fix)


def _not_yet(path: Path) -> Iterator[Proof]:
    """SQLite's file is not there: a scratch one beside it shows that it can be made."""
    scratch = path.with_name(f".offhook-check-{os.getpid()}.db")
    url = f"sqlite:///{scratch}"
    began = time.perf_counter()
    target, reader = engine(url, write=True), engine(url)
    try:
        migrate(target)
        _row(target, reader)
    except SQLAlchemyError as error:
        yield _broken("database", str(path), error)
        return
    finally:
        target.dispose()
        reader.dispose()
        for end in ("", "-wal", "-shm"):
            scratch.with_name(scratch.name + end).unlink(missing_ok=True)
    yield _timed("database", f"{path} is not there yet; one beside it was made, written and read", _ms(began))


def _row(target: sa.Engine, reader: sa.Engine) -> None:
    """A row that means nothing, committed, read over another connection, and removed."""
    key = f"check-{os.getpid()}-{time.time_ns()}"
    row = {"call": "", "record": key, "hook": _HOOK, "key": key, "payload": "", "state": "done", "tries": 0,
           "due_at": 0, "queued_at": 0, "error": "", "owner": ""}  # fmt: skip
    o = schema.outbox.c
    mine = schema.outbox.delete().where(o.record == key, o.hook == _HOOK)
    _kept(
        target, reader,
        lambda connection: connection.execute(schema.outbox.insert(), row),
        sa.select(o.key).where(o.record == key), key,
        lambda connection: connection.execute(mine),
    )  # fmt: skip


def _table(target: sa.Engine, reader: sa.Engine) -> None:
    """The same in a table of its own, where there are none yet."""
    table = sa.Table(f"offhook_check_{os.getpid()}", sa.MetaData(), sa.Column("word", sa.Text))

    def write(connection: sa.Connection) -> None:
        table.create(connection)
        connection.execute(table.insert(), {"word": "written"})

    _kept(target, reader, write, sa.select(table.c.word), "written", table.drop)


def _kept(
    target: sa.Engine,
    reader: sa.Engine,
    write: Callable[[sa.Connection], object],
    query: sa.Select[Any],
    wanted: str,
    remove: Callable[[sa.Connection], object],
) -> None:
    with target.begin() as connection:
        write(connection)
    try:
        with reader.connect() as connection:
            found = connection.execute(query).scalar()
    finally:
        with target.begin() as connection:
            remove(connection)
    if found != wanted:
        raise SQLAlchemyError(f"wrote {wanted!r} and read {found!r}")


def _timed(name: str, detail: str, ms: float) -> Proof:
    if ms > SLOW_MS:
        fix = "use a local disk, or a server that is near; calls are not held up, but the store falls behind"
        return Proof(name, "not proven", f"{detail}, in {ms:.0f} ms", fix, ms)
    return Proof(name, "proven", detail, ms=ms)


def _ms(began: float) -> float:
    return (time.perf_counter() - began) * 1000


# what a database says, or Postgres' code of it -> what to do
_FIXES = (
    (("locked", "55p03"), "end the program that holds it (fuser FILE names it); calls are stored when it lets go"),
    (("full", "no space", "53100"), "free room on the database's disk"),
    (("28p01", "28000", "password"), "correct user and password in store.url"),
    (("3d000",), "make the database (createdb), or correct its name in store.url"),
    (("42501", "permission denied"), "let this user create and write tables there"),
    (("not a database", "malformed"), "move the file away: calls are read anew from their records; tokens, the list of "
                                      "calls to place and the do-not-call list are lost"),
    (("readonly", "read-only", "25006", "unable to open"), "let this user write the file and its folder"),
    (("create a connection", "timed out", "timeout", "refused", "57p03"), "start the server, or correct host and port"),
)  # fmt: skip


def _broken(name: str, url: str, error: Exception) -> Proof:
    said = reason(error)
    told = error.orig.args[0] if isinstance(error, DBAPIError) and error.orig is not None and error.orig.args else ""
    code = str(told.get("C", "")) if isinstance(told, dict) else ""
    words = f"{said} {code}".lower()
    fix = next((fix for signs, fix in _FIXES if any(sign in words for sign in signs)), "see what the database says")
    return Proof(name, "broken", f"{shown(url) if '://' in url else url}: {said}", fix)
