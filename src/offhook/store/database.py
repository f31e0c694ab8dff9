"""
Opening the store: SQLite or Postgres by URL, brought to the newest schema by one process while the others wait.

Raises StoreError, which says what to do. Knows no call.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import sqlite3
import ssl
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DataError, DBAPIError, IntegrityError, OperationalError

from offhook.store.schema import HEAD
from offhook.store.state import NoStoreYet, StoreError

__all__ = [
    "check",
    "default_url",
    "engine",
    "identity",
    "known_revisions",
    "make_room",
    "migrate",
    "reason",
    "refuses_data",
    "revision",
    "shown",
]

FILE = "offhook.db"
MIGRATIONS = Path(__file__).with_name("migrations")
BUSY_MS = 2000  # SQLite waits so long for another writer, on the store's own thread, before it says "locked"
MIGRATING_S = 20.0  # and so long for one that makes the schema
PG_TIMEOUT_S = 10  # of each answer of a Postgres server
_LOCK = 0x0FF400C  # of Postgres, for whoever migrates
# A database that goes away is told of by the writer, in a line; its pool would add a stack for every connection.
logging.getLogger("sqlalchemy.pool").setLevel(logging.CRITICAL)


def default_url(directory: Path) -> str:
    """A file beside the records."""
    return URL.create("sqlite", database=str(directory / FILE)).render_as_string(hide_password=False)


def shown(url: str) -> str:
    """A store's URL as it may be shown."""
    try:
        parsed = make_url(url)
    except ArgumentError:
        return "no URL"
    return parsed.database or "" if parsed.get_backend_name() == "sqlite" else parsed.render_as_string()


def _file(url: str) -> Path | None:
    """SQLite's file; None of any other database."""
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite" or not parsed.database or parsed.database == ":memory:":
        return None
    return Path(parsed.database)


def identity(url: str) -> tuple[int, int] | None:
    """Which file SQLite's is now; None where there is none, or of any other database."""
    path = _file(url)
    try:
        stat = path.stat() if path is not None else None
    except FileNotFoundError:
        return None
    return (stat.st_dev, stat.st_ino) if stat is not None else None


def make_room(url: str) -> None:
    """Make SQLite's file where there is none, for nobody else's eyes: what SQLite puts beside it has the same mode."""
    path = _file(url)
    if path is None:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    # Never opened where it is there: closing it would take this process's locks on it away (POSIX). Another process
    # that closes it next would think itself the last, and remove the log that we go on writing into.
    # Source: sqlite.org/howtocorrupt.html, 2.2 (seen 2026-11-26: rows lost, with `offhook hooks` beside a server)
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))


def engine(url: str, *, write: bool = False) -> sa.Engine:
    """
    An engine for one thread at a time. ``write``: transactions take SQLite's lock when they begin, so that waiting
    for it happens there and never ends in a deadlock.
    """
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise StoreError(
            "store.url: got no database URL, wanted sqlite:///PATH or postgresql://USER:PASSWORD@HOST/NAME"
        ) from None
    backend = parsed.get_backend_name()
    if backend == "sqlite":
        return _sqlite(parsed, write)
    if backend in ("postgresql", "postgres"):
        return _postgres(parsed)
    raise StoreError(f"store.url: got {backend!r}, wanted sqlite or postgresql")


