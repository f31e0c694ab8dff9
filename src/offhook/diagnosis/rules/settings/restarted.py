"""
A deploy, a restart or a kill ended the process while calls were running.

Caller notices: the line goes dead in the middle of a word.
Why: the process ended without letting its calls end.
Proof: the signal, and our side of the connections gone right after it.
Fix: drain: take no new calls, let the running ones end within a limit, say goodbye to the rest.
Reproduce: send SIGTERM during a call.
"""

from collections.abc import Iterator

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.diagnosis.evidence import Evidence

RULE = Rule(
    id="settings/restarted",
    title="The service was restarted during the call",
    decides=("F-022",),
    explains=("carrier-stream/*", "provider-session/lost", "records/process-died"),
    lies="the carrier logs 31903 or 31921",
    source="systemd.service: SIGTERM",
    since="2026-11-25",
    needs=("bridge",),
    breaks="M19",
)
AT_ONCE_MS = 5000


def find(view: Evidence) -> Iterator[Finding]:
    for line in view.recording.notes("process"):
        closed = view.closed("carrier")
        cut = closed is not None and 0 <= closed.at_ms - line.at_ms < AT_ONCE_MS and closed.by != "them"
        if line.data.get("signal") and (cut or view.recording.end is None):
            calls = f" with {line.figure('calls'):.0f} calls running" if line.figure("calls") else ""
            yield RULE.finding(
                line.number,
                f"The service got {line.text('signal')}{calls}, and this call ended with it.",
                "let running calls end first: server.drain_s, and a stop timeout of the service manager above it",
                observable=f"{line.text('signal')} at {line.at_ms / 1000:.1f} s",
            )
            return
