"""
The URL names a model that this provider does not serve, and the connection is refused for it.

Caller notices: silence, or a spoken line.
Why: a model that was retired, that never existed, or that another provider has.
Proof: the model in the URL, the refusal, and the dated list of the provider's wire.
Fix: name a model that is served.
Reproduce: provider.model = grok-2-realtime
"""

import importlib
from collections.abc import Iterator

from offhook.diagnosis import session
from offhook.diagnosis.boundaries import Finding, Rule
from offhook.diagnosis.evidence import Evidence

RULE = Rule(
    id="provider-connect/dead-model",
    title="The URL names a model that is not served",
    decides=("F-092",),
    explains=("provider-connect/failed", "provider-session/never-ready", "provider-session/lost", "bridge/exception"),
    lies="a 404 looks like a wrong path",
    source="gptme/gptme-contrib#691, #692; maximhq/bifrost#2343",
    since="2026-11-25",
    needs=("provider",),
)
WIRES = ("openai", "xai")


def find(view: Evidence) -> Iterator[Finding]:
    name = session.wire(view)
    if name not in WIRES or view.opened_provider:
        return
    module = importlib.import_module(f"offhook.wires.providers.{name}")
    for dial in view.dials:
        model = dial.request.query.get("model", "") if dial.request is not None else ""
        failure = dial.failure
        if not model or failure is None or failure.status not in (400, 403, 404) or model in module.MODELS.value:
            continue
        said = model in failure.body or model in failure.cause
        dead = model in module.DEAD_MODELS.value
        yield RULE.finding(
            failure,
            f"{module.LABEL} was asked for model {model!r} and answered {failure.status}"
            + (f"; it has not been served since {module.DEAD_MODELS.checked} or before." if dead else "."),
            f"name a model that is served: {', '.join(module.MODELS.value[:3])}",
            observable=f"?model={model}, HTTP {failure.status}",
            proof="proven" if said or dead else "consistent with",
            field="model",
        )
        return
