"""
The provider took the connection and then refused the session by an error: key, model, shape, quota or age.

OpenAI answers a bad key or model only after a successful upgrade: the handshake proves nothing.
"""

from collections.abc import Iterator

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.evidence.record import Recording

RULE = Rule(
    id="provider-session/refused",
    title="The provider refused the session",
    explains=("provider-session/never-ready", "turns/no-answer", "provider-session/lost", "turns/response-failed"),
    source="openai-python 3.54.0; api7/aisix#1061",
    since="2026-11-24",
)


def find(call: Recording) -> Iterator[Finding]:
    fixes = {
        "invalid_api_key": "set another key",
        "missing_model": "name a model",
        "invalid_model": "name a realtime model; `offhook check settings` lists them",
        "model_not_found": "name a model that this key may use",
        "beta_api_shape_disabled": "remove the OpenAI-Beta header: something between here and the provider adds it",
        "session_expired": "calls longer than the provider's session need limits.max_call_s below it",
    }
    for note in call.notes("provider.error"):
        if note.data.get("fatal"):
            code = str(note.data.get("code"))
            yield RULE.finding(
                note.number,
                f"The provider refused: {note.data.get('message')}",
                fixes.get(code, "read the message; run `offhook check provider`"),
                observable=f"error {code}",
            )
            return
