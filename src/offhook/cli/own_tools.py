"""The tools that belong to the call itself (``hang_up``, ``transfer_call``, keys): which agents have them, and why."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from offhook.agent.agents import gather
from offhook.agent.handles import handle_specs, targets_of
from offhook.agent.profile import Profile
from offhook.checks.wire import HANG_UP
from offhook.settings import Settings
from offhook.vocab import ToolSpec

__all__ = ["OwnTool", "own_lines", "own_tools"]

_SETTING = {
    HANG_UP.name: "hang_up", "transfer_call": "transfer_to", "press_keys": "keypad", "collect_digits": "keypad",
}  # fmt: skip


class OwnTool(Struct, frozen=True):
    """One of them; ``why`` is by agent, of those that have it; ``setting`` is what gives it."""

    spec: ToolSpec
    setting: str
    why: Mapping[str, str]


def own_tools(settings: Settings) -> list[OwnTool]:
    """All there are, also those that no agent has."""
    profiles = gather(settings, ())[0].profiles
    specs = (
        HANG_UP,
        *handle_specs({name: "" for p in profiles.values() for name in _targets(p)} or {"NAME": ""}, True),
    )
    found = []
    for spec in specs:
        field = _SETTING[spec.name]
        why = {name: _why(profile, field) for name, profile in profiles.items() if profile[field]}
        found.append(OwnTool(spec, f"agent.{field}", why))
    return found


def _targets(profile: Profile) -> list[str]:
    try:
        return list(targets_of(profile["transfer_to"]))
    except ValueError:
        return []  # `offhook check settings` names it


def _why(profile: Profile, field: str) -> str:
    value = f"names {', '.join(_targets(profile)) or 'nobody'}" if field == "transfer_to" else "= true"
    return f"{profile.setting(field)} {value} ({profile.origin(field)})"


def own_lines(tool: OwnTool) -> list[str]:
    """As the list for people says it."""
    lines = [f"{tool.spec.name}  the call's own", f"    {tool.spec.description}"]
    lines += [f"    {agent}: {why}" for agent, why in tool.why.items()]
    return lines if tool.why else [*lines, f"    no agent has it: {tool.setting} gives it"]
