"""
The clock of the machine is wrong by more than certificates and tokens forgive.

Caller notices: a spoken line, or an application error.
Why: no time service in a container or a machine that slept.
Proof: the Date of the first answers differs from the clock, and something that depends on time failed.
Fix: repair the time service.
Reproduce: set the clock back by days.
"""

from collections.abc import Iterator

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.diagnosis.evidence import Evidence

RULE = Rule(
    id="settings/clock-wrong",
    title="The machine's clock is wrong",
    decides=("F-017",),
    explains=(
        "provider-connect/*",
        "settings/egress-blocked",
        "webhook/*",
        "settings/certificate",
        "provider-session/*",
        "bridge/exception",
        "turns/no-answer",
        "carrier-stream/handler-failed",
    ),
    lies="certificates seem expired or not yet valid, tokens seem stale",
    source="RFC 5280: validity",
    since="2026-11-25",
)
TOLERATED_S = 30  # signatures with a time stamp are refused after minutes; certificates after their dates


def find(view: Evidence) -> Iterator[Finding]:
    off = view.boot.clock_off_s
    if off is None or abs(off) <= TOLERATED_S:
        return
    failed = view.dial_failure
    stale = next((hook for hook in view.hooks if hook.signature.variant in ("stale", "time")), None)
    late = failed if failed is not None and (failed.phase == "tls" or failed.status in (401, 403)) else None
    if late is not None or stale is not None:
        yield RULE.finding(
            view.boot,
            f"The clock of this machine is off by {abs(off):.0f} s; what depends on time fails ({_what(view)}).",
            "repair the time service (NTP) of the machine",
            observable=f"clock off by {off:.0f} s",
            field="clock_off_s",
        )


def _what(view: Evidence) -> str:
    failed = view.dial_failure
    return failed.cause if failed is not None else "a signature that is right but old"
