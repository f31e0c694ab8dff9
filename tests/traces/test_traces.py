"""Calls as traces: what of a record becomes a span, and what a receiver of OTLP gets of it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from tests.store.kit import agent, caller, note, record

from offhook.diagnosis.report import judge
from offhook.traces import export
from offhook.traces.export import Traces, trace_id
from offhook.traces.headers import HeadersError, headers_of
from offhook.traces.spans import began_ms, spans

BEGAN = 1_795_608_000_000  # 2026-11-25T12:00:00Z


def whole(folder: Path, name: str = "CA1") -> Path:
    return record(
        folder, name,
        note("webhook", 13.0, status=200, ms=26.0),
        note("dial.phase", 47.0, phase="tcp", ms=16.0),
        note("milestone", 60.0, id="M8", what="provider open"),
        note("milestone", 80.0, id="M5", what="carrier upgrade accepted"),
        caller("my number is 4155550100", "i1", 900.0),
        note("reply", 1300.0, ms=400),
        agent("Thank you very much", "i2", 1400.0),
        note("tool", 2000.0, id="t1", name="book", args_ok=True),
        note("tool.done", 2300.0, id="t1", name="book", outcome="timeout", ms=300),
        note("barge-in", 3000.0, item="i2", heard_ms=500, sent_ms=2000),
        note("provider.closed", 8000.0, code=1000, by="us"),
        began_ms=BEGAN + 250,
    )  # fmt: skip


class Receiver:
    """A strict receiver of OTLP over HTTP; refuses what is not protobuf, and for as long as it is told to."""

    def __init__(self) -> None:
        self.got: list[ExportTraceServiceRequest] = []
        self.headers: list[dict[str, str]] = []
        self.refuse: list[int] = []
        self.came = threading.Condition()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status = receiver.refuse.pop(0) if receiver.refuse else 200
                if self.path != "/v1/traces" or self.headers["Content-Type"] != "application/x-protobuf":
                    status = 400
                with receiver.came:
                    if status == 200:
                        receiver.got.append(ExportTraceServiceRequest.FromString(body))
                    receiver.headers.append(dict(self.headers))
                    receiver.came.notify_all()
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *args: Any) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1/traces"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def until(self, n: int) -> None:
        """Wait for so many requests."""
        with self.came:
            assert self.came.wait_for(lambda: len(self.headers) >= n, 40)

    def stop(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.stop()


def traces(url: str, lost: list[int], **given: Any) -> Traces:
    return Traces(url, headers={}, service="desk", version="1", lost=lost.append, **given)


def test_a_call_is_one_span_with_its_boundaries_turns_tools_and_answers_in_it(tmp_path: Path):
    root, *parts = spans(judge(whole(tmp_path)))
    times = {part.name: (part.from_ms, part.to_ms) for part in parts}
    assert (root.name, root.from_ms, root.to_ms) == ("call", -13.0, 9000.0)
    assert times["webhook"] == (-13.0, 13.0) and times["dial tcp"] == (31.0, 47.0)
    assert times["provider session"] == (60.0, 8000.0) and times["carrier stream"] == (80.0, 9000.0)
    assert times["reply"] == (900.0, 1300.0) and times["tool book"] == (2000.0, 2300.0)
    assert times["agent speaks"] == (1400.0, 1900.0), "what was heard, not what was made"
    assert next(part for part in parts if part.name == "tool book").fault == "timeout"
    assert [mark.name for mark in root.marks][0] == "milestone M8"
    assert "4155550100" not in repr((root, parts)) and "Thank you" not in repr((root, parts))


def test_a_receiver_gets_one_trace_with_the_times_that_were(tmp_path: Path, receiver: Receiver):
    lost: list[int] = []
    path = whole(tmp_path)
    sending = Traces(receiver.url, headers={"x-key": "s"}, service="desk", version="1", lost=lost.append)
    sending.start()
    sending.offer(path)
    receiver.until(1)
    sending.stop()
    (resource,) = receiver.got[0].resource_spans
    named = {one.key: one.value.string_value for one in resource.resource.attributes}
    got = list(resource.scope_spans[0].spans)
    root = next(one for one in got if not one.parent_span_id)
    assert named["service.name"] == "desk" and receiver.headers[0]["x-key"] == "s" and not lost
    assert {one.trace_id for one in got} == {trace_id(path.stem).to_bytes(16, "big")}
    assert {one.parent_span_id for one in got if one is not root} == {root.span_id}
    assert root.start_time_unix_nano == (BEGAN + 250 - 13) * 1_000_000
    reply = next(one for one in got if one.name == "reply")
    assert reply.end_time_unix_nano == (BEGAN + 250 + 1300) * 1_000_000
    assert next(one for one in got if one.name == "tool book").status.code == 2


def test_the_same_call_twice_is_the_same_trace(tmp_path: Path):
    path = whole(tmp_path)
    report = judge(path)
    one, two = (traces("http://x", []).encoded(path.stem, began_ms(report.call), spans(report)) for _ in range(2))
    assert one == two


def test_a_receiver_that_is_busy_is_asked_again_and_one_that_refuses_is_not(
    tmp_path: Path, receiver: Receiver, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setattr(export, "TRIES_S", (0.0, 0.01, 0.01))
    lost: list[int] = []
    sending = traces(receiver.url, lost)
    sending.start()
    receiver.refuse = [503, 429, 400, 400]
    with caplog.at_level(logging.WARNING, "offhook"):
        for n in range(4):
            sending.offer(whole(tmp_path, f"CA{n}"))
        receiver.until(6)
        sending.stop()
    assert len(receiver.got) == 2 and len(lost) == 2
    said = [one.message for one in caplog.records]
    assert said == ["a trace is lost; calls and records are not touched", "traces are taken again"]
    assert caplog.records[0].why == "answered 400"


def test_nobody_there_and_no_record_are_named_and_more_than_can_wait_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setattr(export, "TRIES_S", (0.0,))
    monkeypatch.setattr(export, "WAITING", 3)
    lost: list[int] = []
    sending = traces("http://127.0.0.1:9/v1/traces", lost)
    for path in (tmp_path / "gone.jsonl", *(whole(tmp_path) for _ in range(4))):
        sending.offer(path)
    assert len(lost) == 2
    sending.start()
    with caplog.at_level(logging.ERROR, "offhook"):
        sending.stop()
    assert len(lost) == 5
    whys = [one.why for one in caplog.records if hasattr(one, "why")]
    assert any("cannot be read" in why for why in whys) and any("ConnectError" in why for why in whys)


@pytest.mark.parametrize("text", ["x", "=x", "a=b,c"])
def test_headers_that_are_none_are_refused_without_their_text(text: str):
    with pytest.raises(HeadersError) as error:
        headers_of(text)
    assert text not in str(error.value).replace("name=value,name=value", "")
    assert headers_of(" a = b=c , d=e,") == {"a": "b=c", "d": "e"}
