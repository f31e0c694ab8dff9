"""
A simulated phone heard something else than an agent: nothing, silence, noise, a faint or a slow voice.

Caller notices: exactly that.
Why: what the server sends is no µ-law at 8 kHz, or not loud, or never comes.
Proof: the audio itself, measured where a phone plays it; nothing at all is not provable from here.
Fix: named with each; where nothing was sent the cause lies behind the stream: prove those boundaries apart.
Reproduce: `offhook dial` against a server that does it.
"""

from collections.abc import Iterator

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.diagnosis.evidence import Evidence

RULE = Rule(
    id="media/heard-at-the-phone",
    title="The phone heard no agent",
    lies="the carrier logs nothing: it cannot tell audio from noise",
    source="twilio.com/docs/voice/media-streams/websocket-messages",
    since="2026-11-25",
    needs=("carrier",),
)


def find(view: Evidence) -> Iterator[Finding]:
    given = view.recording.summary("dial").get("findings")
    last = max(line.number for line in view.recording.lines)
    for row in given if isinstance(given, list) else []:
        if not isinstance(row, dict) or row.get("code") or row.get("severity") not in ("fault", "suspicion"):
            continue
        if row.get("statement") not in ("", "O10", "O13"):
            continue  # a violation of the wire: it stands in the record itself, and has a rule of its own
        sentence = str(row.get("sentence"))
        proven = row["severity"] == "fault"
        yield RULE.finding(
            last,
            sentence[:1].upper() + sentence[1:] + ".",
            str(row.get("fix") or ""),
            observable=str(row.get("proof")),
            severity="fault" if proven else "suspicion",
            proof="proven" if proven else "not provable from here",
        )
