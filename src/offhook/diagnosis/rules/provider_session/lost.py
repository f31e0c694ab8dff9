"""
The provider ended the session, or the connection to it broke, while the call was running.

Caller notices: the agent stops in the middle of a sentence.
Why: the provider's limit, an idle timer, a network that broke, or the provider itself.
Proof: who closed, and with which code.
Fix: by the code; `offhook explain CODE`.
Reproduce: `offhook fake` that drops the connection after ten seconds.
"""

from collections.abc import Iterator

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.diagnosis.evidence import Evidence
from offhook.diagnosis.facts import Close

RULE = Rule(
    id="provider-session/lost",
    title="The provider session was lost",
    decides=("F-121", "F-108", "F-091", "F-092", "F-005"),
    explains=("turns/no-answer", "carrier:31903", "carrier:31921"),
    lies="the carrier says 31921: it saw only how we ended the stream afterwards",
    source="openai-python 3.54.0: close codes",
    since="2026-11-24",
    needs=("provider",),
    breaks="M14",
)
SAME_INSTANT_MS = 250.0
# OpenAI's and xAI's own codes, as far as clients and captures know them (providers' SDKs, checked 2026-11-24).
CODES = {3000: "invalid_api_key", 4004: "model_not_found"}
ROWS = (("api_key", "F-091"), ("invalid_model", "F-092"), ("model_not_found", "F-092"), ("permission_denied", "F-005"))
WHO = {"us": "we closed", "them": "the provider closed", "nobody": "nobody closed"}


def find(view: Evidence) -> Iterator[Finding]:
    closed = view.closed("provider")
    if closed is None or closed.by == "us" or not view.opened_provider:
        return
    left = view.carrier_in.stop or view.closed("carrier")
    if left is not None and left.at_ms + SAME_INSTANT_MS < closed.at_ms:
        return  # the call was over
    age_s = closed.age_s if closed.age_s is not None else closed.at_ms / 1000
    if closed.code == 1000 and not closed.reason:
        said, fix = "it closed the session by itself", "look at what was said before; `offhook trace` shows it"
    elif "duration" in closed.reason or "expired" in closed.reason:
        said = f"it had reached its maximum duration, {age_s / 60:.0f} min"
        fix = "set limits.max_call_s below the provider's limit, or open a new session before it"
    elif closed.code is None:
        said, fix = "the connection broke without a close", "look at the network and at the provider's status page"
    else:
        said, fix = (
            f"it closed with {closed.code} {closed.reason}".strip(),
            "`offhook explain CODE`; `offhook check provider`",
        )
    yield RULE.finding(
        closed,
        f"The provider session was lost at {closed.at_ms / 1000:.1f} s: {said}.",
        fix,
        observable=f"{WHO.get(closed.by, 'unknown who closed')}, code {closed.code or 'none'}, age {age_s:.0f} s",
        catalogue="F-108" if "maximum duration" in said else _row(closed),
    )


def _row(closed: Close) -> str:
    """What a provider's own close code or reason says; a broken connection otherwise."""
    words = f"{CODES.get(closed.code or 0, '')} {closed.reason}".lower().replace("-", "_")
    return next((row for word, row in ROWS if word in words), "F-121")
