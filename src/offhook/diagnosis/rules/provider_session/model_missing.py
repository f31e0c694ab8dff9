"""
The connection names no model where the provider demands one.

Caller notices: silence, or a spoken line.
Why: another provider's URL shape: xAI answers without ?model=, OpenAI does not.
Proof: the URL's query has no model, and the provider says so.
Fix: put ?model= into the URL.
Reproduce: dial wss://api.openai.com/v1/realtime without a query.
"""

from collections.abc import Iterator

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.diagnosis.evidence import Evidence

RULE = Rule(
    id="provider-session/model-missing",
    title="The URL names no model",
    decides=("F-168",),
    explains=(
        "provider-session/refused",
        "provider-session/never-ready",
        "provider-session/lost",
        "provider-session/unexplained",
        "turns/*",
    ),
    lies="the upgrade succeeded with 101",
    source="openai-python 3.54.0 resources/realtime: model is required",
    since="2026-11-25",
    needs=("provider",),
)


def find(view: Evidence) -> Iterator[Finding]:
    requests = [dial.request for dial in view.dials if dial.request is not None]
    error = next((e for e in (*view.errors, *view.provider.errors) if e.code == "missing_model"), None)
    if error is None or not requests or "model" in requests[-1].query_keys:
        return
    yield RULE.finding(
        error,
        f"{requests[-1].host} was dialled without ?model= and refused: {error.message}",
        "put the model into the URL: ?model=…",
        observable=f"query {', '.join(requests[-1].query_keys) or 'none'}, error missing_model",
        field="model",
    )
