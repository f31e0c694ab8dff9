"""
One definition, two uses: a msgspec struct made of parameters gives the JSON schema and checks what the model sent.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from offhook.agent.tools.spec import BadArguments

__all__ = ["Arguments"]


class Arguments:
    """
    The arguments of one tool. ``fields`` are names, types and defaults, as for ``msgspec.defstruct``.

    Numbers and truth values that come as text are taken, as models send them; fields that are not declared are refused,
    for a misspelt one would be lost.
    """

    def __init__(self, tool: str, fields: Sequence[tuple[str, Any] | tuple[str, Any, Any]]) -> None:
        self._struct = msgspec.defstruct("arguments", fields, forbid_unknown_fields=True, kw_only=True)
        self._names = tuple(field[0] for field in fields)
        self.schema: dict[str, Any] = _inlined(msgspec.json.schema(self._struct))
        self.schema.pop("title", None)
        self.schema.setdefault("properties", {})
        self.schema["additionalProperties"] = False

    def read(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments, converted. Raises BadArguments."""
        try:
            made = msgspec.convert(given, self._struct, strict=False)
        except msgspec.ValidationError as error:
            raise BadArguments(f"{error}; {self._wanted(str(error))}") from None
        return {name: getattr(made, name) for name in self._names}

    def _wanted(self, error: str) -> str:
        """What would have been right."""
        at = re.search(r"`\$\.(\w+)", error)
        field = self.schema["properties"].get(at[1]) if at else None
        if field is not None and at is not None:
            return f"wanted {at[1]}: {msgspec.json.encode(field).decode()[:300]}"
        return f"it takes {', '.join(self._names) or 'no arguments'}"


def _inlined(schema: Any) -> Any:
    """The schema with its ``$ref`` replaced by what they mean, where that ends: some providers resolve none."""
    defs = schema.pop("$defs", {})

    def walk(node: Any, open_: frozenset[str]) -> Any:
        if isinstance(node, list):
            return [walk(each, open_) for each in node]
        if not isinstance(node, dict):
            return node
        name = str(node.get("$ref", "")).rpartition("/")[2]
        if name in defs:
            if name in open_:  # a type that holds itself
                return {"type": "object"}
            more = {key: value for key, value in node.items() if key != "$ref"}
            return {**walk(defs[name], open_ | {name}), **more}
        return {key: walk(value, open_) for key, value in node.items()}

    return walk(schema, frozenset())
