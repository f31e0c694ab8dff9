"""
The caller spoke, or a greeting was asked for, and no audio came back.

Caller notices: silence where an answer should be.
Why: something before it, which another finding names; alone, the model did not answer.
Proof: the deadline of the answer; or a caller's turn that ended, nothing after it, and a caller who left before that.
Fix: prove the provider without the phone.
Reproduce: `offhook fake` that never answers.
"""

from collections.abc import Iterator

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.diagnosis.evidence import Evidence
from offhook.diagnosis.figures import hung_up_by_us

RULE = Rule(
    id="turns/no-answer",
    title="The agent did not answer",
    lies="the provider's session looks well",
    source="bridge deadlines",
    since="2026-11-24",
    needs=("provider",),
)
FIX = "run `offhook check provider --live`; look for errors above this line in `offhook trace`"
LONG_MS = 6000.0  # a slow model's first word takes 2.5 to 6 s and is healthy; the bridge itself waits longer
NOTED_MS = 3000.0  # from here on a caller may have left because of it


def find(view: Evidence) -> Iterator[Finding]:
    missed = view.missed("answer", "greeting audio")
    for one in missed:
        what = "the greeting" if one.name == "greeting audio" else "an answer"
        yield RULE.finding(
            one,
            f"Nothing came for {what} within {one.waited_ms:.0f} ms.",
            FIX,
            observable=f"no confirmation: {one.name}",
        )
    if not missed:
        yield from _given_up(view)


def _given_up(view: Evidence) -> Iterator[Finding]:
    """The caller's last turn ended, nothing came of it, and they left before any deadline."""
    wire, stop = view.provider, view.carrier_in.stop
    if stop is None or not wire.speech_stopped or hung_up_by_us(view) or len(view.tools) > len(view.tools_done):
        return
    turn = wire.speech_stopped[-1]
    waited_ms = stop.at_ms - turn.at_ms
    began = (*wire.responses, *wire.speech)  # an answer, or another turn that did not end
    if waited_ms < NOTED_MS or any(fact.line > turn.line for fact in began):
        return
    yield RULE.finding(
        stop,  # no answer until then: what is known by now may be why
        f"The caller's turn ended at {turn.at_ms / 1000:.1f} s, no response began, and the caller hung up "
        f"{waited_ms / 1000:.1f} s later.",
        FIX,
        observable=f"speech_stopped, then nothing for {waited_ms / 1000:.0f} s",
        severity="suspicion" if waited_ms > LONG_MS else "note",
        proof="consistent with",
    )
