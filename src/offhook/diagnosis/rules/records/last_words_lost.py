"""
The provider was let go before the caller's last words had been transcribed.

Caller notices: nothing; the record lacks the last turn.
Why: the transcript of a turn comes after the answer has begun; the teardown does not wait for it.
Proof: a turn that ended without a transcript, and our close of the provider within a second of the call's end.
Fix: keep the provider for up to 1.5 s after the end while transcripts are due.
Reproduce: hang up right after the last word, with transcripts that take 0.8 s.
"""

from collections.abc import Iterator

from offhook.diagnosis import session
from offhook.diagnosis.boundaries import Finding, Rule
from offhook.diagnosis.evidence import Evidence

RULE = Rule(
    id="records/last-words-lost",
    title="The last transcripts were not waited for",
    decides=("F-153",),
    lies="it looks as if the provider did not transcribe",
    source="gptme/gptme-contrib#717",
    since="2026-11-25",
    needs=("carrier", "provider"),
    breaks="M19",
)
DRAINED_MS, RECENT_MS = 1000.0, 3000.0


def find(view: Evidence) -> Iterator[Finding]:
    closed, ended = view.closed("provider"), view.carrier_in.stop or view.closed("carrier")
    if closed is None or closed.by != "us" or ended is None or not view.talk.transcribed | _asked(view):
        return
    drained = closed.at_ms - ended.at_ms
    due = [turn for turn in view.talk.heard if turn.item not in view.talk.transcribed]
    due = [turn for turn in due if 0 <= closed.at_ms - turn.at_ms < RECENT_MS]
    if not due or not 0 <= drained < DRAINED_MS:
        return
    yield RULE.finding(
        closed,
        f"The provider was let go {drained:.0f} ms after the call; the transcript of {len(due)} turn(s) was still due.",
        "keep the provider for up to 1.5 s after the end while transcripts are due",
        observable=f"closed by us {drained:.0f} ms after the end, turns without transcript: {len(due)}",
    )


def _asked(view: Evidence) -> frozenset[str]:
    """What says that transcripts were to come, where none came yet."""
    told = session.told(view)
    audio = told.data.get("audio") if told is not None else None
    half = audio.get("input") if isinstance(audio, dict) else None
    return frozenset(("asked",)) if isinstance(half, dict) and half.get("transcription") else frozenset()
