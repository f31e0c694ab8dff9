"""
A second call takes the place of the first: there is one session for all of them.

Caller notices: the line drops when somebody else calls.
Why: the session is kept in one global object.
Proof: this stream was closed by us in the moment in which another call's came up, and nothing else ended it.
Fix: keep one session per stream.
Reproduce: two calls that overlap.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.diagnosis.evidence import Evidence

RULE = Rule(
    id="bridge/shared-session",
    title="A second call ended the first",
    decides=("F-086",),
    explains=("*/unexplained", "bridge/closed-over-speech", "carrier:31921"),
    lies="the carrier says that the server hung up, as if that had been meant",
    source="openai/openai-realtime-twilio-demo#6",
    since="2026-11-25",
    needs=("carrier",),
    breaks="M16",
)
AT_ONCE_S = 1.0


def find(view: Evidence) -> Iterator[Finding]:
    yield from ()  # one call alone does not show it


def find_together(views: Sequence[Evidence]) -> Iterator[tuple[int, Finding]]:
    """Of several calls: which one ended as another began."""
    for n, view in enumerate(views):
        closed, began = view.closed("carrier"), _began(view)
        if closed is None or closed.by != "us" or began is None or view.tools or view.talk.calls:
            continue
        gone = view.closed("provider")
        broke = gone is not None and (gone.by != "us" or gone.at_ms < closed.at_ms - 500)
        if broke or view.carrier_in.stop is not None or closed.code not in (1000, None) or not view.provider.echo:
            continue  # something of its own ended it
        for other in views:
            up, there = other.upgrades[:1], _began(other)
            if there is None or not up or not view.upgrades or _call(other) == _call(view):
                continue
            if there + up[0].at_ms / 1000 < began + view.upgrades[0].at_ms / 1000 + AT_ONCE_S:
                continue  # they came together
            gap_s = began + closed.at_ms / 1000 - (there + up[0].at_ms / 1000)
            if 0 <= gap_s <= AT_ONCE_S:
                yield (
                    n,
                    RULE.finding(
                        closed,
                        f"This call was closed {gap_s * 1000:.0f} ms after another call's stream came up.",
                        "keep one session per stream, found by its streamSid; no global session",
                        observable=f"closed by us at {closed.at_ms / 1000:.1f} s, as another upgrade came",
                    ),
                )
                return


def _call(view: Evidence) -> str:
    return str(view.recording.begin.get("call"))


def _began(view: Evidence) -> float | None:
    try:
        return datetime.fromisoformat(str(view.recording.begin.get("began"))).timestamp()
    except ValueError:
        return None
