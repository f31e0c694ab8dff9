"""
The score: every row of the fault catalogue injected, its recordings explained, the verdict compared.

``python tools/score.py`` prints the matrix, with ``--page`` it writes docs/score.md; ``python tools/score.py F-049 -v``
shows one row: the recording's trace, its ladder and its findings. ``--dump DIR`` keeps the recordings.
"""

from __future__ import annotations

import argparse
import datetime
import logging
import multiprocessing
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from offhook.diagnosis.boundaries import Finding
from offhook.diagnosis.engine import causal
from offhook.diagnosis.report import report
from offhook.diagnosis.together import report_all
from offhook.evidence.record import Recording
from offhook.sims.faults import dialled, healthy, variations
from offhook.sims.faults.catalogue import Row, injections, rows

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "score.md"
FLOOR = ROOT / "tests" / "score_floor.txt"
# What the catalogue's boundaries are called in a report.
BOUNDARIES = {
    "B0": ("settings",), "B1": ("webhook",), "B2": ("carrier-stream",), "B3": ("bridge",),
    "B4": ("provider-connect", "provider-session", "turns", "media"), "B5": ("media",), "B6": ("tools", "turns"),
    "B7": ("records",), "B8": ("call-control",), "B9": ("far-end",),
}  # fmt: skip
# Whom a fault from a dial may be blamed on, by who plays it.
SIDES = {
    "D": ("provider-connect", "provider-session", "media", "turns", "tools"),
    "L": ("webhook", "carrier-stream", "media", "turns", "far-end"),
}
CLASSES = ("named", "boundary only", "unknown", "missed", "wrong blame", "false alarm", "broken", "not injected")
WORST = ("wrong blame", "false alarm", "broken")


class Result(Struct, frozen=True):
    """What came of one row."""

    id: str
    title: str
    wanted: str
    got: tuple[str, ...]
    kind: str
    seconds: float
    call_seconds: float = 0.0


def explained(recordings: Iterable[Recording], stacked: tuple[str, ...] = ()) -> list[Finding]:
    """
    The findings of all recordings of a row that nothing explains, each once, in order.

    A stack names all its faults (``stacked``); one that its root brings with it is shown as a symptom, and counts.
    """
    found: list[Finding] = []
    for made in report_all(list(recordings)):
        symptoms = [one for one in made.symptoms if one.catalogue in stacked]
        blamed = sorted((*made.roots, *symptoms), key=causal) if symptoms else made.roots
        for finding in (*blamed, *made.others):
            if name_of(finding) not in map(name_of, found):
                found.append(finding)
    return found


def name_of(finding: Finding) -> str:
    return finding.catalogue or finding.rule


def blames(finding: Finding) -> bool:
    """Whether a finding says what is to blame; a carrier's code that nothing explains does not."""
    return finding.severity in ("fault", "suspicion") and not finding.rule.startswith("carrier:")


def classify(row: Row, found: list[Finding]) -> str:
    """How a row's findings stand to what is expected of it."""
    names = {severity: [name_of(one) for one in found if one.severity == severity] for severity in ("far-end", "note")}
    own = [one for one in found if blames(one)]
    blamed = [name_of(one) for one in own]
    wanted = list(row.findings)
    if row.verdict == "healthy":
        alarms = [one for one in found if one.severity in ("fault", "suspicion")]
        far = [name for name in names["far-end"] if name.startswith("F-")]  # that a caller left early is no alarm
        return "named" if not alarms and not far else "false alarm"
    if row.verdict == "note":
        return "false alarm" if blamed else "named" if set(wanted) <= set(names["note"]) else "missed"
    if row.verdict == "far_end":
        if blamed:
            return "wrong blame"
        return "named" if names["far-end"] == wanted else "missed"
    if blamed == wanted:
        return "named"
    if not blamed:
        return "missed"
    right = {boundary for name in row.boundary for boundary in BOUNDARIES[name]}
    if all(name_of(one) in wanted or (not one.catalogue and one.boundary in right) for one in own):
        return "boundary only"
    if all(name_of(one) in wanted or one.rule.endswith("/unexplained") for one in own):
        return "unknown"  # said where it shows, and that its cause is not known
    return "wrong blame"


