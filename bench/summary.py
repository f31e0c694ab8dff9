"""
Medians and ratios of what ``bench/run`` measured, and the plot of docs/performance.md: python bench/summary.py
"""

import json
import statistics
import sys
from collections import defaultdict
from pathlib import Path

HERE = Path(__file__).parent


def median(rows: list[dict], *path: str) -> float:
    values = []
    for row in rows:
        value = row
        for name in path:
            value = value[name]
        values.append(value)
    return statistics.median(values)


def main() -> None:
    groups: dict[tuple[int, bool], dict[str, list[dict]]] = defaultdict(lambda: defaultdict(list))
    for row in rows_of("results.jsonl"):
        groups[(row["calls"], bool(row["barges"]))][row["name"]].append(row)
    for (calls, barge), names in sorted(groups.items()):
        sys.stdout.write(f"{calls} calls{', barge-ins' if barge else ''}\n")
        for name, rows in names.items():
            sys.stdout.write(f"  {line(name, rows, names)}\n")
        if "offhook plain" in names and "offhook all" in names:
            sys.stdout.write(f"  {with_all(names['offhook plain'], names['offhook all'])}\n")
        if "offhook plain" in names and "offhook on" in names:
            on = names["offhook on"]
            sys.stdout.write(f"  {with_all(names['offhook plain'][-len(on) :], on)}; no tool was called\n")
        if not barge and "crelay" in names:
            plot(calls, names)
    searched = defaultdict(list)
    for row in rows_of("searches.jsonl"):
        searched[row["name"]].append(row)
    for name, rows in searched.items():
        passed = max((row for row in rows if row["ok"]), key=lambda row: row["calls"], default=None)
        failed = sorted(row["calls"] for row in rows if not row["ok"])
        if passed is not None:
            sys.stdout.write(f"{name}: carries {passed['calls']} calls at {passed['sut_util']:.0%} of its core, ")
            sys.stdout.write(f"{passed['us_per_in_frame']:.1f} us/frame; failed {failed}\n")


def rows_of(name: str) -> list[dict]:
    path = HERE / name
    return [json.loads(text) for text in path.read_text().splitlines()] if path.exists() else []


def line(name: str, rows: list[dict], names: dict[str, list[dict]]) -> str:
    """One system's medians, and its ratios to the marks that ran in turn with it."""
    cpu = median(rows, "us_per_in_frame")
    text = f"{name:<14} {cpu:5.1f} us/frame"
    for mark in ("crelay", "prototype"):
        if mark in names and mark != name:
            text += f" ({cpu / median(names[mark], 'us_per_in_frame'):.2f} x {mark})"
    text += f"  added p50 {median(rows, 'added', 'p50_ms'):.2f} p99 {median(rows, 'added', 'p99_ms'):.2f} ms"
    text += f"  {median(rows, 'rss_kb_per_call'):.0f} kB/call  lost {sum(row['lost'] for row in rows)}"
    if rows[0]["barges"]:
        text += f"  barge-ins {rows[0]['barges']}, clear p50 {median(rows, 'clear', 'p50_ms'):.2f}"
        text += f" p99 {median(rows, 'clear', 'p99_ms'):.2f} ms, after clear {rows[0]['after_clear']}"
    return text


def with_all(plain: list[dict], everything: list[dict]) -> str:
    """What tools, recording and store add: round by round, for the machine's own speed moves between rounds."""
    texts = []
    for what, path in (("CPU", ("us_per_in_frame",)), ("p50", ("added", "p50_ms")), ("p99", ("added", "p99_ms"))):
        pairs = zip(plain, everything, strict=False)
        ratios = [median([with_], *path) / median([without], *path) for without, with_ in pairs]
        texts.append(f"{what} {statistics.median(ratios):.2f} ({', '.join(f'{ratio:.2f}' for ratio in ratios)})")
    return f"with tools, recording and store / without, round by round: {'; '.join(texts)}"


def plot(calls: int, names: dict[str, list[dict]]) -> None:
    """A bar for each system: CPU per carrier frame, one SVG with nothing to install."""
    bars = [(name, median(rows, "us_per_in_frame")) for name, rows in names.items()]
    widest = max(value for _, value in bars)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="640" height="{60 + 40 * len(bars)}" font-family="sans-serif">'
    ]
    parts.append(
        f'<text x="10" y="24" font-size="15">CPU per carrier frame at {calls} calls, microseconds (median)</text>'
    )
    for n, (name, value) in enumerate(bars):
        y = 44 + 40 * n
        width = 400 * value / widest
        parts.append(f'<text x="10" y="{y + 18}" font-size="14">{name}</text>')
        parts.append(f'<rect x="130" y="{y}" width="{width:.0f}" height="26" fill="#4477aa"/>')
        parts.append(f'<text x="{140 + width:.0f}" y="{y + 18}" font-size="14">{value:.1f}</text>')
    parts.append("</svg>")
    (HERE.parent / "docs" / f"cpu-per-frame-{calls}.svg").write_text("\n".join(parts) + "\n")


if __name__ == "__main__":
    main()
