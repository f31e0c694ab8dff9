"""
The model's responses fail.
"""

from collections.abc import Iterator

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.evidence.record import Recording

RULE = Rule(
    id="turns/response-failed",
    title="Responses fail",
    explains=("turns/no-answer",),
    source="openai-python 3.54.0: response.done",
    since="2026-11-24",
)


def find(call: Recording) -> Iterator[Finding]:
    failed = list(call.notes("response.failed"))
    ended = call.end or {}
    if failed and str(ended.get("end", {}).get("why", "")).startswith("responses fail"):
        yield RULE.finding(
            failed[-1].number,
            f"{len(failed)} response(s) failed: {failed[-1].data.get('reason')}.",
            "read the reason: quota, content filter or the model's own failure",
            observable=f"response.done {failed[-1].data.get('status')}",
        )
