"""
Several calls at one server as one report: what broke, in causal order, how each fault came to light, and what was
only a consequence. Pure: text and data come out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from offhook.diagnosis.boundaries import Finding
from offhook.diagnosis.ladder import IDS
from offhook.diagnosis.report import EXIT, Report
from offhook.diagnosis.rules.provider_connect.dead_model import RULE as DEAD_MODEL
from offhook.dial.call import Result
from offhook.dial.fakes import FakeSeen
from offhook.dial.overrides import WIRES, Declared, Mend, mend_of

__all__ = ["Named", "Pass", "Story", "as_data", "exit_code", "pass_text", "story_text", "told", "verdict_line"]


class Pass(Struct, frozen=True):
    """One start of the server and one call."""

    number: int
    what: str  # what was done from outside
    environment: dict[str, str]  # that was overridden
    lent: bool  # keys that the server has not in real life
    dialled: tuple[str, ...]
    result: Result
    report: Report
    log: tuple[str, ...]
    fakes: dict[str, FakeSeen] = {}

    @property
    def codes(self) -> tuple[str, ...]:
        """What Twilio's debugger would show."""
        return tuple(dict.fromkeys(code for code, _ in self.result.alerts))

    @property
    def verdict(self) -> str:
        """The phone's own judgement stands; what the record proves beside it is worse."""
        return self.report.verdict if self.report.verdict == "broken" else self.result.verdict


class Named(Struct, frozen=True):
    """A fault of the story, and how it came to light."""

    finding: Finding
    shown_in: int  # pass; 0: by an isolated check
    how: str


class Story(Struct, frozen=True):
    """All passes and what they say together."""

    passes: tuple[Pass, ...]
    faults: tuple[Named, ...]  # in causal order
    consequences: tuple[Named, ...]  # what went away with an earlier fault
    verdict: str


def told(passes: Sequence[Pass], given: Declared, mends: Sequence[Mend]) -> Story:
    """All passes as one report: faults in causal order, consequences apart."""
    faults: list[Named] = []
    consequences: list[Named] = []
    for named in _first_seen(passes):
        mended = mend_of(named.finding, given.provider) in mends
        (faults if mended or _stays(named.finding, passes) else consequences).append(named)
    faults += _isolated(given, faults)
    faults.sort(key=lambda named: IDS.index(named.finding.breaks))
    last = passes[-1].verdict
    sure = any(named.finding.severity == "fault" and named.finding.proof == "proven" for named in faults)
    return Story(tuple(passes), tuple(faults), tuple(consequences), "broken" if sure else last)


def _first_seen(passes: Sequence[Pass]) -> Iterator[Named]:
    """Each fault where it showed first; what a lent key showed counts only where no other call did."""
    seen: set[tuple[str, str]] = set()
    for done in sorted(passes, key=lambda done: done.lent):
        for finding in done.report.roots if done.verdict != "healthy" else ():
            key = (finding.rule, finding.field)
            if key in seen:
                continue
            seen.add(key)
            how = f"pass {done.number}, as it is" if done.number == 1 else f"pass {done.number}, with {done.what}"
            unreal = done.lent and finding.boundary != "settings"
            yield Named(msgspec.structs.replace(finding, would_hit_next=unreal), done.number, how)


def _stays(finding: Finding, passes: Sequence[Pass]) -> bool:
    """Whether it is still there when everything that could be lifted was."""
    return any((one.rule, one.field) == (finding.rule, finding.field) for one in passes[-1].report.roots)


def _isolated(given: Declared, faults: Sequence[Named]) -> Iterator[Named]:
    """What is provable without a call: the model that the intended provider would be asked for."""
    wire = WIRES.get(given.provider)
    if wire is None or any(named.finding.catalogue == "F-092" for named in faults):
        return
    if given.model not in wire.DEAD_MODELS.value:
        return
    finding = DEAD_MODEL.finding(
        0, f"{wire.LABEL} does not serve model {given.model}; it serves {', '.join(wire.MODELS.value)}.",
        f"ask for {wire.DEFAULT_MODEL.value}", observable=f"model {given.model}, not served as of "
        f"{wire.DEAD_MODELS.checked}", field="?model=", would_hit_next=True,
    )  # fmt: skip
    yield Named(finding, 0, "without a call, by the provider's dated facts")


