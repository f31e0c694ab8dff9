"""
A message on the provider's wire breaks its contract in a way that no closer rule names.

Caller notices: nothing, or a turn that is lost.
Why: a field, a value or an event that the provider does not take; or one from it that its own page does not know.
Proof: the message, its field, what it was and what was wanted.
Fix: send what is documented.
Reproduce: `offhook fake openai` with a client that sends it.
"""

from collections.abc import Iterator

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.diagnosis.evidence import Evidence

RULE = Rule(
    id="provider-session/contract",
    title="A message breaks the provider's contract",
    decides=("F-172",),
    explains=("turns/no-answer", "provider-session/turns-without-audio"),
    lies="the session goes on; the provider's error names the field at best",
    source="the wires' conformance folders",
    since="2026-11-25",
    needs=("provider",),
    breaks="M18",
)


LOST = 5  # pieces of the agent's audio


def find(view: Evidence) -> Iterator[Finding]:
    found = [violation for violation in view.violations if violation.leg == "provider"]
    # What is wrong with the session itself has closer rules, which see how the provider answered.
    sent = [v for v in found if v.outbound and v.code and not v.accepted and not v.message.startswith("session")]
    came = [v for v in found if not v.outbound]
    lost = [v for v in came if not v.accepted and (v.message.endswith("audio.delta") or v.got == "a binary frame")]
    if len(lost) >= LOST and not view.provider.audio.frames:
        what = lost[0].field or "its frame"
        yield RULE.finding(
            lost[0],
            f"The agent's audio could not be read: {lost[0].message} with {what} = {lost[0].got} ({len(lost)} kept).",
            "look between here and the provider, and at its dated shape: `offhook check provider --live`",
            observable=f"{lost[0].field or lost[0].message}: {lost[0].got}",
            field=lost[0].field or "",
            catalogue="F-172",
        )
        came = []
    for violations, who, severity, fix in (
        (sent, "The program sent", "fault", "send what is documented"),
        (came, "The provider sent", "note", "it was read as far as it could be; tell the provider, or look between"),
    ):
        for first in violations[:1]:
            what = first.field or "its frame"
            yield RULE.finding(
                first,
                f"{who} {first.message} with {what} = {first.got}, wanted {first.wanted} ({len(violations)} in all).",
                fix,
                observable=f"{first.field or first.message}: {first.got}",
                severity="fault" if severity == "fault" else "note",
                field=first.field or "",
                catalogue="",
            )
