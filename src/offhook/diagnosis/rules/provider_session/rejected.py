"""
The provider rejected our session settings; it would go on with its defaults, which are noise on a phone line.

Caller notices: a spoken line; elsewhere an agent without its instructions and tools.
Why: one bad field makes the whole update fail.
Proof: the error that answers the session's update, with its field.
Fix: correct the setting behind that field.
Reproduce: `offhook fake` that refuses a voice.
"""

from collections.abc import Iterator

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.diagnosis.evidence import Evidence

RULE = Rule(
    id="provider-session/rejected",
    title="The provider rejected a session field",
    decides=("F-098", "F-099"),
    explains=(
        "provider-session/never-ready",
        "provider-session/lost",
        "provider-session/format-not-applied",
        "provider-session/setting-not-applied",
        "provider-session/unexplained",
        "provider-session/caller-not-detected",
        "provider-session/turn-never-ends",
        "turns/no-answer",
        "turns/response-failed",
    ),
    lies="the session lives on with the provider's defaults",
    source="livekit/agents#3444",
    since="2026-11-24",
    needs=("provider",),
)


def find(view: Evidence) -> Iterator[Finding]:
    for rejected in view.rejected[:1]:
        yield RULE.finding(
            rejected,
            f"The provider rejected {rejected.field or 'a field'}: {rejected.message}",
            "correct the setting behind that field, or report a changed provider",
            observable=f"{rejected.code}: {rejected.field or 'a field'}",
            field=rejected.field,
            catalogue="F-099" if rejected.field.endswith("voice") else "F-098",
        )
