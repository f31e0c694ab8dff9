"""
The answer to the upgrade came when the carrier had given up, or after seconds of silence.

Caller notices: silence, then the end.
Why: a slow provider's dial, or a cold start, stands before the accept.
Proof: how long the answer took.
Fix: accept first.
Reproduce: dial for 12 s before accepting.
"""

from collections.abc import Iterator

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.diagnosis.evidence import Evidence

RULE = Rule(
    id="carrier-stream/accepted-too-late",
    title="The stream is accepted too late",
    decides=("F-048",),
    explains=("carrier-stream/not-started", "provider-connect/slow"),
    lies="the carrier logs 31901",
    source="twilio.com/docs/api/errors/31901",
    since="2026-11-25",
    breaks="M5",
)
LATE_MS = 3000


def find(view: Evidence) -> Iterator[Finding]:
    for upgrade in view.upgrades:
        given_up = upgrade.status in (0, None) and upgrade.why == "timeout"
        if given_up or (upgrade.ms or 0) >= LATE_MS:
            first = view.dials[0].at_ms if view.dials else upgrade.at_ms
            dialled = " while it was dialling the provider" if first < upgrade.at_ms else ""
            yield RULE.finding(
                upgrade,
                f"The server had not accepted the stream after {(upgrade.ms or 0) / 1000:.1f} s{dialled}.",
                "accept at once, then do everything else",
                observable=f"upgrade after {upgrade.ms or 0:.0f} ms",
                severity="fault" if given_up else "note",
            )
            return
