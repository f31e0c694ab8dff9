"""Forgetting: everything that leads to a caller goes, from every table and file, and that is proven."""

import sqlalchemy as sa
from tests.store.kit import caller, record

from offhook.evidence.numbers import NumberHash
from offhook.store.erase import erase, mentions

NUMBER = "+14155550100"
ID = NumberHash(b"key")(NUMBER)


def test_a_caller_is_forgotten_everywhere_and_others_are_not(store, reader, url, calls, target):
    record(calls, "CA1", caller("my name is Ada Lovelace", "c", 1.0), caller_id=ID)
    record(calls, "CA2", caller("somebody else", "c", 1.0), caller_id="other")
    record(calls, "CA3", caller("called by us", "c", 1.0), called_id=ID)
    record(calls, "CA1-dial", call="CA1")
    (calls / "20261125T120000Z-CA1.wav").write_bytes(b"RIFF")
    writing = store()
    writing.round()
    with target.begin() as connection:  # tables of other parts, which the store knows nothing of
        connection.execute(sa.text("CREATE TABLE resumes (caller_id text, said text)"))
        connection.execute(sa.text(f"INSERT INTO resumes VALUES ('{ID}', 'Ada Lovelace'), ('other', 'Bob')"))
        connection.execute(sa.text("CREATE TABLE jobs (call text, what text)"))
        connection.execute(sa.text("INSERT INTO jobs VALUES ('CA1', 'Ada'), ('CA2', 'Bob')"))
    if "sqlite" in url:
        assert "offhook.db" in mentions(calls, ["Lovelace"]) or "offhook.db-wal" in mentions(calls, ["Lovelace"])

    done = erase(url, calls, caller_id=ID, number=NUMBER)
    assert done.calls == ("CA1", "CA3") and done.left == () and done.running == ()
    assert done.rows == {"calls": 3, "resumes": 1, "jobs": 1}
    assert set(done.files) == {
        "20261125T120000Z-CA1.jsonl", "20261125T120000Z-CA1.wav", "20261125T120000Z-CA1-dial.jsonl",
        "20261125T120000Z-CA3.jsonl",
    }  # fmt: skip
    writing.stop()  # lets go of the file, so that nothing is only in a log beside it
    assert mentions(calls, ["Lovelace", "CA1", ID, NUMBER]) == []
    from offhook.store.state import CallFilter

    assert [row["call"] for row in reader().calls(CallFilter())] == ["CA2"]
    assert [row["call"] for row in reader().calls(CallFilter(text="Lovelace"))] == []
    with target.connect() as connection:
        assert connection.execute(sa.text("SELECT said FROM resumes")).scalars().all() == ["Bob"]
    again = erase(url, calls, caller_id=ID, number=NUMBER)
    assert again.calls == () and again.rows == {} and again.files == ()


def test_a_call_that_runs_is_named_and_not_half_erased(store, url, calls):
    writing = store(server="x")
    path = record(calls, "CA1", end=False, caller_id=ID)
    writing.begun(path, {"call": "CA1", "caller_id": ID})
    writing.round()
    done = erase(url, calls, caller_id=ID)
    assert done.running == ("20261125T120000Z-CA1",) and done.files == () and path.exists()


def test_without_a_store_the_records_are_erased(calls):
    record(calls, "CA1", caller_id=ID)
    record(calls, "CA2")
    done = erase(None, calls, caller_id=ID)
    assert done.calls == ("CA1",) and [path.name for path in calls.iterdir()] == ["20261125T120000Z-CA2.jsonl"]


def test_what_is_left_is_found_across_the_pieces_in_which_a_file_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr("offhook.store.erase._CHUNK", 16)
    (tmp_path / "other.txt").write_bytes(b"x" * 12 + b"CA123456789" + b"y" * 30)
    assert mentions(tmp_path, ["CA123456789"]) == ["other.txt"]
    assert mentions(tmp_path, ["CA999"]) == []
