"""``offhook check store``: the database is opened, judged, written and read, and what is wrong with it is named."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import make_url
from tests.ports import free_port
from tests.store.kit import Postgres

from offhook.checks import store as check
from offhook.checks._check import Ask, Outcome
from offhook.settings import load
from offhook.store import database, proof
from offhook.store.database import migrate
from offhook.store.proof import Proof, prove
from offhook.store.schema import HEAD


def told(url: str) -> dict[str, Proof]:
    return {step.name: step for step in prove(url)}


def states(url: str) -> dict[str, str]:
    return {name: step.state for name, step in told(url).items()}


def test_a_store_that_is_there_is_written_and_read_and_nothing_is_left_in_it(url, target):
    migrate(target)
    found = told(url)
    assert {name: step.state for name, step in found.items()} == dict.fromkeys(
        ("database", "schema", "write and read"), "proven"
    )
    assert HEAD in found["schema"].detail
    with target.connect() as connection:
        tables = sa.inspect(connection).get_table_names()
        assert connection.execute(sa.text("SELECT count(*) FROM outbox")).scalar() == 0
        assert not [name for name in tables if "check" in name]


def test_a_store_that_is_not_there_yet_is_proven_possible_and_not_made(url, calls):
    found = told(url)
    assert {step.state for step in found.values()} == {"proven"}
    assert "yet" in " ".join(step.detail for step in found.values())
    assert list(calls.iterdir()) == []


@pytest.mark.parametrize(("schema", "state"), [("9999", "broken"), ("0003", "not proven")])
def test_another_programs_schema_is_named(url, target, schema, state):
    migrate(target)
    with target.begin() as connection:
        connection.execute(sa.text(f"UPDATE alembic_version SET version_num = '{schema}'"))
    step = told(url)["schema"]
    assert step.state == state and schema in step.detail and HEAD in step.detail
    assert ("upgrade Offhook" if state == "broken" else "offhook serve") in step.fix


def test_tables_that_are_not_ours_are_left_alone(url, target):
    with target.begin() as connection:
        connection.execute(sa.text("CREATE TABLE calls (x integer)"))
    found = told(url)
    assert found["schema"].state == "broken" and "did not make" in found["schema"].detail


# ---------------------------------------------------------------------------------------------------------- SQLite


@pytest.fixture
def file(calls: Path) -> Path:
    target = database.engine(database.default_url(calls), write=True)
    migrate(target)
    target.dispose()
    return calls / "offhook.db"


def broken(path: Path, step: str) -> Proof:
    found = told(f"sqlite:///{path}")[step]
    assert found.state == "broken" and found.fix
    return found


def test_a_database_that_somebody_holds_is_locked(file, monkeypatch):
    monkeypatch.setattr(database, "BUSY_MS", 50)
    with sqlite3.connect(file, isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        step = broken(file, "write and read")
        other.execute("ROLLBACK")
    other.close()
    assert "locked" in step.detail and "fuser" in step.fix


def test_a_full_disk_is_named(file, monkeypatch):
    real = database.engine

    def small(url: str, *, write: bool = False) -> sa.Engine:
        made = real(url, write=write)
        sa.event.listen(made, "connect", lambda connection, record: connection.execute("PRAGMA max_page_count = 1"))
        return made

    monkeypatch.setattr(proof, "engine", small)
    monkeypatch.setattr(proof, "_row", proof._table)  # a row may still fit into a page that is there
    step = broken(file, "write and read")
    assert "full" in step.detail and "free room" in step.fix


def test_a_file_that_is_no_database_is_named(file):
    for end in ("-wal", "-shm"):
        file.with_name(file.name + end).unlink(missing_ok=True)
    file.write_bytes(b"no database " * 400)
    step = broken(file, "database")
    assert "not a database" in step.detail and "read anew from their records" in step.fix


# -------------------------------------------------------------------------------------------------------- Postgres


@pytest.fixture
def password(postgres: Postgres) -> Iterator[str]:
    """A user who has to give one."""
    hba = postgres._folder / "data" / "pg_hba.conf"
    before = hba.read_text()
    target = database.engine(postgres.url, write=True)
    with target.begin() as connection:
        connection.execute(sa.text("CREATE ROLE careful LOGIN PASSWORD 'right-one'"))
    target.dispose()
    hba.write_text(f"host all careful 127.0.0.1/32 scram-sha-256\n{before}")
    postgres._run("pg_ctl", "-D", postgres._folder / "data", "reload")
    yield make_url(postgres.url).set(username="careful", password="wr0ng-one").render_as_string(hide_password=False)
    hba.write_text(before)
    postgres._run("pg_ctl", "-D", postgres._folder / "data", "reload")
    target = database.engine(postgres.url, write=True)
    with target.begin() as connection:
        connection.execute(sa.text("DROP ROLE careful"))
    target.dispose()


def test_a_wrong_password_is_named_and_not_told(password):
    step = told(password)["database"]
    assert step.state == "broken" and "password authentication failed" in step.detail
    assert "user and password" in step.fix and "wr0ng-one" not in str(step)


def test_a_database_and_a_server_that_are_not_there_are_named(postgres: Postgres):
    step = told(make_url(postgres.url).set(database="nowhere").render_as_string())["database"]
    assert step.state == "broken" and "createdb" in step.fix
    step = told(f"postgresql://offhook@127.0.0.1:{free_port()}/x")["database"]
    assert step.state == "broken" and "start the server" in step.fix


# ------------------------------------------------------------------------------------------------------- the check


def outcome(folder: Path, url: str) -> Outcome:
    given = load(environment={"OFFHOOK_STORE_URL": url, "OFFHOOK_PROVIDER_NAME": "loopback"}, cwd=folder)
    return asyncio.run(check.CHECK.outcome(Ask(given, folder / "calls")))


def test_the_check_has_the_databases_steps_and_a_deadline_of_its_own(tmp_path, monkeypatch):
    found = outcome(tmp_path, "")
    assert found.verdict == "proven" and any("not there yet" in step.detail for step in found.steps)
    assert "off" in next(step.detail for step in outcome(tmp_path, "off").steps if step.name == "database")
    assert "no database URL" in outcome(tmp_path, "nonsense").sentence
    hangs = threading.Event()

    def stuck(url: str) -> Iterator[Any]:
        hangs.wait(30)
        yield from ()

    monkeypatch.setattr(proof, "prove", stuck)
    monkeypatch.setattr(check, "DATABASE_S", 0.05)
    found = outcome(tmp_path, "")
    hangs.set()
    assert found.verdict == "broken" and "no answer within" in found.sentence
