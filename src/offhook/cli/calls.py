"""``offhook calls``: the calls there are, newest last, each with its verdict."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from offhook.cli.screen import fitted
from offhook.diagnosis.report import EXIT, Report
from offhook.diagnosis.together import report_all
from offhook.evidence.files import read
from offhook.evidence.record import RecordingError

__all__ = ["calls"]


def calls(directory: Path, *, last: int = 20, as_json: bool = False) -> int:
    """List the last calls; the worst exit code of their verdicts."""
    paths = sorted(directory.glob("*.jsonl"), key=lambda path: path.stat().st_mtime_ns)[-last:]
    read_ok, unread = [], []
    for path in paths:
        try:
            read_ok.append(read(path))
        except RecordingError as error:
            unread.append(f"{path.name}: {error}")
    reports = report_all(read_ok)
    if as_json:
        sys.stdout.write(json.dumps([_data(report) for report in reports], indent=1) + "\n")
    else:
        for report in reports:
            sys.stdout.write(_row(report) + "\n")
        for text in unread:
            sys.stdout.write(f"?  {text}\n")
        if not paths:
            sys.stdout.write(f"no records in {directory}\n")
    return max((EXIT[report.verdict] for report in reports), key=lambda code: (code == 1, code), default=0)


def _data(report: Report) -> dict[str, Any]:
    begin = report.call.begin
    return {
        "call": begin.get("call"),
        "began": begin.get("began"),
        "seconds": round(report.call.last_ms / 1000, 1),
        "caller": begin.get("caller"),
        "verdict": report.verdict,
        "because": report.because,
        "findings": [finding.rule for finding in report.roots],
    }


def _row(report: Report) -> str:
    data = _data(report)
    head = f"{data['began']}  {str(data['call'])[:12]}  {data['seconds']:7.1f} s  {data['verdict']:<10}  "
    return fitted(head, ", ".join(data["findings"]) or data["because"])
