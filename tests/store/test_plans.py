"""How SQLite answers what is asked of a large store: by its indexes, without looking at every call or sorting them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from offhook.store.database import default_url, engine, migrate
from offhook.store.queries import Reader
from offhook.store.state import CallFilter


@pytest.fixture
def url(calls: Path) -> str:
    made = default_url(calls)
    target = engine(made, write=True)
    migrate(target)
    target.dispose()
    return made


def plan(url: str, ask: Any) -> str:
    """What SQLite means to do for the questions about calls that ``ask`` leads to."""
    reader, asked = Reader(url), []

    @sa.event.listens_for(reader._engine, "before_cursor_execute")
    def _(connection: Any, cursor: Any, statement: str, given: Any, *_: Any) -> None:
        if statement.startswith("SELECT calls."):
            asked.append((statement, given))

    ask(reader)
    with reader._engine.connect() as connection:
        steps = [row for one in asked for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {one[0]}", one[1])]
    reader.close()
    return "; ".join(str(row[3]) for row in steps)


@pytest.mark.parametrize(
    ("wanted", "index"),
    [
        ({}, "ix_calls_began_at"),
        ({"verdict": "broken"}, "ix_calls_verdict_began_at"),
        ({"agent": "desk"}, "ix_calls_agent_began_at"),
    ],
)
def test_a_list_is_read_in_its_order(url: str, wanted: dict[str, Any], index: str):
    told = plan(url, lambda reader: reader.calls(CallFilter(**wanted)))
    assert index in told and "TEMP B-TREE" not in told, told


def test_a_call_is_found_by_any_of_its_names_without_looking_at_all(url: str):
    told = plan(url, lambda reader: reader.call("CA0123"))
    assert told.count("SEARCH calls") == 3 and "SCAN" not in told, told
