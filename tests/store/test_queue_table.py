"""The lists of calls to place and of numbers that are never called, in a real database."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path
from unittest.mock import Mock

import pytest
import sqlalchemy as sa
from msgspec import structs

from offhook.cli import queued
from offhook.cli.call import options_of
from offhook.cli.placing import Placing
from offhook.settings import Settings, load
from offhook.store.queue import QueueTable

THEM = "+15550100077"


def hashed(number: str) -> str:
    return hashlib.sha256(number.encode()).hexdigest()[:16]


def table(place: Path, server: str = "here", alive: tuple[str, ...] = (), now: float = 1000.0) -> QueueTable:
    made = QueueTable(
        f"sqlite:///{place / 'offhook.db'}", hashed, lambda number: number[:2] + "*" * 8 + number[-2:],
        server=server, alive=lambda one: one in alive, now=lambda: now,
    )  # fmt: skip
    made.prepare()
    return made


def test_a_call_is_claimed_once_when_it_is_due(tmp_path: Path):
    one, other = table(tmp_path), table(tmp_path, server="there")
    late = one.add(THEM, "", 2_000_000, 3, {})
    id_ = one.add(THEM, "reminder", 1_000_000, 3, {"message": "Hello."})
    assert one.claim(999.0) is None
    row = other.claim(1000.0)
    assert row is not None and (row.id, row.number, row.agent, row.options) == (
        id_,
        THEM,
        "reminder",
        {"message": "Hello."},
    )
    assert one.claim(1000.0) is None
    assert [(found.id, found.state) for found in one.rows()] == [(id_, "calling"), (late, "waiting")]


def test_a_number_is_forgotten_when_its_call_is_over(tmp_path: Path):
    one = table(tmp_path)
    one.add(THEM, "", 0, 3, {})
    row = one.claim(1000.0)
    assert row is not None
    one.save(structs.replace(row, state="done", status="completed", tries=1))
    assert one.rows() == [] and one.rows(everything=True)[0].number == ""
    assert THEM.encode() not in (tmp_path / "offhook.db").read_bytes()


def test_what_another_living_process_places_is_not_left_over(tmp_path: Path):
    one = table(tmp_path, server="dead")
    one.add(THEM, "", 0, 3, {})
    row = one.claim(1000.0)
    assert row is not None
    one.save(structs.replace(row, call="CA1"))
    assert table(tmp_path, server="next", alive=("dead",)).left_over() == []
    assert [found.call for found in table(tmp_path, server="next").left_over()] == ["CA1"]


def test_a_wish_not_to_be_called_is_kept_as_a_hash_alone(tmp_path: Path):
    one = table(tmp_path)
    one.refuse(THEM, "asked")
    one.refuse(THEM, "asked again")
    assert one.never(THEM) and not one.never("+15550100078")
    assert THEM.encode() not in (tmp_path / "offhook.db").read_bytes()
    assert one.allow(THEM) and not one.allow(THEM) and not one.never(THEM)


def test_erasing_a_caller_empties_the_list_and_keeps_the_wish(tmp_path: Path):
    from offhook.store import schema

    assert "called_id" in schema.queue.c and not {"caller_id", "called_id", "call"} & set(schema.do_not_call.c.keys())


# ------------------------------------------------------------------------------------------- the commands


def settings(place: Path) -> Settings:
    (place / "offhook.toml").write_text('[provider]\nname = "loopback"\n[record]\ndir = "rec"\n')
    return load(environment={}, cwd=place)


def test_the_commands_put_on_show_and_take_off(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    made = settings(tmp_path)
    options = options_of(made, agent="reminder", message="See you.", voicemail="message")
    assert queued.add(made, THEM, options, "2030-01-02T09:30", None) == 0
    id_ = capsys.readouterr().out.split(":")[0]
    assert queued.listed(made) == 0
    out = capsys.readouterr().out
    assert id_ in out and "2030-01-02 09:30:00" in out and "try 0 of 3" in out and THEM not in out
    stored = queued.table_of(made)
    assert stored is not None
    (row,) = stored.rows()
    entry = queued.StoredQueue(stored, lambda: made)._entry(row)
    assert entry.options == options
    assert queued.cancel(made, id_) == 0 and queued.cancel(made, id_) == 1
    assert queued.listed(made) == 0 and "nobody is to be called" in capsys.readouterr().out


def test_the_commands_refuse_by_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    made = settings(tmp_path)
    assert queued.add(made, "5550100", options_of(made), "", None) == 2
    assert queued.add(made, THEM, options_of(made), "tomorrow", None) == 2
    assert "wanted 2026-12-01T09:30" in capsys.readouterr().err
    assert queued.never(made, THEM, "asked") == 0 and queued.add(made, THEM, options_of(made), "", None) == 1
    assert "do-not-call" in capsys.readouterr().err
    assert queued.allow(made, THEM) == 0 and queued.allow(made, THEM) == 1


def test_a_store_that_is_gone_is_said_in_a_line_and_nobody_is_called_without_its_list(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    gone = load(
        environment={"OFFHOOK_STORE_URL": f"sqlite:///{tmp_path}/nowhere/offhook.db",
                     "OFFHOOK_PROVIDER_NAME": "loopback", "OFFHOOK_RECORD_DIR": str(tmp_path)},
        cwd=tmp_path,
    )  # fmt: skip
    assert queued.listed(gone) == 1
    assert "unable to open database file" in capsys.readouterr().err
    host = Mock(**{"outbound.never": None, "carrier.settings.rest_credentials": ("AC1", "token")})
    lists = Placing(host, lambda: gone, "server")
    assert "has not been read" in asyncio.run(lists.never(THEM))
    asyncio.run(lists.start(works=False))
    assert "nobody is called: " in asyncio.run(host.outbound.never(THEM))
    there = settings(tmp_path)
    asyncio.run(Placing(host, lambda: there, "server").start(works=False))
    assert asyncio.run(host.outbound.never(THEM)) == ""
    assert queued.never(there, THEM, "asked") == 0
    assert asyncio.run(host.outbound.never(THEM)) == "the number is on the do-not-call list"


def test_the_store_has_the_tables(tmp_path: Path):
    table(tmp_path)
    inspector = sa.inspect(sa.create_engine(f"sqlite:///{tmp_path / 'offhook.db'}"))
    assert {"queue", "do_not_call"} <= set(inspector.get_table_names())
