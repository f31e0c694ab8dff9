"""
The caller interrupts and the carrier plays on: no clear was sent.

Caller notices: the agent talks over them for seconds.
Why: stopping the model does not empty the carrier's buffer.
Proof: speech_started while seconds of audio were at the carrier, and no clear after it.
Fix: send clear at speech_started, drop what is queued, and truncate the item.
Reproduce: interrupt an answer of thirteen seconds that came at once.
"""

from collections.abc import Iterator

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.diagnosis.evidence import Evidence
from offhook.diagnosis.figures import barge_ins

RULE = Rule(
    id="bridge/barge-in-without-clear",
    title="An interruption does not silence the agent",
    decides=("F-077",),
    lies="the provider cancelled its response at once",
    source="cloudflare/agents#2261; openai/openai-agents-js#1343",
    since="2026-11-25",
    needs=("carrier", "provider"),
    breaks="M16",
)
AHEAD_MS, PATIENCE_MS = 1000.0, 1000.0


def find(view: Evidence) -> Iterator[Finding]:
    ended = view.carrier_in.stop or view.closed("carrier")
    until = ended.at_ms if ended is not None else view.length_ms
    stops = [fact.at_ms for fact in view.provider.speech_stopped]
    for barge, began in barge_ins(view):
        late = barge.clear_after_ms is None or barge.clear_after_ms > PATIENCE_MS
        spoke = next((at for at in stops if at >= barge.at_ms), until) - barge.at_ms
        if not late or barge.ahead_ms < AHEAD_MS or min(spoke, until - barge.at_ms) < PATIENCE_MS:
            continue
        clear = (
            "no clear was sent" if barge.clear_after_ms is None else f"clear came {barge.clear_after_ms:.0f} ms late"
        )
        yield RULE.finding(
            began,
            f"The caller interrupted at {barge.at_ms / 1000:.1f} s; {barge.ahead_ms / 1000:.1f} s of audio were "
            f"already at the carrier, and {clear}.",
            "send clear when the provider says speech_started",
            observable=f"speech_started with {barge.ahead_ms:.0f} ms unplayed, {clear}",
            field="clear",
        )
        return
