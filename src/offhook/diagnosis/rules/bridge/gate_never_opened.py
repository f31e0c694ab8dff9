"""
The caller's audio waits for an event that never comes: none of it is sent to the provider.

Caller notices: silence on every call.
Why: the client waits for an event of another provider, or of another version, before it lets audio through.
Proof: the session was confirmed, the carrier's frames came, not one was appended, and nothing failed.
Fix: let audio through at session.updated.
Reproduce: wait for session.created with a server that sends only session.updated.
"""

from collections.abc import Iterator

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.diagnosis.evidence import Evidence
from offhook.diagnosis.facts import Fact

RULE = Rule(
    id="bridge/gate-never-opened",
    title="The caller's audio never reaches the provider",
    decides=("F-070",),
    explains=("turns/no-answer", "provider-session/caller-not-detected", "*/unexplained"),
    lies="the provider's session is open and confirmed; it just hears nothing",
    source="gptme/gptme-contrib#709",
    since="2026-11-25",
    needs=("carrier", "provider"),
    breaks="M10",
)
AT_LEAST_FRAMES = 250  # five seconds: a greeting may hold the caller's audio back for less
WAITED_MS = 5000.0
EXPECTED = ("session.created", "session.updated")


def find(view: Evidence) -> Iterator[Finding]:
    wire, ready = view.provider, view.marks.get("M9") or view.provider.echo
    stopped = view.carrier_in.stop or view.closed("carrier") or Fact(at_ms=view.length_ms)
    if ready is None or wire.appended.frames or "M10" in view.marks or view.exceptions or view.rejected:
        return
    closed = view.closed("provider")
    until = min(stopped.at_ms, closed.at_ms if closed is not None else stopped.at_ms)
    if view.carrier_in.audio.frames < AT_LEAST_FRAMES or until - ready.at_ms < WAITED_MS:
        return
    absent = [name for name in EXPECTED if not wire.types.get(name)]
    waits = f"; {absent[0]} never came, which it may be waiting for" if absent else ""
    yield RULE.finding(
        ready,
        f"The session was confirmed at {ready.at_ms / 1000:.1f} s; {view.carrier_in.audio.frames} frames of the caller "
        f"came and none was sent to the provider{waits}.",
        "let the caller's audio through at session.updated: it is what every provider sends when it is ready",
        observable=f"frames in: {view.carrier_in.audio.frames}, appended: 0, ready at {ready.at_ms:.0f} ms",
        field=absent[0] if absent else "",
    )
