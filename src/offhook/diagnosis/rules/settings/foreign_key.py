"""
The key is real, but another provider's, or its project has no access to realtime models.

Caller notices: silence or a spoken line.
Why: two keys in one environment, or a project without the entitlement.
Proof: the provider refuses the upgrade with 403, or refuses a key that begins like another provider's.
Fix: use a key of this provider, and allow realtime for its project.
Reproduce: give an xAI key to OpenAI.
"""

from collections.abc import Iterator

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.diagnosis.evidence import Evidence

RULE = Rule(
    id="settings/foreign-key",
    title="The key has no access here",
    decides=("F-005",),
    explains=("provider-connect/*", "provider-session/*", "turns/no-answer", "bridge/exception"),
    lies="the carrier logs 31921, or 31920 where the stream is accepted after the dial",
    source="openai/openai-realtime-api-beta#2",
    since="2026-11-25",
    needs=("provider",),
    breaks="M8",
)


def find(view: Evidence) -> Iterator[Finding]:
    key, failed = view.own_key, view.dial_failure
    running = view.boot.profile.provider
    foreign = key.looks_like if key is not None and key.looks_like and key.looks_like != running else None
    refused = failed if failed is not None and failed.status in (401, 403) else None
    invalid = next((error for error in view.errors if error.code == "invalid_api_key"), None)
    if foreign and (refused or invalid):
        said = f"The key begins like one of {foreign}, and {running} refuses it."
        fix = f"set a key of {running}"
    elif refused is not None and refused.status == 403:
        said = "The provider knows the key but refuses it for realtime (403)."
        fix = "allow realtime models for the key's project, or use another project's key"
    else:
        return
    yield RULE.finding(
        refused or invalid or view.boot,
        said,
        fix,
        observable=f"HTTP {refused.status}" if refused else "invalid_api_key",
        field="Authorization",
    )
