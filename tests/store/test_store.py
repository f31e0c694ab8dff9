"""A call's way into the store and out again, on both databases."""

import threading
from pathlib import Path

import pytest
import sqlalchemy as sa
from tests.store.kit import agent, caller, note, record

from offhook.evidence.numbers import NumberHash
from offhook.store import database, schema
from offhook.store.database import engine, migrate
from offhook.store.state import CallFilter, StoreError


def test_a_call_is_there_from_its_begin_and_whole_at_its_end(store, reader, calls):
    writing, reading = store(server="here-1"), reader()
    path = record(calls, "CA1", caller("what are your hours", "c1", 100.0), end=False)
    writing.begun(path, {"call": "CA1", "caller": "+1********01", "agent": "desk"})
    writing.round()
    assert writing.state.word == "ok"
    (row,) = reading.calls(CallFilter())
    assert (row["call"], row["state"], row["agent"]) == ("CA1", "running", "desk")

    record(calls, "CA1", caller("what are your hours", "c1", 100.0), note("reply", 700.0, ms=612))
    writing.whole(path)
    writing.round()
    whole = reading.call("CA1")
    assert whole is not None
    told = (whole["state"], whole["verdict"], whole["seconds"], whole["end_why"])
    assert told == ("ended", "broken", 9.0, "caller hung up")
    assert [turn["text"] for turn in whole["turns"]] == ["what are your hours"]
    assert [finding["rule"] for finding in whole["findings"]] == ["bridge/x"]
    assert whole["latencies"] == [{"kind": "reply", "at_ms": 700.0, "ms": 612.0}]


def test_storing_the_same_call_again_changes_nothing(store, target, calls, reader):
    told = []
    writing = store(on_stored=lambda connection, rows: told.append(rows.call["call"]))
    path = record(calls, "CA1", agent("good day", "i1", 100.0), note("tool", 200.0, id="t", name="look"))
    writing.round()
    for _ in range(2):
        writing.whole(path)
        writing.round()
    with target.connect() as connection:
        tables = (schema.calls, schema.turns, schema.tool_runs, schema.findings)
        counts = [connection.execute(sa.select(sa.func.count()).select_from(table)).scalar() for table in tables]
    assert counts == [1, 2, 1, 1]  # a turn, and the tool between the turns
    assert told == ["CA1"]  # whoever acts on a call's end hears of it once
    assert reader().calls(CallFilter())[0]["tools"] == ["look: no end"]


FOUND = (
    ({}, ["CA3", "CA2", "CA1"]),
    ({"text": "opening hours"}, ["CA1"]),
    ({"text": "OPEN"}, ["CA2", "CA1"]),  # the last word may be a beginning
    ({"text": 'a "quoted" (odd* word:'}, []),
    ({"text": "!?"}, []),
    ({"text": "café"}, ["CA3"]),
    ({"agent": "desk"}, ["CA2"]),
    ({"number": "+14155550101"}, ["CA1"]),
    ({"number": "0014155550101"}, ["CA1"]),
    ({"number": "+14155550199"}, []),
    ({"number": "77"}, ["CA3"]),
    ({"verdict": "broken", "limit": 2}, ["CA3", "CA2"]),
    ({"finding": "bridge"}, ["CA3", "CA2", "CA1"]),
    ({"finding": " x "}, ["CA3", "CA2", "CA1"]),  # a rule's name alone
    ({"finding": "media"}, []),
    ({"finding": "%"}, []),
    ({"call": "CA2"}, ["CA2"]),
    ({"call": "C%"}, []),  # no wildcard of ours
    ({"min_usd": 0.5}, []),
)


def test_calls_are_found(store, reader, calls):
    known = NumberHash(b"key")
    record(calls, "CA1", caller("what are your opening hours", "c", 1.0), caller_id=known("+1 (415) 555-0101"))
    record(calls, "CA2", agent("we are open all day", "i", 1.0), agent="desk")
    record(calls, "CA3", caller("un café s'il vous plaît", "c", 1.0), caller="+4*******77")
    store().round()
    reading = reader(known)
    assert reading.found() == [("bridge/x", 3)]
    for wanted, found in FOUND:
        assert [row["call"] for row in reading.calls(CallFilter(**wanted))] == found, wanted


