"""
The figures that ``/metrics`` shows, one registry a process. Knows no call and no wire.
"""

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

__all__ = ["Metrics"]

MAX_NAMES = 200  # of agents, tools or rules as labels
_METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))


class Metrics:
    """Counters and histograms of one process; nothing here is touched per audio frame."""

    def __init__(self, frames: str = "python") -> None:
        self.registry = CollectorRegistry()
        self.calls_active = Gauge("offhook_calls_active", "Calls running now", registry=self.registry)
        way = Gauge(
            "offhook_frames_way", "Which way audio frames go: compiled or python", ["way"], registry=self.registry
        )
        way.labels(frames).set(1)
        self._ended = Counter("offhook_calls_ended", "Calls ended, by why", ["why"], registry=self.registry)
        self._seconds = Histogram(
            "offhook_call_seconds",
            "Length of calls",
            buckets=(1, 5, 15, 60, 300, 900, 3600),
            registry=self.registry,
        )
        self._refused = Counter(
            "offhook_refused", "Webhooks and streams refused, by why", ["why"], registry=self.registry
        )
        self._unrecorded = Counter(
            "offhook_refused_unrecorded", "Calls and requests refused without a record, being too many", ["what"],
            registry=self.registry,
        )  # fmt: skip
        self._dial_failed = Counter(
            "offhook_dial_failed", "Failed provider dials, by phase", ["phase"], registry=self.registry
        )
        self.loop_lag = Histogram(
            "offhook_loop_lag_seconds",
            "Times the event loop was blocked for more than 50 ms",
            buckets=(0.1, 0.25, 0.5, 1, 5, 30),
            registry=self.registry,
        )
        self.journal_failures = Counter(
            "offhook_journal_failures", "Journal writes that failed", registry=self.registry
        )

        self.traces_lost = Counter("offhook_traces_lost", "Calls whose trace could not be sent", registry=self.registry)
        self._store_seconds = Histogram(
            "offhook_store_stall_seconds",
            "Writes to the store that took more than 200 ms or failed; no call waited for them",
            buckets=(0.5, 1, 2, 5, 10, 30),
            registry=self.registry,
        )
        self._hooks = Counter(
            "offhook_hook_tries", "What is done after calls: done, failed, given up", ["hook", "outcome"],
            registry=self.registry,
        )  # fmt: skip
        self._store_failed = Counter(
            "offhook_store_failures", "Rounds in which the store failed", registry=self.registry
        )

        self._api = Counter(
            "offhook_api_requests", "Requests of the API", ["method", "route", "status"], registry=self.registry
        )
        self._api_seconds = Histogram(
            "offhook_api_seconds", "What the API took to answer, streams left out",
            buckets=(0.005, 0.02, 0.1, 0.5, 2, 10), registry=self.registry,
        )  # fmt: skip
        self._calls = Counter(
            "offhook_calls_judged", "Calls by agent, direction and verdict", ["agent", "direction", "verdict"],
            registry=self.registry,
        )  # fmt: skip
        self._findings = Counter("offhook_findings", "Findings in calls, by rule", ["rule"], registry=self.registry)
        self._reply = Histogram(
            "offhook_reply_seconds", "From the end of the caller's speech to the agent's answer", ["provider"],
            buckets=(0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1, 1.5, 2, 3, 5), registry=self.registry,
        )  # fmt: skip
        self._tools = Counter("offhook_tool_runs", "Tools that were run", ["tool", "outcome"], registry=self.registry)
        self._watchers = Gauge("offhook_live_subscribers", "Who watches the live stream", registry=self.registry)
        self._names: dict[str, set[str]] = {}

    def _bounded(self, kind: str, name: str) -> str:
        """A label's value; those beyond a bound share one, for a time series is kept for each."""
        known = self._names.setdefault(kind, set())
        if name not in known and len(known) >= MAX_NAMES:
            return "others"
        known.add(name)
        return name

    def api(self, method: str, route: str, status: int, seconds: float) -> None:
        """A request of the API was answered; ``route`` with its parameters as names, or it has no end."""
        self._api.labels(method if method in _METHODS else "other", route, str(status)).inc()
        if not route.endswith("/live"):
            self._api_seconds.observe(seconds)

    def judged(self, agent: str, direction: str, verdict: str, rules: Sequence[str]) -> None:
        """A call's record is whole, and this is what became of it. May be called from the writer's thread."""
        self._calls.labels(self._bounded("agent", agent), direction, verdict).inc()
        for rule in rules:
            self._findings.labels(self._bounded("rule", rule)).inc()

    def replied(self, provider: str, ms: float) -> None:
        self._reply.labels(provider).observe(ms / 1000)

    def tool_done(self, tool: str, outcome: str) -> None:
        kind = outcome.partition(" ")[0][:20] or "unknown"  # "raised TYPE": the type is in the record
        self._tools.labels(self._bounded("tool", tool[:60]), kind).inc()

    def watch_subscribers(self, count: Callable[[], int]) -> None:
        self._watchers.set_function(count)

    def load(self) -> dict[str, float | None]:
        """How busy the process is: processor seconds so far, resident bytes where the system tells, loop stalls."""
        return {
            "cpu_seconds": round(time.process_time(), 2),
            "resident_bytes": _resident(),
            "loop_stalls": self._total(self.loop_lag, "_count"),
            "loop_stalled_s": self._total(self.loop_lag, "_sum"),
        }

    @staticmethod
    def _total(histogram: Histogram, suffix: str) -> float | None:
        samples = [sample for metric in histogram.collect() for sample in metric.samples]
        return next((sample.value for sample in samples if sample.name.endswith(suffix)), None)

    def hook_tried(self, hook: str, outcome: str) -> None:
        """Something was done after a call, or not."""
        self._hooks.labels(hook=hook, outcome=outcome).inc()

    def watch_store(self, waiting: Callable[[], int], works: Callable[[], bool]) -> None:
        """Show whether the store takes calls, and how many it has not got yet."""
        gauge = Gauge("offhook_store_waiting", "Calls that the store has not got yet", registry=self.registry)
        gauge.set_function(waiting)
        up = Gauge(
            "offhook_store_up", "1: the store takes calls; 0: it does not, /readyz says why", registry=self.registry
        )
        up.set_function(lambda: float(works()))

    def store_stalled(self, seconds: float, *, failed: bool) -> None:
        self._store_seconds.observe(seconds)
        if failed:
            self._store_failed.inc()

    def refused(self, why: str) -> None:
        self._refused.labels(why).inc()

    def unrecorded(self, what: str) -> None:
        self._unrecorded.labels(what).inc()

    def dial_failed(self, phase: str) -> None:
        self._dial_failed.labels(phase).inc()

    def call_ended(self, why: str, seconds: float) -> None:
        # ``why`` may carry a detail after a colon; the label is the word before it, or the set has no end.
        self._ended.labels(why.partition(":")[0][:40]).inc()
        self._seconds.observe(seconds)

    def text(self) -> bytes:
        """The exposition format that Prometheus reads."""
        return generate_latest(self.registry)


def _resident() -> float | None:
    """Bytes in memory; None where /proc does not tell."""
    try:
        fields = Path("/proc/self/statm").read_text().split()
    except OSError:
        return None
    import resource

    return float(int(fields[1]) * resource.getpagesize())