def classify_dialled(row: Row, found: list[Finding]) -> str:
    """
    A fault from a dial has no one name: right is every row that it is said to inject, and a bridge may cope with it.

    Whoever blames the other side is wrong; another cause on this side is listed, for the texts of both lists were
    written without each other.
    """
    own = [one for one in found if blames(one) or (one.severity == "far-end" and one.catalogue)]
    if not own:
        return "missed" if row.title in dialled.AUDIBLE or row.id.startswith("L-") else "coped"
    if any(one.boundary not in SIDES[row.id[0]] and name_of(one) not in row.findings for one in own):
        return "unknown" if all(one.rule.endswith("/unexplained") for one in own) else "wrong blame"
    if all(name_of(one) in row.findings for one in own):
        return "named"
    return "boundary only" if not any(one.catalogue for one in own) else "other cause"


def judge(row: Row, inject: Callable[[], list[Recording]] | None = None) -> Result:
    """Inject one row and compare."""
    began = time.perf_counter()
    inject = inject or injections().get(row.id)
    wanted = " ".join(row.findings) or row.verdict
    if inject is None:
        return Result(row.id, row.title, wanted, (row.reason or f"wire not built: {row.wire}",), "not injected", 0.0)
    try:
        recordings = inject()
        found = explained(recordings, row.findings if row.id.startswith("S-") else ())
    except Exception:
        text = traceback.format_exc(limit=-3)
        return Result(row.id, row.title, wanted, (text,), "broken", time.perf_counter() - began)
    got = tuple(name_of(one) for one in found if one.severity != "note" or row.verdict == "note")
    played = sum(recording.last_ms for recording in recordings) / 1000
    kind = (classify_dialled if row.verdict == "dialled" else classify)(row, found)
    return Result(row.id, row.title, wanted, got, kind, time.perf_counter() - began, played)


def _variation(seed: int) -> Result:
    row = Row(id=f"V-{seed:03}", title=variations.describe(seed), boundary=("B9",), verdict="healthy", findings=())
    return judge(row, lambda: variations.vary(seed))


def _plain(name: str) -> Result:
    row = Row(id=name, title="a plain good call", boundary=("B9",), verdict="healthy", findings=())
    return judge(row, healthy.PLAIN[name])


def _dialled(name: str) -> Result:
    verdict = "healthy" if dialled.is_healthy(name) else "dialled"
    wanted = () if verdict == "healthy" else dialled.may_be(name)
    row = Row(id=f"D-{name}", title=name, boundary=("B4",), verdict=verdict, findings=wanted)
    return judge(row, lambda: dialled.dial(name))


def _line(name: str) -> Result:
    verdict = "healthy" if name in dialled.HARMLESS else "dialled"
    wanted = () if verdict == "healthy" else dialled.line_may_be(name)
    row = Row(id=f"L-{name}", title=name, boundary=("B2",), verdict=verdict, findings=wanted)
    return judge(row, lambda: dialled.dial_line(name))


def jobs(wanted: list[Row], n_variations: int = variations.COUNT, plain: bool = True) -> list[tuple[str, Any]]:
    """Everything that is to be injected, in the order of the catalogue."""
    made: list[tuple[str, Any]] = [("row", row) for row in wanted]
    made += [("plain", name) for name in healthy.PLAIN] if plain else []
    made += [("dialled", name) for name in dialled.DIALLED] if plain else []
    made += [("line", name) for name in dialled.LINES] if plain else []
    return made + [("variation", seed) for seed in range(n_variations)]


def do(job: tuple[str, Any]) -> Result:
    """Inject one thing and compare."""
    kind, what = job
    return {"row": judge, "plain": _plain, "variation": _variation, "dialled": _dialled, "line": _line}[kind](what)


def run(wanted: list[tuple[str, Any]]) -> list[Result]:
    """All of it, on two processes."""
    longest_first = sorted(wanted, key=lambda job: getattr(job[1], "id", "") not in ("F-108", "S-001", "F-013"))
    # spawned: to fork a process that has threads may hang the child, and not every system forks well
    with multiprocessing.get_context("spawn").Pool(2, _quiet) as pool:
        made = dict(zip(map(_key, longest_first), pool.map(do, longest_first, chunksize=2), strict=True))
    return [made[_key(job)] for job in wanted]


