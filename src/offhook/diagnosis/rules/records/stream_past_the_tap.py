"""
The tap stands before the webhook only: the document names another address for the stream, and it went there.

Caller notices: nothing. The record ends with the webhook, and nothing behind it is provable from here.
Why: a server names its own address in the TwiML, not the tap's.
Proof: the stream's host and port are not those by which the webhook came, and no stream came by the tap.
Fix: let the tap put its own address into the document, or stand it where the document points.
Reproduce: `offhook tap --carrier 9000=http://127.0.0.1:8080` before a server that names port 8080, and dial port 9000.
"""

from collections.abc import Iterator

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.diagnosis.evidence import Evidence

RULE = Rule(
    id="records/stream-past-the-tap",
    title="The stream went past the tap",
    lies="nobody: the call may have been well",
    source="docs/tap.md",
    since="2026-11-25",
)


def find(view: Evidence) -> Iterator[Finding]:
    if view.passed_by is None:
        return
    stream = view.passed_by.stream
    port = f":{stream.port}" if stream.port else ""
    came = view.hooks[-1]
    by = f"{came.host}:{came.port}" if came.port else came.host
    yield RULE.finding(
        view.passed_by,
        f"The stream went to {stream.scheme}://{stream.host}{port}, past this tap (the webhook came by {by}): what "
        "became of it is not provable from here. Tap with --rewrite-stream-url --public ORIGIN to bring it here.",
        "tap with --rewrite-stream-url and --public ORIGIN, where the carrier reaches the tap",
        observable=f"stream {stream.host}{port}, webhook {by}",
        field="url",
        severity="note",
    )
