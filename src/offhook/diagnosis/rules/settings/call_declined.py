"""
Nobody takes the call, as the settings say: no route leads to an agent, the agent's lists keep the caller out, the day's
money is spent, or the server is being stopped.

Caller notices: a short refusal, or a call that is not even answered.
Why: a number that no [[route]] fits and no [agent] stands behind; a deny list; an allow list that the caller is not on,
or is on without the carrier vouching for the number (STIR/SHAKEN attestation A; today only calls in the United States
have one), for anybody can send any number.
Proof: the webhook's own refusal, with its reason.
Fix: write the route; take the number off the list; without attestation let callers prove themselves in speech;
raise the cap.
Reproduce: call a number that no route fits, or with --field StirVerstat=No-TN-Validation a private agent.
"""

from collections.abc import Iterator

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.diagnosis.evidence import Evidence
from offhook.diagnosis.facts import DECLINED

RULE = Rule(
    id="settings/call-declined",
    title="The call is declined as the settings say",
    explains=("carrier-stream/*", "webhook/unexplained"),
    lies="the carrier logs nothing: a refusal is a good answer",
    source="twilio.com/docs/voice/trusted-calling-with-shakenstir",
    since="2026-11-25",
    breaks="M3",
)
FIX = {
    "no-agent": "write a [[route]] that fits the number, or an [agent] for all that no route fits",
    "caller-denied": "nothing to mend; or take the number off the deny list",
    "caller-not-allowed": "nothing to mend; or put the number on the allow list",
    "caller-not-verified": "nothing to mend: an unverified number proves nobody; ask for a secret in speech instead",
    "spend_day": "nothing to mend: calls are taken again after midnight UTC; or raise limits.spend_day_usd",
    "draining": "nothing to mend: the server was being stopped; let another one take its calls meanwhile",
}
SAID = {"spend_day": "the spend cap of the day is reached", "draining": "the server was being stopped"}


def find(view: Evidence) -> Iterator[Finding]:
    for hook in view.hooks:
        if hook.why in DECLINED:
            said = hook.detail or SAID.get(hook.why, hook.why)
            yield RULE.finding(
                hook,
                f"Nobody took the call: {said}.",
                FIX[hook.why],
                observable=f"declined: {hook.why}",
                severity="fault" if hook.why == "no-agent" else "note",
            )
            return
