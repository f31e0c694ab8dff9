"""
All agents of a server, and which of them answers a call: routes in their order, then the agent of ``[agent]``.

Told the time, never asks for it. Knows no wire and no network.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from msgspec import Struct

from offhook.agent.hours import Hours, HoursError, read_hours
from offhook.agent.numbers import matches, pattern_problem
from offhook.agent.profile import DEFAULT, Agent, Profile, resolve
from offhook.agent.prompt import CallFacts
from offhook.settings import Section, Settings

__all__ = ["AgentProblem", "Agents", "Choice", "Refusal", "Route", "gather", "refusal"]


class AgentProblem(Struct, frozen=True):
    """Something about an agent or a route that cannot work, and what to do."""

    setting: str
    got: str
    wanted: str
    fix: str


class Route(Struct, frozen=True):
    """One [[route]]: calls that it fits go to its agent."""

    title: str
    where: str
    agent: str
    number: str
    direction: str
    hours: Hours | None
    text: str  # as it is shown

    def fits(self, facts: CallFacts, at: datetime) -> bool:
        if self.direction != "any" and (self.direction == "outbound") is not facts.outbound:
            return False
        return matches((self.number,), facts.own_number) and (self.hours is None or self.hours.open_at(at))


class Choice(Struct, frozen=True):
    """Who answers, and why; ``profile`` None: nobody."""

    profile: Profile | None
    why: str


class Agents(Struct, frozen=True):
    """The agents of one reading of the settings."""

    profiles: Mapping[str, Profile]
    routes: tuple[Route, ...]
    default: str | None  # who answers where no route fits

    def choose(self, facts: CallFacts, at: datetime) -> Choice:
        """Who answers this call at this time."""
        if facts.agent:
            found = self.profiles.get(facts.agent)
            there = ", ".join(self.profiles)
            return Choice(found, "asked for by name" if found else f"there is no agent {facts.agent!r}, only {there}")
        for route in self.routes:
            if route.fits(facts, at):
                return Choice(self.profiles[route.agent], f"{route.title} ({route.where})")
        if self.default is None:
            return Choice(None, "no route fits, and there is no [agent]")
        return Choice(self.profiles[self.default], "no route fits" if self.routes else "the only agent")


class Refusal(Struct, frozen=True):
    """Why an agent does not talk to a caller. ``say`` None: the call is not even answered."""

    why: str
    detail: str
    say: str | None


def refusal(profile: Profile, facts: CallFacts) -> Refusal | None:
    """
    Whether the agent's lists keep a caller out.

    A number that the carrier does not vouch for opens no door: anybody can send it. It closes one all the same, for
    to be refused gains nobody anything.
    """
    if facts.outbound or facts.let_in:
        return None
    number, name = facts.caller_number, profile.name
    if matches(profile["deny"], number):
        vouched = "vouched for" if facts.verified else f"not vouched for: {facts.attestation}"
        return Refusal("caller-denied", f"on the deny list of {name} ({profile.origin('deny')}), {vouched}", None)
    if not profile["allow"]:
        return None
    listed = matches(profile["allow"], number)
    if listed and facts.verified:
        return None
    origin = profile.origin("allow")
    if listed:
        said = f"on the allow list of {name} ({origin}), but the carrier does not vouch for it: {facts.attestation}"
        return Refusal("caller-not-verified", said, profile["refused_say"])
    return Refusal("caller-not-allowed", f"not on the allow list of {name} ({origin})", profile["refused_say"])


def gather(settings: Settings, declared: Sequence[Agent] = ()) -> tuple[Agents, list[AgentProblem]]:
    """Every agent and route that the settings and the program name, and what is wrong with them."""
    problems: list[AgentProblem] = []
    sections = {section.name: section for section in settings.sections("agents")}
    by_name = {agent.name: agent for agent in declared}
    spoken_of = any(settings.origin(name) != "default" for name in settings.values if name.startswith("agent."))
    names = [*sections, *(name for name in by_name if name not in sections)]
    if DEFAULT not in names and (spoken_of or not names):
        names.insert(0, DEFAULT)
    if len(by_name) < len(declared):
        problems.append(AgentProblem("agents", "two Agent(...) of one name", "a name each", "rename one"))
    profiles = {name: resolve(settings, name, sections.get(name), by_name.get(name)) for name in names}
    routes = [route for one in settings.sections("route") if (route := _route(one, profiles, problems)) is not None]
    default = DEFAULT if DEFAULT in profiles else None
    if default is None and len(profiles) == 1 and not settings.sections("route"):
        default = next(iter(profiles))  # one agent, and nothing says that somebody else should answer
    if default is None and not routes and not problems:
        got = f"{len(profiles)} agents, no [[route]] and no [agent]"
        fix = 'write [[route]] with number = "+1..." and agent = "NAME", or describe one under [agent]'
        problems.append(AgentProblem("route", got, "who answers a call", fix))
    for profile in profiles.values():
        problems += _pattern_problems(profile)
    return Agents(profiles, tuple(routes), default), problems


def _route(section: Section, profiles: Mapping[str, Profile], problems: list[AgentProblem]) -> Route | None:
    def text(field: str, unset: str = "") -> str:
        return str(section[field]) if field in section else unset

    def bad(field: str, got: str, wanted: str, fix: str) -> None:
        where = section.origin(field) if field in section else section.where
        problems.append(AgentProblem(f"{section.title}.{field}", f"{got} ({where})", wanted, fix))

    agent, number = text("agent"), text("number", "*")
    if agent not in profiles:
        wanted = "one of " + ", ".join(profiles) if profiles else "an agent"
        bad("agent", repr(agent) if agent else "nothing", wanted, f"write [agents.{agent or 'NAME'}], or correct it")
        return None
    why = pattern_problem(number)
    if why is not None:
        bad("number", repr(number), why, "correct it")
    hours = None
    try:
        hours = read_hours(text("hours"), text("days"), text("zone"))
    except HoursError as error:
        bad(error.field, error.got, error.wanted, error.fix)
    direction = text("direction", "any")
    when = " ".join(part for part in (text("days"), text("hours"), text("zone")) if part)
    shown = ", ".join(part for part in (number, "" if direction == "any" else direction, when) if part)
    return Route(section.title, section.where, agent, number, direction, hours, shown)


def _pattern_problems(profile: Profile) -> list[AgentProblem]:
    return [
        AgentProblem(profile.setting(field), f"{pattern!r} ({profile.origin(field)})", why, "correct it")
        for field in ("allow", "deny")
        for pattern in profile[field]
        if (why := pattern_problem(pattern)) is not None
    ]
