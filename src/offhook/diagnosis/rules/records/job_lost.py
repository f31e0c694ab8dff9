"""
Work after the call was queued and never done, or done twice.

Caller notices: the promised message does not come, or comes twice.
Why: the queue lives in the process that was restarted; or a job is taken again without looking whether it was done.
Proof: a job that was queued, the process begun anew or found dead, and no end of the job; or two ends of one job.
Fix: keep jobs in a store, by call and name, and mark them done there.
Reproduce: restart between the call's end and its job; or kill -9 the server while a delegate works.
"""

from collections.abc import Iterator

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.diagnosis.evidence import Evidence

RULE = Rule(
    id="records/job-lost",
    title="Work after the call was lost or done twice",
    decides=("F-156",),
    lies="it looks as if the agent had promised what it could not do",
    source="gptme/gptme-contrib#745",
    since="2026-11-25",
    needs=("bridge",),
    breaks="M19",
)


def find(view: Evidence) -> Iterator[Finding]:
    done = [job.id for job in view.inside.jobs if job.state == "done"]
    lost = {job.id: job for job in view.inside.jobs if job.state == "lost"}
    for job in view.inside.jobs:
        if job.state == "queued" and job.id in lost and job.id not in done:
            yield RULE.finding(
                lost[job.id],
                f"{job.name or 'The task'} ({job.id}) was begun at {job.at_ms / 1000:.1f} s and not done when the "
                "server died: it is lost, and nobody was told a result.",
                "tell the caller, or run it again; what must not be lost belongs into a queue outside this process",
                observable=f"job {job.id}: queued, lost with the server",
            )
            return
        again = [event for event in view.inside.process if event.event == "start" and event.at_ms >= job.at_ms]
        if job.state == "queued" and job.id not in done and again:
            yield RULE.finding(
                job,
                f"{job.id} was queued at {job.at_ms / 1000:.1f} s and not done: the process was restarted at "
                f"{again[0].at_ms / 1000:.1f} s.",
                "keep jobs in a store, by call and name, and take up at start what is not done",
                observable=f"job {job.id}: queued, process start, never done",
            )
            return
        if done.count(job.id) > 1:
            yield RULE.finding(
                job,
                f"{job.id} was done {done.count(job.id)} times.",
                "mark a job done by call and name, and look before it is run",
                observable=f"job {job.id}: done × {done.count(job.id)}",
            )
            return
