"""A store that is locked, full, gone, stalled, or behind: named, survived, caught up. No call ever waits for it."""

import os
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import sqlalchemy as sa
from tests.standing import Elapsed
from tests.store.kit import Postgres, caller, note, record, writer

from offhook.cli.show import render
from offhook.diagnosis.report import judge
from offhook.evidence.files import read
from offhook.evidence.record import Recording
from offhook.store import rounds as rounds_module
from offhook.store import writer as writer_module
from offhook.store.alive import ServerLock, close_dead, lives
from offhook.store.database import default_url, make_room
from offhook.store.queries import Reader
from offhook.store.state import CallFilter


def names(url: str) -> dict[str, str]:
    """The calls in a store, each with its state."""
    reader = Reader(url)
    try:
        return {row["call"]: row["state"] for row in reader.calls(CallFilter(limit=1000))}
    finally:
        reader.close()


@pytest.fixture
def sqlite(calls):
    """A store in SQLite that is open and works, and what it tells of stalls."""
    stalls: list[tuple[float, str]] = []
    made = writer(default_url(calls), calls, on_stall=lambda ms, error: stalls.append((ms, error)), retry_s=(0.05,))
    made.round()
    assert made.state.word == "ok"
    made.stalls = stalls
    yield made
    made.stop()


def test_a_locked_database_is_named_and_caught_up(sqlite, calls, monkeypatch, caplog):
    monkeypatch.setattr("offhook.store.database.BUSY_MS", 50)
    sqlite._rounds.close()  # connects anew, with the shorter patience
    other = sqlite3.connect(calls / "offhook.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    sqlite.whole(record(calls, "CA1"))
    began, took = time.monotonic(), Elapsed()
    sqlite.round()
    assert time.monotonic() - began < 5 + took.stood()
    assert sqlite.state.word == "behind" and "locked" in sqlite.state.why and sqlite.state.waiting == 1
    assert [error for _, error in sqlite.stalls] == ["OperationalError: database is locked"]
    other.execute("ROLLBACK")
    other.close()
    sqlite.round()
    assert sqlite.state.word == "ok" and sqlite.state.waiting == 0
    assert names(sqlite.where) == {"CA1": "ended"}
    assert "the store takes nothing; calls go on" in caplog.text and "takes calls again" in caplog.text


def test_a_full_disk_is_named_and_caught_up(sqlite, calls):
    with sqlite._rounds._engine.begin() as connection:
        connection.exec_driver_sql("PRAGMA max_page_count = 40")  # SQLite's own word for a disk that is full
    sqlite.whole(record(calls, "CA1", *(caller("word " * 2000, f"c{n}", float(n)) for n in range(20))))
    sqlite.round()
    assert sqlite.state.word == "behind" and "full" in sqlite.state.why
    sqlite.round()  # it connects anew, and has room again
    assert sqlite.state.word == "ok" and names(sqlite.where) == {"CA1": "ended"}


@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("mount") is None, reason="a small disk can only be made by root")
def test_a_small_disk_that_fills_is_named_and_caught_up(tmp_path, calls):
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512k", "none", disk], capture_output=True).returncode:
        pytest.skip("no tmpfs can be mounted here")
    store = writer(f"sqlite:///{disk}/offhook.db", calls, retry_s=(0.05,))
    try:
        store.round()
        (disk / "other").write_bytes(b"x" * (512 * 1024 - sum(p.stat().st_size for p in disk.iterdir()) - 4096))
        store.whole(record(calls, "CA1", *(caller("word " * 500, f"c{n}", float(n)) for n in range(20))))
        store.round()
        assert store.state.word == "behind" and "full" in store.state.why, store.state
        (disk / "other").unlink()
        store.round()
        assert store.state.word == "ok" and names(store.where) == {"CA1": "ended"}
    finally:
        store.stop()
        subprocess.run(["umount", "-l", disk], check=True)


@pytest.mark.parametrize("url", ["postgres"], indirect=True)
def test_a_postgres_that_is_killed_comes_back_with_nothing_lost(postgres: Postgres, url, calls, caplog, monkeypatch):
    monkeypatch.setattr(rounds_module, "LOOK_S", 0.0)
    store = writer(url, calls, retry_s=(0.05,))
    try:
        store.whole(record(calls, "CA1"))
        store.round()
        asking = Reader(url)  # as the API does, all the time that the server runs
        assert len(asking.calls(CallFilter())) == 1
        postgres.stop()
        store.round()
        assert store.state.word == "behind", "before a call has ended"
        assert store.state.why == "ConnectionRefusedError: Connection refused"
        store.whole(record(calls, "CA2"))
        store.round()
        assert store.state.word == "behind" and store.state.waiting == 1, store.state
        postgres.start()
        store.round()
        assert store.state.word == "ok" and names(url) == {"CA1": "ended", "CA2": "ended"}
        assert len(asking.calls(CallFilter())) == 2, "its connection is of the server before"
        asking.close()
        assert not [entry for entry in caplog.records if entry.exc_info], "a user is told in a line"
    finally:
        store.stop()


