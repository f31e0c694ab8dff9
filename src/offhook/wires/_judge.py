"""
What a client of a provider did wrong, told from what it sent and what it was answered: shared by the wires' judges.

For a client that is not ours: it is "us" in a violation, the program under test. Knows no wire by name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from offhook.wires._wire import Violation, clean_text

__all__ = ["Difference", "differences", "refused", "short", "value_at"]

_ABSENT = object()
_json = msgspec.json.Encoder()


class Difference(msgspec.Struct, frozen=True):
    """One field of a session that came back other than it was asked for; ``got`` None: it is not in the echo."""

    field: str
    asked: str
    got: str | None


def short(value: Any) -> str:
    """A value as it may be shown: no key, no number, no book."""
    text = value if isinstance(value, str) else _json.encode(value).decode()
    text = clean_text(text)
    return text if len(text) <= 60 else f"{text[:57]}… ({len(text)} characters)"


def value_at(node: Any, path: str) -> str | None:
    """The value at ``session.audio.output.voice`` or ``tools[0].name``, short; None when it is not there."""
    found = _at(node, re.findall(r"[^.\[\]]+", path))
    return None if found is _ABSENT else short(found)


def _at(node: Any, parts: list[str]) -> Any:
    for part in parts:
        if isinstance(node, Mapping) and part in node:
            node = node[part]
        elif isinstance(node, list) and part.isdigit() and int(part) < len(node):
            node = node[int(part)]
        else:
            return _ABSENT
    return node


def refused(wire: str, message: Any, error: Mapping[str, Any], *, source: str, wanted: str | None = None) -> Violation:
    """A violation from the error that a message was answered with; ``wanted`` where the wire knows it better."""
    sent = message if isinstance(message, dict) else {}
    param = error.get("param")
    field = param if isinstance(param, str) and param else None
    text = clean_text(str(error.get("message") or ""))[:300]
    got = value_at(sent, field) if field else None
    return Violation(
        wire=wire,
        message=str(sent.get("type") or "frame")[:60],
        field=field,
        got=repr(got) if got is not None else "nothing" if field else "what it sent",
        wanted=wanted or _wanted(text),
        source=source,
        by="us",
        code=str(error.get("code") or error.get("type") or "error")[:60],
    )


def _wanted(text: str) -> str:
    """What an error's text asks for; the text itself where it asks for nothing."""
    for pattern in (r"Supported values are: (.*?)\.?$", r"Invalid type for .*?: expected (.*?), got"):
        found = re.search(pattern, text)
        if found:
            return found[1][:200]
    if text.startswith("Missing required parameter"):
        return "this field"
    return text or "something else"


def differences(asked: Mapping[str, Any], echo: Mapping[str, Any]) -> Iterator[Difference]:
    """
    Every field that was asked for and came back otherwise, or not at all.

    Filled-in defaults are no differences, tools are compared by name, and a voice may come back with a prefix.
    """
    for path, want in _leaves(asked):
        got = _at(echo, path)
        if got is _ABSENT:
            if want not in (None, [], {}, ""):
                yield Difference(".".join(path), short(want), None)
        elif not _same(path[-1], want, got):
            yield Difference(".".join(path), short(want), short(got))


def _leaves(node: Mapping[str, Any], above: tuple[str, ...] = ()) -> Iterator[tuple[list[str], Any]]:
    for name, value in node.items():
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, (*above, name))
        else:
            yield [*above, name], value


def _same(name: str, want: Any, got: Any) -> bool:
    if name == "tools" and isinstance(want, list) and isinstance(got, list):
        return [_name(tool) for tool in want] == [_name(tool) for tool in got]
    if isinstance(want, str) and isinstance(got, Mapping):
        return want in (got.get("id"), got.get("name"))
    if name == "voice" and isinstance(want, str) and isinstance(got, str):
        return got.lower().rpartition("_")[2] == want.lower().rpartition("_")[2]
    if name == "model" and isinstance(want, str) and isinstance(got, str):
        return got == want or bool(re.fullmatch(re.escape(want) + r"-\d{4}-\d{2}-\d{2}", got))
    if isinstance(want, str) and isinstance(got, str):
        return want.strip() == got.strip()
    if isinstance(want, (int, float)) and isinstance(got, (int, float)) and not isinstance(want, bool):
        return abs(want - got) < 1e-6
    return bool(want == got)


def _name(tool: Any) -> Any:
    return tool.get("name") or tool.get("type") if isinstance(tool, Mapping) else tool
