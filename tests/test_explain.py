"""``offhook explain`` and ``calls``: what a person and a program get to read, and the verdict of a call that ended."""

import json
import logging
import os
import subprocess
import sys
import time

import pytest
from tests.diagnosis.tape import Tape, good, stream_leg, webhook_leg
from typer.testing import CliRunner

from offhook.cli import app
from offhook.cli.verdict import verdict
from offhook.diagnosis.codes import explain_code, known_codes
from offhook.diagnosis.engine import rule_modules
from offhook.evidence.files import read
from offhook.evidence.journal import JournalDir


@pytest.fixture
def records(tmp_path, monkeypatch):
    monkeypatch.setenv("OFFHOOK_RECORD_DIR", str(tmp_path / "calls"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "calls").mkdir()
    return tmp_path / "calls"


def keep(tape: Tape, folder, name="20261125T120000Z-CA0001"):
    path = folder / f"{name}.jsonl"
    path.write_bytes(tape.raw())
    return path


def run(*arguments, **environment):
    return CliRunner().invoke(app, list(arguments), env=environment)


def broken() -> Tape:
    return good().violation("streamSid", got="'stream_sid'", n=3).note("alert", 1500.0, code="31951")


def test_a_broken_call_is_told_with_liar_proof_field_fix_and_its_line(records):
    keep(broken(), records)
    said = run("explain")
    assert said.exit_code == 1
    for word in ("x carrier-stream", "F-049", "[proven]", "who lies", "field streamSid", "fix", "explained by that"):
        assert word in said.output, word
    assert "\x1b[" not in said.output
    assert [finding["catalogue"] for finding in json.loads(run("explain", "--json").output)["findings"]] == ["F-049"]


def test_exit_codes_are_those_of_the_verdicts(records):
    keep(good(), records, "20261125T120000Z-CA0001")
    assert run("explain", "CA0001").exit_code == 0
    keep(stream_leg(webhook_leg(Tape())).note("x", 60_000.0), records, "20261125T120000Z-CA0002")
    assert run("explain", "CA0002").exit_code == 3
    assert run("explain", str(keep(broken(), records, "20261125T120000Z-CA0003"))).exit_code == 1
    listed = run("calls")
    assert listed.exit_code == 1 and listed.output.count("\n") == 3
    assert [row["verdict"] for row in json.loads(run("calls", "--json").output)].count("healthy") == 1


def test_codes_findings_and_rows_of_the_catalogue_are_explained(records):
    assert "carrier-stream/misspelt-field" in run("explain", "31951").output
    assert "keepalive" in run("explain", "1011").output
    assert "key refused" in run("explain", "invalid_api_key").output
    for name in ("carrier-stream/misspelt-field", "F-049", "f-049"):
        assert run("explain", name).output.startswith("# The field is stream_sid")
    data = json.loads(run("explain", "31951", "--json").output)
    assert data["code"]["boundary"] == "carrier-stream"


@pytest.mark.parametrize("what", ["nonsense", "99999", "CA9999", "x/y"])
def test_what_is_not_known_is_said_so(records, what):
    said = run("explain", what)
    assert said.exit_code != 0 and "Traceback" not in said.output


def test_every_code_says_where_it_stands_and_every_code_of_a_rule_is_known():
    for code in known_codes():
        known = explain_code(code)
        assert known is not None and known.meaning and known.look and known.source
    for module in rule_modules():
        for name in module.RULE.explains:
            assert not name.startswith("carrier:") or explain_code(name.removeprefix("carrier:")), name
    assert explain_code("13499") is not None and explain_code("19999") is None


def test_a_call_that_ended_gets_its_verdict_into_record_and_log(tmp_path, caplog):
    logging.getLogger("offhook").propagate = True
    directory = JournalDir(tmp_path, on_whole=verdict)
    journal = directory.open("CA1", {}, 0.0, {"call": "CA1"})
    journal.close(1.0, {"end": {"wanted": False, "why": "x"}})
    with caplog.at_level(logging.INFO, logger="offhook"):
        directory.flush()
    last = read(journal.path).lines[-1]
    assert last.kind == "verdict" and last.data["verdict"] == "not proven"
    assert read(journal.path).end == {"end": {"wanted": False, "why": "x"}}
    assert [record.message for record in caplog.records] == ["verdict"]


def test_a_verdict_that_fails_loses_no_record(tmp_path):
    told: list[str] = []
    directory = JournalDir(tmp_path, on_whole=lambda path: 1 / 0, on_failure=told.append)
    journal = directory.open("CA1", {}, 0.0, {})
    journal.close(1.0, {})
    directory.flush()
    assert read(journal.path).end == {} and "ZeroDivisionError" in told[0]


def test_an_hours_record_is_explained_within_a_second(records):
    tape = good()
    for n in range(6000):
        tape.msg(2, 21_000.0 + n * 500, type=f"x{n % 12}", text="y" * 200)
    keep(tape, records)
    began = time.process_time()  # the processor's second, whoever else uses it
    assert run("explain").exit_code == 0
    assert time.process_time() - began < 1.0


def test_what_only_reads_a_record_loads_no_server(records):
    keep(good(), records)
    command = [sys.executable, "-X", "importtime", "-m", "offhook", "explain", str(next(records.glob("*.jsonl")))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=os.environ)
    assert done.returncode == 0 and "offhook.diagnosis.report" in done.stderr
    assert "uvicorn" not in done.stderr and "offhook.net" not in done.stderr
