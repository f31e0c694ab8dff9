"""The API's schema: committed, current, and true of what is answered, by schemathesis."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
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
# What is asked of a running call changes or ends it: each of these gets one of its own, with stream and provider.
ACTS = "POST /api/calls/{call}/"


def of(operation: Any) -> str:
    return f"{operation.method.upper()} {operation.path}"


def test_the_committed_schema_is_current():
    assert json.loads(COMMITTED.read_text()) == DOCUMENT, "run python tools/docs.py"


def test_every_operation_says_what_may_go_wrong_and_has_a_name():
    for path, operations in DOCUMENT["paths"].items():
        for method, operation in operations.items():
            assert {"401", "403", "422"} <= set(operation["responses"]), (path, method)
            assert operation["tags"] and operation["description"], (path, method)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    made = Running(tmp_path_factory.mktemp("schema"), audio=True)
    yield made
    made.stop()


OPERATIONS = [
    found.ok() for found in schemathesis.openapi.from_dict(DOCUMENT).exclude(path=list(LEFT_OUT)).get_all_operations()
]


def test_every_operation_is_among_those_that_are_asked():
    wanted = {(method.upper(), path) for path, operations in DOCUMENT["paths"].items() for method in operations}
    asked = {(one.method.upper(), one.path) for one in OPERATIONS}
    assert wanted - asked == {("GET", path) for path in LEFT_OUT}


def there(operation: Any, running: Running) -> dict[str, Any]:
    """What is there, where a name that is drawn would be nobody's: else only refusals would be held to the schema."""

    def made(path: str, parameter: str, **body: Any) -> dict[str, Any]:
        answer = running.session.post(running.url + path, json=body, headers=running.headers)
        return {parameter: answer.json()["id"]}

    match of(operation):
        case "GET /api/agents/{name}":
            return {"name": "default"}
        case "GET /api/calls/{call}/messages/{n}":
            return {"n": 2, "call": CALL}
        case "GET /api/calls/{call}/recording" | "GET /api/calls/{call}/peaks":
            return {"call": CALL}
        case "GET /api/faults/{boundary}/{name}" | "POST /api/faults/{boundary}/{name}/play":
            return {"boundary": "settings", "name": "limit-reached"}
        case "GET /api/codes/{code}":
            return {"code": "31951"}
        case "GET /api/checks/{run}":
            return made("/api/checks", "run", names=["audio"])
        case "GET /api/outbound/{placed}" | "DELETE /api/outbound/{placed}":
            return made("/api/calls", "placed", **{"to": "+14155550177", "from": "+15550100002"})
        case "DELETE /api/queue/{entry}":
            return made("/api/queue", "entry", to="+14155550178")
        case "DELETE /api/do-not-call/{entry}":
            return made("/api/do-not-call", "entry", number="+14155550179")
        case "DELETE /api/tokens/{token}":
            return made("/api/tokens", "token", name="short", scopes=["read"])
        case operation if operation.startswith(ACTS):
            return {"call": RUNNING}
        case _:
            return {"call": CALL}


PAGES = ("cursor", "after", "before", "row", "from_ms", "to_ms")
BODIES: dict[str, Callable[[Running], dict[str, Any]]] = {
    "POST /api/calls": lambda running: {"to": "+14155550177", "from": "+15550100002"},
    "POST /api/login": lambda running: {"code": running.server.access.code()},
    "POST /api/numbers/point": lambda running: {"number": "+15550100002"},
    "POST /api/numbers/restore": lambda running: {"number": "+15550100002"},
    "POST /api/talk": lambda running: {},
}


def be_there(case: Any, operation: Any, running: Running) -> None:
    """Let a good request name what there is: a name that is drawn is nobody's, and a cursor no page's."""
    names = there(operation, running)
    case.path_parameters.update({name: value for name, value in names.items() if name in case.path_parameters})
    if of(operation) in BODIES:
        case.body = BODIES[of(operation)](running)
    case.query = {name: value for name, value in (case.query or {}).items() if name not in PAGES}
    if any(one.name == "wait_s" for one in operation.query):
        case.query["wait_s"] = 0


@pytest.fixture(scope="module")
def answered() -> dict[str, set[int]]:
    """The statuses that each operation was answered with."""
    return {}


def examples(operation: Any) -> int:
    """One that takes nothing is answered the same every time, and what plays a fault takes a second."""
    if of(operation).endswith("/play"):
        return 2
    takes = [*operation.path_parameters, *operation.query, *operation.body]
    return EXAMPLES if takes else 2


@pytest.mark.parametrize("operation", OPERATIONS, ids=of)
def test_no_request_breaks_the_server_or_the_schema(
    operation: Any, running: Running, answered: dict[str, set[int]]
) -> None:
    @settings(
        max_examples=examples(operation), deadline=None, database=None, derandomize=True, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(data=strategies.data(), good=strategies.booleans(), known=strategies.sampled_from((True, True, False)))
    def ask(data: Any, good: bool, known: bool) -> None:
        running.do(running.ring(anew=of(operation).startswith(ACTS)))
        mode = GenerationMode.POSITIVE if good else GenerationMode.NEGATIVE
        try:
            case = data.draw(operation.as_strategy(generation_mode=mode))
        except Unsatisfiable:  # nothing in this operation can be wrong
            return
        if good and known:
            be_there(case, operation, running)
        answer = case.call(base_url=running.url, session=running.session, headers=running.headers)
        answered.setdefault(of(operation), set()).add(answer.status_code)
        # it leaves one of two ways in, and finds it open
        case.validate_response(answer, excluded_checks=[ignored_auth])

    ask()


def test_every_operation_was_also_held_to_its_schema_where_it_does_what_it_is_asked(answered: dict[str, set[int]]):
    if len(answered) == len(OPERATIONS):  # all of them were asked just now
        refused = {name for name, statuses in answered.items() if not any(status < 300 for status in statuses)}
        assert refused == set()


def test_no_operation_is_open_to_nobody(running: Running):
    for path, operations in DOCUMENT["paths"].items():
        for method in operations:
            url = running.url + path.format_map(
                dict.fromkeys(("call", "n", "placed", "run", "boundary", "name", "code", "token", "entry"), "1")
            )
            answer = running.session.request(method, url, json={}, headers={"x-forwarded-for": path})
            assert answer.status_code in ((401, 429) if path != "/api/login" else (422,)), (method, path)
