"""
Every agent of the settings, made ready to answer, and all that would keep one from it.

What is read here is read once, when the settings are: no call waits for a file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from pathlib import Path
from types import ModuleType
from typing import Any

from msgspec import Struct, structs

from offhook.agent.agents import AgentProblem, Agents, gather
from offhook.agent.aside import Aside
from offhook.agent.assemble import BETWEEN
from offhook.agent.handles import handle_specs, targets_of
from offhook.agent.lookup import Lookup, LookupProblem, lookup_of
from offhook.agent.persona import OWN, Persona, read_persona
from offhook.agent.profile import DEFAULT, END_LINES, Agent, Profile
from offhook.agent.prompt import KINDS, NAMES, unknown_placeholders
from offhook.checks.wire import HANG_UP, PROVIDERS, key_of, provider_module, usable_keys
from offhook.media.lines import TEXTS
from offhook.settings import Settings
from offhook.wires._wire import SettingProblem

__all__ = ["Group", "Ready", "Roster", "default_ready", "endings", "groups", "ready_agents", "session_of"]

SOON_DAYS = 120  # so long before the end of what a session asks for it is named at every start


class Ready(Struct, frozen=True):
    """An agent that can answer: its values, its provider, what it is told, how it knows its callers."""

    profile: Profile
    provider: ModuleType
    session: Any  # the provider's settings, without instructions
    persona: Persona
    lookup: Lookup | None


class Roster(Struct, frozen=True):
    """The agents of one reading of the settings. ``ready`` has those that can work; all of them, without problems."""

    agents: Agents
    ready: Mapping[str, Ready]
    files: tuple[Path, ...]  # a change of one of them makes another roster


def ready_agents(
    settings: Settings, declared: Sequence[Agent] = (), aside: Aside | None = None
) -> tuple[Roster, list[SettingProblem]]:
    """Everything that the settings and ``declared`` name, and every problem there is."""
    agents, found = gather(settings, declared)
    problems = [_as_setting_problem(problem) for problem in found]
    ready: dict[str, Ready] = {}
    files: list[Path] = []
    for name, profile in agents.profiles.items():
        one, wrong = _ready(settings, profile, aside or Aside())
        problems += wrong
        if one is not None:
            ready[name] = one
            files += [*one.persona.files, *(one.lookup.files if one.lookup else ())]
    unique = dict.fromkeys(problems)  # what several agents inherit is wrong once
    return Roster(agents, ready, tuple(dict.fromkeys(files))), list(unique)


def _as_setting_problem(problem: AgentProblem) -> SettingProblem:
    return SettingProblem(problem.setting, problem.got, problem.wanted, problem.fix, "")


def _ready(settings: Settings, profile: Profile, aside: Aside) -> tuple[Ready | None, list[SettingProblem]]:
    persona, found = read_persona(profile)
    problems = [_as_setting_problem(problem) for problem in [*found, *_told(profile, persona)]]
    problems += _lines(settings, profile)
    lookup = None
    try:
        lookup = lookup_of(profile, aside, settings.environment)
    except LookupProblem as error:
        problems.append(_problem(profile, error.field, error.got, error.wanted, error.fix))
    try:
        targets_of(profile["transfer_to"])
    except ValueError as error:
        problems.append(_problem(profile, "transfer_to", *_got_wanted(error), "correct the line"))
        return None, problems
    wrong = _provider_problem(settings, profile)
    if wrong is not None:
        return None, [*problems, wrong]
    module = provider_module(profile["provider"])
    session = session_of(settings, profile)
    problems += [_with_origin(settings, profile, module, problem) for problem in module.check(session)]
    return Ready(profile, module, session, persona, lookup), problems


def _lines(settings: Settings, profile: Profile) -> list[SettingProblem]:
    """The spoken lines of how a call is ended: each there, or not wanted at all."""
    folder = settings.path("record.lines_dir")
    return [
        _problem(profile, field, repr(name), f"one of {', '.join(TEXTS)}, or a file {name}.wav in record.lines_dir",
                 "write one of them, or record the file" if folder else "write one of them, or set record.lines_dir")
        for field in END_LINES
        if (name := profile[field]) and name not in TEXTS and not (folder and (folder / f"{name}.wav").is_file())
    ]  # fmt: skip


def _got_wanted(error: ValueError) -> tuple[str, str]:
    got, _, wanted = str(error).removeprefix("got ").partition(", wanted ")
    return got, wanted


def _problem(profile: Profile, field: str, got: str, wanted: str, fix: str) -> SettingProblem:
    return SettingProblem(profile.setting(field), f"{got} ({profile.origin(field)})", wanted, fix, "")


def _provider_problem(settings: Settings, profile: Profile) -> SettingProblem | None:
    from difflib import get_close_matches

    name, wanted = profile["provider"], "openai, xai (alias grok) or loopback"
    if name in PROVIDERS:
        return None
    if name:
        close = get_close_matches(name.lower(), PROVIDERS, n=1)
        fix = f'write {"name" if profile.name == DEFAULT else "provider"} = "{close[0]}"' if close else "choose one"
        return _problem(profile, "provider", repr(name), wanted, fix)
    keys = usable_keys(settings)
    if len(keys) == 1:
        env = provider_module(keys[0]).KEY_ENV
        fix = f'there is a key for {keys[0]} ({env}): write name = "{keys[0]}" under [provider] in offhook.toml'
    elif keys:
        fix = f"there are keys for {' and '.join(keys)}: choose one under [provider] in offhook.toml"
    else:
        fix = "set OPENAI_API_KEY or XAI_API_KEY and choose, or try `offhook demo`, which needs no key"
    return _problem(profile, "provider", "nothing", f"{wanted}; there is no default", fix)


def session_of(settings: Settings, profile: Profile, instructions: str = "") -> Any:
    """The provider's own settings struct for an agent; only for a provider that is known."""
    module = provider_module(profile["provider"])
    language, languages = profile["language"], profile["languages"]
    given: dict[str, Any] = {
        "api_key": key_of(settings, module),
        "instructions": instructions,
        "tools": (
            *((HANG_UP,) if profile["hang_up"] else ()),
            *handle_specs(targets_of(profile["transfer_to"]), profile["keypad"]),
        ),
        # several languages are for the recogniser to tell apart: a hint would bend all of them to one
        "language": language or (languages[0] if len(languages) == 1 else None),
        "allow_unlisted": profile["allow_unlisted"],
    }
    for name in ("model", "voice", "url"):
        if profile[name]:
            given[name] = profile[name]
    return module.SessionSettings(**given)


