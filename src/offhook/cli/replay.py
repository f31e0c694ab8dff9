"""``offhook replay``: yesterday's call against today's code."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import msgspec

from offhook.evidence.files import find
from offhook.replay import Outcome, Setup, replay

__all__ = ["ReplayError", "run"]

_TEST = '''"""
Call {call} as it was recorded, against the code of today. Written by `offhook replay --as-test`; the record beside
this file is redacted. It fails until the call is healthy, and then fails when it no longer is.
"""

from pathlib import Path

from offhook.replay import replay


def test_{name}():
    outcome = replay(Path(__file__).with_name("{record}"))
    assert outcome.passed, f"\\n{{outcome}}"
'''


class ReplayError(Exception):
    """What was asked for cannot be done."""


def run(
    call: str,
    directory: Path,
    *,
    greeting: str | None,
    as_test: Path | None,
    as_json: bool,
    against: str = "",
    path: str = "",
    stream: bool = False,
    speed: float = 1.0,
) -> int:
    """Replay a call. 0 passed, 1 failed. Raises RecordingError, TapeError and ReplayError."""
    record = find(call, directory)
    if as_test is not None and against:
        raise ReplayError("--as-test writes tests of our own server; with --against there is none to write")
    if as_test is not None:
        written = _write_test(record, as_test)
        sys.stderr.write(f"written: {', '.join(str(path) for path in written)}\n")
    if speed != 1.0 and not against:
        raise ReplayError("--speed is for --against: our own code is played in virtual time, as fast as it can")
    if against:
        from offhook.replay.against import replay_against

        token = os.environ.get("TWILIO_AUTH_TOKEN", "")
        outcome = replay_against(record, against, path=path, stream=stream, token=token, speed=speed)
    else:
        outcome = replay(record, Setup(greeting=greeting))
    if as_json:
        sys.stdout.write(json.dumps(_as_data(outcome), indent=1) + "\n")
    else:
        sys.stdout.write(f"{outcome}\n")
    return 0 if outcome.passed else 1


def _write_test(record: Path, test: Path) -> list[Path]:
    """The test and its record, and the recording when there is one."""
    if test.suffix != ".py" or not test.name.startswith("test_"):
        raise ReplayError(f"--as-test {test}: pytest finds files named test_….py")
    if not test.parent.is_dir():
        raise ReplayError(f"--as-test {test}: there is no folder {test.parent}")
    kept = test.with_suffix(".jsonl")
    name = re.sub(r"\W+", "_", test.stem.removeprefix("test_")).strip("_") or "call"
    sid = record.stem.partition("-")[2] or record.stem
    test.write_text(_TEST.format(call=sid, name=name, record=kept.name), encoding="utf-8")
    written = [test, kept]
    pairs = [(record, kept), (record.with_suffix(".wav"), test.with_suffix(".wav"))]
    for source, target in pairs:
        if source.is_file() and source.resolve() != target.resolve():
            shutil.copyfile(source, target)
            written += [target] if target not in written else []
    return written


def _as_data(outcome: Outcome) -> dict[str, Any]:
    return {
        "passed": outcome.passed,
        "why": outcome.why,
        "was": {"verdict": outcome.was.verdict, "findings": [found.rule for found in outcome.was.roots]},
        "now": {"verdict": outcome.now.verdict, "findings": [found.rule for found in outcome.now.roots]},
        "differences": msgspec.to_builtins(outcome.differences),
        "latencies_ms": msgspec.to_builtins(outcome.latencies),
        "put_in_place": outcome.said,
    }
