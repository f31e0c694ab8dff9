"""``offhook explain``: what became of a call, or what a code or a finding means."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec

from offhook.cli.screen import colored, fitted
from offhook.cli.show import trace_lines
from offhook.diagnosis.boundaries import Finding
from offhook.diagnosis.codes import Code, explain_code
from offhook.diagnosis.engine import find_rule, rule_modules
from offhook.diagnosis.manual import page
from offhook.diagnosis.report import EXIT, Report, judge
from offhook.diagnosis.report import report as judged
from offhook.diagnosis.unexplained import CHECKS
from offhook.evidence.files import find, read
from offhook.evidence.record import Recording, RecordingError

__all__ = ["UsageError", "explain", "explained"]

MARKS = {"proven": "+", "broken": "x", "suspected": "!", "not reached": "-", "not proven": "?", "not part": "."}
COLORS = {"healthy": "1;32", "proven": "32", "broken": "1;31", "not reached": "2", "not part": "2"}


class UsageError(Exception):
    """Something to be explained that is neither a call nor a code nor a finding."""


def explain(
    what: str,
    directory: Path,
    *,
    as_json: bool = False,
    view: Callable[[Recording], Recording] | None = None,
    hidden: Callable[[Report], list[str]] | None = None,
) -> int:
    """
    Explain ``what``; the exit code. ``view`` adds what others know of a call, ``hidden`` what its faults hid.

    Raises UsageError.
    """
    path = _call(what, directory)
    if path is not None:
        report = judge(path) if view is None else judged(view(read(path)))
        next_ = hidden(report) if hidden is not None else []
        if as_json:
            _say(json.dumps({**report.call.begin, **report.as_data(), "hidden": next_}, indent=1, default=str))
        else:
            _say("\n".join([explained(report), *([""] if next_ else []), *next_]))
        return EXIT[report.verdict]
    found = _meaning(what)
    if found is None:
        raise UsageError(
            f"{what!r}: neither a call in {directory} (an id, its beginning, last, a path) nor a code nor a finding; "
            "`offhook calls` lists the calls, docs/faults/README.md the findings"
        )
    code, pages = found
    if as_json:
        rules = [msgspec.to_builtins(module.RULE) for module in rule_modules() if page(module) in pages]
        _say(json.dumps({"code": msgspec.to_builtins(code), "findings": rules}, indent=1))
    else:
        _say("\n".join(([_code(code)] if code else []) + pages))
    return 0


def _call(what: str, directory: Path) -> Path | None:
    """A record that ``what`` names; None where it names none. What looks like a code is one."""
    if explain_code(what) is not None and not Path(what).is_file():
        return None
    try:
        return find(what, directory)
    except RecordingError:
        if what == "last" or what.startswith("CA") or what.endswith(".jsonl"):
            raise
        return None


def _meaning(what: str) -> tuple[Code | None, list[str]] | None:
    """A code, a finding's id or a row of the catalogue, and the pages of the manual that belong to it."""
    name = what.removeprefix("carrier:").lower()
    code = explain_code(name)
    module = find_rule(name)
    pages = [page(module)] if module is not None else []
    if code is None and module is None:
        pages = [page(module) for module in rule_modules() if what.upper() in module.RULE.decides]
    return (code, pages) if code is not None or pages else None


def _code(code: Code) -> str:
    check = CHECKS.get(code.boundary, "offhook explain last")
    causes = [m.RULE for m in rule_modules() if f"carrier:{code.code}" in m.RULE.explains or code.code in m.RULE.lies]
    lines = [
        f"{code.family} {code.code}: {code.name}",
        fitted("  means      ", code.meaning),
        fitted("  look at    ", code.look),
        fitted("  who lies   ", code.liars),
    ]
    if code.boundary:
        lines.append(f"  boundary   {code.boundary}")
    if causes:
        lines.append(fitted("  causes     ", ", ".join(rule.id for rule in causes[:12])))
    lines += [f"  check      {check}", f"  source     {code.source} (checked {code.checked})"]
    return "\n".join(lines)


def explained(report: Report) -> str:
    """The verdict on a call for people: hops, then each finding with its proof and its fix."""
    call = report.call
    begin = call.begin
    who = f"call {begin.get('call') or '?'}, {begin.get('began') or 'at an unknown time'}, {call.last_ms / 1000:.1f} s"
    seen = begin.get("source") or "bridge"
    sees = begin.get("sees")
    if isinstance(sees, list):
        seen += f", which saw: {', '.join(map(str, sees))}"
    lines = [who, f"recorded by {seen}", ""]
    width = max(len(hop.boundary) for hop in report.hops)
    for hop in report.hops:
        state = _paint(f"{hop.state:<11}", COLORS.get(hop.state, "33"))
        lines.append(fitted(f"{MARKS[hop.state]} {hop.boundary:<{width}}  ", "") + f"{state}  {hop.observable}")
    for n, finding in enumerate(report.roots, 1):
        lines += ["", *_finding(report, finding, n if len(report.roots) > 1 else 0)]
    if report.symptoms:
        names = sorted({finding.rule for finding in report.symptoms})
        lines += ["", fitted("explained by that: ", ", ".join(names))]
    lines += ["", *(fitted(f"{one.severity:<8} ", one.sentence) for one in report.others)] if report.others else []
    colour = COLORS.get(report.verdict, "1;33")
    return "\n".join([*lines, "", _paint(f"{report.verdict}:", colour) + " " + _because(report)])


def _because(report: Report) -> str:
    if not report.roots:
        return report.because
    n = len([root for root in report.roots if root.blames])
    first = report.roots[0]
    more = f", and {n - 1} more: mend them in this order" if n > 1 else ""
    return f"{first.rule} ({first.proof}){more}"


def _finding(report: Report, finding: Finding, n: int) -> list[str]:
    number = f"{n}. " if n else ""
    later = "  (would have hit next)" if finding.would_hit_next else ""
    said = f" {finding.catalogue}" if finding.catalogue else ""
    lines = [_paint(f"{number}{finding.rule}", "1") + f"{said}  [{finding.proof}]{later}"]
    lines.append(fitted("   ", finding.sentence))
    if finding.lie:
        lines.append(fitted("   who lies  ", finding.lie))
    field = f", field {finding.field}" if finding.field else ""
    lines.append(fitted("   proof     ", f"{finding.observable} (line {finding.line}{field})"))
    lines.append(fitted("   fix       ", finding.fix))
    excerpt = trace_lines(Recording(lines=tuple(report.excerpt(finding)[-2:])), media=True)
    lines += [f"   | {text[:150]}" for text in excerpt]
    return lines


def _paint(text: str, code: str) -> str:
    return f"\x1b[{code}m{text}\x1b[0m" if colored() and code else text


def _say(text: str) -> None:
    """Print, on terminals that do not speak UTF-8 as well."""
    encoding = sys.stdout.encoding or "ascii"
    sys.stdout.write(text.encode(encoding, "replace").decode(encoding) + "\n")
