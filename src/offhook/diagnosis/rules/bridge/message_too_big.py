"""
The program refused a message of the provider as too big, and closed.

Caller notices: the agent dies in long answers.
Why: the library's limit for a message is below what a provider may send.
Proof: a close with 1009 that we sent.
Fix: raise the limit to 16 MiB.
Reproduce: one event of 1.3 MB and a limit of 1 MiB.
"""

from collections.abc import Iterator

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.diagnosis.evidence import Evidence
from offhook.evidence.record import Channel

RULE = Rule(
    id="bridge/message-too-big",
    title="A message of the provider was too big for us",
    decides=("F-085",),
    explains=(
        "provider-session/lost",
        "provider-session/refused",
        "turns/no-answer",
        "bridge/line-left-open",
        "*/unexplained",
    ),
    lies='"message too big" reads like the provider\'s fault',
    source="websockets: max_size, 1 MiB by default; RFC 6455 section 7.4.1",
    since="2026-11-25",
    needs=("provider",),
    breaks="M14",
)


def find(view: Evidence) -> Iterator[Finding]:
    for closed in view.closes:
        if closed.leg == "provider" and closed.by == "us" and closed.code == 1009:
            biggest = max((line.figure("bytes") for line in view.recording.messages(Channel.FROM_PROVIDER)), default=0)
            size = f"a message of {biggest:.0f} bytes" if biggest > 500_000 else "a message"
            yield RULE.finding(
                closed,
                f"We refused {size} of the provider as too big, and closed.",
                "raise the client's limit (max_size) to 16 MiB",
                observable=f"close 1009 by us: {closed.reason}",
            )
            return
