"""
The provider stopped reading what we sent.
"""

from collections.abc import Iterator

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.evidence.record import Recording

RULE = Rule(
    id="provider-session/stopped-reading",
    title="The provider stopped reading",
    explains=("turns/no-answer",),
    source="net/sockets.py",
    since="2026-11-24",
)


def find(call: Recording) -> Iterator[Finding]:
    for note in call.notes("deadline.missed"):
        if note.data.get("name") == "provider reads":
            yield RULE.finding(
                note.number,
                "The provider stopped reading; what the caller said was dropped and counted.",
                "look at the network between here and the provider",
                observable="write buffer stayed full",
            )
