"""The API's schema: committed, current, and true of what is answered, by schemathesis."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings, strategies
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import ignored_auth
from tests.api.kit import CALL, RUNNING
from tests.api.on_port import Running

from offhook import __version__
from offhook.api.app import schema

COMMITTED = Path(__file__).parents[2] / "docs" / "openapi.json"
DOCUMENT = schema(__version__)
EXAMPLES = 6
# What never ends by itself, and what ends the server's own session or its only tokens.
LEFT_OUT = ("/api/live",)
# What is there, where a name that is drawn would be nobody's: else only refusals would be held to the schema.
THERE: dict[str, dict[str, Any]] = {
    "GET /api/calls/{call}/messages/{n}": {"n": 2, "call": CALL},
    "GET /api/faults/{boundary}/{name}": {"boundary": "bridge", "name": "barge-in-without-clear"},
    "GET /api/codes/{code}": {"code": "31951"},
    "POST /api/numbers/point": {"number": "+15550100002"},
    "POST /api/numbers/restore": {"number": "+15550100002"},
}


def test_the_committed_schema_is_current():
    assert json.loads(COMMITTED.read_text()) == DOCUMENT, "run python tools/docs.py"


def test_every_operation_says_what_may_go_wrong_and_has_a_name():
    for path, operations in DOCUMENT["paths"].items():
        for method, operation in operations.items():
            assert {"401", "403", "422"} <= set(operation["responses"]), (path, method)
            assert operation["tags"] and operation["description"], (path, method)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    made = Running(tmp_path_factory.mktemp("schema"))
    yield made
    made.stop()


OPERATIONS = [
    found.ok() for found in schemathesis.openapi.from_dict(DOCUMENT).exclude(path=list(LEFT_OUT)).get_all_operations()
]


def test_every_operation_is_among_those_that_are_asked():
    wanted = {(method.upper(), path) for path, operations in DOCUMENT["paths"].items() for method in operations}
    asked = {(one.method.upper(), one.path) for one in OPERATIONS}
    assert wanted - asked == {("GET", path) for path in LEFT_OUT}


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
        known = THERE.get(f"{operation.method.upper()} {operation.path}", {})
        case.path_parameters.update({name: value for name, value in known.items() if name in case.path_parameters})
        if "number" in known:
            case.body = known
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
