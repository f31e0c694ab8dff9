"""
The agent says that it did something, or does it now, and called no tool for it.

Caller notices: a booking that nobody knows of, a transfer that does not come, a line that stays open.
Why: the model takes its word for the deed, or has no tool for it.
Proof: its words, and the log of its tool calls: none that fits, before (for what it did) or right after (for what it
does now).
Fix: give it the tool, and tell it to speak of a deed only after the tool's result.
Reproduce: a model that says "I've booked it" and calls nothing.
"""

from collections.abc import Iterator

from offhook.claims import does
from offhook.diagnosis.boundaries import Finding, Rule
from offhook.diagnosis.claimed import done_later, not_done
from offhook.diagnosis.evidence import Evidence

RULE = Rule(
    id="tools/claimed-not-done",
    title="The agent says it did what it did not",
    lies="the transcript reads as if all had gone well",
    source="gptme/gptme-contrib#705; gptme/gptme-contrib#938",
    since="2026-11-25",
    needs=("provider",),
    breaks="M18",
)


def find(view: Evidence) -> Iterator[Finding]:
    for said, claim in not_done(view):
        told = any(unmet.did for unmet in view.inside.unmet if unmet.claim == claim.kind)
        able = [name for name in sorted(view.talk.tools) if does(claim.kind, name)]
        has = f"it has {', '.join(able)[:80]}, and did not call it" if able else "it has no tool that could"
        fix = "let it speak of a deed only after the tool's result" if able else "give it the tool, or forbid the claim"
        yield RULE.finding(
            said,
            f'The agent said "{claim.words[:120]}" and called no tool that does this: {has}.'
            + (" It was told so during the call." if told else ""),
            fix,
            observable=f"{claim.kind} claimed at {said.at_ms / 1000:.1f} s, {len(view.talk.calls)} tool call(s)",
            severity="note" if told and done_later(view, said, claim) else "suspicion",
            proof="consistent with",
            field=claim.kind,
        )
        return
