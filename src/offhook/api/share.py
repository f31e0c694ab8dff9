"""
A call as one page for somebody else: a carrier's support, a colleague, an issue.

One HTML file that asks for nothing: no script, no font, no address; it opens from a disk. Secrets, numbers, ids of
accounts and addresses are taken out of the data before any of it is written, and everything is escaped text. Pure but
for the recording's outline and audio, which are read.
"""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from offhook.api.ladder import ladder, message_type, summary
from offhook.api.peaks import PeaksError, peaks
from offhook.diagnosis.report import Report
from offhook.evidence.patterns import Patterns
from offhook.evidence.record import Channel, Line
from offhook.evidence.transcript import Turn, transcript

__all__ = ["POLICY", "file_name", "page"]

MOST_LINES = 4000
MOST_AUDIO_BYTES = 32 * 1024 * 1024  # half an hour of both sides
BINS = 1200
WIDTH, LANE = 1200, 46
POLICY = "default-src 'none'; style-src 'unsafe-inline'; media-src data:; base-uri 'none'; form-action 'none'"
_SIGNS = {"FROM_CARRIER": "C<", "TO_CARRIER": "C>", "FROM_PROVIDER": "P<", "TO_PROVIDER": "P>"}
_SID = re.compile(r"\b(AC|CA|MZ|PN|SK|SM|CO)[0-9a-fA-F]{28}([0-9a-fA-F]{4})\b")
_MASKED = re.compile(r"(?:\+\d)?\*{3,}\w{0,2}")  # as records mask numbers: the last digits say enough to find somebody
_ADDRESS = re.compile(r"\b(?!127\.0\.0\.1\b)\d{1,3}(?:\.\d{1,3}){3}\b")
_QUIET = frozenset(("instructions", "ticket", "token", "streamToken"))  # fields whose text is nobody else's business

STYLE = """
:root{color-scheme:light dark;--bg:#f7f8f9;--panel:#fff;--line:#d9dde1;--ink:#1a1e22;--soft:#525c66;--accent:#b93c06;
--caller:#2f6f9f;--agent:#4d5a8a;--un:#b0b6cb;--good:#3d6b4f;--mark:#fdeee6}
@media(prefers-color-scheme:dark){:root{--bg:#14171a;--panel:#1b1f23;--line:#2c3238;--ink:#e8ebee;--soft:#a9b3bd;
--accent:#ff8a52;--caller:#77b4de;--agent:#a3b0e6;--un:#4f5676;--good:#86bd9a;--mark:#33211a}}
body{margin:0 auto;max-width:76rem;padding:1rem;font:14px/1.5 system-ui,sans-serif;
background:var(--bg);color:var(--ink)}
section{background:var(--panel);border:1px solid var(--line);border-radius:7px;padding:.8rem 1rem;margin:0 0 1rem}
h1{font-size:1.25rem;margin:.2rem 0 .8rem}h2{font-size:.95rem;margin:0 0 .5rem}p{margin:0 0 .5rem}a{color:inherit}
.soft{color:var(--soft)}.accent{color:var(--accent)}.good{color:var(--good)}.mono,pre,summary{font-family:ui-monospace,
Menlo,monospace;font-size:.9em}
.scroll{overflow-x:auto}svg{display:block}svg text{font:11px system-ui,sans-serif;fill:var(--soft)}
table{border-collapse:collapse;width:100%}td{padding:.2rem .6rem .2rem 0;vertical-align:top;
border-bottom:1px solid var(--line)}
td:last-child{overflow-wrap:anywhere}td.num{white-space:nowrap;text-align:right;font-variant-numeric:tabular-nums}
.caller{color:var(--caller);font-weight:600}.agent{color:var(--agent);font-weight:600}s{color:var(--soft)}
details{border-bottom:1px solid var(--line);padding:.1rem .3rem}summary{cursor:pointer;padding:.2rem 0;
overflow-wrap:anywhere}
details.guilty,details:target{background:var(--mark)}pre{margin:.3rem 0 .6rem;white-space:pre-wrap;
overflow-wrap:anywhere}
audio{width:100%}
"""


