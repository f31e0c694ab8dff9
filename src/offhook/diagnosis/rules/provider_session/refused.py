"""
The provider took the connection and then refused the session by an error: key, model, shape, quota or age.

Caller notices: a spoken line, or silence.
Why: OpenAI answers a bad key or model only after a successful upgrade: the handshake proves nothing.
Proof: the first error that its profile counts as fatal.
Fix: by the code.
Reproduce: `offhook fake openai` with a wrong key.
"""

from collections.abc import Iterator

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.diagnosis.evidence import Evidence

RULE = Rule(
    id="provider-session/refused",
    title="The provider refused the session",
    decides=("F-091", "F-092", "F-095", "F-105", "F-108", "F-005", "F-168"),
    explains=("provider-session/never-ready", "provider-session/lost", "turns/no-answer", "turns/response-failed"),
    lies="the upgrade succeeded with 101",
    source="openai-python 3.54.0; api7/aisix#1061",
    since="2026-11-24",
    needs=("provider",),
)
FIXES = {
    "invalid_api_key": "set another key",
    "missing_model": "name a model",
    "invalid_model": "name a realtime model; `offhook check settings` lists them",
    "model_not_found": "name a model that this key may use",
    "beta_api_shape_disabled": "remove the OpenAI-Beta header: something between here and the provider adds it",
    "session_expired": "calls longer than the provider's session need limits.max_call_s below it",
}
CATALOGUE = {
    "invalid_api_key": "F-091",
    "missing_model": "F-168",
    "invalid_model": "F-092",
    "model_not_found": "F-092",
    "beta_api_shape_disabled": "F-095",
    "session_expired": "F-108",
}
QUOTA = ("insufficient_quota", "billing_hard_limit_reached", "account_deactivated", "rate_limit_exceeded")


def find(view: Evidence) -> Iterator[Finding]:
    # what our own leg would not play is no word of the provider's: the contract and the audio rules name it
    error = next((error for error in view.errors if error.fatal and error.code != "unplayable_audio"), None)
    if error is not None:
        yield RULE.finding(
            error,
            f"The provider refused: {error.message}",
            FIXES.get(error.code, "read the message; run `offhook check provider`"),
            observable=f"error {error.code}",
            field=error.param,
            catalogue=_row(error.code),
        )


def _row(code: str) -> str:
    if code in QUOTA:
        return "F-105"
    return "F-005" if "permission" in code else CATALOGUE.get(code, "")
