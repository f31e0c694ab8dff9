"""``offhook agent``: who answers which call, and the whole of what an agent is told."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from msgspec import structs

from offhook.agent.agents import refusal
from offhook.agent.assemble import Kept, Prompt, assemble, caller_part, tokens
from offhook.agent.numbers import pattern_problem
from offhook.agent.profile import Agent
from offhook.agent.prompt import CallFacts, render
from offhook.checks.agents import Ready, Roster, ready_agents
from offhook.settings import Settings, shown
from offhook.wires._wire import SettingProblem, clean_text

__all__ = ["AgentError", "Asked", "described", "listing", "overview", "show"]

EXAMPLE_CALLER, EXAMPLE_OWN = "+15550100001", "+15550100002"
_TELLING = ("instructions", "instructions_file", "files", "workspace")  # shown as parts, not as values


class AgentError(Exception):
    """Words that name no agent, number or time, and what was wanted."""


class Asked:
    """The call that is asked about: an example, but for what was said."""

    def __init__(
        self, *, number: str = "", caller: str = "", at: str = "", outbound: bool = False, verified: bool = False,
        field: Sequence[str] = (), known: Sequence[str] = (),
    ) -> None:  # fmt: skip
        for option, given in (("--to", number), ("--from", caller)):
            why = pattern_problem(given) if given else None
            if why is not None or given.endswith("*"):
                raise AgentError(f"{option} {given}: wanted {why or 'one number'}")
        try:
            moment = datetime.fromisoformat(at) if at else datetime.now(UTC)
        except ValueError:
            raise AgentError(f"--at {at}: wanted a time as 2026-11-25T22:30+01:00") from None
        self.at = moment if moment.tzinfo is not None else moment.astimezone()
        own, party = number or EXAMPLE_OWN, caller or EXAMPLE_CALLER
        self.facts = CallFacts(
            caller_number=own if outbound else party,
            called_number=party if outbound else own,
            call_id="CA" + "0" * 32,
            direction="outbound-api" if outbound else "inbound",
            webhook=_pairs("--field", field),
            verified=verified or outbound,
            attestation="TN-Validation-Passed-A" if verified else "no StirVerstat",
        )
        self.known = _pairs("--known", known)
        self.named = bool(number)


def _pairs(option: str, given: Sequence[str]) -> dict[str, str]:
    for text in given:
        if not text.partition("=")[1]:
            raise AgentError(f"{option} {text}: wanted NAME=VALUE")
    return dict((text.partition("=")[0], text.partition("=")[2]) for text in given)


def listing(settings: Settings, declared: Sequence[Agent] = (), *, as_json: bool = False) -> int:
    """Every agent and route, and what is wrong with them. 0, or 2 where something is."""
    roster, problems = ready_agents(settings, declared)
    agents = roster.agents
    if as_json:
        sys.stdout.write(json.dumps(overview(settings, declared), indent=1) + "\n")
        return 2 if problems else 0
    rows = [_brief(name, roster) for name in agents.profiles]
    for row in rows:
        whole, chars = _uncut(row["name"], roster), row["chars"]
        size = f"{chars} characters" if whole <= chars else f"at most {chars} of {whole} characters"
        told = f"told {size}, about {row['tokens']} tokens"
        model = f"{row['provider'] or 'no provider'} {row['model']} {row['voice']}".strip()
        sys.stdout.write(f"{row['name']:<14} {model:<44}  {told}  [{row['where']}]\n")
    for route in agents.routes:
        sys.stdout.write(f"  {route.text:<42} -> {route.agent}  [{route.where}]\n")
    rest = f"-> {agents.default}" if agents.default else "nobody answers"
    sys.stdout.write(f"  {'anything else' if agents.routes else 'every call':<42} {rest}\n")
    _tell(problems)
    return 2 if problems else 0


def _brief(name: str, roster: Roster) -> dict[str, Any]:
    profile, ready = roster.agents.profiles[name], roster.ready.get(name)
    chars = min(_uncut(name, roster), profile["max_prompt_chars"])
    return {
        "name": name, "where": profile.where, "provider": profile["provider"],
        "model": ready.session.model if ready is not None else profile["model"],
        "voice": ready.session.voice if ready is not None else profile["voice"],
        "chars": chars, "tokens": tokens(chars),
    }  # fmt: skip


def _uncut(name: str, roster: Roster) -> int:
    """How many characters an agent's own parts have, before anything is cut."""
    ready = roster.ready.get(name)
    return sum(len(part.text) for part in ready.persona.parts) if ready is not None else 0