def test_a_store_that_does_not_answer_is_behind_before_anything_fails(sqlite, calls, monkeypatch):
    monkeypatch.setattr(writer_module, "STUCK_S", 0.05)
    hang, hangs = threading.Event(), threading.Event()

    def stuck(waiting) -> None:
        hangs.set()
        hang.wait(40)

    monkeypatch.setattr(sqlite._rounds, "run", stuck)
    thread = threading.Thread(target=sqlite.round)
    thread.start()
    assert hangs.wait(40)
    began = time.monotonic()
    sqlite.whole(record(calls, "CA1"))  # whoever tells of a call is not held up
    assert time.monotonic() - began < 20, "not for as long as it hangs"
    while sqlite.state.word == "ok":
        time.sleep(0.01)
    assert sqlite.state.word == "behind" and "has not answered" in sqlite.state.why
    hang.set()
    thread.join(40)


def test_more_calls_than_are_remembered_are_found_on_the_disk(sqlite, calls, monkeypatch):
    monkeypatch.setattr(writer_module, "MAX_WAITING", 3)
    for n in range(10):
        sqlite.whole(record(calls, f"CA{n}"))
    assert sqlite.state.waiting == 3
    sqlite.round()
    assert set(names(sqlite.where)) == {f"CA{n}" for n in range(10)}


def test_a_url_that_is_none_is_said_and_costs_nothing(calls):
    for wrong, said in (("nonsense", "no database URL"), ("mysql://x/y", "wanted sqlite or postgresql")):
        store = writer(wrong, calls)
        store.round()
        assert store.state.word == "off" and said in store.state.why
        store.stop()


def test_a_password_is_in_no_word_about_the_store(calls, caplog):
    store = writer("postgresql://me:very-secret-word@127.0.0.1:1/none", calls)
    store.round()
    assert store.state.word == "behind"
    assert "very-secret-word" not in caplog.text + store.state.why


def test_a_file_that_is_removed_while_it_is_open_is_named_and_filled_anew(sqlite, calls):
    sqlite.whole(record(calls, "CA1"))
    sqlite.round()
    for path in calls.glob("offhook.db*"):
        path.unlink()
    sqlite.whole(record(calls, "CA2"))
    sqlite.round()
    assert sqlite.state.word == "behind" and "removed" in sqlite.state.why and sqlite.state.waiting == 1
    sqlite.round()
    assert sqlite.state.word == "ok" and names(sqlite.where) == {"CA1": "ended", "CA2": "ended"}


def test_another_process_that_closes_the_file_takes_nothing_from_under_us(sqlite, calls):
    make_room(sqlite.where)  # as another part of the server does while the writer is at work
    ask = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute('SELECT n FROM calls'); c.close()"
    subprocess.run([sys.executable, "-S", "-c", ask, calls / "offhook.db"], check=True, timeout=60)
    assert (calls / "offhook.db-wal").exists(), "it took itself for the last one"
    sqlite.whole(record(calls, "CA1"))
    sqlite.round()
    assert names(sqlite.where) == {"CA1": "ended"}


def test_a_call_that_begins_and_ends_waits_once(sqlite, calls):
    path = record(calls, "CA1")
    sqlite.begun(path, {"call": "CA1"})
    sqlite.whole(path)
    assert sqlite.state.waiting == 1 and sqlite.unstored() == [path]


