"""
Several processes share the port, and what the webhook left in one's memory is looked for in another's.

Caller notices: some calls work, others end at once.
Why: state in memory, and more than one worker.
Proof: the stream's call is unknown to the process that got it, and another one had its webhook.
Fix: send the state with the call (<Parameter>), or keep it in a shared store.
Reproduce: run two workers behind a round-robin.
"""

from collections.abc import Iterator

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.diagnosis.evidence import Evidence

RULE = Rule(
    id="settings/workers-share-nothing",
    title="Webhook and stream came to processes that share nothing",
    decides=("F-021",),
    explains=("carrier-stream/*", "bridge/exception"),
    lies="the carrier logs 31920 or 31921; half of the calls work",
    source="uvicorn --workers: every process has its own memory",
    since="2026-11-25",
    needs=("bridge",),
    breaks="M6",
)


def find(view: Evidence) -> Iterator[Finding]:
    workers = {line.text("what"): line.text("id") for line in view.recording.notes("worker")}
    for line in view.recording.notes("call.unknown"):
        asked, got = workers.get("webhook", ""), workers.get("stream", line.text("worker"))
        if asked and got and asked != got:
            yield RULE.finding(
                line.number,
                f"The stream came to worker {got}, its webhook to worker {asked}: the call is unknown there.",
                "pass the state in <Parameter>, or share it between the workers",
                observable=f"call unknown to worker {got}",
            )
            return
