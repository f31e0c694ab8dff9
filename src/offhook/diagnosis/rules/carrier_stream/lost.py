"""
The carrier's connection ended without a stop: a proxy, a tunnel, or the carrier itself.

Caller notices: the line goes dead, or the carrier's next verb runs.
Why: a proxy's or tunnel's timer, a restart, a network that broke.
Proof: the connection is gone or was closed, and no stop came. Who did it cannot be seen from one side.
Fix: look at the proxy's or tunnel's idle and maximum times, and at restarts at that minute.
Reproduce: drop the carrier's TCP connection in the middle of a call.
"""

from collections.abc import Iterator

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.diagnosis.evidence import Evidence
from offhook.diagnosis.facts import Close

RULE = Rule(
    id="carrier-stream/lost",
    title="The carrier connection was lost",
    explains=("carrier:31903", "carrier:31921", "provider-session/lost"),
    lies="the carrier says 31903 or 31921, as if the server had closed",
    source="twilio.com/docs/api/errors/31903; a call that ends sends stop before the close in every capture",
    since="2026-11-24",
    needs=("carrier",),
    breaks="M19",
)

NO_CLOSE = 1006  # RFC 6455: what a program says where no close frame came
FOLLOWS_MS = 1000.0  # an unhandled end of the provider takes the handler down at once


def find(view: Evidence) -> Iterator[Finding]:
    closed = view.closed("carrier")
    stopped = view.carrier_in.stop is not None or "M19" in view.marks
    ours = any(view.recording.notes("stream.close-sent"))
    if closed is None or closed.by == "us" or stopped or ours or _after_provider(view, closed):
        return
    began = view.carrier_in.start is not None
    if closed.by == "nobody" or began:
        code = closed.code if closed.code != NO_CLOSE else None
        said = f"was closed with {code} and said no stop" if code else "vanished without stop or close"
        yield RULE.finding(
            closed,
            f"The carrier's connection {said}.",
            "look at the proxy's or tunnel's idle and maximum times, and at restarts at that minute",
            observable=f"close {code}, no stop" if code else "TCP gone, no close frame",
            severity="suspicion",
            proof="consistent with",
        )


def _after_provider(view: Evidence, closed: Close) -> bool:
    """Whether the provider had just ended the session: the server let go of the line then, which has its own name."""
    provider = view.closed("provider")
    return (
        provider is not None
        and provider.by == "them"
        and provider.code is not None
        and 0 <= closed.at_ms - provider.at_ms < FOLLOWS_MS
    )
