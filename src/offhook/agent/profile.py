"""
An agent: as it is declared in Python, and with every value resolved, each with where it came from.

What an agent does not say it has from ``[agent]`` and the server's other sections; some values belong together and
fall as one: an agent that names its own provider does not inherit another provider's voice. Knows no wire.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from msgspec import Struct, structs

from offhook.agent.prompt import CallFacts
from offhook.agent.tools.function import function_tool, marked
from offhook.agent.tools.spec import Tool
from offhook.settings import AGENT, ALIASES, FALLS_TO, Section, Settings, Value

__all__ = ["DEFAULT", "END_LINES", "Agent", "LookUp", "Profile", "end_lines", "resolve"]

DEFAULT = "default"  # the name of the agent that [agent] describes
LookUp = Callable[[CallFacts], Mapping[str, Any] | None | Awaitable[Mapping[str, Any] | None]]

# Fields that name a spoken line of how a call is ended.
END_LINES = ("time_up_line", "idle_line", "spend_line", "operator_line")
_SPECS = {spec.name: spec for spec in AGENT}
# Values that are inherited together or not at all.
_PERSONA = ("instructions", "instructions_file", "files", "workspace")
_LOOKUP = ("lookup_file", "lookup_url", "lookup_function", "lookup_token", "lookup_private")
_LANGUAGE = ("language", "languages")
_MODEL = ("model", "voice", "url", "allow_unlisted")


class Agent(Struct, frozen=True, kw_only=True):
    """
    An agent declared in Python; None means "not said": the value then comes from the settings.

    ``lookup`` is called with what is known of a call, before its first word, and returns what is known of the caller.
    """

    name: str = DEFAULT
    instructions: str | None = None
    instructions_file: str | Path | None = None
    files: Sequence[str | Path] | None = None
    workspace: str | Path | None = None
    max_prompt_chars: int | None = None
    provider: str | None = None
    model: str | None = None
    voice: str | None = None
    url: str | None = None
    allow_unlisted: bool | None = None
    greeting: str | None = None
    greeting_outbound: str | None = None
    greeting_resumed: str | None = None
    language: str | None = None
    languages: Sequence[str] | None = None
    hang_up: bool | None = None
    transfer_to: Sequence[str] | None = None
    keypad: bool | None = None
    tools: Sequence[Any] | None = None  # functions, marked with @tool or not, or names of [tools.NAME]
    allow: Sequence[str] | None = None
    deny: Sequence[str] | None = None
    refused_say: str | None = None
    fallback_say: str | None = None
    failure_policy: str | None = None
    max_call_s: float | None = None
    idle_s: float | None = None
    idle_prompt_s: float | None = None
    idle_prompts: int | None = None
    warn_s: float | None = None
    time_up_line: str | None = None
    idle_line: str | None = None
    spend_line: str | None = None
    operator_line: str | None = None
    resume_s: float | None = None
    lookup: LookUp | None = None
    lookup_file: str | Path | None = None
    lookup_url: str | None = None
    lookup_private: bool | None = None
    lookup_s: float | None = None

    def said(self) -> dict[str, Value]:
        """What it says, by field, each with this declaration as its origin."""
        origin = f"Agent({self.name!r})"
        given = {name: value for name, value in structs.asdict(self).items() if value is not None}
        for name in ("name", "lookup"):
            given.pop(name, None)
        if "tools" in given:
            given["tools"] = [one if isinstance(one, str) else _tool(one).name for one in given["tools"]]
        plain = {
            name: tuple(str(part) for part in value) if isinstance(value, (list, tuple))
            else str(value) if isinstance(value, Path) else value
            for name, value in given.items()
        }  # fmt: skip
        if self.lookup is not None:
            plain["lookup_function"] = getattr(self.lookup, "__qualname__", type(self.lookup).__name__)
        return {name: Value(value, origin) for name, value in plain.items()}

    def own_tools(self) -> list[Tool]:
        """The functions among its tools. Raises DeclarationError for one that is none."""
        return [_tool(one) for one in self.tools or () if not isinstance(one, str)]


def _tool(given: Any) -> Tool:
    return marked(given) or function_tool(given)


@dataclass(frozen=True)
class Profile:
    """An agent with every value there is. ``profile["voice"]`` is a value, ``origin("voice")`` where it came from."""

    name: str
    where: str
    values: Mapping[str, Value]
    base: Path  # what its paths are relative to
    lookup: LookUp | None = None  # a function of its own

    def __getitem__(self, field: str) -> Any:
        return self.values[field].value

    def origin(self, field: str) -> str:
        return self.values[field].origin

    def setting(self, field: str) -> str:
        """The field as it is called where it was written: what an error names."""
        falls = FALLS_TO[field]
        own = self.name == DEFAULT and not self.where.startswith("Agent(") and "[agents." not in self.where
        return falls if own else f"agents.{self.name}.{field}"

    def path(self, field: str) -> Path | None:
        """A value that names a file, made absolute; None when empty."""
        return self.absolute(self[field]) if self[field] else None

    def absolute(self, path: str) -> Path:
        return self.base / Path(path).expanduser()


def resolve(settings: Settings, name: str, section: Section | None = None, declared: Agent | None = None) -> Profile:
    """The agent ``name`` as a section and a declaration say, and the server's settings where they say nothing."""
    own = dict(section.values) if section is not None else {}
    if declared is not None:
        own |= declared.said()
    values = {field: _value(settings, field, own) for field in _SPECS}
    provider = values["provider"]
    values["provider"] = Value(ALIASES.get(provider.value, provider.value), provider.origin)
    inherited = provider.value in ("", settings["provider.name"]) or "provider" not in own
    if not inherited:
        for field in _MODEL:
            if field not in own:
                values[field] = Value(_SPECS[field].default, "default of the provider")
    for group in (_PERSONA, _LOOKUP, _LANGUAGE):
        if any(own[field].value for field in group if field in own):
            for field in group:
                values[field] = own.get(field) or Value(_SPECS[field].default, "not said")
    where = declared and f"Agent({name!r})" or section and f"[{section.title}] {section.where}"
    base = settings.base
    return Profile(name, where or "[agent]", values, base, declared.lookup if declared is not None else None)


def end_lines(settings: Settings, declared: Sequence[Agent] = ()) -> set[str]:
    """Every line of ``END_LINES`` that some agent names."""
    named = {settings[FALLS_TO[field]] for field in END_LINES}
    for section in settings.sections("agents"):
        named |= {section[field] for field in END_LINES if field in section}
    for agent in declared:
        named |= {getattr(agent, field) for field in END_LINES}
    return named - {"", None}


def _value(settings: Settings, field: str, own: Mapping[str, Value]) -> Value:
    if field in own:
        return own[field]
    fallen = settings.values[FALLS_TO[field]]
    return Value(fallen.value, fallen.origin if fallen.origin == "default" else f"{FALLS_TO[field]}, {fallen.origin}")
