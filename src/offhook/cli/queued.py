"""
``offhook queue``: calls that are to be placed, on the list of the store; and how a server works through it.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import msgspec
from msgspec import structs

from offhook.cli.call import options_of
from offhook.cli.carrier_rest import number_problem
from offhook.cli.places import data_dir
from offhook.cli.stored import OFF, number_hash, store_url
from offhook.net.outbound import Options
from offhook.net.queue import Entry, Rules
from offhook.settings import Settings
from offhook.store.alive import lives
from offhook.store.queue import QueueRow, QueueTable
from offhook.store.state import StoreError
from offhook.wires.carriers.twilio import mask_number

__all__ = ["StoredQueue", "add", "allow", "cancel", "listed", "never", "rules_of", "table_of"]


def table_of(settings: Settings, server: str = "") -> QueueTable | None:
    """The lists in the store; None where there is no store. Raises StoreError, OSError."""
    directory = data_dir(settings)
    url = store_url(settings, directory)
    if url == OFF:
        return None
    return QueueTable(
        url, number_hash(settings, directory), mask_number, server=server, alive=lambda one: lives(directory, one)
    )


def rules_of(settings: Settings) -> Rules:
    again = {
        "busy": settings["outbound.again_busy_s"],
        "no-answer": settings["outbound.again_no_answer_s"],
        "machine": settings["outbound.again_machine_s"],
        "failed": settings["outbound.again_failed_s"],
    }
    return Rules(settings["outbound.at_once"], settings["outbound.tries"], again)


class StoredQueue:
    """The store's list as a server works through it (``net/queue.py: QueueStore``)."""

    def __init__(self, table: QueueTable, settings: Callable[[], Settings]) -> None:
        self._table = table
        self._settings = settings
        self._prepared = False

    def _ready(self) -> QueueTable:
        if not self._prepared:
            self._table.prepare()
            self._prepared = True
        return self._table

    def claim(self, now: float) -> Entry | None:
        row = self._ready().claim(now)
        return None if row is None else self._entry(row)

    def save(self, entry: Entry) -> None:
        row = QueueRow(
            entry.id, entry.number, "", entry.options.agent, {}, entry.state, entry.tries, entry.most_tries,
            int(entry.due * 1000), entry.sid, entry.status, entry.detail,
        )  # fmt: skip
        self._ready().save(row)

    def left_over(self) -> Sequence[Entry]:
        return [self._entry(row) for row in self._ready().left_over()]

    def never(self, number: str) -> bool:
        return self._ready().never(number)

    def close(self) -> None:
        self._table.close()

    def _entry(self, row: QueueRow) -> Entry:
        given: dict[str, Any] = {**row.options, "agent": row.agent}
        options = structs.replace(options_of(self._settings()), **given)
        return Entry(
            row.id, row.number, options, row.due_at / 1000, "calling", row.tries, row.most_tries, row.call, row.status,
            row.detail,
        )  # fmt: skip


# ------------------------------------------------------------------------------------------ the commands


def _with_table(settings: Settings, work: Callable[[QueueTable], tuple[int, str]]) -> int:
    try:
        table = table_of(settings)
        if table is None:
            sys.stderr.write("offhook queue: store.url is off, and the list is kept in the store\n")
            return 2
        try:
            table.prepare()
            code, text = work(table)
        finally:
            table.close()
    except (StoreError, OSError) as error:
        sys.stderr.write(f"offhook queue: {error}\n")
        return 1
    (sys.stdout if code == 0 else sys.stderr).write(f"{text}\n")
    return code


def add(settings: Settings, number: str, options: Options, at: str, tries: int | None) -> int:
    """Put a call on the list; a server places it when it is due."""
    problem = number_problem(number)
    due = _when(at)
    if problem or due is None:
        late = f"--at: got {at!r}, wanted 2026-12-01T09:30, with a zone if it is not local"
        wrong = f"NUMBER: {problem}" if problem else late
        sys.stderr.write(f"offhook queue: {wrong}\n")
        return 2

    def work(table: QueueTable) -> tuple[int, str]:
        if table.never(number):
            masked = mask_number(number)
            return 1, f"offhook queue: {masked} is on the do-not-call list; `offhook queue allow` takes it off"
        plain = options_of(settings)
        own = {
            name: value for name, value in msgspec.to_builtins(options).items()
            if name != "agent" and value != getattr(plain, name)
        }  # fmt: skip
        most = tries if tries is not None else settings["outbound.tries"]
        id_ = table.add(number, options.agent, int(due * 1000), most, own)
        return 0, f"{id_}: {mask_number(number)}, due {_shown(int(due * 1000))}; `offhook serve` places it"

    return _with_table(settings, work)


def listed(settings: Settings, *, everything: bool = False, as_json: bool = False) -> int:
    """The calls that are to be placed."""

    def work(table: QueueTable) -> tuple[int, str]:
        rows = table.rows(everything=everything)
        if as_json:
            told = [{**msgspec.to_builtins(row), "number": row.called} for row in rows]
            return 0, json.dumps(told, indent=1)
        lines = [_line(row) for row in rows]
        return 0, "\n".join(lines or ["nobody is to be called"])

    return _with_table(settings, work)


def _line(row: QueueRow) -> str:
    which = row.tries + (row.state == "calling")
    said = f"{row.status}: {row.detail}" if row.status and row.detail else row.status or row.detail
    when = f"due {_shown(row.due_at)}  try {which} of {row.most_tries}"
    return f"{row.id}  {row.called:<16} {row.state:<9} {when}  {said}".rstrip()


def cancel(settings: Settings, id_: str) -> int:
    return _with_table(
        settings,
        lambda table: (0, f"{id_} is off the list") if table.cancel(id_)
        else (1, f"offhook queue: no call {id_!r} waits on the list"),
    )  # fmt: skip


def never(settings: Settings, number: str, why: str) -> int:
    """Nobody is called under this number any more."""
    problem = number_problem(number)
    if problem:
        sys.stderr.write(f"offhook queue: NUMBER: {problem}\n")
        return 2

    def work(table: QueueTable) -> tuple[int, str]:
        table.refuse(number, why)
        return 0, f"{mask_number(number)} is never called"

    return _with_table(settings, work)


def allow(settings: Settings, number: str) -> int:
    return _with_table(
        settings,
        lambda table: (0, f"{mask_number(number)} may be called again") if table.allow(number)
        else (1, f"offhook queue: {mask_number(number)} was not on the do-not-call list"),
    )  # fmt: skip


def _when(at: str) -> float | None:
    """Seconds since 1970 of a time as it is written; now for an empty one."""
    if not at:
        return time.time()
    try:
        return datetime.fromisoformat(at).timestamp()
    except ValueError:
        return None


def _shown(ms: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(ms / 1000))
