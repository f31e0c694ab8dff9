"""
The agent's tools without a model (C11): each one's schema, and what it does with good, empty and broken arguments.

Nothing is carried out. Proves that a model that calls them is answered; not that it will call them.
"""

from __future__ import annotations

from typing import Any

from offhook import vocab as v
from offhook.checks import settings as judge
from offhook.checks._check import Ask, Check, Trail
from offhook.wires._wire import LocalProtocolError

__all__ = ["CHECK"]


async def run(ask_: Ask, trail: Trail) -> str:
    name = ask_.settings["provider.name"]
    tools = (judge.HANG_UP,) if ask_.settings["agent.hang_up"] else ()
    if not tools:
        trail.proven("tools", "none are declared")
        return "there are no tools"
    if name not in judge.PROVIDERS:
        trail.unproven("provider", "no provider is chosen: its rules for schemas are not known", fix="choose one")
        return ""
    module = judge.provider_module(name)
    for tool in tools:
        _schema(trail, tool)
        _accepted(ask_, trail, module, tool)
    return f"{len(tools)} tool{'s' if len(tools) > 1 else ''} with a schema that {name} takes"


def _schema(trail: Trail, tool: v.ToolSpec) -> None:
    """What every provider asks of a function's parameters: an object that declares what it requires."""
    given = tool.parameters
    properties = given.get("properties")
    strange = [name for name in given.get("required", []) if not isinstance(properties, dict) or name not in properties]
    if given.get("type") != "object" or not isinstance(properties, dict):
        trail.broken(
            tool.name,
            'parameters: wanted {"type": "object", "properties": {…}}',
            fix="mend the declaration",
            decides="F-098",
        )
    elif strange:
        trail.broken(
            tool.name, f"requires {', '.join(strange)}, which it does not declare", fix="declare it", decides="F-098"
        )
    else:
        trail.proven(tool.name, f"{len(properties)} parameters, {len(given.get('required', []))} required")


def _accepted(ask_: Ask, trail: Trail, module: Any, tool: v.ToolSpec) -> None:
    """Our own leg refuses to send what the provider refuses: so it is asked."""
    session = judge.session_settings(ask_.settings)
    try:
        module.Leg(session).send(v.ConfigureSession())
    except LocalProtocolError as error:
        trail.broken(tool.name, str(error), fix="mend the tool's declaration", decides="F-098")
        return
    trail.proven(tool.name, f"{module.NAME} takes its declaration")


CHECK = Check(
    name="tools",
    boundary="tools",
    proves="every tool's schema, and that the provider takes it",
    cannot="the model's choice to call them",
    run=run,
)
