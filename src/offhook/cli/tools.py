"""``offhook tools``: what agents can do, and one of them tried alone."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import time
from collections.abc import Mapping
from typing import Any

from offhook import vocab as v
from offhook.agent.tools.box import ToolBox, chosen
from offhook.agent.tools.context import CallContext
from offhook.agent.tools.declared import Declared, declared
from offhook.agent.tools.spec import Tool
from offhook.cli.own_tools import own_lines, own_tools
from offhook.evidence.redact import Sieve
from offhook.settings import Settings

__all__ = ["listing", "run"]

WAIT_S = 20.0  # for MCP servers to say what they have


def listing(settings: Settings, *, as_json: bool = False) -> int:
    """Every tool: what the model is told, what it is made of, where that stands, and which agents have it."""
    made = declared(settings)
    sieve = Sieve(*settings.secrets())
    logging.getLogger("offhook").addHandler(logging.NullHandler())  # what is wrong stands in the list itself
    tools = asyncio.run(_fetched(made))
    agents = _agents(settings)
    if as_json:
        data = {
            "tools": [_data(tool, agents, tools) for tool in tools.values()],
            "own": [
                {"name": own.spec.name, "description": own.spec.description, "setting": own.setting, "agents": own.why}
                for own in own_tools(settings)
            ],
            "servers": [{"name": server.name, "state": server.state} for server in made.servers],
            "problems": [str(problem) for problem in made.problems],
        }
        sys.stdout.write(sieve.clean(json.dumps(data, indent=2)) + "\n")
    else:
        lines = [line for tool in tools.values() for line in _lines(tool, agents, tools)]
        lines += [f"{server.name}: {server.state}" for server in made.servers if not server.tools]
        lines += [f"cannot be: {problem}" for problem in made.problems]
        hint = "no tools are declared: write [tools.NAME] into offhook.toml (docs/tools.md), and try them with this"
        own = [line for tool in own_tools(settings) for line in own_lines(tool)]
        sys.stdout.write(sieve.clean("\n".join([*(lines or [hint]), *own])) + "\n")
    broken = made.problems or any(not server.tools for server in made.servers)
    return 2 if made.problems else 1 if broken else 0


async def _fetched(made: Declared) -> dict[str, Tool]:
    """All tools, those of the servers too."""
    box = ToolBox(made.tools, made.sources)
    if not made.servers:
        return box.tools
    await box.start(WAIT_S)
    states = [(server, server.state) for server in made.servers]
    tools = box.tools
    await box.stop()
    for server, state in states:  # as it was, and not that it has been stopped
        server.state = state
    return tools


def _agents(settings: Settings) -> dict[str, tuple[str, ...]]:
    """Agents, and the names of tools that each may have."""
    default = settings["agent.tools"]
    named = {s.name: s["tools"] if "tools" in s else default for s in settings.sections("agents")}
    return {"default": default, **named}


def _with(tool: Tool, agents: Mapping[str, tuple[str, ...]], tools: Mapping[str, Tool]) -> list[str]:
    return [agent for agent, names in agents.items() if tool.name in chosen(tools, names)]


def _data(tool: Tool, agents: Mapping[str, tuple[str, ...]], tools: Mapping[str, Tool]) -> dict[str, Any]:
    return {
        "name": tool.name, "description": tool.description, "parameters": tool.parameters, "kind": tool.kind,
        "source": tool.source, "where": tool.where, "agents": _with(tool, agents, tools),
        "limits": {name: getattr(tool.limits, name) for name in tool.limits.__struct_fields__},
    }  # fmt: skip


def _lines(tool: Tool, agents: Mapping[str, tuple[str, ...]], tools: Mapping[str, Tool]) -> list[str]:
    limits = tool.limits
    if not limits.changes:
        effect = "only reads"
    else:
        effect = "changes something; twice is as once" if limits.idempotent else "changes something: never run twice"
    filler = f"{limits.filler} after {limits.filler_ms / 1000:g} s" if limits.filler else "no filler"
    who = _with(tool, agents, tools)
    lines = [f"{tool.name}  {tool.kind}  {tool.source}  [{tool.where or 'built in'}]"]
    lines += [f"    {line}" for line in tool.description.splitlines()[:3] if line.strip()]
    required = set(tool.parameters.get("required", ()))
    for name, field in tool.parameters.get("properties", {}).items():
        optional = "" if name in required else ", optional"
        lines.append(f"    {name}: {_type(field)}{optional}{_words(field)}")
    within = (
        f"a receipt at once, its result within {tool.job_s:g} s" if tool.job_s else f"{limits.deadline_s:g} s at most"
    )
    lines.append(f"    {effect}; {within}; {filler}; agents: {', '.join(who) or 'none'}")
    return lines


def _type(field: Mapping[str, Any]) -> str:
    if "enum" in field:
        return " | ".join(map(str, field["enum"]))
    if "anyOf" in field:
        return " | ".join(_type(each) for each in field["anyOf"] if each.get("type") != "null")
    kind = str(field.get("type", "anything"))
    return f"{_type(field['items'])}[]" if kind == "array" and isinstance(field.get("items"), Mapping) else kind


def _words(field: Mapping[str, Any]) -> str:
    found = field.get("description") or next(
        (e["description"] for e in field.get("anyOf", ()) if "description" in e), ""
    )
    return f"  {found}" if found else ""


# ------------------------------------------------------------------------------------------------ one alone


def run(settings: Settings, name: str, arguments: str, *, dry: bool = False, as_json: bool = False) -> int:
    """Run one tool without a call. 0 it went well, 1 it did not, 2 there is none of that name, 3 nothing was done."""
    made = declared(settings)
    if made.problems:
        sys.stderr.write("".join(f"offhook: {problem}\n" for problem in made.problems))
        return 2
    sieve = Sieve(*settings.secrets())
    return asyncio.run(_Alone(made, sieve, as_json).run(name, arguments, not dry))


class _Alone:
    """One run, told as it goes."""

    def __init__(self, made: Declared, sieve: Sieve, as_json: bool) -> None:
        self._made = made
        self._sieve = sieve
        self._json = as_json
        self._jobs = 0
        self._changed = asyncio.Event()
        self._failed = False

    def _say(self, what: str, **data: Any) -> None:
        if self._json:
            line = json.dumps({"event": what, **data})
        else:
            line = f"{what:<9} " + "  ".join(str(value) for value in data.values() if value not in ("", 0))
        sys.stdout.write(self._sieve.clean(line) + "\n")
        sys.stdout.flush()

    async def run(self, name: str, arguments: str, effects: bool) -> int:
        box = ToolBox(self._made.tools, self._made.sources, effects=effects)
        await box.start(WAIT_S)
        try:
            return await self._one(box, name, arguments)
        finally:
            await box.stop()

    async def _one(self, box: ToolBox, name: str, arguments: str) -> int:
        tool = box.tools.get(name)
        if tool is None:
            states = [f"{server.name}: {server.state}" for server in self._made.servers if not server.tools]
            have = ", ".join(box.tools) or "none"
            sys.stderr.write(self._sieve.clean(f"offhook: no tool {name}; there are: {have}\n" + "\n".join(states)))
            return 2
        self._say("tool", name=f"{tool.name}, {tool.kind}: {tool.source}")
        loop = asyncio.get_running_loop()
        done: asyncio.Future[v.ToolFinished] = loop.create_future()
        context = CallContext(
            "by-hand", agent="none", ask=lambda event: box.post(self._asked, event),
            order=lambda event: box.wait(self._ordered(event)),
        )  # fmt: skip
        began = time.monotonic()
        box.run(v.RunTool("by-hand", name, arguments), context, done.set_result, self._remark)
        finished = await done
        ms = round((time.monotonic() - began) * 1000)
        self._say("model", output=finished.output)
        self._say("outcome", outcome=finished.outcome, ms=f"{ms} ms", retried=finished.retried, detail=finished.detail)
        while self._jobs:
            self._changed.clear()
            await self._changed.wait()
        if finished.outcome == "dry run":
            return 3
        return 0 if finished.outcome == "ok" and not self._failed else 1

    async def _ordered(self, event: v.Event) -> v.Done:
        self._asked(event)
        return v.Done("", "", "told", "by hand")

    def _asked(self, event: v.Event) -> None:
        if isinstance(event, v.InjectAsked):
            self._say("told", text=event.text)
        else:
            self._say("asked", event=repr(event))

    def _remark(self, kind: str, data: Mapping[str, Any]) -> None:
        told = {key: value for key, value in data.items() if value != "" and key not in ("name", "out_bytes")}
        self._say(kind, **told)
        if kind == "job":
            self._jobs += 1 if data["state"] == "queued" else -1
            self._failed = self._failed or data.get("outcome", "ok") != "ok"
            self._changed.set()
