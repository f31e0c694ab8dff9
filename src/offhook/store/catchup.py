"""What the store has missed: records of which it has no row, rows whose call left no record, and calls too old."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from offhook.evidence.files import remove_call
from offhook.store import schema
from offhook.store.alive import host, lives, open_records
from offhook.store.ingest import remove

__all__ = ["end_rowless", "missing", "prune"]


def missing(target: sa.Engine, directory: Path) -> list[Path]:
    """Whole records that the store has no whole row of, oldest first."""
    calls = schema.calls
    with target.connect() as connection:
        known = set(connection.execute(sa.select(calls.c.id).where(calls.c.state != "running")).scalars())
    left = [path for path in sorted(directory.glob("*.jsonl")) if path.stem not in known]
    still_open = set(open_records(directory)) if left else set()
    return [path for path in left if path not in still_open]


def end_rowless(target: sa.Engine, directory: Path) -> int:
    """Calls that this machine's dead servers began and left no record of: they died within the first half second."""
    calls = schema.calls
    with target.begin() as connection:
        running = connection.execute(sa.select(calls.c.n, calls.c.id, calls.c.server).where(calls.c.state == "running"))
        dead = [
            row.n
            for row in running.all()
            if row.server.startswith(host() + "-")
            and not (directory / f"{row.id}.jsonl").exists()
            and not lives(directory, row.server)
        ]
        why = "server died before its record began"
        for n in dead:
            connection.execute(calls.update().where(calls.c.n == n), {"state": "died", "end_why": why})
    return len(dead)


def prune(target: sa.Engine, directory: Path, keep_days: float) -> int:
    """Remove calls that began longer ago: rows, records and recordings."""
    before, calls = (time.time() - keep_days * 86400) * 1000, schema.calls
    old = sa.select(calls.c.n, calls.c.id).where(calls.c.began_at < before, calls.c.state != "running")
    with target.connect() as connection:
        gone: list[Any] = list(connection.execute(old))
    for at in range(0, len(gone), 200):
        with target.begin() as connection:
            remove(connection, [row.n for row in gone[at : at + 200]])
    for row in gone:
        remove_call(directory, row.id)
    return len(gone)