def _problem(problem: SettingProblem) -> dict[str, str]:
    return {"setting": problem.setting, "got": problem.got, "wanted": problem.wanted, "fix": problem.fix}


def _tell(problems: Sequence[SettingProblem]) -> None:
    for problem in problems:
        sys.stderr.write(clean_text(f"{problem.setting}: got {problem.got}, wanted {problem.wanted}; {problem.fix}\n"))


def show(
    settings: Settings, name: str, asked: Asked, declared: Sequence[Agent] = (), *, text: bool, as_json: bool
) -> int:
    """One agent in one call: its values with their origins, its prompt in parts. 0, 2 where something is wrong."""
    roster, problems = ready_agents(settings, declared)
    choice = roster.agents.choose(asked.facts, asked.at)
    name = name or (choice.profile.name if choice.profile is not None else "")
    if not name:
        raise AgentError(f"nobody answers this call: {choice.why}; `offhook agent list` shows the routes")
    if name not in roster.agents.profiles:
        there = ", ".join(roster.agents.profiles)
        raise AgentError(f"there is no agent {name!r}; there are: {there}")
    if name not in roster.ready:
        _tell(problems)
        return 2
    ready = roster.ready[name]
    prompt = _prompt(ready, asked)
    if text:
        sys.stdout.write(prompt.text + "\n")
        return 0
    if as_json:
        sys.stdout.write(json.dumps(_data(roster, ready, asked, prompt, problems), indent=1) + "\n")
    else:
        sys.stdout.write("\n".join(_lines(roster, ready, asked, prompt)) + "\n")
        _tell(problems)
    return 2 if problems else 0


def described(settings: Settings, name: str, asked: Asked, declared: Sequence[Agent] = ()) -> dict[str, Any]:
    """One agent in one call as data. Raises AgentError where there is none that could answer."""
    roster, problems = ready_agents(settings, declared)
    if name not in roster.ready:
        there = ", ".join(roster.ready) or "none"
        raise AgentError(f"there is no agent {name[:60]!r} that can answer; there are: {there}")
    ready = roster.ready[name]
    return _data(roster, ready, asked, _prompt(ready, asked), problems)


def overview(settings: Settings, declared: Sequence[Agent] = ()) -> dict[str, Any]:
    """Every agent and route as data, and what is wrong with them."""
    roster, problems = ready_agents(settings, declared)
    agents = roster.agents
    return {
        "agents": [_brief(name, roster) for name in agents.profiles],
        "routes": [{"number": r.text, "agent": r.agent, "where": r.where} for r in agents.routes],
        "else": agents.default,
        "problems": [_problem(problem) for problem in problems],
    }


def _prompt(ready: Ready, asked: Asked) -> Prompt:
    parts, facts = list(ready.persona.parts), asked.facts
    about = caller_part(facts, asked.known, "--known")
    if about is not None:
        parts.append(about)
        facts = structs.replace(facts, caller=asked.known)
    return assemble(parts, facts, ready.profile["max_prompt_chars"])


def _greeting(ready: Ready, asked: Asked) -> str:
    field = "greeting_outbound" if asked.facts.outbound else "greeting"
    return render(ready.profile[field], structs.replace(asked.facts, caller=asked.known))


