"""
The caller spoke, or a greeting was asked for, and no audio came back.

Caller notices: silence where an answer should be.
Why: something before it, which another finding names; alone, the model did not answer.
Proof: the deadline of the answer.
Fix: prove the provider without the phone.
Reproduce: `offhook fake` that never answers.
"""

from collections.abc import Iterator

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.diagnosis.evidence import Evidence

RULE = Rule(
    id="turns/no-answer",
    title="The agent did not answer",
    lies="the provider's session looks well",
    source="bridge deadlines",
    since="2026-11-24",
    needs=("provider",),
)


def find(view: Evidence) -> Iterator[Finding]:
    for missed in view.missed("answer", "greeting audio"):
        what = "the greeting" if missed.name == "greeting audio" else "an answer"
        yield RULE.finding(
            missed,
            f"Nothing came for {what} within {missed.waited_ms:.0f} ms.",
            "run `offhook check provider --live`; look for errors above this line in `offhook trace`",
            observable=f"no confirmation: {missed.name}",
        )
