"""
The service runs with a provider that nobody chose, or with a model that belongs to another one: a flag or a variable
was forgotten, and a built-in default stepped in.

Caller notices: an answered call that stays silent, or a strange voice.
Why: a default provider hides a missing setting.
Proof: the provider's setting has its origin in a default, and the model or the only key there is belongs to another
one.
Fix: name the provider in the settings; Offhook itself has no default.
Reproduce: start with the provider unset, a model named grok-… and only XAI_API_KEY set.
"""

from collections.abc import Iterator

from offhook.diagnosis import session
from offhook.diagnosis.boundaries import Finding, Rule
from offhook.diagnosis.evidence import Evidence
from offhook.diagnosis.providers import owner_of_key, owner_of_model

RULE = Rule(
    id="settings/wrong-provider",
    title="Another provider runs than the one that was meant",
    decides=("F-001",),
    explains=(
        "settings/key-missing",
        "settings/key-says-none",
        "settings/foreign-key",
        "provider-connect/*",
        "provider-session/*",
        "bridge/exception",
        "turns/no-answer",
        "carrier-stream/handler-failed",
    ),
    lies="the carrier logs 31951, 31921 or nothing; the provider that was meant saw no call at all",
    source="gptme/gptme-contrib packages/gptme-voice",
    since="2026-11-25",
)


def find(view: Evidence) -> Iterator[Finding]:
    boot = view.boot
    running, origin = boot.value("provider.name"), boot.origin("provider.name")
    if not running and boot.intended and view.dials:  # seen from outside: who was dialled
        running, origin = session.wire(view), "the host that was dialled"
    model = boot.value("provider.model")
    meant = boot.intended or owner_of_model(model)
    because = "the deployment" if boot.intended else f"the model {model} ({boot.origin('provider.model')})"
    if not meant and "default" in origin and view.own_key is not None and not view.own_key.present:
        others = [key.env for key in boot.keys if key.present and owner_of_key(key.env) not in ("", running)]
        meant = owner_of_key(others[0]) if len(others) == 1 else ""
        because = f"the only key there is, {others[0]}," if others else ""
    if running and meant and meant != running:
        yield RULE.finding(
            boot,
            f"The provider that runs is {running} (from: {origin or 'unknown'}), but {because} belongs to {meant}.",
            f"set the provider to {meant} where the service is started, and restart it",
            observable=f"provider.name = {running}, {origin or 'unknown'}",
            field="provider.name",
        )
