"""
How long the store takes when it is large: fills an empty database, asks it as the commands and the API do, and prints a
table. ``python tools/store_size.py [URL] [--calls N]``; without a URL a SQLite file in a folder that goes with it.

The rows are made in the database, of one call with eight turns; there are no records beside them, so what erasing and
pruning do to files is not in the figures.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from offhook.store import catchup, schema
from offhook.store.database import engine, make_room, migrate
from offhook.store.erase import erase
from offhook.store.ingest import ingest
from offhook.store.projection import Rows
from offhook.store.queries import Reader
from offhook.store.state import CallFilter

DAY_MS = 86_400_000
DAYS, CALLERS = 90, 5000
ROUNDS = 5
WORDS = "good morning I would like a table for two tonight at eight under the name of Miller"


def row(n: int, now: int, calls: int) -> dict[str, Any]:
    """A call of the last ninety days, the newest last."""
    verdict = ("healthy", "healthy", "healthy", "suspected", "broken")[n % 5]
    return {
        "n": n, "id": f"20260901T000000Z-CA{n:032x}", "call": f"CA{n:032x}",
        "agent": "rare" if n == 7 else f"desk{n % 4}",
        "direction": "inbound" if n % 3 else "outbound-api", "caller": f"+1********{n % 100:02}",
        "called": "+1********02",
        "caller_id": f"{n % CALLERS:024x}", "called_id": "f" * 24, "caller_number": None, "called_number": None,
        "carrier": "twilio", "provider": "OpenAI Realtime", "model": "gpt-realtime", "state": "ended", "server": "h-1",
        "began_at": now - DAYS * DAY_MS + DAYS * DAY_MS // calls * n, "seconds": 60.0 + n % 240, "verdict": verdict,
        "because": "", "end_why": "caller hung up", "wanted": True, "usd": (n % 90) / 100, "cost_unknown": "carrier",
        "recording": "", "stored_at": now, "summary": None, "summary_why": "",
    }  # fmt: skip


def children(n: int) -> dict[str, list[dict[str, Any]]]:
    """What hangs on a call, in the size of a real one of two minutes."""
    turn = {"end_ms": None, "kind": "", "struck": "", "ms": 2000, "heard_ms": 2000, "estimated": False, "final": True,
            "language": "en"}  # fmt: skip
    return {
        "turns": [{**turn, "at_ms": at * 9e3, "who": ("caller", "agent")[at % 2], "text": WORDS, "item": f"i{at}"}
                  for at in range(8)],
        "tool_runs": [{"tool_id": "t1", "name": "book", "at_ms": 2e4, "ms": 300.0, "args_ok": True, "outcome": "ok",
                       "out_bytes": 40, "filler": False, "retried": 0}],
        "findings": [{"rule": "latency/slow-answer", "boundary": "latency", "proof": "proven", "sentence": "s",
                      "fix": "f", "line": 40}],
        "latencies": [{"kind": kind, "at_ms": at * 9e3, "ms": 640.0} for at, kind in enumerate(("reply",) * 4)],
        "usage": [{"what": f"part {at}", "amount": 900.0, "usd": 0.01, "price": "", "source": "", "checked": "",
                   "why": ""} for at in range(6)],
    }  # fmt: skip


def fill(target: sa.Engine, calls: int, now: int) -> None:
    """The first call by the store's own way, the others of it, within the database."""
    with target.begin() as connection:
        ingest(connection, Rows(row(1, now, calls), children(1), f"{WORDS} order 1"))
        for at in range(2, calls + 1, 5000):
            many = [row(n, now, calls) for n in range(at, min(at + 5000, calls + 1))]
            connection.execute(schema.calls.insert(), many)
        for table in (schema.turns, schema.tool_runs, schema.findings, schema.latencies, schema.usage):
            own = [column for column in table.c if column.name != "call_n"]
            both = sa.join(schema.calls, table, sa.and_(table.c.call_n == 1, schema.calls.c.n > 1))
            made = sa.select(schema.calls.c.n, *own).select_from(both)
            if table is schema.findings:
                made = made.where(schema.calls.c.verdict != "healthy")
            connection.execute(table.insert().from_select(["call_n", *(column.name for column in own)], made))
        said = "INSERT INTO words (rowid, text) SELECT n, :said || ' order ' || n FROM calls WHERE n > 1"
        connection.execute(sa.text(said), {"said": WORDS})
        if connection.dialect.name == "postgresql":  # we chose the keys
            connection.execute(sa.text("SELECT setval('calls_n_seq', :n)"), {"n": calls})
    if target.dialect.name == "postgresql":  # as its autovacuum does within a minute
        with target.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql("VACUUM ANALYZE")


