"""HTTP endpoints as tools, against a server on this machine."""

import asyncio
import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest

from offhook.agent.tools import CallContext
from offhook.agent.tools.http import Endpoint, http_tool
from offhook.agent.tools.runner import Result, Runner
from offhook.agent.tools.schema import Arguments
from offhook.agent.tools.spec import Limits

SEEN: list[tuple[str, str, dict[str, str], bytes]] = []


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        SEEN.append((self.command, self.path, {k.lower(): v for k, v in self.headers.items()}, body))
        path = self.path.partition("?")[0]
        status, head, data = {
            "/moved": (302, {"Location": "/there"}, b""),
            "/away": (302, {"Location": "http://169.254.169.254/latest/meta-data"}, b""),
            "/round": (302, {"Location": "/round"}, b""),
            "/missing": (404, {}, b"no such guest"),
            "/broken": (503, {}, b"down"),
            "/large": (200, {"Content-Type": "text/plain"}, b"x" * 5000),
            "/empty": (204, {}, b""),
        }.get(path, (200, {"Content-Type": "application/json"}, b'{"ok": true, "n": 1}'))
        self.send_response(status)
        for name, value in head.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_POST = do_DELETE = do_GET

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(scope="module")
def base() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield f"http://localhost:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


LIMITS = Limits()
ARGUMENTS = Arguments("t", [("city", str), ("days", int | None, None), ("tags", list[str], [])])


def call(url: str, given: dict[str, Any], *, method: str = "GET", allow: tuple[str, ...] = ("localhost",),
         limits: Limits = LIMITS, **endpoint: Any) -> Result:  # fmt: skip
    SEEN.clear()
    made = Endpoint(url=url, method=method, allow=allow, **endpoint)
    tool = http_tool("t", made, ARGUMENTS, description="T.", limits=limits)
    context = CallContext("CA1", caller="+15550001111", agent="desk", parameters={"campaign": "spring"})
    return asyncio.run(Runner().run(tool, json.dumps(given), context))


def test_arguments_go_into_the_path_and_the_query(base: str):
    result = call(base + "/w/{city}", {"city": "São Paulo/../x", "days": 3, "tags": ["a b", "c"]})
    assert result == Result("ok", '{"ok":true,"n":1}')
    method, path, headers, _ = SEEN[0]
    assert (method, path) == ("GET", "/w/S%C3%A3o%20Paulo%2F..%2Fx?days=3&tags=a%20b&tags=c")
    assert headers["host"].startswith("localhost:"), "the name, though the address was connected to"


def test_arguments_go_into_a_json_body_and_facts_of_the_call_into_headers(base: str):
    headers = {"Authorization": "Bearer secret", "X-Call": "{call.id}", "X-Who": "{call.caller} {city}",
               "X-Of": "{call.parameter.campaign}{call.parameter.none}"}  # fmt: skip
    call(base + "/book", {"city": "Oslo"}, method="POST", headers=headers)
    _, path, sent, body = SEEN[0]
    assert path == "/book" and json.loads(body) == {"city": "Oslo", "tags": []}
    assert sent["x-call"] == "CA1" and sent["authorization"] == "Bearer secret"
    assert sent["x-of"] == "spring"
    assert sent["x-who"] == "+15550001111 {city}", "what the model gives never gets into a header"


@pytest.mark.parametrize("city", ["..", ".", ""])
def test_an_argument_cannot_lead_to_another_path(base: str, city: str):
    assert call(base + "/w/{city}/x", {"city": city}).outcome == "error" and not SEEN


def test_a_private_address_is_refused_unless_it_is_allowed(base: str):
    result = call(base + "/", {"city": "x"}, allow=())
    assert result.outcome == "error" and "may not be connected to" in result.output and not SEEN


def test_a_redirect_is_followed_within_the_origin_and_nowhere_else(base: str):
    assert call(base + "/moved", {"city": "x"}).outcome == "ok"
    away = call(base + "/away", {"city": "x"}, allow=("localhost", "169.254.169.254"))
    assert away.outcome == "error" and "redirects to 169.254.169.254" in away.output
    assert "without end" in call(base + "/round", {"city": "x"}).output
    assert call(base + "/moved", {"city": "x"}, method="POST").outcome == "error", "a booking is not sent twice"


def test_what_the_service_says_is_told_and_what_it_cannot_is_a_failure_that_may_be_retried(base: str, monkeypatch: Any):
    monkeypatch.setattr("offhook.agent.tools.runner.BACKOFF_S", 0.0)
    assert "404: no such guest" in call(base + "/missing", {"city": "x"}).output
    broken = call(base + "/broken", {"city": "x"}, limits=Limits(changes=False, retries=2))
    assert (broken.outcome, broken.retried, len(SEEN)) == ("raised ConnectionError", 2, 3)
    assert "HTTP 503" in broken.detail and "503" not in broken.output


def test_a_large_answer_is_cut_and_an_empty_one_is_an_answer(base: str):
    assert "larger than" in call(base + "/large", {"city": "x"}, max_bytes=1000).output
    assert call(base + "/empty", {"city": "x"}).output == '{"ok":true,"status":204}'


def test_nobody_there_is_named_on_record():
    result = call("http://localhost:9/", {"city": "x"})
    assert result.outcome == "raised ConnectionError" and "localhost" in result.detail
