"""
A proxy, a tunnel or a gateway cuts connections when they reach a fixed age. One call does not show it; several do.

Caller notices: long calls are cut, always after the same time.
Why: an idle or maximum time between the parts.
Proof: at least three calls lost the same connection within two seconds of one age, which is no documented limit.
Fix: raise that time in the proxy, tunnel or gateway; send pings where it counts idle time.
Reproduce: let a proxy close connections after 150 s, and place three calls.
"""

from collections.abc import Iterator, Sequence

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.diagnosis.evidence import Evidence
from offhook.diagnosis.facts import Close

RULE = Rule(
    id="settings/fixed-age",
    title="Something between cuts connections at a fixed age",
    decides=("F-013",),
    explains=("provider-session/*", "carrier-stream/lost", "carrier-stream/unexplained", "carrier:31921"),
    lies="each call alone looks like a provider or a network that failed",
    source="nginx.org: proxy_read_timeout; load balancers' idle timeouts",
    since="2026-11-25",
    breaks="M19",
)
CALLS, SPREAD_S, YOUNG_S = 3, 2.0, 5.0  # chance does not do that; what fails at once has another cause
# Ages that are documented limits of providers and carriers, in s: they have rules of their own.
LIMITS_S = (600.0, 900.0, 1800.0, 3600.0, 7200.0, 14_400.0)


def find(view: Evidence) -> Iterator[Finding]:
    yield from ()  # a single call does not show it


def find_together(views: Sequence[Evidence]) -> Iterator[tuple[int, Finding]]:
    """Findings by the call's place in ``views``."""
    for leg in ("provider", "carrier"):
        cut = {n: close for n, view in enumerate(views) if (close := _cut(view, leg)) is not None}
        ages = sorted(close.age_s or 0.0 for close in cut.values())
        if len(ages) < CALLS or ages[-1] - ages[0] > SPREAD_S or _documented(ages[0]):
            continue
        for n, close in cut.items():
            yield (
                n,
                RULE.finding(
                    close,
                    f"{len(ages)} calls lost their {leg} connection at an age of {ages[0]:.0f} s: that is a timer.",
                    "look at the idle and maximum times of the proxy, tunnel or gateway in between",
                    observable=f"ages {', '.join(f'{age:.1f}' for age in ages[:6])} s",
                ),
            )
        return


def _cut(view: Evidence, leg: str) -> Close | None:
    close = view.closed(leg)
    if close is None or close.by == "us" or close.code not in (None, 1001, 1006, 1011):
        return None
    return close if close.age_s is not None and close.age_s > YOUNG_S else None


def _documented(age_s: float) -> bool:
    return any(abs(age_s - limit) <= max(SPREAD_S, limit / 100) for limit in LIMITS_S)
