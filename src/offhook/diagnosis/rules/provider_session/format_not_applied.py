"""
The provider applied another audio format than was asked: static on the line, and no error anywhere.

Caller notices: static, or an agent that understands nothing.
Why: the session's shape is not the one that this provider reads, or something in between rewrites it.
Proof: the session's echo names another format.
Fix: put the format where this provider reads it.
Reproduce: `offhook fake` that echoes audio/pcm.
"""

from collections.abc import Iterator

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.diagnosis.evidence import Evidence

RULE = Rule(
    id="provider-session/format-not-applied",
    title="The audio format was not applied",
    decides=("F-127",),
    explains=("media/not-pcmu", "turns/no-answer"),
    lies="the provider reports success",
    source="openclaw/openclaw#79980",
    since="2026-11-24",
    needs=("provider",),
)


def find(view: Evidence) -> Iterator[Finding]:
    for difference in view.differences:
        if difference.fatal:
            yield RULE.finding(
                difference,
                f"{difference.field}: asked for {difference.asked}, got {difference.got}.",
                "the provider's session shape has changed, or an endpoint in between rewrites it: check provider.url",
                observable=f"session echo differs: {difference.field}",
                field=difference.field,
            )
