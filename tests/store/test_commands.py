"""``offhook calls``, ``transcript``, ``show`` and ``erase``, as a user types them."""

import csv
import io
import json
import re
import shlex
from pathlib import Path

import pytest
from tests.store.kit import agent, caller, example, note, record, writer
from typer.testing import CliRunner

from offhook.agent.resume import CutOff, FileResumes
from offhook.cli import app
from offhook.evidence.numbers import NumberHash
from offhook.store.database import default_url, engine

NUMBER = "+14155550101"
GONE = (
    caller("my card is 4111 1111 1111 1111, mail ann@mail.example", "c1", 1000.0),
    agent("Thank you, I have booked a table for you.", "i1", 4000.0),
    note("barge-in", 6000.0, item="i1", heard_ms=1000, sent_ms=4000),
)


@pytest.fixture
def run(calls, monkeypatch):
    """Runs a command on these records: exit code, output, errors."""
    monkeypatch.setenv("OFFHOOK_RECORD_DIR", str(calls))
    monkeypatch.delenv("OFFHOOK_STORE_URL", raising=False)

    def command(*words: str) -> tuple[int, str, str]:
        result = CliRunner().invoke(app, list(words), catch_exceptions=True)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            return -1, result.stdout, f"{type(result.exception).__name__}: {result.exception}"
        return result.exit_code, result.stdout, result.stderr

    return command


@pytest.fixture
def stored(calls: Path) -> Path:
    known = NumberHash.of(calls)
    record(calls, "CA1", *GONE, caller_id=known(NUMBER), agent="desk")
    record(calls, "CA2", caller("what are your hours", "c1", 1.0))
    store = writer(default_url(calls), calls)
    store.round()
    store.stop()
    return calls


def test_calls_come_from_the_store_with_their_cost_and_narrowed(run, stored):
    code, out, err = run("calls", "--cost")
    assert code == 1 and err == ""  # of broken calls
    assert [re.split(r"\s{2,}", line)[1] for line in out.splitlines()[:2]] == ["CA1", "CA2"]
    assert "unknown" in out and "$0.00" not in out.splitlines()[0]
    assert out.splitlines()[-1] == "2 calls, 0.3 minutes, cost unknown; of 2 of them a part is unknown"
    for words in (("--text", "hours"), ("--agent", ""), ("--until", "2026-11-26", "--text", "hours")):
        assert "CA2" in run("calls", *words)[1]
    assert "CA1" in run("calls", "--number", NUMBER)[1] and "CA2" not in run("calls", "--number", NUMBER)[1]
    assert run("calls", "--text", "nowhere") == (0, f"no calls that fit in {stored}\n", "")
    assert run("calls", "--since", "soon")[2].startswith("CallsError: --since: got 'soon', wanted 2026-11-25")


def test_a_call_that_the_store_has_not_got_yet_is_listed_and_said(run, stored):
    record(stored, "CA3")
    code, out, err = run("calls")
    assert "CA3" in out and err == "offhook: 1 of the last calls are not in the store yet\n"
    assert len(run("calls", "--last", "1")[1].splitlines()) == 1


def test_exports_are_for_machines_and_redacted(run, stored):
    rows = list(csv.DictReader(io.StringIO(run("calls", "--csv")[1])))
    assert [row["call"] for row in rows] == ["CA1", "CA2"] and rows[0]["findings"] == "bridge/x"
    assert rows[0]["caller"] == "'+1********01"  # no formula
    lines = [json.loads(line) for line in run("calls", "--jsonl")[1].splitlines()]
    assert lines[0]["usd"] is None and lines[0]["cost_unknown"]
    assert [row["call"] for row in json.loads(run("calls", "--json")[1])] == ["CA1", "CA2"]


def test_without_a_store_the_records_are_listed_and_what_needs_one_is_refused(run, calls, monkeypatch):
    record(calls, "CA1", *GONE)
    assert "CA1" in run("calls")[1]
    assert "there is no store" in run("calls", "--text", "card")[2]
    monkeypatch.setenv("OFFHOOK_STORE_URL", "postgresql://x@127.0.0.1:1/none")
    code, out, err = run("calls")
    assert "CA1" in out and "the store is not read" in err and "from the records" in err


