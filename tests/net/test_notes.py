"""What the host writes down of requests that no call comes of: few of them, named, and without a value of theirs."""

import json

from offhook.evidence.files import read
from offhook.evidence.journal import JournalDir
from offhook.net.notes import REFUSED_A_MINUTE, RequestNotes
from offhook.wires._wire import ConnectRequest
from offhook.wires.carriers import twilio


class Clock:
    def __init__(self):
        self.at = 100.0

    def now(self):
        return self.at


def made(tmp_path):
    clock, journals = Clock(), JournalDir(tmp_path)
    return clock, journals, RequestNotes(journals, clock, twilio)


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
