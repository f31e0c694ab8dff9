"""The API's schema: committed, current, and true of what is answered, by schemathesis."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings, strategies
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import ignored_auth
from starlette.applications import Starlette
from tests.api.kit import CALL, RUNNING, Api

from offhook import __version__
from offhook.api.app import schema
from offhook.net.app import with_api
from offhook.net.server import Server

COMMITTED = Path(__file__).parents[2] / "docs" / "openapi.json"
DOCUMENT = schema(__version__)
EXAMPLES = 6
# What never ends by itself, and what ends the server's own session or its only tokens.
LEFT_OUT = ("/api/live",)


def test_the_committed_schema_is_current():
    assert json.loads(COMMITTED.read_text()) == DOCUMENT, "run python tools/docs.py"


def test_every_operation_says_what_may_go_wrong_and_has_a_name():
    for path, operations in DOCUMENT["paths"].items():
        for method, operation in operations.items():
            assert {"401", "403", "422"} <= set(operation["responses"]), (path, method)
            assert operation["tags"] and operation["description"], (path, method)


class Running:
    """The application on a port, on a loop of its own thread: who asks here is not asynchronous."""

    def __init__(self, folder: Path) -> None:
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        self.server = Api(folder)
        self.headers = {"authorization": f"Bearer {self.server.token('admin')}"}
        self.do(self._begin())
        self.url = f"http://127.0.0.1:{self.port.port}"
        self.session = requests.Session()

    def do(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(40)

    async def _begin(self) -> None:
        self.server.begin()

        async def app() -> Any:
            return self.server.app

        self.port = Server(with_api(Starlette(), app), self.server.app.upgrade)
        await self.port.start()

    async def ring(self) -> None:
        if RUNNING not in self.server.host.calls.running:
            self.server.ring()

    def stop(self) -> None:
        async def end() -> None:
            for call in list(self.server.host.calls.running.values()):
                call.abandon("over")
            await self.server.app.stop()
            await self.port.stop()
            rest = asyncio.all_tasks() - {asyncio.current_task()}
            for task in rest:
                task.cancel()
            await asyncio.gather(*rest, return_exceptions=True)
            await self.loop.shutdown_default_executor()

        self.session.close()
        self.do(end())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(40)
        self.loop.close()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    made = Running(tmp_path_factory.mktemp("schema"))
    yield made
    made.stop()


OPERATIONS = [
    found.ok() for found in schemathesis.openapi.from_dict(DOCUMENT).exclude(path=list(LEFT_OUT)).get_all_operations()
]


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda one: f"{one.method.upper()} {one.path}")
@settings(
    max_examples=EXAMPLES, deadline=None, database=None, derandomize=True, phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)  # fmt: skip
@given(data=strategies.data(), good=strategies.booleans())
def test_no_request_breaks_the_server_or_the_schema(operation: Any, data: Any, good: bool, running: Running):
    running.do(running.ring())
    mode = GenerationMode.POSITIVE if good else GenerationMode.NEGATIVE
    try:
        case = data.draw(operation.as_strategy(generation_mode=mode))
    except Unsatisfiable:  # nothing in this operation can be wrong
        return
    if good:  # a name that is drawn is nobody's, and a cursor no page's
        named = case.path_parameters.get("call")
        if named is not None:
            case.path_parameters["call"] = CALL if len(named) % 2 else RUNNING
        takes = {one.name for one in operation.query}
        case.query = {
            **(case.query or {}),
            **{name: 0 if name == "wait_s" else "" for name in takes & {"wait_s", "cursor"}},
        }
    answer = case.call(base_url=running.url, session=running.session, headers=running.headers)
    case.validate_response(answer, excluded_checks=[ignored_auth])  # it leaves one of two ways in, and finds it open


def test_no_operation_is_open_to_nobody(running: Running):
    for path, operations in DOCUMENT["paths"].items():
        for method in operations:
            url = running.url + path.format_map(
                dict.fromkeys(("call", "n", "placed", "run", "boundary", "name", "code", "token", "entry"), "1")
            )
            answer = running.session.request(method, url, json={}, headers={"x-forwarded-for": path})
            assert answer.status_code in ((401, 429) if path != "/api/login" else (422,)), (method, path)