def _routed(roster: Roster, ready: Ready, asked: Asked) -> str:
    """Whether this call would be this agent's."""
    if not asked.named:
        routes = [
            f"{route.text} ({route.where})" for route in roster.agents.routes if route.agent == ready.profile.name
        ]
        rest = ["whatever no route fits"] if roster.agents.default == ready.profile.name else []
        return "reached by " + ("; ".join([*routes, *rest]) or "nobody: no route leads here; only by name")
    choice = roster.agents.choose(asked.facts, asked.at)
    refused = refusal(ready.profile, asked.facts)
    if choice.profile is None:
        return f"not this agent's: {choice.why}"
    if choice.profile.name != ready.profile.name:
        return f"not this agent's: {choice.profile.name} answers, {choice.why}"
    return f"refused: {refused.detail}" if refused is not None else f"answered: {choice.why}"


def _lines(roster: Roster, ready: Ready, asked: Asked, prompt: Prompt) -> list[str]:
    profile, facts = ready.profile, asked.facts
    lines = [f"agent {profile.name}  [{profile.where}]"]
    effective = {"model": ready.session.model, "voice": ready.session.voice, "url": ready.session.url}
    for field, value in profile.values.items():
        if field in _TELLING:
            continue
        given = shown(value.value) if value.value or value.value is False else ""
        origin = value.origin
        if field in effective and not given:
            given, origin = str(effective[field]), "default of the provider"
        if given and (
            origin not in ("default", "not said") or field in ("provider", "hang_up", "tools", "max_call_s", "idle_s")
        ):
            lines.append(f"  {field:<17} {_short(given):<50}  [{origin}]")
    lines += [
        "",
        f"a call from {facts.caller_number} to {facts.called_number} at {asked.at:%a %H:%M %Z}".rstrip(),
        f"  {_routed(roster, ready, asked)}",
        f"  greeting   {_greeting(ready, asked) or 'none: the other side speaks first'}",
        "",
        "told, in this order",
    ]
    lines += [_part(part) for part in prompt.parts]
    most, total = profile["max_prompt_chars"], len(prompt.text)
    lines.append(f"  {'in all':<20} {total:>7} characters, about {tokens(total)} tokens; at most {most} characters")
    lines += [f"  remark: {remark}" for remark in ready.persona.remarks]
    if ready.lookup is not None:
        lines.append(
            f"  and what {ready.lookup.source} knows of the caller, if it says so within {profile['lookup_s']:g} s"
        )
    if profile["resume_s"]:
        lines.append(
            f"  and the end of a call that was cut off less than {profile['resume_s']:g} s before, if verified"
        )
    return lines


def _part(part: Kept) -> str:
    size = f"{part.kept_chars:>7} characters, about {tokens(part.kept_chars)} tokens"
    cut = f"; cut from {part.chars}: {part.why}" if part.why else ""
    return f"  {part.name:<20} {size}  [{part.source}]{cut}"


def _short(text: str) -> str:
    line = text.replace("\n", "\\n")
    return line if len(line) <= 50 else line[:49] + "…"


def _data(
    roster: Roster, ready: Ready, asked: Asked, prompt: Prompt, problems: Sequence[SettingProblem]
) -> dict[str, Any]:
    return {
        "name": ready.profile.name,
        "where": ready.profile.where,
        "values": {
            field: {"value": shown(given.value), "origin": given.origin}
            for field, given in ready.profile.values.items()
        },
        "call": {"from": asked.facts.caller_number, "to": asked.facts.called_number, "at": asked.at.isoformat(),
                 "outcome": _routed(roster, ready, asked)},
        "greeting": _greeting(ready, asked),
        "parts": [
            {"name": part.name, "source": part.source, "chars": part.chars, "kept_chars": part.kept_chars,
             "tokens": tokens(part.kept_chars), "why_cut": part.why}
            for part in prompt.parts
        ],
        "chars": len(prompt.text),
        "tokens": tokens(len(prompt.text)),
        "text": prompt.text,
        "remarks": list(ready.persona.remarks),
        "problems": [_problem(problem) for problem in problems],
    }  # fmt: skip
