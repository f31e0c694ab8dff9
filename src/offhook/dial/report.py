"""
A dialled call and a run of the conformance list, for people, for programs and for CI. Pure: text comes out.
"""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from typing import Any

from offhook.dial.call import Result
from offhook.dial.judge import Finding
from offhook.dial.statements import CODES, STATEMENTS

__all__ = ["EXIT", "call_text", "conformance_json", "conformance_text", "junit"]

EXIT = {"healthy": 0, "broken": 1, "suspected": 3, "not proven": 3}
MARKS = {"fault": "x", "suspicion": "?", "note": "note"}


def call_text(result: Result) -> list[str]:
    """One call: what was measured, what was found, what the carrier would and would not say."""
    f = result.figures
    parts = [_ms("webhook", f.webhook_ms), _ms("upgrade", f.upgrade_ms), _ms("first word", f.first_audible_ms)]
    parts += [_ms("answer", ms) for ms in f.latencies_ms] + [_ms("clear", ms) for ms in f.clear_ms]
    lines = ["  ".join(part for part in parts if part)] if any(parts) else []
    level = f", {result.heard.level_dbfs} dBFS" if result.heard.level_dbfs is not None else ""
    lines.append(
        f"heard {f.heard_ms} ms{level}, marks {f.marks_returned} of {f.marks} returned, clears {f.clears}, "
        f"unplayed {f.unplayed_ms} ms; {result.ended}"
    )
    for finding in result.findings:
        lines += ["", *_finding(finding)]
    lines += ["", _debugger(result)]
    return lines


def _ms(name: str, ms: float | None) -> str:
    return f"{name} {ms:.0f} ms" if ms is not None else ""


def _finding(finding: Finding) -> list[str]:
    statement = f"{finding.statement}  " if finding.statement else ""
    logs = f"Twilio logs {finding.code}" if finding.code else "Twilio logs nothing"
    lines = [f"{MARKS[finding.severity]} {statement}{finding.sentence}", f"    {logs}; {finding.proof}"]
    return [*lines, f"    fix: {finding.fix}"] if finding.fix else lines


def _debugger(result: Result) -> str:
    """What the customer's debugger would show, in a line."""
    codes = list(dict.fromkeys(code for code, _ in result.alerts))
    shown = f"Twilio's debugger would show: {', '.join(codes)}" if codes else "Twilio's debugger would show nothing"
    silent = [f for f in result.findings if f.severity != "note" and not f.code]
    if silent:
        shown += f", and not a word about {len(silent)} of the findings above"
    return shown


# ------------------------------------------------------------------------------------------ conformance

Outcome = tuple[str, str, str]  # id, pass | fail | not testable, why


def conformance_text(outcomes: Sequence[Outcome], seconds: float) -> list[str]:
    """The list as h2spec prints it: groups, a line a statement, the sum."""
    groups = {
        "W": "Webhook and TwiML", "H": "Upgrade", "I": "Reading", "O": "Writing", "P": "Playback", "L": "Life cycle",
        "S": "Security",
    }  # fmt: skip
    marks = {"pass": "+", "fail": "x", "not testable": "-"}
    lines: list[str] = []
    for letter, title in groups.items():
        lines += ["", title]
        for sid, state, why in outcomes:
            if sid[0] == letter:
                code = f" [{CODES[sid]}]" if state == "fail" and sid in CODES else ""
                lines.append(f"  {marks[state]} {sid}  {STATEMENTS[sid]}{code}")
                lines += [f"         {why}"] if why else []
    n = {state: sum(one[1] == state for one in outcomes) for state in marks}
    told = f"{n['pass']} passed, {n['fail']} failed, {n['not testable']} not testable from here"
    return [*lines, "", f"{len(outcomes)} statements: {told}; {seconds:.1f} s"]


def conformance_json(outcomes: Sequence[Outcome], seconds: float) -> str:
    rows = [
        {"id": sid, "statement": STATEMENTS[sid], "result": state, "why": why, "twilio_logs": CODES.get(sid)}
        for sid, state, why in outcomes
    ]
    return json.dumps({"seconds": round(seconds, 1), "statements": rows}, indent=1)


def junit(suite: str, cases: Sequence[Outcome], seconds: float) -> bytes:
    """JUnit XML: failures fail, what cannot be tested from here is skipped with its reason."""
    root = ET.Element("testsuites")
    failed, skipped = (sum(state == s for _, state, _ in cases) for s in ("fail", "not testable"))
    numbers = {"tests": str(len(cases)), "failures": str(failed), "skipped": str(skipped), "errors": "0"}
    element = ET.SubElement(root, "testsuite", {"name": suite, "time": f"{seconds:.1f}", **numbers})
    for name, state, why in cases:
        title = f"{name} {STATEMENTS[name]}" if name in STATEMENTS else name
        case = ET.SubElement(element, "testcase", {"name": _plain(title), "classname": suite})
        if state == "fail":
            ET.SubElement(case, "failure", {"message": _plain(why)})
        elif state == "not testable":
            ET.SubElement(case, "skipped", {"message": _plain(why)})
    ET.indent(root)
    return b'<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root)


def _plain(text: str) -> str:
    """Without what XML 1.0 cannot carry."""
    return "".join(ch for ch in text if ch in "\t\n" or (ch >= " " and ch not in "\ufffe\uffff"))


def call_cases(results: Sequence[Result]) -> list[Outcome]:
    """Calls as test cases."""
    states: dict[str, Any] = {"healthy": "pass", "broken": "fail", "not proven": "fail"}
    return [
        (f"call {n}", states[one.verdict], "; ".join(f.sentence for f in one.findings if f.severity != "note"))
        for n, one in enumerate(results, 1)
    ]
