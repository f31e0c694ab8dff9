"""
White space, a line end, a quote or a typographic character came along when the key was copied.

Caller notices: silence or an end right after the answer.
Why: a file that ends with a line end, a value with its quotes, a chat program's dashes.
Proof: the key's edge or characters are odd, and the connection failed because of it.
Fix: strip the key where it is read.
Reproduce: put a line end behind the key.
"""

from collections.abc import Iterator

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.diagnosis.evidence import Evidence

RULE = Rule(
    id="settings/key-malformed",
    title="The key has a character that no key has",
    decides=("F-004",),
    explains=(
        "provider-connect/*",
        "provider-session/*",
        "bridge/exception",
        "turns/no-answer",
        "carrier-stream/handler-failed",
    ),
    lies="a library refuses the header, and its traceback shows the key",
    source="websockets 17.4: InvalidHeaderValue (measured 2026-11-22)",
    since="2026-11-25",
    breaks="M8",
)


def find(view: Evidence) -> Iterator[Finding]:
    key = view.own_key
    if key is None or not (key.edge_space or key.odd):
        return
    refused = next((exc for exc in view.exceptions if "Header" in exc.type), None)
    invalid = any(error.code == "invalid_api_key" for error in view.errors)
    failed = view.dial_failure
    if refused or invalid or (failed and failed.status in (400, 401, 403)):
        yield RULE.finding(
            refused or view.boot,
            f"{key.env} ({key.length} characters) has {key.odd or 'white space'} at its edge: it was copied with it.",
            f"remove it from {key.env}",
            observable=f"{key.env}: {key.odd or 'white space at the edge'}",
            field=key.env,
        )