def file_name(record: str) -> str:
    """What the file is called: as little of the call's id as stands in it."""
    at, _, call = record.partition("-")
    return f"call-{at}-{call[-4:]}.html"


def page(
    report: Report, recording: Path | None, clean: Callable[[Any], Any], *, audio: bool = False, server: str = ""
) -> str:
    """
    The page. ``clean`` takes known secrets out of data; ``server`` is a host's name that is not told.

    Raises ValueError where the audio is asked for and is too long, or is not there.
    """
    hide = _Hider(clean, server)
    call = report.call
    drawn = hide(ladder(call, report, []))
    said = transcript(call)
    begin = hide(call.begin)
    title = f"Call of {str(begin.get('began') or '')[:19].replace('T', ' ')} UTC, {call.last_ms / 1000:.1f} s"
    parts = [
        f"<h1>{_e(title)}</h1>",
        _about(begin),
        _verdict(report, hide),
        _drawing(drawn, _outline(recording, call.last_ms)),
        _audio(recording) if audio else "",
        _words(said, hide),
        _messages(report, hide, {one["n"] for one in drawn["guilty"]}),
        '<p class="soft">Made by Offhook. Numbers, secrets, account ids and addresses were taken out; '
        "nothing on this page asks for anything elsewhere.</p>",
    ]
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        '<meta name="viewport" content="width=device-width"><meta name="referrer" content="no-referrer">'
        f"<title>{_e(title)}</title><style>{STYLE}</style></head><body>{''.join(parts)}</body></html>\n"
    )


class _Hider:
    """What nobody else may read, taken out of JSON data, names of fields included."""

    def __init__(self, clean: Callable[[Any], Any], server: str) -> None:
        self._clean = clean
        self._personal = Patterns()
        self._server = server

    def __call__(self, node: Any) -> Any:
        return self._hidden(self._clean(node))

    def _hidden(self, node: Any) -> Any:
        if isinstance(node, str):
            return self._text(node)
        if isinstance(node, Mapping):
            return {
                self._text(str(self._clean(str(name)))): self._field(str(name), part) for name, part in node.items()
            }
        if isinstance(node, (list, tuple)):
            return [self._hidden(part) for part in node]
        return node

    def _field(self, name: str, value: Any) -> Any:
        quiet = name in _QUIET and isinstance(value, str)
        return f"<{len(value)} characters>" if quiet else self._hidden(value)

    def _text(self, text: str) -> str:
        text = _SID.sub(r"\1…\2", _MASKED.sub("[number]", text))
        text = _ADDRESS.sub("[address]", self._personal.text(text))
        return text.replace(self._server, "your-server") if self._server else text


def _e(value: Any) -> str:
    return html.escape(str(value), quote=True)


def _clock(ms: float) -> str:
    sign, ms = ("-" if round(ms) < 0 else "", abs(ms))
    return f"{sign}{int(ms // 60000)}:{ms % 60000 / 1000:06.3f}"


def _about(begin: Mapping[str, Any]) -> str:
    boot = begin.get("boot")
    boot = boot if isinstance(boot, Mapping) else {}
    rows = (
        ("carrier", begin.get("carrier")), ("direction", begin.get("direction")), ("agent", begin.get("agent")),
        ("provider", begin.get("provider")), ("model", boot.get("model")), ("voice", boot.get("voice")),
        ("Offhook", boot.get("version")),
    )  # fmt: skip
    told = "; ".join(f"{name} {_e(value)}" for name, value in rows if value and isinstance(value, (str, int, float)))
    return f'<p class="soft">{told}</p>'


