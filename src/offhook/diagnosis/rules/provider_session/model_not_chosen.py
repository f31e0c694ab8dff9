"""
The connection names no model, and the provider runs an old one of its own choice.

Caller notices: a worse voice, slower answers, other manners than expected.
Why: xAI takes the model from the URL (?model=) and ignores one inside session.update; else an old default answers.
Proof: the URL's query has no model, and the session's echo names a superseded one.
Fix: put ?model= into the URL.
Reproduce: dial wss://api.x.ai/v1/realtime without a query.
"""

from collections.abc import Iterator

from offhook.diagnosis import session
from offhook.diagnosis.boundaries import Finding, Rule
from offhook.diagnosis.evidence import Evidence
from offhook.wires.providers import xai

RULE = Rule(
    id="provider-session/model-not-chosen",
    title="No model in the URL: an old one answers",
    decides=("F-093",),
    explains=("provider-session/another-model",),
    lies="everything works",
    source="pipecat-ai/pipecat#4401; gptme/gptme-contrib#757",
    since="2026-11-25",
    needs=("provider",),
)


def find(view: Evidence) -> Iterator[Finding]:
    told = next((s for s in view.provider.sessions if s.kind != "update" and s.data.get("model")), None)
    requests = [dial.request for dial in view.dials if dial.request is not None]
    if told is None or not requests or session.wire(view) != "xai" or "model" in requests[-1].query_keys:
        return
    got = str(told.data.get("model") or "")
    old = next((fact for fact in xai.DEPRECATED_MODELS if fact.value == got), None)
    if old is None:
        return
    yield RULE.finding(
        told,
        f"The URL named no model, and the session runs {got}, superseded since {old.until}.",
        f"dial {xai.ENDPOINT.value}?model={xai.DEFAULT_MODEL.value}",
        observable=f"query without model, echo {got}",
        field="model",
    )
