"""
The provider applied another audio format than was asked: static on the line, and no error anywhere.
"""

from collections.abc import Iterator

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.evidence.record import Recording

RULE = Rule(
    id="provider-session/format-not-applied",
    title="The audio format was not applied",
    explains=("media/not-pcmu", "turns/no-answer"),
    source="openclaw/openclaw#79980",
    since="2026-11-24",
)


def find(call: Recording) -> Iterator[Finding]:
    for note in call.notes("session.difference"):
        if note.data.get("fatal"):
            yield RULE.finding(
                note.number,
                f"{note.data.get('field')}: asked for {note.data.get('asked')}, got {note.data.get('got')}.",
                "the provider's session shape has changed, or an endpoint in between rewrites it: check provider.url",
                observable=f"session echo differs: {note.data.get('field')}",
            )
