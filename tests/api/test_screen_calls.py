"""What a call from a screen is not: no phone company is paid for it, and keys and lines that interrupt are no sound."""

from pathlib import Path

from tests.store.kit import caller, note, record

from offhook.api.ladder import ladder
from offhook.diagnosis.report import report
from offhook.evidence.cost import cost, used
from offhook.evidence.files import read


def cut(at_ms: float, item: str) -> dict[str, object]:
    return note("barge-in", at_ms, item=item, heard_ms=100, sent_ms=900, proven_ms=0, proven_by="marks")


def written(folder: Path, carrier: str):
    path = record(
        folder, f"CA-{carrier}", note("milestone", 5.0, id="M6", what="stream started"), caller("hello", "i1", 1000.0),
        cut(1250.0, "i2"), note("key", 4000.0, digit="•"), cut(4000.0, "i3"),
        note("typed", 6000.0, text="what time is it"), cut(6001.0, "i4"), carrier=carrier,
    )  # fmt: skip
    return read(path)


def test_a_key_or_a_written_line_that_interrupts_is_not_measured_from_what_was_said_before(tmp_path: Path):
    call = written(tmp_path, "browser")
    assert [one["spoke_ms"] for one in ladder(call, report(call), [])["barge_ins"]] == [1000.0, None, None]


def test_only_a_phone_call_pays_a_carrier(tmp_path: Path):
    screen, phone = (cost(used(written(tmp_path, name)), None).unknown for name in ("browser", "twilio"))
    assert "carrier" not in screen and "carrier" in phone
