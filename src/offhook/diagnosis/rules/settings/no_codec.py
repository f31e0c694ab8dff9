"""
A module is missing, and its import stands in the path of the first call.

Caller notices: an answered call that ends at the first frame.
Why: a Python that dropped audioop, or a library that was not installed.
Proof: the import error of the first call.
Fix: install it, or a codec of one's own; import at the start.
Reproduce: hide the module and call.
"""

from collections.abc import Iterator

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.diagnosis.evidence import Evidence

RULE = Rule(
    id="settings/no-codec",
    title="The runtime lacks a module that calls need",
    decides=("F-019",),
    explains=("bridge/exception", "carrier-stream/handler-failed", "provider-session/*"),
    lies="the carrier logs 31903 or 31921; the server started well",
    source="python.org: audioop was removed in 3.13",
    since="2026-11-25",
    needs=("bridge",),
    breaks="M7",
)


def find(view: Evidence) -> Iterator[Finding]:
    for exc in view.exceptions:
        if exc.type in ("ModuleNotFoundError", "ImportError") and not exc.after_end:
            codec = view.boot.runtime.get("g711") is False or "audioop" in exc.where
            what = "no G.711 codec in this Python (audioop was removed in 3.13)" if codec else "a module is missing"
            yield RULE.finding(
                exc,
                f"The call ended at an import: {what}, at {exc.where}.",
                "install the module, and import it when the server starts",
                observable=f"{exc.type} at {exc.where}",
            )
            return
