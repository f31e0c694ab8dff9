"""
An interruption started a tool again while its first run was going on: what it does is done twice.

Caller notices: two bookings.
Why: a barge-in cancels the turn, and the tool with it, and starts both anew.
Proof: two runs of one tool with the same arguments, the second before the first had ended, speech between them.
Fix: let a tool that has begun end; give calls with effects a key, so that the second one does nothing.
Reproduce: say "hello?" while a tool of three seconds runs.
"""

from collections.abc import Iterator

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.diagnosis.evidence import Evidence

RULE = Rule(
    id="tools/ran-twice",
    title="An interruption ran a tool twice",
    decides=("F-148",),
    lies="it looks as if the model had called twice",
    source="bolna-ai/bolna#819",
    since="2026-11-25",
    needs=("provider", "bridge"),
    breaks="M18",
)
WITHIN_MS = 10_000.0


def find(view: Evidence) -> Iterator[Finding]:
    ends = {done.id: done.at_ms for done in view.tools_done}
    given = {call.id: call.arguments for call in view.talk.calls}
    over = view.length_ms
    for n, first in enumerate(view.tools):
        for again in view.tools[n + 1 :]:
            if again.at_ms - first.at_ms > WITHIN_MS:  # first of all: an hour has thousands of pairs
                continue
            same = (first.name, first.args_bytes) == (again.name, again.args_bytes)
            if first.id in given and again.id in given:
                same = same and given[first.id] == given[again.id]
            open_ = bool(first.id) and again.at_ms < ends.get(first.id, over)
            spoke = [s for s in view.provider.speech if first.at_ms < s.at_ms <= again.at_ms]
            if not same or not open_ or not spoke:
                continue
            yield RULE.finding(
                again,
                f"{first.name} ran twice because of an interruption at {spoke[0].at_ms / 1000:.1f} s.",
                "let a tool that has begun end, and give calls with effects a key that makes the second do nothing",
                observable=f"{first.name} with the same {first.args_bytes} bytes of arguments, twice at once",
                field=first.name,
            )
            return
