"""
The function that serves the stream failed or returned, and the connection was dropped without a close.

Caller notices: the line goes dead in the middle of a word.
Why: an exception that nobody caught.
Proof: the exception, and our side gone right after it.
Fix: mend it; catch what a handler raises, close the stream and tell the caller.
Reproduce: raise in the media handler at the fiftieth frame.
"""

from collections.abc import Iterator

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.diagnosis.evidence import Evidence

RULE = Rule(
    id="carrier-stream/handler-failed",
    title="The handler of the stream failed",
    decides=("F-059",),
    explains=("bridge/exception", "carrier-stream/lost", "provider-session/lost"),
    lies="the carrier logs 31903 or 31921; the server's last line is about a closed connection",
    source="uvicorn 0.54.0: no close frame after an exception (measured 2026-11-22)",
    since="2026-11-25",
    needs=("bridge",),
    breaks="M16",
)
AT_ONCE_MS = 2000


def find(view: Evidence) -> Iterator[Finding]:
    closed = view.closed("carrier")
    if closed is None or closed.by != "us" or closed.code not in (None, 1011, 1006):
        return
    for exc in view.exceptions:
        if not exc.after_end and 0 <= closed.at_ms - exc.at_ms < AT_ONCE_MS:
            yield RULE.finding(
                exc,
                f"The stream was dropped because its handler failed: {exc.type} at {exc.where or exc.task}.",
                "mend it, and let a handler that fails close the stream",
                observable=f"{exc.type}, then TCP gone{'' if closed.code is None else f' ({closed.code})'}",
            )
            return
