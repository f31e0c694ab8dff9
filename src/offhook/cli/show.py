"""``offhook show`` and ``offhook trace``: a call as a conversation, and message by message."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from offhook.cli.screen import colored, fitted
from offhook.diagnosis.report import EXIT, Report, judge
from offhook.evidence.files import find, read
from offhook.evidence.record import Channel, Line, Recording
from offhook.evidence.transcript import Turn, plain, transcript

__all__ = ["render", "show", "trace", "trace_lines"]

MARKS = {"proven": "+", "broken": "x", "suspected": "!", "not reached": "-", "not proven": "?", "not part": "."}


def show(
    call: str, directory: Path, *, as_json: bool = False, summarized: Callable[[str], Mapping[str, Any]] = lambda _: {}
) -> int:
    """
    Print a call; the exit code of its verdict. Raises RecordingError.

    ``summarized(record)`` has its ``summary``, or in ``summary_why`` why there is none; empty where none is asked for.
    """
    path = find(call, directory)
    report, summary = judge(path), summarized(path.stem)
    if as_json:
        told = {**report.call.begin, **report.as_data(), **summary}
        sys.stdout.write(json.dumps(told, indent=1, default=str) + "\n")
    else:
        sys.stdout.write(render(report) + "\n")
        for name, what in (("summary", "summary: "), ("summary_why", "no summary: ")):
            if summary.get(name):
                sys.stdout.write(fitted(what, summary[name]) + "\n")
    return EXIT[report.verdict]


def render(report: Report, *, conversation: bool = True) -> str:
    """The call for people: who, what was said, the ladder, the verdict."""
    call = report.call
    lines = [*_head(call), *(_conversation(call) if conversation else []), "", *_ladder(report), ""]
    for finding in report.roots:
        lines += [f"{finding.rule}  [{finding.proof}]", fitted("  ", finding.sentence)]
        lines += [fitted("  proof  ", f"{finding.observable} (line {finding.line})")]
        lines += [fitted("  fix    ", finding.fix), ""]
    lines += [fitted("note   ", finding.sentence) for finding in report.others]
    verdict = fitted(f"{report.verdict}: ", report.because)
    lines.append(_paint(report.verdict, report.verdict) + verdict[len(report.verdict) :])
    return "\n".join(lines)


def _paint(text: str, verdict: str) -> str:
    if not colored():
        return text
    return {"healthy": "\x1b[1;32m", "broken": "\x1b[1;31m"}.get(verdict, "\x1b[1;33m") + text + "\x1b[0m"


def _head(call: Recording) -> list[str]:
    begin, boot = call.begin, call.begin.get("boot", {})
    seconds = call.last_ms / 1000
    head = [
        f"call   {begin.get('call')}  {begin.get('direction')}  {begin.get('caller')} -> {begin.get('called')}",
        f"when   {begin.get('began')}, {seconds:.1f} s",
    ]
    if boot.get("provider"):
        name = f"{begin['agent']}: " if begin.get("agent") else ""
        head.append(
            f"agent  {name}{boot['provider']}, model {boot.get('model')}, voice {boot.get('voice')}, "
            f"{boot.get('endpoint')}"
        )
    settings = boot.get("settings", {})
    origin = settings.get("provider.name", {}).get("origin")
    return [*head, f"from   provider chosen by {origin}"] if origin else head


# What a transcript does not say of tools and of the caller, or in fewer words.
_TOOLS: dict[str, Callable[[dict[str, Any]], str]] = {
    "lookup": lambda data: " ".join(
        [
            "goes on with a call that was cut off;" if data.get("resumed") else "",
            f"{data.get('outcome')} after {data.get('ms')} ms",
            *(str(data[k]) for k in ("source", "detail") if data.get(k)),
        ]
    ).strip(),
    "tool.filler": lambda data: f"{data.get('what', '')} after {data.get('ms')} ms of {data.get('name', 'a tool')}",
    "tool.joined": lambda data: f"{data.get('name')} was called again, and not run again",
    "tool.late": lambda data: f"{data.get('name', '')} {data.get('outcome')}, when nobody waited any more",
    "tool.blocks": lambda data: f"{data.get('name')} for {data.get('ms')} ms at {data.get('stack')}",
    "claim.unmet": lambda data: f"{data.get('claim')} claimed, not done; {data.get('did') or 'noted'}",
    "job": lambda data: " ".join(
        str(data[k])
        for k in ("id", "name", "state", "outcome", "result", *(("detail",) if data.get("outcome") != "ok" else ()))
        if data.get(k)
    ),
}


def _conversation(call: Recording) -> list[str]:
    """Who said what, by the time of its audio; what the caller never heard is struck."""
    notes = [
        (note.at_ms, "  reply: ", f"{note.data.get('ms')} ms from the end of speech") for note in call.notes("reply")
    ]
    notes += [
        (note.at_ms, f"  {kind}: ", tell(note.data)) for kind, tell in _TOOLS.items() for note in call.notes(kind)
    ]
    said = [(turn.at_ms, _head_of(turn), _words(turn)) for turn in transcript(call) if turn.kind not in _TOOLS]
    both = sorted([*said, *notes], key=lambda one: round(one[0]))  # of one moment the words come first
    return ["", *(fitted(f"{at / 1000:7.2f}s {head}", text) for at, head, text in both)]


def _head_of(turn: Turn) -> str:
    return f"{turn.who:<9}" if turn.who in ("caller", "agent") else "  "


def _words(turn: Turn) -> str:
    if turn.who == "tool":
        return f"tool: {turn.text}"
    text = struck(turn) if colored() else plain(turn)
    marks = "" if turn.heard_ms is None or not turn.struck else f"  [{turn.heard_ms} of {turn.ms} ms heard]"
    return (text or "(no transcript)") + marks + ("" if turn.final else "  [unfinished]")


def struck(turn: Turn) -> str:
    """For a terminal: what the caller never heard is struck through."""
    if not turn.struck:
        return turn.text
    return f"{turn.heard} \x1b[9;2m{turn.struck}\x1b[0m".strip()


def _ladder(report: Report) -> list[str]:
    width = max(len(hop.boundary) for hop in report.hops)
    return [
        fitted(f"{MARKS[hop.state]} {hop.boundary:<{width}}  {hop.state:<11}  ", hop.observable).rstrip()
        for hop in report.hops
    ]


NAMES = {Channel.FROM_CARRIER: "C<", Channel.TO_CARRIER: "C>", Channel.FROM_PROVIDER: "P<", Channel.TO_PROVIDER: "P>"}


def trace(call: str, directory: Path, *, media: bool = False, as_json: bool = False) -> int:
    """Print a call message by message. Raises RecordingError."""
    recording = read(find(call, directory))
    if as_json:
        for line in recording.lines:
            sys.stdout.write(json.dumps({"n": line.number, "k": line.kind, "t": line.at_ms, **line.data}) + "\n")
        return 0
    for text in trace_lines(recording, media=media):
        sys.stdout.write(text + "\n")
    return 0


def trace_lines(call: Recording, *, media: bool = False) -> Iterator[str]:
    """
    One line a message: ``C<`` ``C>`` the carrier, ``P<`` ``P>`` the provider, ``*`` the bridge, ``!`` a violation.

    Audio is summarised by the counters unless ``media`` is asked for.
    """
    for line in _in_order(call.lines):
        stamp = f"{line.at_ms / 1000:9.3f} #{line.number:<4}"
        if line.kind == "msg":
            message = line.data.get("m", {})
            kind = str(message.get("type") or message.get("event") or "?")
            if not media and kind in ("media", "input_audio_buffer.append", "response.output_audio.delta"):
                continue
            rest = {key: value for key, value in message.items() if key not in ("type", "event")}
            body = json.dumps(rest, ensure_ascii=False)
            yield f"{stamp} {NAMES[Channel(line.data['ch'])]} {kind}  {body}"
        elif line.kind == "note":
            data = {key: value for key, value in line.data.items() if key != "note"}
            yield f"{stamp} *  {line.data.get('note')}  " + ", ".join(f"{k} {v}" for k, v in data.items())
        elif line.kind == "violation":
            yield f"{stamp} !  {line.data.get('message')} {line.data.get('field') or ''}: got {line.data.get('got')}"
        elif line.kind == "counters" and not media:
            counts = [figures[0] for figures in line.data.get("channels", [])]
            yield f"{stamp} =  audio so far: C< {counts[0]}  C> {counts[1]}  P< {counts[2]}  P> {counts[3]}"
            if skipped := line.data.get("skipped"):
                yield f"{stamp} =  counted, not kept: " + ", ".join(f"{kind} {n}" for kind, n in skipped.items())
        elif line.kind in ("gap", "end", "verdict"):
            yield f"{stamp} =  {line.kind}  {json.dumps(line.data)}"


def _in_order(lines: Iterable[Line]) -> list[Line]:
    """By time: what was written only because something went wrong stands later than it came. A gap has no time."""
    at, keyed = 0.0, []
    for line in lines:
        at = at if line.kind == "gap" else line.at_ms
        keyed.append((at, line.number, line))
    return [line for _, _, line in sorted(keyed, key=lambda entry: entry[:2])]
