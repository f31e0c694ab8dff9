"""What ``offhook serve`` says of itself: what runs and where each value came from, or why it does not start."""

from __future__ import annotations

from datetime import date
from typing import Any

from offhook import __version__
from offhook.agent.profile import DEFAULT
from offhook.agent.tools.box import ToolBox
from offhook.agent.tools.declared import Declared
from offhook.checks import settings as judge
from offhook.checks.agents import Ready, Roster, endings
from offhook.cli.places import data_dir
from offhook.net.hot import path_of_frames
from offhook.settings import Settings, shown

__all__ = ["api_rows", "banner", "refusal"]


def banner(settings: Settings, roster: Roster, sessions: dict[str, Any], public_url: str, port: int) -> list[str]:
    """Every agent with its provider, the routes, and the server's own values; each with its origin."""
    auth = settings["carrier.auth"]
    lines = [f"offhook {__version__}"]
    several = list(roster.ready) != [DEFAULT]
    for name, ready in roster.ready.items():
        if several:
            lines.append(_row("agent", name, ready.profile.where))
        lines += _provider(settings, ready, sessions[name])
    for route in roster.agents.routes:
        lines.append(_row("route", f"{route.text} -> {route.agent}", route.where))
    if several:
        rest = roster.agents.default
        lines.append(_row("else", f"-> {rest}" if rest else "nobody answers", "where no route fits"))
    webhook = public_url + judge.carrier_settings(settings, public_url).webhook_path
    lines += [
        _row("public URL", public_url, settings.origin("server.public_url")),
        _row("webhook", webhook, "set this at the carrier's number"),
        _row("signatures", "checked" if auth == "signature" else "NOT CHECKED (loopback only)",
             settings.origin("carrier.auth")),
        _row("call end", *_call_end(settings, public_url)),
        _row("frames", *_frames(settings)),
        _row("records", str(data_dir(settings)), settings.origin("record.dir")),
        _row("listening", f"{settings['server.host']}:{port}", settings.origin("server.port")),
    ]  # fmt: skip
    return lines


def tool_rows(declared: Declared, box: ToolBox | None) -> list[str]:
    """What agents can do, and the MCP servers that are not there."""
    if box is None:
        return []
    names = list(box.tools)
    shown = ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")
    rows = [_row("tools", shown or "none yet", "offhook tools lists them")]
    return rows + [_row("", f"{s.name}: {s.state}"[:80], s.source) for s in declared.servers if not s.tools]


def api_rows(settings: Settings, port: int) -> list[str]:
    """Where programs ask, and who may."""
    host = settings["server.host"]
    name = "127.0.0.1" if host in ("", "*", "0.0.0.0", "::") else f"[{host}]" if ":" in host else host
    tokens = "offhook token create NAME makes a token"
    who = f"{tokens}; this machine needs none" if settings["api.open"] == "loopback" else tokens
    return [_row("API", f"http://{name}:{port}/api/docs", who)]


def _call_end(settings: Settings, public_url: str) -> tuple[str, str]:
    if judge.carrier_settings(settings, public_url).rest_credentials:
        return "by REST", settings.origin("carrier.account_sid")
    return "by closing the stream: 31921 in Twilio's debugger", "REST needs TWILIO_ACCOUNT_SID and token"


def _provider(settings: Settings, ready: Ready, session: Any) -> list[str]:
    profile, key = ready.profile, f"provider.{ready.provider.NAME}_key"

    def own(field: str, value: str) -> tuple[str, str]:
        return (
            (value, profile.origin(field).rpartition(", ")[2]) if profile[field] else (value, "default of the provider")
        )

    lines = [
        _row("provider", ready.provider.LABEL, profile.origin("provider").rpartition(", ")[2]),
        _row("model", *own("model", session.model)),
        _row("voice", *own("voice", session.voice)),
        _row("endpoint", *own("url", session.url)),
    ]
    for what, value, then in endings(ready, date.today().isoformat()):
        lines.append(_row(what, value, then))
    if session.api_key:
        lines.append(_row("key", shown(settings[key]), settings.origin(key)))
    if profile["allow_unlisted"]:
        lines.append(_row("unlisted", "taken: the provider's echo decides", profile.origin("allow_unlisted")))
    return lines


def _row(name: str, value: str, origin: str) -> str:
    return f"  {name:<11} {value:<44}  [{origin}]"


def refusal(found: list[Any]) -> str:
    """Why it does not start, problem by problem."""
    lines = [f"offhook: refuses to start: {len(found)} problem{'s' if len(found) > 1 else ''}"]
    for problem in found:
        lines += [f"  {problem.setting}: got {problem.got}", f"    wanted {problem.wanted}", f"    fix: {problem.fix}"]
        if problem.source:
            lines.append(f"    source: {problem.source}")
    return "\n".join(lines) + "\n"


def _frames(settings: Settings) -> tuple[str, str]:
    """Which way frames go, and why; whether somebody chose it."""
    way, why = path_of_frames(settings["server.compiled"])
    return way, why if settings["server.compiled"] else settings.origin("server.compiled")
