"""
One fault of the catalogue, or a worked example, in the virtual world: ``python -m offhook.cli.play ROW FOLDER``.

A process of its own, for it holds the interpreter for a second or more, and no call may wait for that. Prints what came
of it as one line of JSON.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from offhook.diagnosis.boundaries import Finding
from offhook.diagnosis.together import report_all
from offhook.evidence.record import Recording
from offhook.sims.faults.catalogue import Inject, examples, injections, rows
from offhook.sims.faults.examples import EXAMPLES

__all__ = ["play"]

KEPT = 60


def play(row: str, folder: Path) -> dict[str, Any]:
    """Play a row or an example and keep its records. Raises KeyError for what is not injected."""
    title, sources, inject, names = _known(row)
    recordings = inject()
    folder.mkdir(parents=True, exist_ok=True)
    at = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    told = []
    # some names are told by several calls together only
    for n, (recording, made) in enumerate(zip(recordings, report_all(recordings), strict=True), 1):
        name = f"{at}-play-{row}-{time.time_ns() % 1_000_000_000:09d}-{n}"
        _keep(recording, folder / f"{name}.jsonl")
        # a far end's doing and a note have a name too, and are nobody's fault
        found = (*made.roots, *made.symptoms, *made.others)
        sentence = next((finding.sentence for finding in found if names(finding)), "")
        told.append({
            "record": name, "verdict": made.verdict, "line": made.line, "named": bool(sentence), "sentence": sentence,
        })  # fmt: skip
    for old in sorted(folder.glob("*.jsonl"))[:-KEPT]:
        old.unlink(missing_ok=True)
    return {"row": row, "title": title, "sources": sources, "calls": told}


def _known(row: str) -> tuple[str, list[str], Inject, Callable[[Finding], bool]]:
    """Its title, its sources, how it is injected, and whether a finding names it."""
    example = next((one for one in examples() if one.id == row), None)
    if example is not None:
        return example.title, [], EXAMPLES[row], lambda finding: finding.rule == example.rule
    known = {one.id: one for one in rows()}[row]
    return known.title, list(known.sources), injections()[row], lambda finding: finding.catalogue == row


def _keep(recording: Recording, path: Path) -> None:
    lines = [{"k": line.kind, "t": line.at_ms, **line.data} for line in recording.lines]
    path.write_bytes(b"\n".join(map(msgspec.json.encode, lines)) + b"\n")


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)  # what the simulated programs complain of is on their records
    sys.stdout.write(json.dumps(play(sys.argv[1], Path(sys.argv[2]))) + "\n")
