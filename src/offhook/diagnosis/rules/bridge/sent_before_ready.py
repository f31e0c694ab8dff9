"""
The caller's audio is sent before the provider has confirmed the session.

Caller notices: the first words are missed, above all when the provider is slow.
Why: connected is taken for ready: until session.updated audio is read in the default format, or not at all.
Proof: messages of audio before session.updated.
Fix: hold the caller's audio until session.updated, then send it.
Reproduce: a provider that confirms after a second, and a caller who speaks at once.
"""

from collections.abc import Iterator

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.diagnosis.evidence import Evidence
from offhook.diagnosis.figures import number

RULE = Rule(
    id="bridge/sent-before-ready",
    title="Caller audio is sent before the session is ready",
    decides=("F-071",),
    explains=("turns/no-answer",),
    lies="every append is accepted",
    source="gptme/gptme-contrib#707",
    since="2026-11-25",
    needs=("carrier", "provider"),
    breaks="M10",
)
AT_LEAST = 15  # 0.3 s: what falls into one round trip is in nobody's words


def find(view: Evidence) -> Iterator[Finding]:
    early = number(view.provider.figures, "appends_before_ready") or 0
    ready = view.provider.echo
    if ready is not None and early >= AT_LEAST:
        yield RULE.finding(
            ready,
            f"{early:.0f} messages of caller audio were sent before session.updated, which came at "
            f"{ready.at_ms / 1000:.1f} s: they are lost, or read in the default format.",
            "hold the caller's audio until session.updated, then send what was held",
            observable=f"appended before session.updated: {early:.0f}",
            field="input_audio_buffer.append",
        )
