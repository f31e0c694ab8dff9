"""
Parameters arrive with start (customParameters), not in the stream URL's query; who reads them elsewhere gets none,
and takes the default agent.

Caller notices: an agent that knows nothing of them.
Why: query strings work with every other WebSocket client.
Proof: the parameters came with start, and the session got the default instructions word for word.
Fix: read start.customParameters.
Reproduce: send two parameters to a program that reads the query.
"""

from collections.abc import Iterator

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.diagnosis.evidence import Evidence

RULE = Rule(
    id="webhook/parameters-not-read",
    title="The call's parameters are read where they never come",
    decides=("F-043",),
    lies="nothing: an agent answers, only the wrong one",
    source="twilio.com/docs/voice/twiml/stream: Parameter",
    since="2026-11-25",
    needs=("carrier", "provider"),
    breaks="M9",
)


def find(view: Evidence) -> Iterator[Finding]:
    start, agent = view.carrier_in.start, view.boot.agent
    default = bool(agent.instructions) and view.asked.get("instructions") == agent.instructions
    given = [name for name in start.parameters if name in agent.uses_parameters] if start is not None else []
    if start is not None and given and default:
        yield RULE.finding(
            start,
            f"{', '.join(given)} came as <Parameter> with start, but the session got the default instructions.",
            "read start.customParameters; a query never arrives",
            observable="customParameters present, default instructions",
            field="customParameters",
        )
