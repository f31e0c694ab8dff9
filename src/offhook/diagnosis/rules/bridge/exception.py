"""
The program that bridges the call failed with an exception, and nothing else explains it.

Caller notices: the line goes dead in the middle of a word.
Why: a defect, or a message that nobody expected.
Proof: the first exception of the call, before its end.
Fix: report it with the record; exceptions after the end of a call are clean-up and are not counted.
Reproduce: raise in a handler of media; `offhook explain` names the type and the place.
"""

from collections.abc import Iterator

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.diagnosis.evidence import Evidence

RULE = Rule(
    id="bridge/exception",
    title="The program failed with an exception",
    explains=("carrier-stream/lost", "provider-session/lost", "turns/no-answer", "carrier:31921", "carrier:31903"),
    lies="the carrier says 31921, as if the server had hung up on purpose",
    source="net/call.py",
    since="2026-11-24",
)


def find(view: Evidence) -> Iterator[Finding]:
    first = next((exc for exc in view.exceptions if not exc.after_end), None)
    if first is not None:
        yield RULE.finding(
            first,
            f"The program failed with {first.type}{f' in {first.where}' if first.where else ''}.",
            "report it with this record: it holds no secrets",
            observable=f"{first.type} at {first.where or 'an unknown place'}",
        )
