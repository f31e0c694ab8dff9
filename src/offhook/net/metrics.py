"""
The figures that ``/metrics`` shows, one registry a process. Knows no call and no wire.
"""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

__all__ = ["Metrics"]


class Metrics:
    """Counters and histograms of one process; nothing here is touched per audio frame."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.calls_active = Gauge("offhook_calls_active", "Calls running now", registry=self.registry)
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

    def hook_tried(self, hook: str, outcome: str) -> None:
        """Something was done after a call, or not."""
        self._hooks.labels(hook=hook, outcome=outcome).inc()

    def watch_store(self, waiting: Callable[[], int]) -> None:
        """Show how many calls the store has not got yet."""
        gauge = Gauge("offhook_store_waiting", "Calls that the store has not got yet", registry=self.registry)
        gauge.set_function(waiting)

    def store_stalled(self, seconds: float, *, failed: bool) -> None:
        self._store_seconds.observe(seconds)
        if failed:
            self._store_failed.inc()

    def refused(self, why: str) -> None:
        self._refused.labels(why).inc()

    def dial_failed(self, phase: str) -> None:
        self._dial_failed.labels(phase).inc()

    def call_ended(self, why: str, seconds: float) -> None:
        # ``why`` may carry a detail after a colon; the label is the word before it, or the set has no end.
        self._ended.labels(why.partition(":")[0][:40]).inc()
        self._seconds.observe(seconds)

    def text(self) -> bytes:
        """The exposition format that Prometheus reads."""
        return generate_latest(self.registry)
