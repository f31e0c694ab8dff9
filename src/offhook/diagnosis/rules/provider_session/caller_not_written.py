"""
The provider refused to write down what the caller says; the session was asked for again without that, and went on.

Caller notices: nothing.
Why: the model that writes callers' words down has been retired, or the key may not use it.
Proof: the error that answered the session's update names that field, and the update without it was confirmed.
Fix: update Offhook to a version whose facts name another model; until then records lack the caller's words.
Reproduce: `offhook fake openai --profile 2027-03-01`.
"""

from collections.abc import Iterator

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.diagnosis.evidence import Evidence

RULE = Rule(
    id="provider-session/caller-not-written",
    title="What the caller says is not written down",
    lies="the call is well; only its transcript lacks one side",
    source="developers.openai.com/api/docs/deprecations, 2026-11-26",
    since="2026-11-26",
    needs=("bridge", "provider"),
)


def find(view: Evidence) -> Iterator[Finding]:
    for line in list(view.recording.notes("session.without"))[:1]:
        field, message = str(line.data.get("field") or ""), str(line.data.get("message") or "")
        yield RULE.finding(
            line.number,
            f"The provider refused {field}: {message} The call went on; what the caller said is not written down.",
            "look at the provider's deprecations, and update Offhook",
            observable=f"{line.data.get('code')}: {field}",
            severity="note",
            field=field,
        )
