"""
What the agent is told: instructions and greeting with the facts of one call filled in.

A placeholder is ``{{name}}``: ``caller_number``, ``called_number``, ``call_id``, ``direction`` or
``webhook.NAME`` for any parameter of the carrier's webhook. Knows no wire and no settings file.
"""

import re
from collections.abc import Mapping

from msgspec import Struct

__all__ = ["NAMES", "CallFacts", "render", "unknown_placeholders"]

_PLACEHOLDER = re.compile(r"\{\{\s*([A-Za-z_][\w.]*)\s*\}\}")
_WEBHOOK = "webhook."

NAMES = ("caller_number", "called_number", "call_id", "direction")
# A caller chooses some of these values (a SIP display name, a city): one short line cannot pose as
# a second set of instructions.
_MAX_VALUE_CHARS = 120


class CallFacts(Struct, frozen=True):
    """What is known of a call before its first word."""

    caller_number: str
    called_number: str
    call_id: str
    direction: str
    webhook: Mapping[str, str]


def unknown_placeholders(text: str) -> list[str]:
    """The names in ``text`` that no call can fill in."""
    names = _PLACEHOLDER.findall(text)
    return [name for name in names if name not in NAMES and not name.startswith(_WEBHOOK)]


def render(text: str, facts: CallFacts) -> str:
    """``text`` with its placeholders filled in; a parameter that the webhook did not send is empty."""
    return _PLACEHOLDER.sub(lambda match: _value(match[1], facts), text)


def _value(name: str, facts: CallFacts) -> str:
    if name.startswith(_WEBHOOK):
        return _tame(facts.webhook.get(name.removeprefix(_WEBHOOK), ""))
    if name in NAMES:
        return _tame(getattr(facts, name))
    return "{{" + name + "}}"


def _tame(value: str) -> str:
    line = " ".join("".join(ch if ch.isprintable() else " " for ch in value).split())
    return line.replace("{{", "(").replace("}}", ")")[:_MAX_VALUE_CHARS]
