"""
The provider applied a setting otherwise than asked; the call goes on.
"""

from collections.abc import Iterator

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.evidence.record import Recording

RULE = Rule(
    id="provider-session/setting-not-applied",
    title="A session setting was not applied",
    explains=(),
    source="providers' session echo",
    since="2026-11-24",
)


def find(call: Recording) -> Iterator[Finding]:
    for note in call.notes("session.difference"):
        if not note.data.get("fatal") and note.data.get("field") != "model":
            yield RULE.finding(
                note.number,
                f"Asked for {note.data.get('field')} = {note.data.get('asked')}, got {note.data.get('got')}.",
                "if it matters, check the setting against the provider's page",
                observable=f"session echo differs: {note.data.get('field')}",
                severity="note",
            )
