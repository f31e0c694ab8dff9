"""
The provider applied another audio format than was asked: static on the line, and no error anywhere.

Caller notices: static, or an agent that understands nothing.
Why: the session's shape is not the one that this provider reads, or something in between rewrites it.
Proof: the session's echo names another format.
Fix: put the format where this provider reads it.
Reproduce: `offhook fake` that echoes audio/pcm.
"""

from collections.abc import Iterator

from offhook.diagnosis import session
from offhook.diagnosis.boundaries import Finding, Rule
from offhook.diagnosis.evidence import Evidence

RULE = Rule(
    id="provider-session/format-not-applied",
    title="The audio format was not applied",
    decides=("F-127", "F-126"),
    explains=(
        "media/uplink-format",
        "media/downlink-rate",
        "media/not-pcmu",
        "media/odd-frames",
        "media/level",
        "provider-session/caller-not-detected",
        "provider-session/turn-never-ends",
        "turns/*",
    ),
    lies="the provider reports success",
    source="openclaw/openclaw#79980",
    since="2026-11-24",
    needs=("provider",),
)


ROWS = {"output": "F-127", "input": "F-126"}
FIX = "the session's shape is another service's, or an endpoint in between rewrites it: check provider.url"


def find(view: Evidence) -> Iterator[Finding]:
    fatal = sorted((d for d in view.differences if d.fatal), key=lambda d: "input" in d.field)
    if fatal:
        first = fatal[0]
        yield RULE.finding(
            first,
            f"{first.field}: asked for {first.asked}, got {first.got}.",
            FIX,
            observable=f"session echo differs: {first.field}",
            field=first.field,
            catalogue=next((row for side, row in ROWS.items() if side in first.field), ""),
        )
        return
    asked = next((s for s in view.provider.sessions if s.kind == "update"), None)
    echo = next((s for s in view.provider.sessions if s.kind == "updated"), None)
    if asked is None or echo is None:
        return
    for side in ("output", "input"):  # whatever shape they were asked for in
        want, got = session.audio_format(asked.data, side), session.audio_format(echo.data, side)
        if want is not None and got is not None and want != got:
            yield RULE.finding(
                echo,
                f"{side} audio: asked for {want[0]} at {want[1]} Hz, got {got[0]} at {got[1]} Hz.",
                FIX,
                observable=f"session echo differs: audio.{side}.format",
                field=f"session.audio.{side}.format",
                catalogue=ROWS[side],
            )
            return
