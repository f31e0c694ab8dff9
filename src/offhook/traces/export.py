"""
Sending traces: OTLP over HTTP, from a thread of its own. No call waits for it, and what cannot be sent is named.

Identities follow from the record's name, so a call that is sent twice is one trace. Needs the extra ``[otel]``.
"""

from __future__ import annotations

import hashlib
import logging
import queue
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx2

from offhook.diagnosis.report import report
from offhook.evidence.files import read
from offhook.evidence.record import RecordingError
from offhook.traces.spans import Span, began_ms, spans

__all__ = ["Traces", "trace_id"]

log = logging.getLogger("offhook")

WAITING = 200  # records; beyond that the newest is left out, and counted
SEND_S = 5.0
TRIES_S = (0.0, 1.0, 4.0)
LAST_S = 3.0  # at the end of the process


def trace_id(record: str) -> int:
    """The trace of a record, by its name."""
    return int.from_bytes(hashlib.sha256(record.encode()).digest()[:16], "big") or 1


def _span_id(record: str, n: int) -> int:
    return int.from_bytes(hashlib.sha256(f"{record} {n}".encode()).digest()[:8], "big") or 1


class Traces:
    """
    ``lost(n)`` is told of traces that were given up.
    """

    def __init__(
        self,
        endpoint: str,
        *,
        headers: Mapping[str, str],
        service: str,
        version: str,
        lost: Callable[[int], None] = lambda n: None,
        proxy: str | None = None,
    ) -> None:
        self._endpoint = endpoint
        self._headers = {**headers, "Content-Type": "application/x-protobuf", "User-Agent": f"offhook/{version}"}
        self._resource = {"service.name": service, "service.version": version}
        self._version = version
        self._lost = lost
        self._proxy = proxy
        self._waiting: queue.Queue[Path | None] = queue.Queue(WAITING)
        self._stopping = threading.Event()
        self._failing = ""
        self._thread = threading.Thread(target=self._run, name="traces", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def offer(self, path: Path) -> None:
        """A record is whole; from any thread, never waits."""
        try:
            self._waiting.put_nowait(path)
        except queue.Full:
            self._gives_up(f"{WAITING} calls wait for it already")

    def stop(self) -> None:
        """Send what waits, for a few seconds."""
        self._stopping.set()
        try:
            self._waiting.put_nowait(None)
        except queue.Full:
            pass  # the thread looks at _stopping after each
        if self._thread.is_alive():
            self._thread.join(LAST_S)

    # The rest runs on the thread.

    def _run(self) -> None:
        with httpx2.Client(timeout=SEND_S, trust_env=False, proxy=self._proxy) as client:
            while True:
                path = self._waiting.get()
                if path is None:
                    return
                try:
                    self._one(client, path)
                except Exception as error:  # a defect in one trace must not end the others
                    self._gives_up(f"defect: {type(error).__name__}: {error}"[:200])
                if self._stopping.is_set() and self._waiting.empty():
                    return

    def _one(self, client: httpx2.Client, path: Path) -> None:
        try:
            call = read(path)
        except RecordingError as error:
            self._gives_up(str(error))
            return
        body = self.encoded(path.stem, began_ms(call), spans(report(call)))
        why = ""
        for wait_s in TRIES_S:
            if wait_s and self._stopping.wait(wait_s):
                break
            why, again = self._send(client, body)
            if not why or not again:
                break
        if why:
            self._gives_up(why)
        elif self._failing:
            log.warning("traces are taken again", extra={"where": self._endpoint})
            self._failing = ""

    def _send(self, client: httpx2.Client, body: bytes) -> tuple[str, bool]:
        """Why it was not taken, and whether another try may help (OTLP 1.5: 429, 502, 503, 504)."""
        try:
            answer = client.post(self._endpoint, content=body, headers=self._headers)
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            return f"{type(error).__name__}: {error}"[:200], True
        if answer.is_success:
            return "", False
        return f"answered {answer.status_code}", answer.status_code in (429, 502, 503, 504)

    def _gives_up(self, why: str) -> None:
        self._lost(1)
        if why != self._failing:  # once for each reason, not once a call
            self._failing = why
            log.error("a trace is lost; calls and records are not touched", extra={"where": self._endpoint, "why": why})

    def encoded(self, record: str, began: float, parts: Sequence[Span]) -> bytes:
        """The request's body."""
        from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans

        made: bytes = encode_spans(self._spans(record, began, parts)).SerializeToString()
        return made

    def _spans(self, record: str, began: float, parts: Sequence[Span]) -> list[Any]:
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import Event, ReadableSpan
        from opentelemetry.sdk.util.instrumentation import InstrumentationScope
        from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

        def ns(at_ms: float) -> int:
            return round(began) * 1_000_000 + round(at_ms * 1_000_000)  # their sum is more than a float holds

        trace, flags = trace_id(record), TraceFlags(TraceFlags.SAMPLED)
        contexts = [SpanContext(trace, _span_id(record, n), False, flags) for n in range(len(parts))]
        resource, scope = Resource(self._resource), InstrumentationScope("offhook", self._version)
        return [
            ReadableSpan(
                name=part.name, context=contexts[n], parent=contexts[0] if n else None, resource=resource,
                attributes={**part.attributes, **({} if n else {"offhook.record": record})},
                events=[Event(mark.name, dict(mark.attributes), ns(mark.at_ms)) for mark in part.marks],
                kind=SpanKind.INTERNAL if n else SpanKind.SERVER,
                status=Status(StatusCode.ERROR, part.fault) if part.fault else Status(StatusCode.UNSET),
                start_time=ns(part.from_ms), end_time=ns(part.to_ms), instrumentation_scope=scope,
            )
            for n, part in enumerate(parts)
        ]  # fmt: skip