def test_a_transcript_strikes_what_was_never_heard_and_hides_what_is_personal(run, stored):
    code, out, _ = run("transcript", "CA1")
    assert code == 0 and "my card is [card], mail [email]" in out
    assert "Thank you, ~~I have booked a table for you.~~" in out
    turns = json.loads(run("transcript", "CA1", "--json")[1])
    assert [turn["who"] for turn in turns] == ["caller", "agent", "act"]
    assert (turns[1]["heard"], turns[1]["estimated"]) == ("Thank you,", True)
    srt = run("transcript", "CA1", "--srt")[1]
    assert "00:00:04,000 --> 00:00:05,000\nagent: Thank you,\n" in srt and "booked" not in srt
    assert "~~I have booked a table for you.~~  [1000 of 4000 ms heard]" in run("show", "CA1")[1]


def test_own_patterns_are_hidden_too(run, stored, monkeypatch):
    monkeypatch.setenv("OFFHOOK_REDACT_PATTERNS", r"\btable\b")
    out = run("transcript", "CA1")[1]
    assert "a [redacted] for you" in out and "4111" in out


def test_erasing_lists_what_went_and_proves_it(run, stored):
    resumes = FileResumes(stored / ".resumes", NumberHash.of(stored))
    for number, name in ((NUMBER, "CA1"), ("+14155550102", "CA2")):
        resumes.keep(number, CutOff("desk", 1.0, 9e9, (("caller", "my card is 4111"),), name))
    code, out, _ = run("erase", "--caller", "+1 415 555 0101")
    assert code == 0
    assert "resume   the end of a call that was cut off" in out
    assert resumes.take(NUMBER, "desk") is None and resumes.take("+14155550102", "desk") is not None
    assert "call     CA1" in out and "rows     1 of calls" in out and "file     20261125T120000Z-CA1.jsonl" in out
    assert out.splitlines()[-1] == f"1 call(s) erased; {stored} has been searched, and nothing of it is left"
    assert not any(b"4111" in path.read_bytes() for path in stored.rglob("*") if path.is_file())
    assert "CA1" not in run("calls")[1]
    resumes.keep("+14155550102", CutOff("desk", 1.0, 9e9, (("caller", "my card is 4111"),), "CA2"))
    code, told, _ = run("erase", "--call", "CA2", "--json")
    assert code == 0 and json.loads(told)["resume"] and resumes.take("+14155550102", "desk") is None
    assert "wanted --caller NUMBER or --call ID" in run("erase")[2]
    assert "the whole number" in run("erase", "--caller", "01")[2]


def test_a_verdict_that_there_is_none_of_is_no_empty_list(run, stored):
    _, out, err = run("calls", "--verdict", "nonsense")
    assert not out and "--verdict: got 'nonsense', wanted healthy, broken, suspected, not proven" in err


def test_a_summary_stands_below_its_call_or_why_there_is_none(run, stored, monkeypatch):
    assert "summary" not in run("show", "CA1")[1]  # none is asked for
    monkeypatch.setenv("OFFHOOK_SUMMARY_URL", "https://models.example/v1")
    with engine(default_url(stored), write=True).begin() as connection:
        connection.exec_driver_sql("UPDATE calls SET summary = 'A table; mail ann@mail.example.' WHERE call = 'CA1'")
        connection.exec_driver_sql("UPDATE calls SET summary_why = 'x answered 401' WHERE call = 'CA2'")
    assert run("show", "CA1")[1].splitlines()[-1] == "summary: A table; mail [email]."
    assert json.loads(run("show", "CA1", "--json")[1])["summary"] == "A table; mail [email]."
    assert run("show", "CA2")[1].splitlines()[-1] == "no summary: x answered 401"


def test_the_page_shows_what_really_happens(run, calls, monkeypatch):
    """Every console block of docs/records.md, in its order."""
    monkeypatch.chdir(calls.parent)
    monkeypatch.setenv("OFFHOOK_RECORD_DIR", "calls")
    example(calls, NumberHash.of(calls)(NUMBER))
    store = writer(default_url(calls), calls)
    store.round()
    store.stop()
    page = (Path(__file__).parent.parent.parent / "docs" / "records.md").read_text()
    blocks = re.findall(r"```console\n\$ offhook (.*)\n((?:.*\n)*?)```", page)
    assert len(blocks) == 4
    for words, shown in blocks:
        _, out, err = run(*shlex.split(words))
        assert err == "" and out.replace(str(calls), "calls") == shown, words
