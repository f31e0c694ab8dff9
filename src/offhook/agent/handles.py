"""
What a model is told that it may do with the call itself: give the caller to somebody, press keys, gather keys.

The bridge does it (``bridge/handles.py``); here stands how it is described.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from offhook.vocab import ToolSpec

__all__ = ["handle_specs", "targets_of"]


def targets_of(lines: Iterable[str]) -> dict[str, str]:
    """Whom a caller may be given to, by name: lines as ``sales = +15550100077``. Raises ValueError."""
    found = {}
    for line in lines:
        name, equals, target = line.partition("=")
        if not equals or not name.strip() or not target.strip().startswith(("+", "sip:", "sips:")):
            raise ValueError(f"got {line[:40]!r}, wanted NAME = +15550100077, or NAME = sip:name@host")
        found[name.strip()] = target.strip()
    return found


def handle_specs(targets: Mapping[str, str], keypad: bool) -> tuple[ToolSpec, ...]:
    """The tools, for those that are given."""
    specs = []
    if targets:
        specs.append(
            ToolSpec(
                name="transfer_call",
                description=(
                    "Give the caller to a person or another line. Say in the same answer that you put them through. "
                    "If nobody takes the call there, the caller comes back to you and you are told."
                ),
                parameters=_object({"to": {"type": "string", "enum": sorted(targets)}}, ("to",)),
            )
        )
    if keypad:
        keys = {"type": "string", "description": "0-9 * # A-D; w waits half a second, W a whole one"}
        specs += [
            ToolSpec("press_keys", "Press keys, for a menu at the other end.", _object({"keys": keys}, ("keys",))),
            ToolSpec(
                "collect_digits",
                "Gather what the caller presses on the keypad, up to # or so many keys. Ask for it in the same answer.",
                _object({"how_many": {"type": "integer", "minimum": 1, "maximum": 32}}, ()),
            ),
        ]
    return tuple(specs)


def _object(properties: Mapping[str, object], required: Iterable[str]) -> dict[str, object]:
    return {"type": "object", "properties": dict(properties), "required": list(required), "additionalProperties": False}
