"""What the host writes down of requests that no call comes of: few of them, named, and without a value of theirs."""

import json
import types

from offhook.evidence.files import read
from offhook.evidence.journal import JournalDir
from offhook.evidence.unrecorded import Unrecorded, append, total
from offhook.net.metrics import Metrics
from offhook.net.notes import REFUSED_A_MINUTE, RequestNotes
from offhook.wires._wire import ConnectRequest
from offhook.wires.carriers import twilio


class Clock:
    def __init__(self):
        self.at = 100.0

    def now(self):
        return self.at

    def call_at(self, when, fn):
        self.due, self.planned = fn, getattr(self, "planned", 0) + 1
        return types.SimpleNamespace(cancel=lambda: None)


def made(tmp_path, metrics=None):
    clock, journals = Clock(), JournalDir(tmp_path)
    return clock, journals, RequestNotes(journals, clock, twilio, metrics or Metrics(), lambda: 5000.0 + clock.at)


def test_a_refused_request_gets_a_record_of_its_own_and_a_flood_of_them_does_not(tmp_path):
    clock, journals, notes = made(tmp_path)
    for _ in range(50):
        notes.refused("webhook", "POST", "/voice?token=hunter2", [("Host", "a.example:8443")], 403, why="signature")
    journals.flush()
    kept = sorted(tmp_path.glob("*-refused*.jsonl"))
    assert len(kept) == REFUSED_A_MINUTE and not notes.room
    (note,) = read(kept[0]).notes("webhook")
    assert (note.data["host"], note.data["port"], note.data["query_keys"]) == ("a.example", 8443, ["token"])
    assert b"hunter2" not in kept[0].read_bytes() and read(kept[0]).end
    clock.at += 61
    assert notes.room


def test_what_a_flood_left_unrecorded_is_counted_in_log_metrics_and_beside_the_records(tmp_path, caplog):
    metrics = Metrics()
    clock, journals, notes = made(tmp_path, metrics)
    for n in range(9):
        begin = {"call": f"CA{n}", "carrier": "twilio"} if n > 6 else None
        notes.refused("webhook", "POST", "/voice", [], 403, begin=begin, why="signature")
    assert clock.planned == 1 and metrics.registry.get_sample_value(
        "offhook_refused_unrecorded_total", {"what": "call"}
    ) == 2.0  # fmt: skip
    clock.at += 60
    clock.due()
    notes.tell()  # nothing more to say
    journals.flush()
    (line,) = [record for record in caplog.records if "without a record" in record.getMessage()]
    assert (line.calls, line.requests) == (2, 1)
    assert total(tmp_path, 5160) == Unrecorded(2, 1) and total(tmp_path, 5161) == Unrecorded()
    with (tmp_path / "unrecorded.log").open("a") as file:
        file.write('\n{"at": 99')  # a server was killed in it
    append(tmp_path, 6000.0, Unrecorded(0, 4))
    assert total(tmp_path, 0) == Unrecorded(2, 5)
    (tmp_path / "unrecorded.log").write_text(" " * 300_000)
    append(tmp_path, 7000.0, Unrecorded(1, 0))
    assert total(tmp_path, 0) == Unrecorded(1, 0) and (tmp_path / "unrecorded.log.1").exists()


def test_a_dial_is_noted_by_the_names_of_its_headers(tmp_path):
    _, journals, notes = made(tmp_path)
    journal = journals.open("CA1", {}, 100.0, {})
    request = ConnectRequest("wss://api.x.ai/v1/realtime?model=m&key=hunter2", (("Authorization", "Bearer hunter2"),))
    notes.dial(journal, request, "http://user:hunter2@proxy")
    notes.upgrade(journal, "/media?x=hunter2", {"host": "a", "upgrade": "websocket"}, 100.5)
    journal.close(101.0, {})
    journals.flush()
    (note,) = read(journal.path).notes("dial.request")
    assert note.data["query"] == {"model": "m"} and note.data["header_names"] == ["Authorization"]
    assert "hunter2" not in json.dumps(journal.path.read_text())
    assert [line.data["status"] for line in read(journal.path).notes("upgrade")] == [101]