def test_a_defect_in_a_round_is_told_once_and_tried_again(sqlite, calls, monkeypatch, caplog):
    sqlite.whole(record(calls, "CA1"))
    with monkeypatch.context() as patch:
        patch.setattr(sqlite._rounds, "_write", lambda *given: 1 // 0)
        sqlite.round()
        sqlite.round()
    assert (sqlite.state.word, sqlite.state.why) == ("behind", "defect: ZeroDivisionError")
    assert sum(one.exc_info is not None for one in caplog.records) == 1
    sqlite.round()
    assert sqlite.state.word == "ok" and names(sqlite.where) == {"CA1": "ended"}


def test_a_thread_that_dies_is_told_and_what_waits_is_named_at_the_end(calls, monkeypatch, caplog):
    def dies(self: object) -> None:
        raise MemoryError

    told: list[str] = []
    monkeypatch.setattr(writer_module.Writer, "round", dies)
    store = writer(default_url(calls), calls, on_stall=lambda ms, error: told.append(error))
    store.whole(record(calls, "CA1"))
    store.start()
    store._thread.join(40)
    assert store.state.word == "off" and "died of MemoryError" in store.state.why and store.state.waiting == 1
    assert told == [store.state.why]
    store.stop()
    assert "nothing writes to the store any more" in caplog.text
    assert "calls are not in the store; the next start finds them" in caplog.text


# ------------------------------------------------------------------------------------------- servers that died


def server(lock: ServerLock) -> dict[str, object]:
    return {"boot": {"server": lock.facts}}


def test_a_dead_servers_call_is_closed_with_the_truth_and_a_living_ones_is_left_alone(sqlite, calls):
    dead, alive = ServerLock(calls), ServerLock(calls)
    for lock in (dead, alive):
        lock.take()
    cut = record(calls, "CA1", caller("hello", "c1", 2500.0), end=False, **server(dead))
    with cut.open("ab") as file:
        file.write(b'{"k":"note","t":2600.0,"no')  # where the process died
    record(calls, "CA2", end=False, **server(alive))
    dead._file.close()  # what the system does for a process that is killed
    assert lives(calls, alive.id) and not lives(calls, "nobody")
    (closed,) = close_dead(calls, "me")
    assert closed[0] == cut and "last heard of at 2.5 s" in closed[1] and "last second may be missing" in closed[1]
    assert close_dead(calls, "me") == []  # once
    call = Recording.parse(cut.read_bytes().split(b"\n"))
    assert call.damaged == 0 and call.closed is not None and call.closed.data["cut_bytes"] == 26
    sqlite._rounds.search = True
    sqlite.round()
    assert names(sqlite.where) == {"CA1": "died"}
    alive.release()


def test_a_delegate_that_dies_with_its_server_is_lost_in_the_record_and_the_store(sqlite, calls):
    dead = ServerLock(calls)
    dead.take()
    states = (("j1", "plumber", "queued"), ("j2", "roofer", "queued"), ("j2", "roofer", "done"))
    jobs = [note("job", 2000.0, id=id_, name=name, state=state) for id_, name, state in states]
    cut = record(calls, "CA1", *jobs, end=False, **server(dead))
    whole = record(calls, "CA2", *jobs, **server(dead))  # its caller had left, and the work went on
    with whole.open("ab") as file:
        file.write(b'{"k":"verdict","t":9000.0,"verdict":"healthy","because":"","findings":[]}\n')
    record(calls, "CA3", *jobs, boot={})  # of nobody who is known to have died
    sqlite._rounds.search = True
    sqlite.round()
    assert names(sqlite.where) == {"CA2": "ended", "CA3": "ended"}
    dead._file.close()
    for _ in range(2):  # once, however often it is looked for
        sqlite._rounds.search = True
        sqlite.round()
    for path in (cut, whole):
        said = [(line.text("id"), line.text("state")) for line in read(path).notes("job")]
        assert said == [("j1", "queued"), ("j2", "queued"), ("j2", "done"), ("j1", "lost")]
        shown = render(judge(path))
        assert "plumber lost lost with the server" in shown and "records/job-lost" in shown
    assert names(sqlite.where) == {"CA1": "died", "CA2": "ended", "CA3": "ended"}
    with sqlite3.connect(calls / "offhook.db") as database:
        acts = database.execute("SELECT text FROM turns WHERE kind = 'job' AND text LIKE '%lost%'").fetchall()
    assert len(acts) == 2


def test_a_call_whose_server_died_before_its_first_line_does_not_run_for_ever(calls):
    lock = ServerLock(calls)
    lock.take()
    first = writer(default_url(calls), calls, server=lock.id)
    first.begun(calls / "20261125T120000Z-CA1.jsonl", {"call": "CA1"})
    first.round()
    first.stop()
    later = writer(default_url(calls), calls, server="other")
    later.round()
    assert names(later.where) == {"CA1": "running"}  # its server lives
    lock._file.close()
    later._rounds.search = True
    later.round()
    assert names(later.where) == {"CA1": "died"}
    later.stop()


def test_another_recorders_open_record_is_closed_only_when_it_has_long_been_quiet(calls):
    path = record(calls, "CA1", end=False, boot={})
    assert close_dead(calls, "me") == []
    os.utime(path, (time.time() - 3600, time.time() - 3600))
    assert [closed for closed, _ in close_dead(calls, "me")] == [path]
    assert time.time() - path.stat().st_mtime > 3000  # listed where it was


def test_calls_older_than_is_kept_go_with_their_records(calls):
    old, recording = record(calls, "CA1"), calls / "20261125T120000Z-CA1.wav"
    recording.write_bytes(b"RIFF")
    record(calls, "CA2", began=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()))
    keeping = Path(calls / "20261125T120000Z-CA2.jsonl")
    store = writer(default_url(calls), calls, keep_days=1)
    os.utime(old, (0, 0))
    began = time.gmtime(time.time() - 3 * 86400)
    record(calls, "CA1", began=time.strftime("%Y-%m-%dT%H:%M:%SZ", began))
    store.round()
    assert names(store.where) == {"CA2": "ended"}
    assert not old.exists() and not recording.exists() and keeping.exists()
    store.stop()


def test_the_tables_are_the_owners_alone_to_read(sqlite, calls):
    sqlite.whole(record(calls, "CA1"))
    sqlite.round()
    assert {path.name: oct(path.stat().st_mode & 0o077) for path in calls.glob("offhook.db*")} == {
        path.name: "0o0" for path in calls.glob("offhook.db*")
    }
    with sqlite._rounds._engine.connect() as connection:
        assert connection.execute(sa.text("PRAGMA journal_mode")).scalar() == "wal"
