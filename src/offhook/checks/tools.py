"""
The agents' tools without a model (C11): each one's schema, whether the provider takes it, and whether what stands
behind it is there: an MCP server answers and lists its tools, an endpoint's host may be connected to, a delegate's
program exists.

Nothing is carried out. Proves that a model that calls them is answered; not that it will call them.
"""

from __future__ import annotations

import asyncio
import shutil
import time
from typing import Any

from msgspec import structs

from offhook import vocab as v
from offhook.checks import settings as judge
from offhook.checks._check import Ask, Check, Trail
from offhook.wires._wire import LocalProtocolError

__all__ = ["CHECK"]

SERVER_S = 20.0


async def run(ask_: Ask, trail: Trail) -> str:
    name = judge.default_provider(ask_.settings)
    specs = [judge.HANG_UP] if ask_.settings["agent.hang_up"] else []
    if ask_.settings.sections("tools"):
        specs += await _declared(ask_, trail)
    if not specs:
        trail.proven("tools", "none are declared")
        return "there are no tools"
    if name not in judge.PROVIDERS:
        trail.unproven("provider", "no provider is chosen: its rules for schemas are not known", fix="choose one")
        return ""
    module = judge.provider_module(name)
    for tool in specs:
        _schema(trail, tool)
        _accepted(ask_, trail, module, tool)
    return f"{len(specs)} tool{'s' if len(specs) > 1 else ''} with a schema that {name} takes"


async def _declared(ask_: Ask, trail: Trail) -> list[v.ToolSpec]:
    """What [tools.NAME] declares, and what stands behind it."""
    from offhook.agent.tools.box import ToolBox
    from offhook.agent.tools.declared import declared

    made = declared(ask_.settings)
    for problem in made.problems:
        trail.broken(problem.tool, f"got {problem.got}, wanted {problem.wanted} ({problem.where})", fix=problem.fix)
    for tool in made.tools:
        if tool.kind == "delegate":
            _program(trail, tool.name, tool.source.split(" ")[0])
    await asyncio.gather(*(_endpoint(ask_, trail, section) for section in ask_.settings.sections("tools")))
    await asyncio.gather(*(_server(trail, server) for server in made.servers))
    specs = ToolBox(made.tools, made.sources).specs()
    await asyncio.gather(*(server.stop() for server in made.servers))
    return list(specs)


def _program(trail: Trail, name: str, program: str) -> None:
    found = shutil.which(program)
    if found is None:
        trail.broken(name, f"there is no program {program}", fix="install it, or write its whole path")
    else:
        trail.proven(name, f"its program is {found}")


async def _endpoint(ask_: Ask, trail: Trail, section: Any) -> None:
    from urllib.parse import urlsplit

    from offhook.outward import OutwardError, judged, pinned, split
    from offhook.proxies import choose_proxy

    if "url" not in section:
        return
    try:
        _, host, port = split(section["url"])
        allow = section["allow"] if "allow" in section else ()
        proxy = choose_proxy(section["url"], ask_.settings.environment)
        if proxy is not None:
            await judged(host, port, allow)
            by = urlsplit(proxy).hostname
            trail.proven(section.name, f"{host} is asked by the proxy {by}, which looks it up; nothing was sent to it")
            return
        address = await pinned(host, port, allow)
    except ValueError:
        return  # told among the declarations
    except OutwardError as error:
        fix = f'if that is meant, write allow = ["{host}"]' if "may not be" in str(error) else "correct the address"
        trail.broken(section.name, str(error), fix=fix)
        return
    trail.proven(section.name, f"{host} is {address}; nothing was sent to it")


async def _server(trail: Trail, server: Any) -> None:
    began = time.monotonic()
    starting = asyncio.ensure_future(server.start())
    await asyncio.wait({starting}, timeout=SERVER_S)
    ms = (time.monotonic() - began) * 1000
    if server.tools:
        trail.proven(server.name, f"connected: {', '.join(tool.name for tool in server.tools)[:160]}", ms=ms)
    else:
        trail.broken(server.name, server.state, fix=_mend(server.source, server.state), ms=ms)


def _mend(source: str, state: str) -> str:
    """What to do about an MCP server that does not come up."""
    if not source.startswith("http"):
        return "start what it names alone, and look at what it says; `offhook tools` shows the same"
    if "CERTIFICATE_VERIFY_FAILED" in state:
        return "renew its certificate; SSL_CERT_FILE=FILE trusts an authority of your own"
    if "OAuth" in state or state.startswith("the token endpoint"):
        return (
            "correct oauth_client_id, oauth_secret, oauth_scope and oauth_issuer, or let the service know this client"
        )
    if "HTTP 401" in state or "HTTP 403" in state:
        return 'give headers = {Authorization = "Bearer {env:NAME}"}, or oauth_client_id, as the service wants it'
    return "look whether the service runs, and speaks MCP over streamable HTTP at this address"


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
    session = structs.replace(judge.session_settings(ask_.settings), tools=(tool,))
    try:
        module.Leg(session).send(v.ConfigureSession())
    except LocalProtocolError as error:
        trail.broken(tool.name, str(error), fix="mend the tool's declaration", decides="F-098")
        return
    trail.proven(tool.name, f"{module.NAME} takes its declaration")


CHECK = Check(
    name="tools",
    boundary="tools",
    proves="every tool's schema, that the provider takes it, and that what stands behind it is there",
    cannot="the model's choice to call them",
    run=run,
)
