"""
The number is bound to another webhook, application or trunk.

Caller notices: another program answers.
Why: a number that was moved, or a staging URL.
Proof: the number's own settings at the carrier.
Fix: give the number this service's URL.
Reproduce: set the number's voice_url to another host.
"""

from collections.abc import Iterator

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.diagnosis.evidence import Evidence

RULE = Rule(
    id="webhook/number-elsewhere",
    title="The number belongs to another application",
    decides=("F-042",),
    explains=("webhook/*", "settings/stale-public-url"),
    lies="nothing is logged here: the webhook was never asked",
    source="twilio.com/docs/phone-numbers/api/incomingphonenumber-resource",
    since="2026-11-25",
    breaks="M1",
)


def find(view: Evidence) -> Iterator[Finding]:
    for rest in view.rest:
        if rest.op == "number" and rest.voice_url and rest.wanted and rest.voice_url != rest.wanted:
            yield RULE.finding(
                rest,
                f"The number calls {rest.voice_url}, not this service ({rest.wanted}).",
                "set the number's voice webhook to this service's URL",
                observable=f"voice_url {rest.voice_url}",
                field="voice_url",
            )
            return
