"""
A tool takes so long, without a word to the caller, that they hang up.

Caller notices: dead air.
Why: nobody speaks while the tool runs, and nothing limits its time.
Proof: an open call for more than six seconds, no audio to the caller in it, and the caller's hang-up in it.
Fix: say something after a second and a half; give each tool a time limit.
Reproduce: a tool of twelve seconds and a caller who leaves after nine.
"""

from collections.abc import Iterator

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.diagnosis.evidence import Evidence
from offhook.diagnosis.figures import hung_up_by_us, last_sent_ms

RULE = Rule(
    id="tools/too-slow",
    title="The caller left while a tool was running",
    decides=("F-146",),
    explains=("turns/*", "tools/unexplained"),
    lies="it looks like a slow provider, or a caller who left",
    source="gptme/gptme-contrib#1334",
    since="2026-11-25",
    needs=("carrier", "provider"),
    breaks="M18",
)
SILENCE_MS, AFTER_MS = 6000.0, 3000.0


def find(view: Evidence) -> Iterator[Finding]:
    left = view.carrier_in.stop
    if left is None or hung_up_by_us(view):
        return
    never = {done.id for done in view.tools_done if not done.ms and done.outcome != "ok"}
    for call in view.talk.calls:
        result = view.talk.result(call.id)
        until = min(result.at_ms if result else left.at_ms, left.at_ms)
        said = last_sent_ms(view) or 0.0
        spoke = said > call.at_ms + 1000 or any(call.at_ms < f.at_ms < until for f in view.inside.fillers)
        answered = any(r.at_ms > call.at_ms + 1000 for r in view.provider.responses)
        if call.id in never or spoke or answered or until - call.at_ms < SILENCE_MS or left.at_ms - until > AFTER_MS:
            continue
        if any(exc.at_ms >= call.at_ms and not exc.after_end for exc in view.exceptions):
            continue
        if result is None and not any(tool.id == call.id for tool in view.tools):
            continue  # whether it still ran cannot be seen from outside
        yield RULE.finding(
            call,
            f"The caller left during {(until - call.at_ms) / 1000:.0f} s of silence while {call.name} ran.",
            "let the agent say something when a tool takes longer than 1.5 s, and give tools a time limit",
            observable=f"{call.name} open from {call.at_ms / 1000:.1f} s, stop at {left.at_ms / 1000:.1f} s",
            field=call.name,
        )
        return
