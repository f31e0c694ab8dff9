"""
The provider takes the connection and the session, and refuses when the first audio comes.

Caller notices: the line dies at the first word.
Why: some services check key, account or format only when there is something to bill.
Proof: the session was confirmed, then an error or a close followed the first append at once.
Fix: what the error names; prove it with a live check, for a connection alone proves nothing here.
Reproduce: `offhook fake` that refuses the first audio.
"""

from collections.abc import Iterator

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.diagnosis.evidence import Evidence

RULE = Rule(
    id="provider-session/refused-at-first-audio",
    title="The provider refuses when the first audio comes",
    decides=("F-119",),
    explains=(
        "provider-session/refused",
        "provider-session/never-ready",
        "provider-session/lost",
        "provider-session/unexplained",
        "provider-session/caller-not-detected",
        "provider-session/turn-never-ends",
        "turns/*",
        "bridge/*",
    ),
    lies="session.updated said that all was applied",
    source="deepgram, xAI reports in the fault catalogue",
    since="2026-11-25",
    needs=("provider",),
    breaks="M10",
)
AT_ONCE = 25  # frames: half a second
WITHIN_MS = 1000.0  # of the first append, where that is known


def find(view: Evidence) -> Iterator[Finding]:
    wire, closed = view.provider, view.closed("provider")
    if closed is None or closed.by != "them" or closed.code in (1000, None) or not wire.echo:
        return
    begun = view.marks.get("M10") if view.saw("bridge") else None
    first = begun is not None and 0 <= closed.at_ms - begun.at_ms <= WITHIN_MS
    if not first and (wire.audio.frames or not 0 < wire.appended.frames <= AT_ONCE):
        return
    error = next((e for e in wire.errors if e.at_ms >= wire.echo.at_ms), None)
    said = f"{error.code}: {error.message}" if error else f"close {closed.code} {closed.reason}"
    yield RULE.finding(
        error or closed,
        f"The session was confirmed; {wire.appended.frames} pieces of audio later the provider refused: {said}",
        "`offhook check provider --live` proves it: a connection without audio does not",
        observable=f"close {closed.code} after {wire.appended.frames} appends",
    )
