"""
The program plays by turns with a model that has none: it listens and speaks at the same time.

Caller notices: answers are cut at random, or "are you still there?" while the model speaks.
Why: code for speech_started, response.create and truncate runs on a provider that sends and takes none of them.
Proof: a provider whose profile is full duplex, and turn messages or idle timers on our side.
Fix: play in order what comes, never clear because the caller speaks, and let no timer wait for turns.
Reproduce: run turn logic on a full-duplex provider.
"""

from collections.abc import Iterator

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.diagnosis.evidence import Evidence

RULE = Rule(
    id="bridge/turn-logic-on-full-duplex",
    title="Turn logic runs on a model without turns",
    decides=("F-170",),
    explains=("turns/*", "provider-session/caller-not-detected", "bridge/idle-over-speech"),
    lies="it looks as if the provider never heard the caller",
    source="openai-python 3.54.0 types/live",
    since="2026-11-25",
    needs=("provider",),
    breaks="M16",
)
TURNS = ("response.create", "response.cancel", "conversation.item.truncate", "input_audio_buffer.commit")


def find(view: Evidence) -> Iterator[Finding]:
    if view.boot.profile.duplex != "full":
        return
    sent = [kind for kind in TURNS if view.provider.sent.get(kind)]
    fired = view.inside.idle if view.provider.audio.frames else ()
    if not sent and not fired:
        return
    what = ", ".join(sent) if sent else "an idle timer that waits for turns"
    yield RULE.finding(
        (view.provider.creates or fired or (view.provider.first_sent,))[0] or 1,
        f"{view.boot.profile.provider or 'This provider'} is full duplex and has no turns; the program uses {what}.",
        "play what comes in its order, never clear because the caller speaks, and send no turn messages",
        observable=f"profile: full duplex; sent: {what}",
        field=sent[0] if sent else "",
    )