def _sqlite(url: URL, write: bool) -> sa.Engine:
    made = sa.create_engine(url.set(drivername="sqlite+pysqlite"), poolclass=sa.pool.NullPool if not write else None)

    @sa.event.listens_for(made, "connect")
    def _(connection: Any, record: Any) -> None:
        connection.isolation_level = None  # transactions begin where we say so
        cursor = connection.cursor()
        for pragma in (f"busy_timeout = {BUSY_MS}", "foreign_keys = ON", "secure_delete = ON", "synchronous = NORMAL"):
            cursor.execute(f"PRAGMA {pragma}")
        if write:
            cursor.execute("PRAGMA journal_mode = WAL")
        cursor.close()

    @sa.event.listens_for(made, "begin")
    def _(connection: sa.Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")

    return made


def _postgres(url: URL) -> sa.Engine:
    if find_spec("pg8000") is None:
        raise StoreError("store.url names Postgres, whose driver is not installed: pip install 'offhook[postgres]'")
    query = dict(url.query)
    mode = query.pop("sslmode", "disable" if url.host in (None, "localhost", "127.0.0.1", "::1") else "require")
    connect: dict[str, Any] = {"timeout": PG_TIMEOUT_S, "application_name": "offhook"}
    if mode != "disable":
        context = ssl.create_default_context()
        if mode not in ("verify-ca", "verify-full"):  # as libpq: encrypted, the certificate is not looked at
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        context.check_hostname = mode == "verify-full"
        connect["ssl_context"] = context
    # asked first whether it is still there: a server that was restarted has closed what the pool keeps
    made = sa.create_engine(
        url.set(drivername="postgresql+pg8000", query=query), connect_args=connect, pool_size=1, max_overflow=2,
        pool_pre_ping=True,
    )  # fmt: skip
    # rows of one table in one statement: pg8000 sends each by itself otherwise, and a call has thirty
    made.dialect.use_insertmanyvalues_wo_returning = True
    return made


def migrate(target: sa.Engine) -> str:
    """
    Bring the schema to what this program knows; "" where nothing was to be done, else what was.

    Several processes may do it at once: one works, the others wait for its transaction and find it done; longer than
    for any other writer, since on a busy machine it takes seconds. Raises SQLAlchemyError where the database cannot be
    had.
    """
    if _is_newest(target):
        return ""
    # Before the lock, for importing takes longer than what is done under it.
    importlib.import_module("alembic.command")
    until = time.monotonic() + MIGRATING_S
    while True:
        try:
            return _migrate(target)
        except OperationalError as error:
            if not _is_locked(error) or time.monotonic() > until:
                raise
        time.sleep(0.05)


def _is_newest(target: sa.Engine) -> bool:
    """Whether the schema is there already, seen without SQLite's lock: whoever holds it for long is no hindrance."""
    reader = _sqlite(target.url, write=False) if target.dialect.name == "sqlite" else target
    try:
        with reader.begin() as connection:
            return revision(connection) == HEAD
    except OperationalError:
        return False  # whoever takes the lock is told why
    finally:
        if reader is not target:
            reader.dispose()


def _migrate(target: sa.Engine) -> str:
    with target.begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(sa.text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
        found = revision(connection)
        if found == HEAD:
            return ""
        _upgrade(connection, found)
    return f"schema {found} -> {HEAD}" if found else f"schema {HEAD} made"


def _is_locked(error: OperationalError) -> bool:
    """SQLite waits for nobody where it would change to write-ahead logging, and says at once that it is locked."""
    return (
        isinstance(error.orig, sqlite3.OperationalError) and error.orig.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
    )


def check(connection: sa.Connection) -> None:
    """Raises StoreError where the schema is not the one that this program reads."""
    found = revision(connection)
    if found == HEAD:
        return
    if found is None:
        raise NoStoreYet("there is no store yet: offhook serve makes one")
    raise StoreError(
        f"the store has schema {found}, this program reads {HEAD}: "
        "start offhook serve once with this version, or use the version that wrote it"
    )


def known_revisions() -> set[str]:
    """The schemas that this program can bring to its own."""
    return {path.name.partition("_")[0] for path in (MIGRATIONS / "versions").glob("[0-9]*.py")}


def revision(connection: sa.Connection) -> str | None:
    """The schema that is there; None where there is none. Raises StoreError where the tables are another program's."""
    tables = sa.inspect(connection).get_table_names()
    if "alembic_version" not in tables:
        if "calls" in tables:
            raise StoreError("the database has a table 'calls' that Offhook did not make: give it one of its own")
        return None
    found = connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar()
    return None if found is None else str(found)


def _upgrade(connection: sa.Connection, found: str | None) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    if found is not None and found not in known_revisions():
        raise StoreError(
            f"the store has schema {found}, which is newer than this program's {HEAD}: "
            "upgrade Offhook, or set store.url to another database"
        )
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def refuses_data(error: DBAPIError) -> bool:
    """Whether the database takes no offence but at what it was given: another try would end in the same way."""
    told = error.orig.args[0] if error.orig is not None and error.orig.args else ""
    if isinstance(told, dict):  # Postgres: data exceptions, integrity constraints
        return str(told.get("C"))[:2] in ("22", "23")
    return isinstance(error, (DataError, IntegrityError))


def reason(error: Exception) -> str:
    """What a database said, in one line and without what it was asked."""
    own = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    if isinstance(own.__cause__, OSError):  # of pg8000's "Can't create a connection", what the system said
        own = own.__cause__
    told = own.args[0] if own.args else ""
    if isinstance(own, OSError) and own.strerror:
        told = own.strerror
    if isinstance(told, dict):  # pg8000 gives the server's fields
        told = told.get("M", "")
    text = " ".join(str(told).split())[:200].rstrip(".")
    return f"{type(own).__name__}: {text}" if text else type(own).__name__
