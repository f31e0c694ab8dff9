"""
A defect of Offhook ended the call.
"""

from collections.abc import Iterator

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.evidence.record import Recording

RULE = Rule(
    id="bridge/exception",
    title="A defect of Offhook",
    explains=("carrier-stream/lost", "provider-session/lost", "turns/no-answer"),
    source="net/call.py",
    since="2026-11-24",
)


def find(call: Recording) -> Iterator[Finding]:
    for note in call.notes("bridge.exception"):
        yield RULE.finding(
            note.number,
            f"Offhook failed with {note.data.get('type')} in {note.data.get('where')}.",
            "report it with this record: it holds no secrets",
            observable=f"{note.data.get('type')} at {note.data.get('where')}",
        )
