"""
The agent is far too loud or far too quiet: the codec clips it, or nobody hears it.

Caller notices: a distorted, or a hardly audible voice.
Why: a gain somewhere on the way.
Proof: the share of measured pieces at the top of the scale, or none above near-silence.
Fix: send what the provider sends, with no gain of your own.
Reproduce: gain × 5.
"""

from collections.abc import Iterator

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.diagnosis.evidence import Evidence

RULE = Rule(
    id="media/level",
    title="The agent is far too loud, or far too quiet",
    decides=("F-138",),
    lies="codec and rate are right",
    source="measured 2026-11-25 on shipped speech: healthy speech has under 5 % of its pieces in the loudest class",
    since="2026-11-25",
    needs=("carrier",),
)
SHARE = 0.4
AT_LEAST = 40
QUIETEST = 9  # loudness classes below -42 dBFS: the quietest speech on a phone line peaks at -36
HEARD = 6  # from here on it is not silence: media/digital-silence


def find(view: Evidence) -> Iterator[Finding]:
    out, came = view.carrier_out.audio, view.provider.audio
    total = sum(out.levels)
    if out.judged != "ok" or total < AT_LEAST or not out.levels:
        return
    if not any(out.levels[QUIETEST:]) and sum(out.levels[HEARD:]) > SHARE * total:
        yield RULE.finding(
            out.line,
            "Nothing that the caller is sent is louder than -42 dBFS: a voice that can hardly be heard.",
            "another voice, or look for what makes it quiet between provider and carrier",
            observable=f"none of {total} measured pieces reaches the level of speech",
        )
        return
    if out.levels[-1] < SHARE * total:
        return
    source = came.levels[-1] / sum(came.levels) if came.levels and sum(came.levels) else None
    ours = source is not None and source < SHARE / 2
    yield RULE.finding(
        out.line,
        f"{100 * out.levels[-1] / total:.0f} % of what the caller is sent is at the top of the scale and clipped"
        + (f"; what came from the provider was not ({100 * source:.0f} %)." if ours and source is not None else "."),
        "take out the gain between provider and carrier" if ours else "lower the provider's voice",
        observable=f"{out.levels[-1]} of {total} measured pieces in the loudest class",
    )