def _verdict(report: Report, hide: _Hider) -> str:
    look = {"healthy": "good", "broken": "accent", "suspected": "accent"}.get(report.verdict, "soft")
    out = [f'<section><h2>Verdict: <span class="{look}">{_e(report.verdict)}</span></h2>']
    if not report.roots:
        out.append(f"<p>{_e(hide(report.because))}</p>")
    for one in report.roots:
        proof = f' <a href="#line-{one.line}">the proof, line {one.line}</a>' if one.line else ""
        out.append(f"<p><strong>{_e(hide(one.sentence))}</strong> [{_e(one.proof)}]{proof}</p>")
        for name, text in (("seen", one.observable), ("who lies", one.lie), ("fix", one.fix), ("rule", one.rule)):
            if text and text != one.sentence:
                out.append(f'<p class="soft">{name}: {_e(hide(text))}</p>')
    rows = "".join(
        f"<tr><td>{_e(hop.boundary)}</td><td>{_e(hop.state)}</td><td>{_e(hide(hop.observable))}</td></tr>"
        for hop in report.hops
    )
    return f"{''.join(out)}<details><summary>boundary by boundary</summary><table>{rows}</table></details></section>"


def _outline(recording: Path | None, length_ms: float) -> Mapping[str, Any] | None:
    if recording is None:
        return None
    try:
        return peaks(recording, BINS, 0, 0)
    except (PeaksError, OSError):
        return None  # nobody kept the audio, or not yet


def _drawing(drawn: Mapping[str, Any], outline: Mapping[str, Any] | None) -> str:
    """The call on its time axis: both sides' audio, and the messages of both wires."""
    whole = max(1.0, float(drawn["length_ms"]))

    def x(ms: float) -> float:
        return round(60 + (WIDTH - 70) * min(max(ms, 0.0), whole) / whole, 1)

    lanes = {"caller": 0, "agent": 1, "carrier": 2, "provider": 3}
    out = [f'<svg width="{WIDTH}" height="{4 * LANE + 24}" role="group" aria-label="The call on its time axis">']
    for name, n in lanes.items():
        out.append(f'<text x="0" y="{n * LANE + LANE // 2 + 4}">{name}</text>')
        out.append(f'<path d="M60 {n * LANE + LANE // 2}H{WIDTH - 10}" stroke="var(--line)"/>')
    if outline is not None:
        out += [_wave(outline, side, lanes[side], x) for side in ("caller", "agent")]
    else:
        out += [_span(one, lanes, x) for one in drawn["spans"] if one["kind"] in ("caller", "heard", "unheard")]
    guilty = {one["n"] for one in drawn["guilty"]}
    for one in drawn["messages"][:MOST_LINES]:
        n = lanes["carrier" if "carrier" in one["channel"] else "provider"]
        bad = one["n"] in guilty
        out.append(
            f'<a href="#line-{one["n"]}"><path d="M{x(one["at_ms"])} {n * LANE + 12}v{LANE - 24}" '
            f'stroke="var(--{"accent" if bad else "soft"})" stroke-width="{3 if bad else 1}">'
            f"<title>{_clock(one['at_ms'])} {_e(one['type'])}</title></path></a>"
        )
    for one in drawn["barge_ins"]:
        out.append(
            f'<path d="M{x(one["at_ms"])} 0V{2 * LANE}" stroke="var(--accent)" stroke-dasharray="3 3">'
            f"<title>barge-in at {_clock(one['at_ms'])}</title></path>"
        )
    step = next((s for s in (1000, 2000, 5000, 10000, 30000, 60000, 300000) if whole / s <= 16), 600000)
    out += [f'<text x="{x(at)}" y="{4 * LANE + 18}">{_clock(at)[:-4]}</text>' for at in range(0, int(whole), step)]
    return f'<section><h2>On the time axis</h2><div class="scroll">{"".join(out)}</svg></div></section>'


