"""
The score: every row of the fault catalogue injected, its recordings explained, the verdict compared.

``python tools/score.py`` prints the matrix and writes docs/score.md; ``python tools/score.py F-049 -v`` shows one row:
the recording's trace, its ladder and its findings.
"""

from __future__ import annotations

import argparse
import logging
import multiprocessing
import sys
import time
import traceback
from collections import Counter
from pathlib import Path
from typing import Any

from offhook.diagnosis.report import report
from offhook.evidence.record import Recording
from offhook.sims.faults.catalogue import Row, injections, rows

ROOT = Path(__file__).parent.parent
# What the catalogue's boundaries are called in a report.
BOUNDARIES = {
    "B0": ("settings",), "B1": ("webhook",), "B2": ("carrier-stream",), "B3": ("bridge",),
    "B4": ("provider-connect", "provider-session", "turns"), "B5": ("media",), "B6": ("tools", "turns"),
    "B7": ("records",), "B8": ("call-control",), "B9": ("far-end",),
}  # fmt: skip


def found_in(recordings: list[Recording]) -> list[Any]:
    """The roots of all recordings of a row, each once, in order."""
    out: list[Any] = []
    for recording in recordings:
        made = report(recording)
        for finding in (*made.roots, *made.others):
            if finding.severity != "note" and finding.rule not in [one.rule for one in out]:
                out.append(finding)
    return out


def name_of(finding: Any) -> str:
    return getattr(finding, "catalogue", "") or finding.rule


def judge(row: Row) -> dict[str, Any]:
    """Inject one row and compare."""
    began = time.perf_counter()
    inject = injections().get(row.id)
    if inject is None:
        return {"id": row.id, "class": "not injected", "got": [], "seconds": 0.0}
    try:
        recordings = inject()
        found = found_in(recordings)
    except Exception:
        return {"id": row.id, "class": "broken injection", "got": [traceback.format_exc(limit=-3)], "seconds": 0.0}
    return {"id": row.id, "class": classify(row, found), "got": [name_of(one) for one in found],
            "seconds": time.perf_counter() - began}  # fmt: skip


def classify(row: Row, found: list[Any]) -> str:
    got = [name_of(one) for one in found]
    if row.verdict == "healthy":
        return "named" if got in ([], list(row.findings)) else "false alarm"
    if got == list(row.findings):
        return "named"
    if not got:
        return "missed"
    right = {boundary for name in row.boundary for boundary in BOUNDARIES[name]}
    if all(name_of(one) in row.findings or one.boundary in right for one in found):
        return "boundary only"
    return "wrong blame"


def show(row: Row) -> int:
    """One row in full."""
    say(f"{row.id} {row.title}\n  expected: {row.verdict} {', '.join(row.findings)}\n")
    for n, recording in enumerate(injections()[row.id](), 1):
        say(
            f"--- recording {n}: source {recording.begin.get('source', 'bridge')}, sees {recording.begin.get('sees')}\n"
        )
        for line in recording.lines:
            say(f"{line.number:4} {line.at_ms:9.1f} {line.kind:9} {str(line.data)[:600]}\n")
        made = report(recording)
        say(f"--- {made.verdict}: {made.because}\n")
        for hop in made.hops:
            say(f"  {hop.boundary:17} {hop.state:12} {hop.observable}\n")
        for finding in (*made.roots, *made.symptoms, *made.others):
            say(f"  {finding}\n")
    return 0


def say(text: str) -> None:
    sys.stdout.write(text)


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rows", nargs="*", help="row ids; none: all")
    parser.add_argument("-v", action="store_true", help="one row in full")
    parser.add_argument("--dump", type=Path, help="write each row's recordings here, as JSON lines")
    given = parser.parse_args(argv)
    logging.getLogger("offhook").setLevel(logging.CRITICAL)
    wanted = [row for row in rows() if not given.rows or row.id in given.rows]
    if given.v:
        return max(show(row) for row in wanted)
    began = time.perf_counter()
    injections()
    with multiprocessing.get_context("fork").Pool(2) as pool:
        results = pool.map(judge, wanted, chunksize=4)
    for row, result in zip(wanted, results, strict=True):
        say(f"{row.id} {result['class']:16} {result['seconds']:5.1f}s want {','.join(row.findings) or row.verdict:24} "
            f"got {', '.join(result['got'])[:900]}\n")  # fmt: skip
    counts = Counter(result["class"] for result in results)
    say(f"{dict(counts)} in {time.perf_counter() - began:.1f} s\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
