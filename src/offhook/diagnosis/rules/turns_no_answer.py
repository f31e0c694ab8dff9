"""
The caller spoke, or a greeting was asked for, and no audio came back.
"""

from collections.abc import Iterator

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.evidence.record import Recording

RULE = Rule(
    id="turns/no-answer",
    title="The agent did not answer",
    explains=(),
    source="bridge deadlines",
    since="2026-11-24",
)


def find(call: Recording) -> Iterator[Finding]:
    for note in call.notes("deadline.missed"):
        name = str(note.data.get("name"))
        if name in ("answer", "greeting audio"):
            what = "the greeting" if name == "greeting audio" else "an answer"
            yield RULE.finding(
                note.number,
                f"Nothing came for {what} within {note.data.get('waited_ms')} ms.",
                "run `offhook check provider --live`; look for errors above this line in `offhook trace`",
                observable=f"no confirmation: {name}",
            )
