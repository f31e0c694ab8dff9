"""
The provider stopped reading what we sent.

Caller notices: an agent that no longer answers.
Why: a provider or a network that hangs without closing.
Proof: the write buffer stayed full for the whole deadline; what was dropped is counted.
Fix: look at the network between here and the provider.
Reproduce: `offhook fake` that stops reading.
"""

from collections.abc import Iterator

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.diagnosis.evidence import Evidence

RULE = Rule(
    id="provider-session/stopped-reading",
    title="The provider stopped reading",
    explains=("turns/no-answer", "provider-session/lost"),
    lies="the connection is open",
    source="net/sockets.py",
    since="2026-11-24",
    needs=("provider",),
    breaks="M10",
)


def find(view: Evidence) -> Iterator[Finding]:
    for missed in view.missed("provider reads"):
        yield RULE.finding(
            missed,
            "The provider stopped reading; what the caller said was dropped and counted.",
            "look at the network between here and the provider",
            observable="write buffer stayed full",
        )
