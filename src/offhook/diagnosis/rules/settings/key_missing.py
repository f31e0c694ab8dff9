"""
The key of the provider that runs is not visible to the process.

Caller notices: silence after the answer, or an immediate end.
Why: a service manager or container does not read the shell's profile, nor a .env of another directory.
Proof: no key at the start, and no connection to the provider.
Fix: give the key to the service itself (EnvironmentFile=, a secret, .env beside the settings).
Reproduce: unset the key for the server's process only, and call.
"""

from collections.abc import Iterator

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.diagnosis.evidence import Evidence

RULE = Rule(
    id="settings/key-missing",
    title="The provider's key is not in the environment",
    decides=("F-002",),
    explains=(
        "provider-connect/*",
        "provider-session/*",
        "bridge/exception",
        "turns/no-answer",
        "carrier-stream/handler-failed",
    ),
    lies="the carrier logs 31920, 31921 or 31903; the provider was never dialled",
    source="twilio-samples/speech-assistant-openai-realtime-api-python#4",
    since="2026-11-25",
    needs=("bridge",),
)


def find(view: Evidence) -> Iterator[Finding]:
    key = view.own_key
    if key is None or key.present or key.is_none or view.opened_provider or view.dials:
        return
    yield RULE.finding(
        view.boot,
        f"{key.env} is not visible to this process, and the provider was never dialled.",
        "a service does not read your shell's profile: put the key where the service gets its environment",
        observable=f"{key.env} absent, no dial",
        field=key.env,
    )
