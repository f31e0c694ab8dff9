"""What ``offhook serve`` says of itself: what runs and where each value came from, or why it does not start."""

from __future__ import annotations

from typing import Any

from offhook import __version__
from offhook.checks import settings as judge
from offhook.cli.places import data_dir
from offhook.settings import Settings, shown

__all__ = ["banner", "refusal"]


def banner(settings: Settings, session: Any, label: str, public_url: str, port: int) -> list[str]:
    """What is running, and where each value came from."""

    def row(name: str, value: str, origin: str) -> str:
        return f"  {name:<11} {value:<44}  [{origin}]"

    def own(name: str, value: str) -> tuple[str, str]:
        given = settings[name]
        return (str(given), settings.origin(name)) if given else (value, "default of the provider")

    name = settings["provider.name"]
    model, voice, url = (
        own("provider.model", session.model),
        own("provider.voice", session.voice),
        own("provider.url", session.url),
    )
    lines = [
        f"offhook {__version__}",
        row("provider", label, settings.origin("provider.name")),
        row("model", *model),
        row("voice", *voice),
        row("endpoint", *url),
    ]
    if session.api_key:
        lines.append(row("key", shown(settings[f"provider.{name}_key"]), settings.origin(f"provider.{name}_key")))
    if settings["provider.allow_unlisted"]:
        lines.append(row("unlisted", "taken: the provider's echo decides", settings.origin("provider.allow_unlisted")))
    auth = settings["carrier.auth"]
    lines += [
        row("public URL", public_url, settings.origin("server.public_url")),
        row("webhook", public_url + "/twilio/voice", "set this at the carrier's number"),
        row("signatures", "checked" if auth == "signature" else "NOT CHECKED (loopback only)",
            settings.origin("carrier.auth")),
        row("call end", "by REST", settings.origin("carrier.account_sid"))
        if judge.carrier_settings(settings, public_url).rest_credentials else
        row("call end", "by closing the stream: 31921 in Twilio's debugger", "REST needs TWILIO_ACCOUNT_SID and token"),
        row("records", str(data_dir(settings)), settings.origin("record.dir")),
        row("listening", f"{settings['server.host']}:{port}", settings.origin("server.port")),
    ]  # fmt: skip
    return lines


def refusal(found: list[Any]) -> str:
    """Why it does not start, problem by problem."""
    lines = [f"offhook: refuses to start: {len(found)} problem{'s' if len(found) > 1 else ''}"]
    for problem in found:
        lines += [f"  {problem.setting}: got {problem.got}", f"    wanted {problem.wanted}", f"    fix: {problem.fix}"]
        if problem.source:
            lines.append(f"    source: {problem.source}")
    return "\n".join(lines) + "\n"
