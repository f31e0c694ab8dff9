"""
``offhook calls``: the calls there are, newest last, each with its verdict.

From the store where there is one, with what it has not got yet from the records; from the records alone where there is
none, or where it cannot be read: that is said, and the list is the same.
"""

from __future__ import annotations

import csv
import json
import sys
import time
from pathlib import Path
from typing import Any, Literal

from msgspec import Struct

from offhook.cli.places import data_dir
from offhook.cli.screen import fitted
from offhook.cli.stored import projection, reader
from offhook.diagnosis.report import EXIT, Report
from offhook.diagnosis.together import report_all
from offhook.evidence.files import read
from offhook.evidence.patterns import Patterns
from offhook.evidence.record import RecordingError
from offhook.evidence.unrecorded import total
from offhook.settings import Settings
from offhook.store.state import CallFilter, StoreError

__all__ = ["CallsError", "Wishes", "calls", "moment"]

Row = dict[str, Any]
SHOWN = (
    "call", "began", "seconds", "agent", "direction", "caller", "called", "state", "verdict", "because", "findings",
    "tools", "end_why", "usd", "cost_unknown", "provider", "model", "recording", "record",
)  # fmt: skip
# Records that may not be in the store yet; it takes them within a second, unless it is behind.
LATEST = 200
_CODES: dict[str, int] = dict(EXIT.items())


class CallsError(Exception):
    """What was asked cannot be answered."""


class Wishes(Struct, frozen=True, kw_only=True):
    """Which calls, and how they are shown; empty does not narrow."""

    last: int = 20
    number: str = ""
    agent: str = ""
    verdict: str = ""
    finding: str = ""
    text: str = ""
    since: str = ""
    until: str = ""
    min_usd: float | None = None
    cost: bool = False
    how: Literal["", "json", "csv", "jsonl"] = ""

    @property
    def narrow(self) -> bool:
        """Whether the records alone could not answer it quickly."""
        return any((self.number, self.agent, self.verdict, self.finding, self.text, self.since, self.until)) or (
            self.min_usd is not None
        )


def calls(settings: Settings, wishes: Wishes) -> int:
    """List calls; the worst exit code of their verdicts. Raises CallsError."""
    if wishes.verdict and wishes.verdict not in _CODES:
        raise CallsError(f"--verdict: got {wishes.verdict!r}, wanted {', '.join(_CODES)}")
    directory = data_dir(settings)
    try:
        found = _from_store(settings, directory, wishes)
        why = "there is no store"
    except StoreError as error:
        found, why = None, f"the store is not read: {error}"
    _say_unrecorded(directory, wishes)
    if found is None:
        if wishes.narrow or wishes.cost or wishes.how in ("csv", "jsonl"):
            raise CallsError(f"{why}; without it only the last calls can be listed (--last, --json)")
        if why != "there is no store":
            sys.stderr.write(f"offhook: {why}; this list is from the records\n")
        return _from_records(directory, wishes)
    rows, totals, behind = found
    shown = [_told(row, settings) for row in rows]
    _print(shown, wishes)
    if wishes.cost and not wishes.how:
        sys.stdout.write(_total(totals) + "\n")
    if behind:
        sys.stderr.write(f"offhook: {behind} of the last calls are not in the store yet\n")
    if not shown and not wishes.how:
        sys.stdout.write(f"no calls that fit in {directory}\n" if wishes.narrow else f"no records in {directory}\n")
    return max((_CODES.get(row["verdict"], 0) for row in shown), key=lambda code: (code == 1, code), default=0)


def _say_unrecorded(directory: Path, wishes: Wishes) -> None:
    """What no list can show, on stderr: refused while there were too many to write down; a day where none is asked."""
    since = moment(wishes.since or "1d", "--since") / 1000
    try:
        seen = total(directory, since)
    except OSError as error:
        sys.stderr.write(f"offhook: how many were refused without a record is not known: {error}\n")
        return
    said = [f"{n} {what}{'' if n == 1 else 's'}" for n, what in ((seen.calls, "call"), (seen.requests, "request")) if n]
    if said:
        when = f"since {wishes.since}" if wishes.since else "in the last day"
        sys.stderr.write(f"offhook: {' and '.join(said)} refused {when} without a record: more than six a minute\n")


def moment(text: str, what: str) -> int:
    """``2026-11-25``, ``2026-11-25T14:00`` (UTC) or ``3d``, ``12h``, ``30m`` ago, in milliseconds since 1970."""
    units = {"d": 86_400, "h": 3_600, "m": 60}
    if text[-1:] in units and text[:-1].isdigit():
        return round((time.time() - int(text[:-1]) * units[text[-1]]) * 1000)
    import calendar

    for form in ("%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%SZ"):
        try:
            return calendar.timegm(time.strptime(text, form)) * 1000
        except ValueError:
            continue
    raise CallsError(f"{what}: got {text!r}, wanted 2026-11-25, 2026-11-25T14:00 (UTC), or 3d, 12h, 30m ago")