def test_pages_follow_one_another(store, reader, calls):
    for n in range(5):
        record(calls, f"CA{n}")
    store().round()
    reading, seen, before = reader(), [], None
    while page := reading.calls(CallFilter(limit=2, before=before)):
        seen += [row["call"] for row in page]
        before = (page[-1]["began_at"], page[-1]["n"])
    assert seen == ["CA4", "CA3", "CA2", "CA1", "CA0"]


def test_what_is_not_known_of_a_cost_is_said_and_never_zero(store, reader, calls):
    usage = b'"usage":{"input_token_details.audio_tokens":1000000,"output_token_details.audio_tokens":500000}'
    path = record(calls, "CA1", note("milestone", 0.0, id="M8"), note("milestone", 0.0, id="M6"))
    path.write_bytes(path.read_bytes().replace(b'"usage":{}', usage))
    store().round()
    whole = reader().call("CA1")
    assert whole is not None and whole["usd"] == pytest.approx(32 + 32)
    assert whole["cost_unknown"] == "carrier"
    assert reader().totals(CallFilter()) == {"calls": 1, "seconds": 9.0, "usd": pytest.approx(64), "unknown": 1}


def test_several_that_migrate_at_once_make_one_schema(url, calls, monkeypatch):
    """Also where making it takes longer than anybody waits for a lock: a busy machine did that."""
    monkeypatch.setattr("offhook.store.database.BUSY_MS", 5)
    done: list[str] = []

    def one() -> None:
        target = engine(url, write=True)
        done.append(migrate(target))
        target.dispose()

    threads = [threading.Thread(target=one, daemon=True) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=80)
    assert sorted(done) == ["", "", f"schema {schema.HEAD} made"]


def test_a_newer_schema_is_named_and_left_alone(store, reader, target, calls):
    store().round()
    with target.begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    later = store()
    later.whole(record(calls, "CA1"))
    later.round()
    assert later.state.word == "off" and later.state.waiting == 1
    assert "9999" in later.state.why and "newer" in later.state.why and "upgrade Offhook" in later.state.why
    with pytest.raises(StoreError, match="9999"):
        reader().calls(CallFilter())


def test_somebody_elses_tables_are_not_touched(store, target):
    with target.begin() as connection:
        connection.execute(sa.text("CREATE TABLE calls (who text)"))
    writing = store()
    writing.round()
    assert writing.state.word == "off" and "did not make" in writing.state.why


def test_a_call_that_the_database_refuses_keeps_no_other_out(store, reader, calls, caplog):
    writing = store()
    writing.round()
    writing.whole(record(calls, "CA2"))
    writing.whole(record(calls, "CA1", caller("fine\0 indeed", "c", 1.0)))
    made = writing._project

    def refused(path, judged=None):
        rows = made(path, judged)
        if path.stem.endswith("CA2"):
            rows.call["state"] = None
        return rows

    writing._rounds._project = refused
    writing.round()
    assert writing.state.word == "ok"
    assert [row["call"] for row in reader().calls(CallFilter())] == ["CA1"]
    assert "cannot be stored" in caplog.text


def test_the_head_is_the_newest_migration_and_makes_the_tables_of_the_schema(target):
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(Path(database.__file__).with_name("migrations")))
    config.set_main_option("path_separator", "os")
    assert ScriptDirectory.from_config(config).get_current_head() == schema.HEAD
    migrate(target)
    inspector = sa.inspect(target)
    for table in schema.metadata.sorted_tables:
        found = {column["name"]: column["nullable"] for column in inspector.get_columns(table.name)}
        assert found == {column.name: bool(column.nullable) for column in table.columns}, table.name
