"""
The caller left before anything was said: nobody's fault.
"""

from collections.abc import Iterator

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.evidence.record import Recording

RULE = Rule(
    id="far-end/left-early",
    title="The caller left early",
    explains=(),
    source="far end",
    since="2026-11-24",
)


def find(call: Recording) -> Iterator[Finding]:
    stop = next((m for m in call.notes("milestone") if m.data.get("id") == "M19"), None)
    heard = any(m.data.get("id") == "M14" for m in call.notes("milestone"))
    if stop is not None and not heard and stop.at_ms < 5000 and not any(call.notes("ending")):
        yield RULE.finding(
            stop.number,
            f"The caller hung up after {stop.at_ms / 1000:.1f} s, before the agent spoke.",
            "nothing to mend",
            observable="stop seen first",
            severity="note",
        )
