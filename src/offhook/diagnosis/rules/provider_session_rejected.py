"""
The provider rejected our session settings; it would go on with its defaults, which are noise on a phone line.
"""

from collections.abc import Iterator

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.evidence.record import Recording

RULE = Rule(
    id="provider-session/rejected",
    title="The provider rejected a session field",
    explains=("provider-session/never-ready", "turns/no-answer", "provider-session/lost", "turns/response-failed"),
    source="livekit/agents#3444",
    since="2026-11-24",
)


def find(call: Recording) -> Iterator[Finding]:
    for note in call.notes("session.rejected"):
        field = note.data.get("field") or "a field"
        yield RULE.finding(
            note.number,
            f"The provider rejected {field}: {note.data.get('message')}",
            "correct the setting behind that field, or report a changed provider",
            observable=f"{note.data.get('code')}: {field}",
        )
