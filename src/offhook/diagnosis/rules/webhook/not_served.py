"""
The carrier asks for a path, or by a method, that the server does not serve.

Caller notices: an application error is read out.
Why: a number that was configured for another program, or a renamed path.
Proof: the request that was answered with 404 or 405.
Fix: give the number the exact URL and method.
Reproduce: configure the number with /incoming.
"""

from collections.abc import Iterator

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.diagnosis.evidence import Evidence

RULE = Rule(
    id="webhook/not-served",
    title="The number points at something that is not served",
    decides=("F-027",),
    explains=("webhook/unexplained",),
    lies="the carrier logs 11200; the server is well",
    source="twilio.com/docs/api/errors/11200",
    since="2026-11-25",
    needs=("webhook",),
    breaks="M1",
)


def find(view: Evidence) -> Iterator[Finding]:
    missed = next((miss for miss in view.missed_hooks if not miss.upgrade), None)
    hook = next((hook for hook in view.hooks if hook.status in (404, 405) and not hook.redirected), None)
    if (
        view.answered
        or any(hook.redirected for hook in view.hooks)
        or (missed is None and (hook is None or view.source != "bridge"))
    ):
        return
    guilty = missed or hook
    if guilty is not None:
        served = f"; served is {missed.served}" if missed is not None and missed.served else ""
        yield RULE.finding(
            guilty,
            f"The carrier asked {guilty.method} {guilty.path}, which is not served ({guilty.status}){served}.",
            "set the number's voice webhook to the exact URL and method of this service",
            observable=f"{guilty.method} {guilty.path}: {guilty.status}",
            field="path",
        )
