"""
The number is configured with http://, the proxy redirects to https://, and the carrier follows with GET: the form
moves or vanishes.

Caller notices: an application error is read out.
Why: redirects of 301 and 302 change the method.
Proof: the redirect, and the GET that followed it.
Fix: configure the number with https:// and the exact path.
Reproduce: configure the number with http://.
"""

from collections.abc import Iterator

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.diagnosis.evidence import Evidence

RULE = Rule(
    id="webhook/redirect-turned-get",
    title="A redirect turned the POST into a GET",
    decides=("F-028",),
    explains=("webhook/not-served", "webhook/another-url-signed"),
    lies="the carrier logs 11200 for what the GET got",
    source="RFC 9110, 15.4.2",
    since="2026-11-25",
    needs=("webhook",),
    breaks="M2",
)


def find(view: Evidence) -> Iterator[Finding]:
    for n, hook in enumerate(view.hooks):
        moved = hook.redirected or (hook.status in (301, 302, 303) and hook.method == "POST")
        after = view.hooks[n + 1 : n + 2]
        if moved and (not after or after[0].method == "GET"):
            where = hook.redirected[0] if hook.redirected else "another URL"
            yield RULE.finding(
                hook,
                f"The POST was redirected ({hook.status}) to {where} and came back as a GET.",
                "configure the number with the URL that it is redirected to",
                observable=f"HTTP {hook.status}, then GET",
                field="method",
            )
            return