def endings(ready: Ready, day: str) -> list[tuple[str, str, str]]:
    """What of an agent's session has ended by ``day`` or will within ``SOON_DAYS``: its name, value, and what then."""
    found = []
    for one in ready.provider.ending(ready.session):
        until = one.fact.until
        days = (date.fromisoformat(until) - date.fromisoformat(day)).days
        if days <= SOON_DAYS:
            when = f"ends {until}, in {days} days" if days > 0 else f"ended {until}"
            found.append((one.what, one.fact.value, f"{when} ({one.fact.source}): {one.then}"))
    return found


def _with_origin(settings: Settings, profile: Profile, module: ModuleType, found: SettingProblem) -> SettingProblem:
    """A wire's problem, named as the agent's file names it."""
    name = found.setting
    if name == "provider.key":
        name = f"provider.{module.NAME}_key"
        return SettingProblem(name, f"{found.got} ({settings.origin(name)})", found.wanted, found.fix, found.source)
    field = name.partition(".")[2]
    if field in ("model", "voice", "url"):
        inherited = profile.origin(field).startswith("provider.") or profile.name == DEFAULT
        named = name if inherited and profile[field] == settings[name] else profile.setting(field)
        return SettingProblem(
            named, f"{found.got} ({_plain(profile.origin(field))})", found.wanted, found.fix, found.source
        )
    return found


def _plain(origin: str) -> str:
    """An inherited value's origin without the setting that it was inherited from."""
    return origin.rpartition(", ")[2]


def _told(profile: Profile, persona: Persona) -> list[AgentProblem]:
    """Placeholders that no call can fill in, and words of its own that do not fit."""
    names = ", ".join((*NAMES, *(f"{kind}.NAME" for kind in KINDS)))
    where = "instructions_file" if profile["instructions_file"] else "instructions"
    own = [part.text for part in persona.parts if part.name == "instructions"]
    texts = [*((where, text) for text in own), *((f, profile[f]) for f in ("greeting", "greeting_outbound"))]
    found = [
        AgentProblem(
            profile.setting(field), f"{{{{{name}}}}} ({_plain(profile.origin(field))})", f"one of {names}",
            "correct the placeholder",
        )
        for field, text in texts
        for name in unknown_placeholders(text)
    ]  # fmt: skip
    least = sum(len(part.text) + len(BETWEEN) for part in persona.parts if part.rank == OWN)
    if least > profile["max_prompt_chars"]:
        got = f"{profile['max_prompt_chars']} ({_plain(profile.origin('max_prompt_chars'))})"
        wanted = f"at least {least}, the size of the instructions alone"
        found.append(AgentProblem(profile.setting("max_prompt_chars"), got, wanted, "raise it, or say less"))
    return found


def default_ready(settings: Settings) -> Ready | None:
    """The agent that answers where nothing says otherwise, or the first there is; for checks that want any one."""
    roster, _ = ready_agents(settings)
    name = roster.agents.default or next(iter(roster.ready), None)
    return roster.ready.get(name) if name else None


class Group(Struct, frozen=True):
    """Agents that are the same to a check, and the first of them."""

    names: tuple[str, ...]
    ready: Ready

    @property
    def said(self) -> str:
        """Who they are; of many the first three."""
        more = len(self.names) - 3
        return ", ".join(self.names[:3]) + (f" and {more} more" if more > 0 else "")

    @property
    def session(self) -> Any:
        """The first one's session, told what it is told; its placeholders left as they stand."""
        told = BETWEEN.join(part.text for part in self.ready.persona.parts)
        return structs.replace(self.ready.session, instructions=told)


def groups(settings: Settings, same: Callable[[Ready], Any]) -> list[Group]:
    """All agents that are ready, those in one group for which ``same`` is the same; the default one's group first."""
    roster, _ = ready_agents(settings)
    found: dict[Any, list[str]] = {}
    for name in sorted(roster.ready, key=lambda name: name != roster.agents.default):
        found.setdefault(same(roster.ready[name]), []).append(name)
    return [Group(tuple(names), roster.ready[names[0]]) for names in found.values()]