# ------------------------------------------------------------------------------------------------ text


def pass_text(done: Pass) -> list[str]:
    """One pass: what was done from outside, and what came of it."""
    f = done.result.figures
    met = f"{' and '.join(dict.fromkeys(done.dialled))} was dialled" if done.dialled else "no provider was dialled"
    heard = f"the caller heard {f.heard_ms / 1000:.1f} s" if f.heard_ms else "the caller heard nothing"
    logs = f"Twilio would log {', '.join(done.codes)}" if done.codes else "Twilio would log nothing"
    lines = [f"pass {done.number}  {done.what}", f"        {met}; {heard}; {logs}"]
    if done.log and not f.heard_ms:
        lines.append(f"        its log: {done.log[-1].strip()[:100]}")
    return lines


def story_text(story: Story) -> list[str]:
    """The final report: what to mend, in which order, and what Twilio would have said."""
    n = len(story.faults)
    if not n:
        return []
    hiding = ", each hiding the next" if len({named.shown_in for named in story.faults}) > 1 else ""
    lines = ["", f"{n} faults{hiding}; mend them in this order:" if n > 1 else "1 fault:"]
    for at, named in enumerate(story.faults, 1):
        found = named.finding
        how = f"would have hit next: {named.how}" if found.would_hit_next else named.how
        lines += ["", f"{at}  {found.rule}  [{found.proof}; {how}]", f"   {found.sentence}", f"   fix: {found.fix}"]
    return [*lines, "", *_debugger(story)]


def _debugger(story: Story) -> list[str]:
    """What the carrier would have said, and what of it was a consequence."""
    codes = list(dict.fromkeys(code for done in story.passes for code in done.codes))
    if not codes:
        return ["Twilio's debugger would show nothing at all."]
    lines = [f"Twilio's debugger would show {', '.join(codes)}, and name none of them."]
    gone = [named for named in story.consequences if named.finding.severity == "fault"]
    lines += [
        f"{one.finding.rule} in pass {one.shown_in} was a consequence: it went with what was lifted." for one in gone
    ]
    last = story.passes[-1]
    if last.verdict == "healthy" and len(story.passes) > 1:
        lines.append(f"With all of that lifted (pass {last.number}) the call is healthy.")
    return lines


def verdict_line(story: Story) -> str:
    """The last line."""
    if story.faults:
        return f"{story.verdict}: " + "; ".join(named.finding.rule for named in story.faults)
    last = story.passes[-1]
    said = [finding.sentence for finding in last.result.findings if finding.severity != "note"]
    return f"{story.verdict}: " + (said[0] if said else last.report.because)


def exit_code(story: Story) -> int:
    """0 healthy, 1 broken, 3 not proven."""
    return {"healthy": EXIT["healthy"], "broken": EXIT["broken"]}.get(story.verdict, EXIT["not proven"])


def as_data(story: Story) -> dict[str, Any]:
    """For programs."""
    return {
        "verdict": story.verdict,
        "findings": [_named(named) for named in story.faults],
        "consequences": [_named(named) for named in story.consequences],
        "passes": [
            {
                "number": done.number, "what": done.what, "environment": done.environment, "lent": done.lent,
                "dialled": list(done.dialled), "verdict": done.verdict, "twilio_logs": list(done.codes),
                "call": done.result.as_data(), "engine": done.report.as_data(), "log": list(done.log),
                "fakes": msgspec.to_builtins(done.fakes),
            }
            for done in story.passes
        ],
    }  # fmt: skip


def _named(named: Named) -> dict[str, Any]:
    data: dict[str, Any] = msgspec.to_builtins(named.finding)
    return {**data, "pass": named.shown_in, "how": named.how}
