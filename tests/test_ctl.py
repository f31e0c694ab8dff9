"""``offhook ctl`` and the verdict of ``offhook call``, against answers of the API that are written down here."""

import json
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import httpx2
import pytest

from offhook.cli import call, ctl
from offhook.evidence.record import RecordingError
from offhook.settings import load

ROW = {
    "id": "20260101T000000Z-CA77", "call": "CA77", "caller": "+1********01", "agent": "desk",
    "live": {"state": "talking", "turns": [{"text": "Hello."}, {"text": "Your name, please?"}]},
}  # fmt: skip


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """What it was asked, and what it answers."""
    made = SimpleNamespace(rows=[], asked=[], done={"what": "hold", "outcome": "done", "detail": ""}, stream=b"")

    def answer(request: httpx2.Request) -> httpx2.Response:
        made.asked.append((request.method, request.url.path, dict(request.url.params), request.content))
        if request.url.path == "/api/live":
            return httpx2.Response(200, content=made.stream)
        return httpx2.Response(200, json=made.done if request.method == "POST" else {"calls": made.rows})

    @asynccontextmanager
    async def reached(settings: Any) -> Any:
        async with httpx2.AsyncClient(base_url="http://here", transport=httpx2.MockTransport(answer)) as client:
            yield client

    monkeypatch.setattr(ctl, "reached", reached)
    return made


def test_the_calls_that_run_are_listed_with_their_last_words(server, capsys):
    assert ctl.running(load(environment={})) == 0
    assert capsys.readouterr().out == "no call runs now\n"
    server.rows = [ROW]
    assert ctl.running(load(environment={})) == 0
    assert capsys.readouterr().out == "CA77  talking     +1********01   desk         Your name, please?\n"
    assert ctl.running(load(environment={}), as_json=True) == 0
    assert json.loads(capsys.readouterr().out) == [ROW]


def test_watching_asks_for_one_call_and_its_levels_and_prints_events_only(server, capsys):
    server.rows, server.stream = [ROW], b': still here\n\nid: 1\ndata: {"type":"hello"}\n\n'
    assert ctl.watch(load(environment={}), "last", 4) == 0
    assert server.asked[-1][1:3] == ("/api/live", {"levels": "4", "call": "CA77"})
    assert capsys.readouterr().out == '{"type":"hello"}\n'


@pytest.mark.parametrize(("outcome", "code"), [("done", 0), ("asked", 0), ("failed", 1), ("ended", 1), ("refused", 1)])
def test_what_is_done_to_a_call_says_how_it_went_with_its_exit_code(server, capsys, outcome, code):
    server.rows, server.done = [ROW], {"what": "hold", "outcome": outcome, "detail": "why"}
    assert ctl.act(load(environment={}), "CA7", "hold", {"on": True}) == code
    assert server.asked[-1][:2] == ("POST", "/api/calls/CA77/hold") and server.asked[-1][3] == b'{"on":true}'
    assert capsys.readouterr().out == f"hold {outcome}: why\n"


@pytest.mark.parametrize(
    ("verdict", "status", "code"),
    [("healthy", "completed", 0), ("broken", "completed", 1), ("suspected", "completed", 1), ("healthy", "busy", 3),
     ("broken", "busy", 1), ("not proven", "failed", 1), (None, "no-answer", 3)],
)  # fmt: skip
def test_a_placed_call_ends_with_its_verdict(monkeypatch, capsys, verdict, status, code):
    def judged(path: Any) -> SimpleNamespace:
        if verdict is None:
            raise RecordingError("there is no such record")
        return SimpleNamespace(verdict=verdict, line=f"{verdict}: because")

    monkeypatch.setattr(call, "find", lambda sid, directory: sid)
    monkeypatch.setattr(call, "verdict_on", judged)
    assert call._verdict(load(environment={}), "CA0123456789abcdef", status) == code
    said = capsys.readouterr()
    if verdict is None:
        assert said.err == "offhook call: there is no such record\n"
    else:
        assert said.out.startswith(f"{verdict}: because\n") and "offhook explain CA0123456789" in said.out
