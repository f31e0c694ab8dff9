"""
A setting stands where another provider reads it; this one ignores it without a word.

Caller notices: another voice, other manners of taking turns.
Why: OpenAI reads voice and turn_detection inside audio, xAI at the top of the session.
Proof: where the setting stood in the update, and the echo that has another value.
Fix: put it where this provider reads it.
Reproduce: an OpenAI session sent to xAI.
"""

from collections.abc import Iterator

from offhook.diagnosis import session
from offhook.diagnosis.boundaries import Finding, Rule
from offhook.diagnosis.evidence import Evidence

RULE = Rule(
    id="provider-session/misplaced-setting",
    title="A setting stands where this provider does not read it",
    decides=("F-124",),
    explains=("provider-session/setting-not-applied",),
    lies="the update is confirmed, without an error",
    source="docs.x.ai speech-to-speech events; livekit/agents xai plugin",
    since="2026-11-25",
    needs=("provider",),
    breaks="M18",
)


def find(view: Evidence) -> Iterator[Finding]:
    if session.wire(view) != "xai":
        return  # OpenAI refuses a misplaced field by name: provider-session/rejected
    told = session.told(view)
    for update in view.provider.sessions:
        if update.kind != "update" or told is None:
            continue
        misplaced = _nested(update.data)
        wanted, got = session.voice(update.data), session.voice(told.data)
        if "voice" in misplaced and wanted and got and got.lower().removeprefix("xai_") != wanted.lower():
            yield RULE.finding(
                update,
                f"{', '.join(misplaced)} stood inside session.audio, where xAI does not look: "
                f"voice {wanted!r} was asked for, {got!r} is used.",
                "put voice and turn_detection at the top of the session for xAI",
                observable=f"session.audio.output.voice = {wanted}, echo {got}",
                field="session.audio.output.voice",
            )
            return


def _nested(data: dict[str, object]) -> list[str]:
    audio = data.get("audio")
    halves = audio.values() if isinstance(audio, dict) else ()
    return [name for half in halves if isinstance(half, dict) for name in ("voice", "turn_detection") if name in half]
