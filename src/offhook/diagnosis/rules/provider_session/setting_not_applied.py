"""
The provider applied a setting otherwise than asked; the call goes on.

Caller notices: perhaps another voice, or other manners of taking turns.
Why: providers ignore fields that they do not know, or that stand in another provider's place.
Proof: the session's echo differs.
Fix: check the setting against the provider's page.
Reproduce: `offhook fake` with an overridden echo.
"""

from collections.abc import Iterator

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.diagnosis.evidence import Evidence

RULE = Rule(
    id="provider-session/setting-not-applied",
    title="A session setting was not applied",
    lies="the provider reports success",
    source="providers' session echo",
    since="2026-11-24",
    needs=("provider",),
)


def find(view: Evidence) -> Iterator[Finding]:
    for difference in view.differences:
        if not difference.fatal and difference.field != "model":
            yield RULE.finding(
                difference,
                f"Asked for {difference.field} = {difference.asked}, got {difference.got}.",
                "if it matters, check the setting against the provider's page",
                observable=f"session echo differs: {difference.field}",
                severity="note",
                field=difference.field,
            )