def asked(reader: Reader, calls: int, now: int) -> dict[str, Callable[[], Any]]:
    """What commands and the API ask."""

    def listed(**wanted: Any) -> Callable[[], Any]:
        return lambda: reader.calls(CallFilter(**{"limit": 51, **wanted}))

    middle = row(calls // 2, now, calls)
    return {
        "the newest 50": listed(),
        "a page in the middle": listed(before=(middle["began_at"], middle["n"])),
        "of one of four agents": listed(agent="desk1"),
        "of an agent that had one call": listed(agent="rare"),
        "broken": listed(verdict="broken"),
        "by a rule": listed(finding="latency/slow-answer"),
        "by a boundary": listed(finding="latency"),
        "by a rule that never fired": listed(finding="bridge/nothing"),
        "by a word of all calls": listed(text="miller"),
        "by a word of one call": listed(text=f"order {calls // 3}"),
        "by a caller's last digits": listed(number="07"),
        "costing more than any": listed(min_usd=5.0),
        "one day": listed(since_at=now - 9 * DAY_MS, until_at=now - 8 * DAY_MS),
        "totals of all": lambda: reader.totals(CallFilter()),
        "totals of a day": lambda: reader.totals(CallFilter(since_at=now - DAY_MS)),
        "figures of a day": lambda: reader.moments(CallFilter(since_at=now - DAY_MS, limit=5000), "reply"),
        "a call by its record": lambda: reader.call(middle["id"]),
        "a call by its id": lambda: reader.call(row(3, now, calls)["call"]),
        "a call by its id's beginning": lambda: reader.call(row(3, now, calls)["call"][:-2]),
        "no such call": lambda: reader.call("CAnothing"),
    }


def timed(work: Callable[[], Any]) -> float:
    began = time.perf_counter()
    work()
    return (time.perf_counter() - began) * 1000


def measure(url: str, calls: int, directory: Path) -> list[tuple[str, float]]:
    now = round(time.time() * 1000)
    make_room(url)
    target = engine(url, write=True)
    migrate(target)
    found = [(f"filling it with {calls:,} calls", timed(lambda: fill(target, calls, now)))]
    reader = Reader(url)
    for name, work in asked(reader, calls, now).items():
        found.append((name, statistics.median(timed(work) for _ in range(ROUNDS))))
    reader.close()

    def batch() -> None:
        with target.begin() as connection:
            for n in range(calls + 1, calls + 51):
                ingest(connection, Rows({**row(n, now, calls), "n": n}, children(n), WORDS))

    found.append(("storing 50 calls more, one transaction", timed(batch)))
    caller = row(11, now, calls)["caller_id"]
    found.append(
        (f"erasing a caller of {calls // CALLERS} calls", timed(lambda: erase(url, directory, caller_id=caller)))
    )
    found.append((f"removing {calls // 10:,} calls that are too old",
                  timed(lambda: catchup.prune(target, directory, DAYS * 0.9))))  # fmt: skip
    target.dispose()
    return found


def main() -> None:
    given = argparse.ArgumentParser(description=__doc__)
    given.add_argument("url", nargs="?", default="", help="an empty database; left out: a SQLite file")
    given.add_argument("--calls", type=int, default=100_000)
    told = given.parse_args()
    with tempfile.TemporaryDirectory(prefix="offhook-size-") as folder:
        url = told.url or f"sqlite:///{folder}/offhook.db"
        found = measure(url, told.calls, Path(folder) / "none")
        size = Path(folder, "offhook.db")
        for name, ms in found:
            print(f"| {name} | {ms:,.1f} |")  # noqa: T201
        if size.exists():
            print(f"{size.stat().st_size / 1e6:.0f} MB")  # noqa: T201


if __name__ == "__main__":
    main()
