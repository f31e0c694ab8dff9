"""Recordings in a bucket: there and proven there, tried again, removed with their caller and their time."""

from collections.abc import Iterator
from typing import Any

import pytest
from msgspec import structs
from tests.after.bucket_server import BUCKET, KEY, REGION, SECRET, BucketServer, bucket_server
from tests.after.kit import Office, hook, rounds

from offhook.after import bucket as buckets
from offhook.after.bucket import Bucket, BucketError, upload
from offhook.after.plan import UPLOAD
from offhook.after.remote import forget, tidy

RECORDING = b"RIFF" + bytes(range(256)) * 40
FILE = "20261125T120000Z-CA1.wav"


@pytest.fixture
def server() -> Iterator[BucketServer]:
    with bucket_server() as running:
        yield running


def bucket(server: BucketServer, **given: Any) -> Bucket:
    return Bucket(**{
        "where": f"s3://{BUCKET}/voice", "endpoint": server.url, "region": REGION, "key_id": KEY, "secret": SECRET,
        "timeout_s": 5, **given,
    })  # fmt: skip


def recorded(tmp_path: Any, server: BucketServer, clock: Any, *, keep_local: bool = True, **given: Any) -> Office:
    """A call with a recording, stored."""
    tmp_path.mkdir(exist_ok=True)
    (tmp_path / FILE).write_bytes(RECORDING)
    into = bucket(server, **given)
    office = Office(
        tmp_path, clock, hook(UPLOAD, upload(into, tmp_path, keep_local=keep_local), kind="upload"), bucket=into
    )
    office.call("CA1", caller_id="c1")
    return office


def test_a_recording_goes_there_and_is_proven_there(tmp_path, clock, server):
    office = recorded(tmp_path, server, clock)
    rounds(office.worker())
    assert server.objects == {f"voice/{FILE}": RECORDING} and not server.refused
    row = office.rows()[UPLOAD]
    assert row.state == "done" and f"s3://{BUCKET}/voice/{FILE}" in row.payload  # kept: it must be found again
    assert (tmp_path / FILE).exists()


def test_the_disk_may_have_its_place_back_once_it_is_proven(tmp_path, clock, server):
    office = recorded(tmp_path, server, clock, keep_local=False)
    server.fail = [503, 503]
    rounds(office.worker())
    assert (tmp_path / FILE).exists() and "SlowDown" in office.rows()[UPLOAD].error
    clock.ms += 6_000
    rounds(office.worker())
    assert server.objects and not (tmp_path / FILE).exists()


def test_a_file_taken_off_the_disk_by_a_try_nobody_saw_the_end_of_is_done(tmp_path, clock, server):
    office = recorded(tmp_path, server, clock, keep_local=False)
    rounds(office.worker())
    with office.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE outbox SET state = 'queued', due_at = 0")
    rounds(office.worker())
    assert office.rows()[UPLOAD].state == "done"
    server.objects.clear()
    with office.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE outbox SET state = 'queued', due_at = 0")
    rounds(office.worker())
    assert office.rows()[UPLOAD].state == "given up" and "not on the disk" in office.rows()[UPLOAD].error


def test_what_arrived_as_something_else_is_no_proof(tmp_path, server, monkeypatch):
    path = tmp_path / FILE
    path.write_bytes(RECORDING)
    server.encrypted = True
    assert bucket(server).put(path, FILE) == "size and bytes"  # another tag, the same bytes
    server.encrypted = False
    assert bucket(server).put(path, FILE) == "size and tag"
    monkeypatch.setattr(buckets, "_tag", lambda path: "0" * 32)
    monkeypatch.setattr(buckets, "_md5", lambda path: "0" * 32)
    with pytest.raises(BucketError, match="does not have the bytes"):
        bucket(server).put(path, FILE)


def test_a_long_recording_goes_in_parts(tmp_path, server, monkeypatch):
    monkeypatch.setattr(buckets, "ONE_BYTES", 1024)
    monkeypatch.setattr(buckets, "PART_BYTES", 5 * 1024 * 1024)  # the least that S3 takes
    path = tmp_path / FILE
    path.write_bytes(RECORDING * 1100)
    assert bucket(server).put(path, FILE) == "size and tag"
    assert server.tags[f"voice/{FILE}"].endswith("-3") and server.objects[f"voice/{FILE}"] == path.read_bytes()


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"secret": "wrong"}, "SignatureDoesNotMatch"), ({"key_id": "AKIAOTHER"}, "InvalidAccessKeyId"),
        ({"where": "s3://other"}, "NoSuchBucket"),
    ],
)  # fmt: skip
def test_what_the_bucket_refuses_has_its_name_and_no_secret(tmp_path, server, given, says):
    (tmp_path / FILE).write_bytes(RECORDING)
    with pytest.raises(BucketError) as error:
        bucket(server, **given).put(tmp_path / FILE, FILE)
    assert says in str(error.value) and SECRET not in str(error.value) and "Authorization" not in str(error.value)


def test_a_recording_comes_back_whole_or_not_at_all(tmp_path, clock, server):
    rounds(recorded(tmp_path, server, clock).worker())
    there, back = bucket(server), tmp_path / "back.wav"
    there.fetch(there.url(FILE), back, 10**6)
    assert back.read_bytes() == RECORDING and not back.stat().st_mode & 0o077
    for url, most, says in ((there.url(FILE), 10, "at most 10"), (there.url("x"), 10, "is not there"),
                            ("s3://other/x", 10, "another bucket")):  # fmt: skip
        with pytest.raises(BucketError, match=says):
            there.fetch(url, tmp_path / "none.wav", most)
    assert not list(tmp_path.glob("none*"))


def test_a_store_that_does_not_answer_is_told_by_what_the_system_said(tmp_path):
    (tmp_path / FILE).write_bytes(RECORDING)
    nobody = buckets.Bucket(where="s3://calls", endpoint="http://127.0.0.1:1", key_id="k", secret="s", timeout_s=5)
    with pytest.raises(BucketError) as error:
        nobody.put(tmp_path / FILE, FILE)
    assert str(error.value) == "no connection (Connection refused): s3://calls at http://127.0.0.1:1"


def test_forgetting_a_caller_removes_it_there_or_nothing_at_all(tmp_path, clock, server):
    office = recorded(tmp_path, server, clock)
    rounds(office.worker())
    plan = office.plan
    assert forget(office.engine, plan, caller_id="somebody else") == [] and server.objects
    server.fail = [500] * 4
    with pytest.raises(BucketError):
        forget(office.engine, plan, caller_id="c1")
    with pytest.raises(BucketError, match="names no bucket any more"):
        forget(office.engine, structs.replace(plan, bucket=None), caller_id="c1")
    assert server.objects
    server.fail = []
    assert forget(office.engine, plan, caller_id="c1") == [f"s3://{BUCKET}/voice/{FILE}"]
    assert not server.objects


def test_what_is_older_than_calls_are_kept_goes_there_too(tmp_path, clock, server):
    office = recorded(tmp_path, server, clock)
    rounds(office.worker())
    assert tidy(office.engine, office.plan, 1.0) == 0 and server.objects
    with office.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE outbox SET queued_at = queued_at - 86500000")
    assert tidy(office.engine, office.plan, 1.0) == 1
    assert not server.objects and not office.rows()
