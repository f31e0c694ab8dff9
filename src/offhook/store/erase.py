"""
Forgetting a caller, or a call: rows, records, recordings, and what other parts keep of them, with proof.

Every table with a column ``caller_id``, ``called_id`` or ``call`` is looked at, whoever made it. What was removed is
listed, and what is left is searched for, byte by byte, in every file beside the records. Raises StoreError.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import sqlalchemy as sa
from msgspec import Struct
from sqlalchemy.exc import SQLAlchemyError

from offhook.evidence.files import call_of, remove_call
from offhook.store import schema
from offhook.store.database import check, engine, reason, shown
from offhook.store.ingest import remove
from offhook.store.state import StoreError

__all__ = ["Erased", "erase", "mentions"]

_CHUNK = 1024 * 1024


class Erased(Struct, frozen=True):
    """What was removed."""

    calls: tuple[str, ...] = ()
    rows: dict[str, int] = {}  # by table
    files: tuple[str, ...] = ()
    running: tuple[str, ...] = ()  # calls that go on: their record would be written anew
    left: tuple[str, ...] = ()  # files in which something of it still stands


def erase(url: str | None, directory: Path, *, caller_id: str = "", call: str = "", number: str = "") -> Erased:
    """Remove all calls of a caller, by the keyed hash of the ``number``, or one call by its id."""
    there = {path: call_of(path) for path in directory.glob("*.jsonl")}
    named = {name for path, name in there.items() if (name == call if call else _is_of(path, caller_id))}
    records = {path.stem: name for path, name in there.items() if name in named}  # a dial's own of the same call too
    rows: dict[str, int] = {}
    running: set[str] = set()
    if url is not None:
        found, running, rows = _in_store(url, caller_id, call, set(records.values()))
        records |= found
    files: list[Path] = []
    for stem in sorted(set(records) - running):
        files += remove_call(directory, stem)
    gone = sorted({name for stem, name in records.items() if stem not in running})
    needles = gone if running else [*gone, caller_id, number]
    return Erased(
        calls=tuple(gone), rows=rows, files=tuple(path.name for path in files), running=tuple(sorted(running)),
        left=tuple(mentions(directory, [needle for needle in needles if needle])),
    )  # fmt: skip


def _is_of(path: Path, caller_id: str) -> bool:
    """Whether a record is of this caller, by its first line."""
    with path.open("rb") as file:
        first = file.readline(256 * 1024)
    return any(f'"{name}":"{caller_id}"'.encode() in first for name in ("caller_id", "called_id"))


def _in_store(url: str, caller_id: str, call: str, names: set[str]) -> tuple[dict[str, str], set[str], dict[str, int]]:
    target = engine(url, write=True)
    try:
        with target.begin() as connection:
            check(connection)
            c = schema.calls.c
            mine = [c.call == call] if call else [c.caller_id == caller_id, c.called_id == caller_id]
            where = sa.or_(*mine, c.call.in_(sorted(names)))
            found = connection.execute(sa.select(c.n, c.id, c.call, c.state).where(where)).all()
            over = [row for row in found if row.state != "running"]
            for at in range(0, len(over), 200):
                remove(connection, [row.n for row in over[at : at + 200]])
            rows = {"calls": len(over)} if over else {}
            rows |= _elsewhere(connection, caller_id, {*(row.call for row in over), *names, *([call] if call else [])})
        _forget_pages(target)
    except SQLAlchemyError as error:
        raise StoreError(f"{shown(url)}: {reason(error)}") from error
    finally:
        target.dispose()
    running = {row.id for row in found if row.state == "running"}
    return {row.id: row.call for row in found}, running, rows


def _elsewhere(connection: sa.Connection, caller_id: str, calls: set[str]) -> dict[str, int]:
    """What tables of other parts keep of the caller or the calls."""
    removed: dict[str, int] = {}
    inspector = sa.inspect(connection)
    for name in inspector.get_table_names():
        columns = {column["name"] for column in inspector.get_columns(name)}
        if name == "calls" or not columns & {"call", "caller_id", "called_id"}:
            continue
        table = sa.table(name, *(sa.column(column) for column in columns))
        where = [
            table.c[column] == caller_id for column in ("caller_id", "called_id") if caller_id and column in columns
        ]
        if "call" in columns and calls:
            where.append(table.c.call.in_(sorted(calls)))
        if where and (n := connection.execute(table.delete().where(sa.or_(*where))).rowcount):
            removed[name] = n
    return removed


def _forget_pages(target: sa.Engine) -> None:
    """A row that was deleted still stands in the file until its page is written anew."""
    if target.dialect.name == "postgresql":
        with target.connect() as connection:
            connection.connection.rollback()  # the pool's ping began a transaction, in which there is no VACUUM
            connection.execution_options(isolation_level="AUTOCOMMIT").exec_driver_sql("VACUUM")
        return
    raw = target.raw_connection()
    try:
        raw.execute("INSERT INTO words (words) VALUES ('rebuild')")
        raw.execute("VACUUM")
        raw.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    finally:
        raw.close()


def mentions(directory: Path, needles: Iterable[str]) -> list[str]:
    """Files in the directory of records, and below it, in which one of these still stands."""
    wanted = [needle.encode() for needle in needles]
    longest = max((len(needle) for needle in wanted), default=0)
    files = [path for path in directory.rglob("*") if path.is_file()] if wanted else []
    return sorted(str(path.relative_to(directory)) for path in files if _has(path, wanted, longest))


def _has(path: Path, wanted: list[bytes], longest: int) -> bool:
    with path.open("rb") as file:
        before = b""
        while chunk := file.read(_CHUNK):
            if any(needle in before + chunk for needle in wanted):
                return True
            before = chunk[-longest:]
    return False
