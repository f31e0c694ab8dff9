"""
The agent waits for the caller and the caller for the agent.

Caller notices: a silent pickup.
Why: no greeting is configured, and people who call expect to be greeted.
Proof: the session was ready and nobody asked for a first response, while the caller said nothing for five seconds.
Fix: ask for a greeting when the session is ready.
Reproduce: no greeting, and a caller who waits.
"""

from collections.abc import Iterator

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.diagnosis.evidence import Evidence
from offhook.diagnosis.figures import spoke_ms

RULE = Rule(
    id="turns/nobody-speaks-first",
    title="Nobody speaks first",
    decides=("F-150",),
    explains=("turns/no-answer", "turns/unexplained", "media/unexplained"),
    lies="everything works, so everything is suspected",
    source="openclaw/openclaw#29280; twilio-samples/speech-assistant-openai-realtime-api-python#9",
    since="2026-11-25",
    needs=("carrier", "provider"),
    breaks="M12",
)
WAITED_MS = 5500.0  # people say "hello?" after four or five seconds


def find(view: Evidence) -> Iterator[Finding]:
    wire, ready = view.provider, view.provider.echo
    start = view.carrier_in.start
    if ready is None or start is None or wire.responses or wire.creates or wire.audio.frames:
        return
    if view.boot.profile.duplex == "full" or view.carrier_in.digits:
        return
    ended = [fact.at_ms for fact in (view.carrier_in.stop, view.closed("carrier"), view.closed("provider")) if fact]
    since = max(ready.at_ms, start.at_ms)
    spoke = spoke_ms(view)
    if spoke is None and view.carrier_in.audio.speech_ms:
        return  # they spoke, and when cannot be seen from here
    quiet = min([*ended, view.length_ms] + ([spoke] if spoke is not None else [])) - since
    if quiet < WAITED_MS:
        return
    yield RULE.finding(
        ready,
        f"The agent was ready at {ready.at_ms / 1000:.1f} s and waited for the caller, who said nothing for "
        f"{quiet / 1000:.0f} s: no greeting was asked for. Nothing else is broken.",
        "configure a greeting: send response.create when the session is ready",
        observable=f"session ready, responses: 0, caller silent for {quiet / 1000:.0f} s",
        field="greeting",
    )
