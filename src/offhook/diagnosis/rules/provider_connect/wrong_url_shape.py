"""
The provider's realtime URL has another service's shape: a path or query that this host does not serve.

Caller notices: silence, or a spoken line.
Why: "compatible" services differ in path and query (Azure's deployments and api-version, Vertex, the beta path).
Proof: the refusal, and the path that was asked for beside the one that the provider's page names.
Fix: take URL and query from the provider's own page.
Reproduce: provider.url = wss://api.openai.com/openai/realtime?api-version=2024-10-01-preview
"""

from collections.abc import Iterator
from urllib.parse import urlsplit

from offhook.diagnosis import session
from offhook.diagnosis.boundaries import Finding, Rule
from offhook.diagnosis.evidence import Evidence

RULE = Rule(
    id="provider-connect/wrong-url-shape",
    title="The URL has another service's shape",
    decides=("F-094",),
    explains=(
        "provider-connect/failed",
        "provider-session/never-ready",
        "provider-session/lost",
        "bridge/exception",
    ),
    lies="a 401 looks like the key, a 404 like the network",
    source="openai/openai-python#2120; livekit/agents#5228",
    since="2026-11-25",
    needs=("provider",),
)
# Path and the query keys that belong to it, of the wires' own dated endpoints.
KEYS = {"openai": {"model", "call_id"}, "xai": {"model"}}


def find(view: Evidence) -> Iterator[Finding]:
    name = session.wire(view)
    if name not in KEYS or view.opened_provider:
        return
    wanted = urlsplit(session.endpoint(name)).path
    for dial in view.dials:
        asked, failure = dial.request, dial.failure
        if asked is None or failure is None or failure.status not in (400, 401, 404):
            continue
        strange = sorted(set(asked.query_keys) - KEYS[name])
        if asked.path == wanted and not strange:
            continue
        said = f"{asked.path}" + (f" with {', '.join(strange)}" if strange else "")
        yield RULE.finding(
            failure,
            f"{asked.host} was asked for {said} and answered {failure.status}; realtime is at {wanted}?model=….",
            f"set provider.url to {session.endpoint(name)}, with ?model=…",
            observable=f"path {asked.path}, query {', '.join(asked.query_keys) or 'none'}",
            field="url",
        )
        return