def _quiet() -> None:
    logging.getLogger("offhook").setLevel(logging.CRITICAL)


def _key(job: tuple[str, Any]) -> str:
    return f"{job[0]} {getattr(job[1], 'id', job[1])}"


def floor() -> dict[str, str]:
    """What each row has reached: id and class, one a line."""
    pairs = (line.partition(" ") for line in FLOOR.read_text().splitlines() if line and not line.startswith("#"))
    return {name: kind for name, _, kind in pairs}


def regressions(results: list[Result]) -> list[str]:
    """Rows that were named and are not, and wrong blame or false alarms that the floor does not list."""
    known = floor()
    out = []
    for result in results:
        before = known.get(result.id)
        if before == "named" and result.kind != "named":
            out.append(f"{result.id} was named and is now {result.kind}: {', '.join(result.got)}")
        elif result.kind in WORST and before != result.kind:
            out.append(
                f"{result.id} {result.title}: {result.kind}: wanted {result.wanted}, got {', '.join(result.got)}"
            )
    return out


def write_floor(results: list[Result]) -> None:
    """Keep what was reached; calls that are healthy in all their shapes need no line."""
    lines = ["# What each row of the score has reached: named rows may not fall back, and no other row may be wrong."]
    kept = [result for result in results if result.kind in ("named", *WORST) and result.id[:2] != "V-"]
    FLOOR.write_text("\n".join([*lines, *(f"{result.id} {result.kind}" for result in kept)]) + "\n")


# ------------------------------------------------------------------------------------------------ the page


def page(results: list[Result], seconds: float, today: datetime.date) -> str:
    """docs/score.md."""
    catalogue = {row.id: row for row in rows()}
    own = [result for result in results if result.id in catalogue]
    injected = [result for result in own if result.kind != "not injected"]
    shapes = [result for result in results if result.id not in catalogue and result.id[:2] not in ("D-", "L-")]
    dials = [result for result in results if result.id[:2] in ("D-", "L-")]
    dial_counts = Counter(result.kind for result in dials)
    counts = Counter(result.kind for result in injected)
    played = sum(result.call_seconds for result in results)
    false = sum(result.kind != "named" for result in shapes)
    lines = [
        "# The score",
        "",
        "Written by `make score`; do not edit.",
        "",
        "Every row of the fault catalogue is really injected: into calls of our own server, or of a deliberately naive",
        "bridge, between a simulated carrier and simulated providers, in virtual time. The recording is explained, and",
        "the verdict compared with the expected one: same causes, same order, nothing else. `tools/score.py F-049 -v`",
        "shows one row. A wrong blame counts worse than an unknown cause.",
        "",
        f"{today.isoformat()}: {len(own)} rows, {len(injected)} injected, {len(own) - len(injected)} listed apart;"
        f" {played:.0f} seconds of calls in {seconds:.0f} s on two processes.",
        "",
        "| | rows | share of injected |",
        "|---|---:|---:|",
        *(
            f"| {kind} | {counts[kind]} | {100 * counts[kind] / max(1, len(injected)):.1f} % |"
            for kind in CLASSES
            if kind != "not injected"
        ),
        "",
        f"Healthy calls of every provider and in {sum(r.id.startswith('V-') for r in shapes)} seeded shapes: "
        f"{len(shapes)} calls, {false} false alarm{'s' if false != 1 else ''}.",
        "",
        f"Faults from the dials of the fake providers (D) and the simulated carrier (L), one call each ({len(dials)}): "
        + ", ".join(f"{n} {kind}" for kind, n in dial_counts.most_common())
        + ". A bridge may cope with a fault; blaming the other side is wrong. A fault without a row in the"
        " catalogue is named by the rule that says it.",
        "",
        "## Rows that are not named",
        "",
        "| row | fault | class | wanted | got |",
        "|---|---|---|---|---|",
        *(
            f"| {r.id} | {r.title} | {r.kind} | {r.wanted} | {', '.join(r.got)[:120] or 'nothing'} |"
            for r in [*injected, *shapes, *dials]
            if r.kind not in ("named", "coped")
        ),
        "",
        "## Not provable from here",
        "",
        "Faults from a dial that a bridge's record cannot tell from a healthy call: saying nothing is right there.",
        "",
        *(f"- {name}: {why}." for name, why in dialled.NOT_PROVABLE.items()),
        "",
        "## Named",
        "",
        ", ".join(result.id for result in injected if result.kind == "named") + ".",
        "",
        "## Not injected",
        "",
        "| row | fault | why |",
        "|---|---|---|",
        *(f"| {r.id} | {r.title} | {', '.join(r.got)} |" for r in own if r.kind == "not injected"),
        "",
        "## Where the rows come from",
        "",
        "| row | expected | references |",
        "|---|---|---|",
        *(
            f"| {row.id} | {row.verdict} {' '.join(row.findings)} | {'; '.join(row.sources)} |"
            for row in catalogue.values()
        ),
    ]
    return "\n".join(lines) + "\n"


