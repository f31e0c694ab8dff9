"""
What the agent is told: instructions and greeting with the facts of one call filled in.

A placeholder is ``{{name}}``: ``caller_number``, ``called_number``, ``call_id``, ``direction``, ``webhook.NAME`` for
any parameter of the carrier's webhook, ``parameter.NAME`` for what its address says, or ``caller.NAME`` for what was
found out about the caller. Knows no wire and no settings file.
"""

import re
from collections.abc import Mapping

from msgspec import Struct

__all__ = [
    "KINDS", "NAMES", "PARAMETER_CHARS", "PARAMETER_NAME", "CallFacts", "parameter_problem", "render",
    "unknown_placeholders",
]  # fmt: skip

_PLACEHOLDER = re.compile(r"\{\{\s*([A-Za-z_][\w.]*)\s*\}\}")
KINDS = ("webhook", "parameter", "caller")

PARAMETER_NAME = r"^[A-Za-z_][A-Za-z0-9_]{0,39}$"  # of a custom parameter: what a placeholder can name
PARAMETER_CHARS = 400  # of its value: it travels on to the stream, where carriers take 500 with the name
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
    parameters: Mapping[str, str] = {}  # of the webhook's own address
    verified: bool = False  # the carrier vouches for the caller's number
    attestation: str = ""  # what it said
    let_in: bool = False  # by ourselves, not by their number: lists of numbers do not concern them
    agent: str = ""  # the agent that is asked for by name; empty: whoever the number leads to
    caller: Mapping[str, str] = {}  # what was found out about the caller

    @property
    def outbound(self) -> bool:
        """Whether we called."""
        return self.direction.startswith("outbound")

    @property
    def own_number(self) -> str:
        """Our side's number."""
        return self.caller_number if self.outbound else self.called_number

    @property
    def party_number(self) -> str:
        """The other side's number, whoever called."""
        return self.called_number if self.outbound else self.caller_number


def parameter_problem(name: str, value: str) -> str:
    """What is wrong with a custom parameter, or nothing."""
    if not re.match(PARAMETER_NAME, name):
        return "wanted a name of letters, digits and _, at most 40"
    return "" if len(value) <= PARAMETER_CHARS else f"wanted at most {PARAMETER_CHARS} characters in it"


def unknown_placeholders(text: str) -> list[str]:
    """The names in ``text`` that no call can fill in."""
    names = _PLACEHOLDER.findall(text)
    return [name for name in names if name not in NAMES and not name.startswith(tuple(f"{kind}." for kind in KINDS))]


def render(text: str, facts: CallFacts) -> str:
    """``text`` with its placeholders filled in; what is not known is empty."""
    return _PLACEHOLDER.sub(lambda match: _value(match[1], facts), text)


def _value(name: str, facts: CallFacts) -> str:
    kind, _, key = name.partition(".")
    if key and kind in KINDS:
        known = {"webhook": facts.webhook, "parameter": facts.parameters, "caller": facts.caller}[kind]
        return _tame(known.get(key, ""))
    if name in NAMES:
        return _tame(getattr(facts, name))
    return "{{" + name + "}}"


def _tame(value: str) -> str:
    line = " ".join("".join(ch if ch.isprintable() else " " for ch in value).split())
    return line.replace("{{", "(").replace("}}", ")")[:_MAX_VALUE_CHARS]