def _from_store(settings: Settings, directory: Path, wishes: Wishes) -> tuple[list[Row], Row, int] | None:
    """Rows, newest last, their totals, and how many records the store has not got; None where there is no store."""
    asked = CallFilter(
        number=wishes.number, agent=wishes.agent, verdict=wishes.verdict, finding=wishes.finding, text=wishes.text,
        since_at=moment(wishes.since, "--since") if wishes.since else None,
        until_at=moment(wishes.until, "--until") if wishes.until else None,
        min_usd=wishes.min_usd, limit=wishes.last,
    )  # fmt: skip
    opened = reader(settings, directory)
    if opened is None:
        return None
    try:
        paths = sorted(directory.glob("*.jsonl"))[-LATEST:]
        stored = opened.has([path.stem for path in paths])
        rows = opened.calls(asked)
        totals = opened.totals(asked) if wishes.cost else {}
    finally:
        opened.close()
    fresh = [path for path in paths if path.stem not in stored][-wishes.last :]
    unstored = [row for path in fresh if (row := _row_of(path, settings)) is not None]
    behind = sum(row["state"] != "running" for row in unstored)
    if not wishes.narrow:
        named = {row["id"] for row in unstored}
        rows = [*unstored, *(row for row in rows if row["id"] not in named)]
    rows.sort(key=lambda row: (row["began_at"], row["id"]))
    return rows[-wishes.last :], totals, behind


def _row_of(path: Path, settings: Settings) -> Row | None:
    """A record as the store would have it; None where it is none."""
    try:
        made = projection(settings)(path)
    except RecordingError:
        return None
    ran = [f"{row['name']}: {row['outcome'] or 'no end'}" for row in made.children["tool_runs"]]
    return {**made.call, "findings": [row["rule"] for row in made.children["findings"]], "tools": ran}


def _told(row: Row, settings: Settings) -> Row:
    """A row as it is shown: times for people, personal data redacted."""
    patterns = Patterns(settings["redact.patterns"])
    whole = {
        **row, "began": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(row["began_at"] / 1000)),
        "seconds": round(row["seconds"], 1) if row["seconds"] is not None else None,
        "because": patterns.text(row["because"]), "record": row["id"],
    }  # fmt: skip
    return {name: whole[name] for name in SHOWN}


def _print(rows: list[Row], wishes: Wishes) -> None:
    if wishes.how == "json":
        sys.stdout.write(json.dumps(rows, indent=1, ensure_ascii=False) + "\n")
    elif wishes.how == "jsonl":
        for row in rows:
            sys.stdout.write(json.dumps(row, ensure_ascii=False) + "\n")
    elif wishes.how == "csv":
        writer = csv.writer(sys.stdout)
        writer.writerow(SHOWN)
        for row in rows:
            writer.writerow([_cell(row[name]) for name in SHOWN])
    else:
        for row in rows:
            sys.stdout.write(_line(row, wishes) + "\n")


def _cell(value: Any) -> Any:
    """A cell that no spreadsheet takes for a formula."""
    text = "; ".join(value) if isinstance(value, list) else value
    return "'" + text if isinstance(text, str) and text[:1] in "=+-@\t\r" and text else text


def _line(row: Row, wishes: Wishes) -> str:
    seconds = "running" if row["state"] == "running" else f"{row['seconds'] or 0.0:7.1f} s"
    verdict = row["state"] if row["state"] == "running" else row["verdict"] or "not judged"
    cost = f"{_usd(row):>24}  " if wishes.cost else ""
    head = f"{row['began']}  {str(row['call'])[:12]:<12}  {seconds:>9}  {verdict:<10}  {cost}"
    return fitted(head, ", ".join(row["findings"]) or row["because"])


def _usd(row: Row) -> str:
    """What a call cost: unknown is said, and is no zero."""
    if row["usd"] is None:
        return "unknown"
    return f"${row['usd']:.4f}" + (f" + {row['cost_unknown']}?" if row["cost_unknown"] else "")


def _total(totals: Row) -> str:
    usd = totals["usd"]  # a phone call's seconds cost less than a cent: as fine as a call's own, below a dollar
    known = "cost unknown" if usd is None else f"${usd:.4f} known" if usd < 1 else f"${usd:.2f} known"
    partly = f"; of {totals['unknown']} of them a part is unknown" if totals["unknown"] else ""
    calls = "1 call" if totals["calls"] == 1 else f"{totals['calls']} calls"
    return f"{calls}, {(totals['seconds'] or 0) / 60:.1f} minutes, {known}{partly}"


def _from_records(directory: Path, wishes: Wishes) -> int:
    """The last records, judged now and together."""
    paths = sorted(directory.glob("*.jsonl"), key=lambda path: path.stat().st_mtime_ns)[-wishes.last :]
    read_ok, unread = [], []
    for path in paths:
        try:
            read_ok.append(read(path))
        except RecordingError as error:
            unread.append(f"{path.name}: {error}")
    reports = report_all(read_ok)
    if wishes.how == "json":
        sys.stdout.write(json.dumps([_data(report) for report in reports], indent=1) + "\n")
    else:
        for report in reports:
            sys.stdout.write(_row(report) + "\n")
        for text in unread:
            sys.stdout.write(f"?  {text}\n")
        if not paths:
            sys.stdout.write(f"no records in {directory}\n")
    return max((EXIT[report.verdict] for report in reports), key=lambda code: (code == 1, code), default=0)


def _data(report: Report) -> Row:
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
