"""The verdict on a call that has just ended: one line for the server's log, one for the call's record."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from offhook.diagnosis.engine import rule_modules
from offhook.diagnosis.report import Report, judge
from offhook.evidence.files import call_of

__all__ = ["prepare", "verdict"]

log = logging.getLogger("offhook")

# Judging runs beside the calls and shares the interpreter with them. 1 MB are some 5000 lines, 40 ms of work in steps
# of at most 5 ms; longer records are judged when somebody asks.
MAX_BYTES = 1024 * 1024


def prepare() -> None:
    """Read the rules at the start, not beside the first call."""
    rule_modules()


def verdict(path: Path, told: Callable[[Report | None], None] = lambda report: None) -> Mapping[str, Any] | None:
    """
    Judge a whole record; logs the verdict and returns the record's last line. Runs on the journal's thread.

    ``told`` gets the report; None for a record too long to be judged now.
    """
    if path.stat().st_size > MAX_BYTES:
        told(None)
        log.info("verdict", extra={"call": call_of(path), "verdict": f"long record: offhook explain {path}"})
        return None
    report = judge(path)
    told(report)
    level = logging.INFO if report.verdict == "healthy" else logging.WARNING
    findings = [finding.rule for finding in report.roots]
    log.log(
        level,
        "verdict",
        extra={"call": call_of(path), "verdict": report.verdict, "findings": findings, "because": _short(report)},
    )
    return {"verdict": report.verdict, "findings": findings, "because": _short(report)}


def _short(report: Report) -> str:
    return report.because if len(report.because) <= 300 else report.because[:299] + "…"
