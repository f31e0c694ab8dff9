"""
The model's responses fail.

Caller notices: no answers; a spoken line in the end.
Why: quota, a content filter, or the model's own failure: the reason says which.
Proof: the provider's status of the responses.
Fix: read the reason.
Reproduce: `offhook fake` whose responses fail.
"""

from collections.abc import Iterator

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.diagnosis.evidence import Evidence

RULE = Rule(
    id="turns/response-failed",
    title="Responses fail",
    decides=("F-107",),
    explains=("turns/no-answer",),
    lies="the session lives",
    source="openai-python 3.54.0: response.done",
    since="2026-11-24",
    needs=("provider",),
    breaks="M13",
)


def find(view: Evidence) -> Iterator[Finding]:
    failed = list(view.recording.notes("response.failed"))
    why = view.recording.summary("end").get("why")
    if failed and str(why).startswith("responses fail"):
        yield RULE.finding(
            failed[-1].number,
            f"{len(failed)} response(s) failed: {failed[-1].text('reason')}.",
            "read the reason: quota, content filter or the model's own failure",
            observable=f"response.done {failed[-1].text('status')}",
        )
