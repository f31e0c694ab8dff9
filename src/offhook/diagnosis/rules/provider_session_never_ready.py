"""
The provider never greeted, or never confirmed the session that was asked for.

Connected is not ready. The caller's audio is held until the session is confirmed, so without it nothing is heard.
"""

from collections.abc import Iterator

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.evidence.record import Recording

RULE = Rule(
    id="provider-session/never-ready",
    title="The provider never became ready",
    explains=("turns/no-answer",),
    source="pipecat, livekit: no timer there",
    since="2026-11-24",
)


def find(call: Recording) -> Iterator[Finding]:
    names = {
        "provider open": "the connection",
        "first message": "its first message",
        "session configured": "the session",
    }
    for note in call.notes("deadline.missed"):
        name = str(note.data.get("name"))
        if name in names:
            yield RULE.finding(
                note.number,
                f"The provider never confirmed {names[name]} within {note.data.get('waited_ms')} ms.",
                "run `offhook check provider --live`: it proves the provider without the phone",
                observable=f"no confirmation: {name}",
            )
