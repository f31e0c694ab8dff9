"""
The provider is gone and the phone line stays open: the caller talks to nobody.

Caller notices: dead air, until they give up.
Why: the end of the provider's connection does not end the call, or starts nothing in its place.
Proof: the provider's close; then no new connection, nothing said, and the stream open for seconds.
Fix: within two seconds reconnect, say so, or hang up.
Reproduce: let the provider close with 1011 in the middle of a call.
"""

from collections.abc import Iterator

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.diagnosis.evidence import Evidence
from offhook.diagnosis.figures import last_sent_ms, number

RULE = Rule(
    id="bridge/line-left-open",
    title="The line stays open after the provider is gone",
    decides=("F-073",),
    explains=("provider-session/lost", "turns/*", "bridge/unexplained"),
    lies="the carrier shows a long and healthy call",
    source="BerriAI/litellm#39851; openclaw/openclaw#136847",
    since="2026-11-25",
    needs=("carrier", "provider"),
    breaks="M16",
)
LEFT_MS = 4000.0  # two seconds to decide, and a spoken line of two more
SAID_MS = 1000.0


def find(view: Evidence) -> Iterator[Finding]:
    gone = [close for close in view.closes if close.leg == "provider"]
    ended = view.carrier_in.stop or view.closed("carrier")
    sent = last_sent_ms(view)
    if not gone or ended is None or sent is None or not view.carrier_in.start:
        return
    last = gone[-1]
    again = any(dial.at_ms >= last.at_ms for dial in view.dials)
    if (
        again
        or ended.at_ms - last.at_ms < LEFT_MS
        or sent > last.at_ms + SAID_MS
        or _said_a_line(view, last.at_ms, sent)
    ):
        return
    code = f"{last.code} {last.reason}".strip() if last.code else "without a close"
    yield RULE.finding(
        last,
        f"The provider's connection ended at {last.at_ms / 1000:.1f} s ({code}); the line stayed open for "
        f"{(ended.at_ms - last.at_ms) / 1000:.0f} s in silence.",
        "within two seconds of the provider's end reconnect, say a line, or hang up",
        observable=f"provider closed at {last.at_ms / 1000:.1f} s, stream ended at {ended.at_ms / 1000:.1f} s",
    )


def _said_a_line(view: Evidence, gone_ms: float, sent_ms: float) -> bool:
    """Whether more was sent, and last of all at the provider's end, than the provider ever said: a line of its own."""
    said_ms = number(view.provider.figures, "audio_ms")
    own_ms = view.carrier_out.audio.bytes / 8 - said_ms if said_ms is not None else 0.0
    return sent_ms >= gone_ms and own_ms > SAID_MS