# ------------------------------------------------------------------------------------------ the terminal


def show(row: Row) -> int:
    """One row in full."""
    say(f"{row.id} {row.title}\n  expected: {row.verdict} {', '.join(row.findings)}\n")
    for n, recording in enumerate(injections()[row.id](), 1):
        begin = recording.begin
        say(f"--- recording {n}: source {begin.get('source', 'bridge')}, sees {begin.get('sees')}\n")
        for line in recording.lines:
            say(f"{line.number:4} {line.at_ms:9.1f} {line.kind:9} {str(line.data)[:600]}\n")
        made = report(recording)
        say(f"--- {made.verdict}: {made.because}\n")
        for hop in made.hops:
            say(f"  {hop.boundary:17} {hop.state:12} {hop.observable}\n")
        for finding in (*made.roots, *made.symptoms, *made.others):
            say(f"  {finding}\n")
    return 0


def dump(wanted: list[Row], directory: Path) -> int:
    """Every row's recordings as files, for other tools to read."""
    directory.mkdir(parents=True, exist_ok=True)
    for row in wanted:
        for n, recording in enumerate(injections().get(row.id, list)(), 1):
            lines = [{"k": line.kind, "t": line.at_ms, **line.data} for line in recording.lines]
            path = directory / f"{row.id}-{n}.jsonl"
            path.write_bytes(b"\n".join(map(msgspec.json.encode, lines)) + b"\n")
    return 0


def say(text: str) -> None:
    sys.stdout.write(text)


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rows", nargs="*", help="row ids; none: all, with healthy calls in many shapes")
    parser.add_argument("-v", action="store_true", help="one row in full")
    parser.add_argument("--dump", type=Path, help="write the rows' recordings into this directory")
    parser.add_argument("--page", action="store_true", help="write docs/score.md")
    parser.add_argument("--floor", action="store_true", help="keep what was reached for the test, and --page")
    given = parser.parse_args(argv)
    _quiet()
    wanted = [row for row in rows() if not given.rows or row.id in given.rows]
    if given.v:
        return max(show(row) for row in wanted)
    if given.dump:
        return dump(wanted, given.dump)
    began = time.perf_counter()
    whole = not given.rows
    results = run(jobs(wanted, variations.COUNT if whole else 0, plain=whole))
    for result in results:
        if not whole or result.kind not in ("named", "coped"):
            got = ", ".join(result.got) or "nothing"
            say(f"{result.id} {result.kind:13} want {result.wanted:22} got {got[:800]}   ({result.title})\n")
    seconds = time.perf_counter() - began
    for what, first in (("rows", "FSH"), ("healthy calls", "Vpn"), ("dialled", "DL")):
        counts = Counter(result.kind for result in results if result.id[0] in first)
        if counts:
            say(f"{what}: " + ", ".join(f"{n} {kind}" for kind, n in counts.most_common()) + f"; {seconds:.1f} s\n")
    if whole and (given.page or given.floor):
        PAGE.write_text(page(results, seconds, datetime.date.today()))
    if whole and given.floor:
        write_floor(results)
    fallen = regressions(results)
    say("".join(f"REGRESSION {line}\n" for line in fallen))
    return 1 if fallen else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
