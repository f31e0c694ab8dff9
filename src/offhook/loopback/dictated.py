"""
Tools that a caller names themselves: ``call NAME``, followed by JSON or by words. Pure.

So that any tool can be tried without a provider: also one that there is not, two at once, broken JSON.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

__all__ = ["dictated", "sample"]

Schema = Mapping[str, Any]
_CALL = re.compile(r"\s*(?:and\s+)?call\s+([A-Za-z0-9_-]+)[:\s]*", re.IGNORECASE)
_json = json.JSONDecoder()


def dictated(text: str, schemas: Mapping[str, Schema]) -> list[tuple[str, str]]:
    """The calls that a text asks for, each with its arguments as JSON, or as written; none where it is talk."""
    calls = []
    at = 0
    while (found := _CALL.match(text, at)) is not None:
        name, at = found[1], found.end()
        schema = schemas.get(name, {})
        rest = text[at:]
        if name not in schemas and not rest.startswith("{"):  # "call me back" is talk
            break
        if not rest.strip() or _CALL.match(rest):
            calls.append((name, json.dumps(sample(schema))))
        elif rest.startswith("{"):
            try:
                _, at = _json.raw_decode(text, at)
            except ValueError:  # whoever writes broken JSON wants to see what becomes of it
                at = len(text)
            calls.append((name, text[found.end() : at]))
        else:
            at = len(text)
            calls.append((name, json.dumps({**sample(schema), _first(schema): rest.strip()})))
    return calls


def sample(schema: Schema) -> dict[str, Any]:
    """Something for every argument that a tool must have."""
    fields: Mapping[str, Schema] = schema.get("properties", {})
    return {name: _value(fields.get(name, {})) for name in schema.get("required", ())}


def _first(schema: Schema) -> str:
    """The argument that takes a caller's words: the first text, wanted ones before others."""
    fields: Mapping[str, Schema] = schema.get("properties", {})
    wanted = [*schema.get("required", ()), *fields]
    return next((name for name in wanted if fields.get(name, {}).get("type") == "string"), "text")


def _value(field: Schema) -> Any:
    for known in ("examples", "enum"):
        if field.get(known):
            return field[known][0]
    if "default" in field:
        return field["default"]
    least = field.get("minimum", 1)
    kinds = {"integer": least, "number": least, "boolean": False, "array": [], "object": sample(field)}
    return kinds.get(str(field.get("type")), "just a try")
