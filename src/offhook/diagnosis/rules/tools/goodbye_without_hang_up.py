"""
The agent says goodbye again and again, and never calls the tool that hangs up.

Caller notices: they are stuck on the line after the goodbye.
Why: the model takes its word for the deed: the instructions do not tie them together.
Proof: two farewells or more, a tool that hangs up, no call to it, and the line open for ten seconds more.
Fix: tell the model to call the tool in the same response as its goodbye; hang up after a farewell and silence.
Reproduce: a model that says "goodbye" three times and calls nothing.
"""

from collections.abc import Iterator

from offhook.claims import is_farewell
from offhook.diagnosis.boundaries import Finding, Rule
from offhook.diagnosis.evidence import Evidence
from offhook.diagnosis.figures import hung_up_by_us
from offhook.diagnosis.talk import ENDS_CALL

RULE = Rule(
    id="tools/goodbye-without-hang-up",
    title="The agent says goodbye and does not hang up",
    decides=("F-149",),
    lies="it looks as if the carrier did not hang up",
    source="gptme/gptme-contrib#795",
    since="2026-11-25",
    needs=("provider",),
    breaks="M19",
)
TIMES, STUCK_MS = 2, 10_000.0


def find(view: Evidence) -> Iterator[Finding]:
    tools = [name for name in view.talk.tools if ENDS_CALL.search(name)]
    said = [said for said in view.talk.said if is_farewell(said.text)]
    if not tools or len(said) < TIMES or any(ENDS_CALL.search(call.name) for call in view.talk.calls):
        return
    closed = view.closed("carrier")
    ended = view.carrier_in.stop or closed
    until = ended.at_ms if ended is not None else view.length_ms
    if until - said[0].at_ms < STUCK_MS or hung_up_by_us(view):
        return
    yield RULE.finding(
        said[0],
        f"The agent said goodbye {len(said)} times and did not call {tools[0]}; the line stayed open for "
        f"{(until - said[0].at_ms) / 1000:.0f} s more.",
        f"tell the model to call {tools[0]} in the same response as its goodbye",
        observable=f"{len(said)} farewells, {tools[0]} called 0 times",
        field=tools[0],
    )
