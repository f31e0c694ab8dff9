"""The API's schema: committed and current."""

from __future__ import annotations

import json
from pathlib import Path

from offhook import __version__
from offhook.api.app import schema

COMMITTED = Path(__file__).parents[2] / "docs" / "openapi.json"
DOCUMENT = schema(__version__)


def test_the_committed_schema_is_current():
    assert json.loads(COMMITTED.read_text()) == DOCUMENT, "run python tools/docs.py"


def test_every_operation_says_what_may_go_wrong_and_has_a_name():
    for path, operations in DOCUMENT["paths"].items():
        for method, operation in operations.items():
            assert {"401", "403", "422"} <= set(operation["responses"]), (path, method)
            assert operation["tags"] and operation["description"], (path, method)