def _wave(outline: Mapping[str, Any], side: str, lane: int, x: Callable[[float], float]) -> str:
    middle, bin_ms = lane * LANE + LANE / 2, outline["bin_ms"]
    strokes = "".join(
        f"M{x(n * bin_ms)} {middle - high * 0.17:.1f}V{middle - low * 0.17 + 0.5:.1f}"
        for n, (low, high) in enumerate(outline[side])
        if high - low > 2
    )
    return f'<path d="{strokes}" stroke="var(--{side})"/>'


def _span(one: Mapping[str, Any], lanes: Mapping[str, int], x: Callable[[float], float]) -> str:
    side = "caller" if one["kind"] == "caller" else "agent"
    color = "un" if one["kind"] == "unheard" else side
    begin, end = x(one["from_ms"]), x(one["to_ms"])
    return (
        f'<rect x="{begin}" y="{lanes[side] * LANE + 14}" width="{max(1.0, end - begin):.1f}" height="{LANE - 28}" '
        f'fill="var(--{color})"><title>{_e(one["text"])}</title></rect>'
    )


def _audio(recording: Path | None) -> str:
    if recording is None or not recording.is_file():
        raise ValueError("this call was not recorded")
    if recording.stat().st_size > MOST_AUDIO_BYTES:
        raise ValueError(
            f"the recording has {recording.stat().st_size} bytes, more than {MOST_AUDIO_BYTES} in one page"
        )
    data = base64.b64encode(recording.read_bytes()).decode()
    return (
        "<section><h2>Audio, caller left, agent right</h2>"
        f'<audio controls src="data:audio/wav;base64,{data}"></audio></section>'
    )


def _words(said: tuple[Turn, ...], hide: _Hider) -> str:
    rows = []
    for turn in said:
        text = _e(hide(turn.text))
        if turn.struck:
            text = f"{_e(hide(turn.heard))} <s>{_e(hide(turn.struck))}</s>"
        who = turn.kind if turn.who == "act" else turn.who
        rows.append(
            f'<tr><td class="num soft">{_clock(turn.at_ms)}</td><td class="{turn.who}">{_e(who)}</td>'
            f"<td>{text}</td></tr>"
        )
    told = "".join(rows) or "<tr><td>Nothing that was said is on record.</td></tr>"
    return (
        '<section><h2>What was said</h2><p class="soft">struck: made, and never heard</p>'
        f"<table>{told}</table></section>"
    )


def _messages(report: Report, hide: _Hider, guilty: set[int]) -> str:
    shown = list(_shown(report, guilty))
    out = []
    for line in shown[:MOST_LINES]:
        body = {name: part for name, part in line.data.items() if name not in ("ch", "bytes", "note")}
        message = line.kind == "msg"
        sign = _SIGNS.get(Channel(line.data["ch"]).name, "") if message else "*"
        kind = message_type(line) if message else line.text("note") or line.kind
        told = hide(body.get("m", body))
        short = (summary(told) if isinstance(told, dict) else "") if message else _brief(told)
        text = json.dumps(told, indent=1, ensure_ascii=False, default=str)
        out.append(
            f'<details id="line-{line.number}" class="{"guilty" if line.number in guilty else ""}">'
            f"<summary>{_clock(line.at_ms)} {_e(sign)} {_e(hide(kind))} {_e(short)}</summary>"
            f"<pre>{_e(text)}</pre></details>"
        )
    more = f'<p class="soft">{len(shown) - MOST_LINES} more are left out.</p>' if len(shown) > MOST_LINES else ""
    return (
        "<section><h2>Messages that are not audio, and notes of the bridge</h2>"
        '<p class="soft">C&lt; C&gt; carrier, P&lt; P&gt; provider, * bridge</p>'
        f"{''.join(out)}{more}</section>"
    )


def _brief(note: Mapping[str, Any]) -> str:
    plain = (f"{name} {part}" for name, part in note.items() if isinstance(part, (str, int, float)) and part != "")
    return ", ".join(plain)[:120]


def _shown(report: Report, guilty: set[int]) -> Iterator[Line]:
    for line in report.call.lines:
        if line.kind in ("msg", "note") or line.number in guilty:
            yield line
