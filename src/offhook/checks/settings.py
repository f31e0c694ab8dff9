"""
Whether the settings can work: everything that is known without a call, each problem with its fix.

Needs no network. ``serve`` refuses to start on what this finds; ``offhook check settings`` prints it.
"""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Sequence
from datetime import date
from importlib.util import find_spec
from typing import Any
from urllib.parse import urlsplit

from msgspec import structs

from offhook.agent.assemble import BETWEEN
from offhook.agent.profile import DEFAULT, Agent, end_lines
from offhook.checks._check import Ask, Check, Trail
from offhook.checks.agents import default_ready, endings, ready_agents
from offhook.checks.wire import HANG_UP, PROVIDERS, provider_module
from offhook.evidence.patterns import BUILT_IN, PatternError, Patterns
from offhook.media.lines import LineError, spoken_lines
from offhook.settings import Settings
from offhook.traces.headers import HeadersError, headers_of
from offhook.wires._checks import is_loopback
from offhook.wires._wire import SettingProblem
from offhook.wires.carriers.twilio import CarrierSettings

__all__ = [
    "CHECK",
    "HANG_UP",
    "PLACEHOLDER",
    "PROVIDERS",
    "beside_agents",
    "carrier_settings",
    "default_provider",
    "instructions",
    "own_lines",
    "problems",
    "provider_module",
    "public_url_problems",
    "session_settings",
]

PLACEHOLDER = "YOUR-TUNNEL.example"  # what `offhook init` writes where it does not know the address


def problems(settings: Settings, declared: Sequence[Agent] = ()) -> list[SettingProblem]:
    """Everything that cannot work, of the agents in ``declared`` too; empty when ``serve`` may start."""
    _, found = ready_agents(settings, declared)
    return [*found, *beside_agents(settings, declared)]


def beside_agents(settings: Settings, declared: Sequence[Agent] = ()) -> list[SettingProblem]:
    """What cannot work of the settings that are no agent's."""
    own = (_tools, public_url_problems, _carrier, _records, _patterns, _after, _otel)
    return [*_lines(settings, declared), *(problem for judge in own for problem in judge(settings))]


def _otel(settings: Settings) -> list[SettingProblem]:
    endpoint = settings["otel.endpoint"]
    if not endpoint:
        return []
    found = []
    parts = urlsplit(endpoint)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        wanted = "an address as http://127.0.0.1:4318/v1/traces"
        found.append(_problem(settings, "otel.endpoint", repr(endpoint[:80]), wanted, "write it whole"))
    if find_spec("opentelemetry") is None or find_spec("opentelemetry.sdk") is None:
        wanted = "OpenTelemetry, which is not installed"
        found.append(_problem(settings, "otel.endpoint", repr(endpoint[:80]), wanted, "pip install 'offhook[otel]'"))
    try:
        headers_of(settings["otel.headers"].reveal())
    except HeadersError as error:
        found.append(_problem(settings, "otel.headers", "a secret", str(error), "correct it"))
    return found


def _patterns(settings: Settings) -> list[SettingProblem]:
    try:
        Patterns(settings["redact.patterns"])
    except PatternError as error:
        wanted = f"{', '.join(BUILT_IN)}, or regular expressions"
        return [_problem(settings, "redact.patterns", str(error), wanted, "correct it")]
    return []


def _problem(settings: Settings, name: str, got: str, wanted: str, fix: str) -> SettingProblem:
    return SettingProblem(setting=name, got=f"{got} ({settings.origin(name)})", wanted=wanted, fix=fix, source="")


def default_provider(settings: Settings) -> str:
    """The provider of the agent that answers where nothing says otherwise; empty when that is none."""
    ready = default_ready(settings)
    return ready.profile["provider"] if ready is not None else ""


def session_settings(settings: Settings, instructions_text: str = "") -> Any:
    """That agent's session, in its provider's own settings struct; only for a provider that is known."""
    ready = default_ready(settings)
    assert ready is not None, "problems() says what is missing"
    return structs.replace(ready.session, instructions=instructions_text)


def instructions(settings: Settings) -> str:
    """What that agent is told, its placeholders left as they stand."""
    ready = default_ready(settings)
    return BETWEEN.join(part.text for part in ready.persona.parts) if ready is not None else ""


def _tools(settings: Settings) -> list[SettingProblem]:
    """What [tools.NAME] says; Python files are imported for it, nothing is run."""
    if not settings.sections("tools"):
        return []
    from offhook.agent.tools.declared import declared

    return [
        SettingProblem(f"tools.{error.tool}", f"{error.got} ({error.where})", error.wanted, error.fix, source="")
        for error in declared(settings).problems
    ]


def _after(settings: Settings) -> list[SettingProblem]:
    """Hooks, the summary and the bucket."""
    named = ("summary.url", "summary.command", "record.s3")
    if not settings.sections("hooks") and not any(settings[name] for name in named):
        return []
    from offhook.after.plan import planned

    found = planned(settings, settings.base)[1]
    return [SettingProblem(problem.setting, problem.got, problem.wanted, problem.fix, source="") for problem in found]


def public_url_problems(settings: Settings) -> list[SettingProblem]:
    url = settings["server.public_url"]
    name = "server.public_url"
    wanted = "https:// and a public host name, as the carrier shall dial it"
    open_here = settings["carrier.auth"] == "none" and is_loopback(settings["server.host"])
    if not url:
        if open_here:
            return []
        return [_problem(settings, name, "nothing", wanted, "start a tunnel and write its address here")]
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError as error:
        return [_problem(settings, name, f"{url[:80]!r}: {error}", wanted, "correct the address")]
    if parts.scheme == "http" and open_here and is_loopback(host):
        return []
    if parts.scheme != "https" or not host:
        return [_problem(settings, name, repr(url[:80]), wanted, "the carrier speaks TLS only: use https://")]
    if re.search(r"[^\w.:-]", host):
        return [_problem(settings, name, f"{url[:80]!r}, whose host is no name", wanted, "correct the address")]
    if parts.username is not None or parts.query or parts.fragment:
        return [_problem(settings, name, "a URL with credentials, query or fragment", wanted, "remove them")]
    if host == PLACEHOLDER.lower():
        return [_problem(settings, name, "the placeholder of `offhook init`", wanted, "write your tunnel's address")]
    if open_here:
        fix = 'write auth = "signature" under [carrier], or take public_url out: then it is this machine alone'
        return [_problem(settings, name, f"{host} with carrier.auth = none", "a loopback address then", fix)]
    if _private(host):
        return [_problem(settings, name, f"{host}, which only this network knows", wanted, "use a tunnel's address")]
    return []


def _private(host: str) -> bool:
    try:
        return not ipaddress.ip_address(host).is_global
    except ValueError:
        last = host.rstrip(".").rpartition(".")[2].lower()
        return "." not in host.rstrip(".") or last in ("local", "internal", "lan", "localdomain", "localhost")


def _carrier(settings: Settings) -> list[SettingProblem]:
    found = []
    if settings["carrier.auth"] == "none" and not is_loopback(settings["server.host"]):
        got = f"none while listening on {settings['server.host']}"
        fix = 'write auth = "signature", or host = "127.0.0.1"'
        found.append(_problem(settings, "carrier.auth", got, "none for loopback addresses only", fix))
    token = settings["carrier.auth_token"].reveal()
    if settings["carrier.auth"] == "signature" and not token.strip() and not settings["carrier.shared_key"]:
        fix = "set TWILIO_AUTH_TOKEN (Twilio console, Account info) in the environment or in .env"
        wanted = "the Auth Token that signatures are made with"
        found.append(_problem(settings, "carrier.auth_token", "nothing", wanted, fix))
    elif token != token.strip() or token in ("None", "null"):
        fix = "set TWILIO_AUTH_TOKEN to the token alone"
        found.append(_problem(settings, "carrier.auth_token", "white space or the text None", "the Auth Token", fix))
    for name, other in (("carrier.api_key", "carrier.api_secret"), ("carrier.shared_key_id", "carrier.shared_key")):
        if bool(settings[name]) != bool(settings[other]):
            there, missing = (name, other) if settings[name] else (other, name)
            got = f"nothing, but {there} ({settings.origin(there)})"
            found.append(_problem(settings, missing, got, "both or neither", f"set {missing} too, or remove {there}"))
    sid = settings["carrier.account_sid"]
    if sid and not (sid.startswith("AC") and len(sid) == 34):
        fix = "copy Account SID from the Twilio console; an SK… key goes into TWILIO_API_KEY"
        found.append(_problem(settings, "carrier.account_sid", repr(sid[:6] + "…"), "AC and 32 hex digits", fix))
    return [*found, *_rest_url(settings)]


def _rest_url(settings: Settings) -> list[SettingProblem]:
    """The account's password goes there: nothing unencrypted leaves this machine."""
    name = "carrier.rest_url"
    try:
        url = urlsplit(settings[name])
        host, _ = url.hostname or "", url.port
    except ValueError as error:
        return [_problem(settings, name, str(error), "https://HOST/2010-04-01", "correct it, or leave it out")]
    plain = url.scheme == "http" and is_loopback(host)
    if not settings[name] or ((url.scheme == "https" or plain) and host and not url.query and url.username is None):
        return []
    wanted = "https://HOST/2010-04-01 without credentials or a query (http:// on loopback addresses)"
    return [_problem(settings, name, f"{url.scheme or 'no scheme'}://{host}", wanted, "correct it, or leave it out")]


def carrier_settings(settings: Settings, public_url: str) -> CarrierSettings:
    """The carrier's own settings struct."""
    given: dict[str, Any] = {}
    if settings["carrier.fallback_say"]:
        given["fallback_say"] = settings["carrier.fallback_say"]
    if settings["carrier.rest_url"]:
        given["rest_base"] = settings["carrier.rest_url"].rstrip("/")
    if settings["carrier.paths"] == "gptme-voice":
        given |= {"webhook_path": "/incoming", "media_path": "/twilio"}
    key_id, key = settings["carrier.shared_key_id"], settings["carrier.shared_key"].reveal()
    return CarrierSettings(
        public_url=public_url.rstrip("/"),
        auth=settings["carrier.auth"],
        auth_token=settings["carrier.auth_token"].reveal(),
        shared_keys={key_id: key} if key_id and key else {},
        account_sid=settings["carrier.account_sid"],
        api_key_sid=settings["carrier.api_key"],
        api_key_secret=settings["carrier.api_secret"].reveal(),
        **given,
    )


def _lines(settings: Settings, declared: Sequence[Agent]) -> list[SettingProblem]:
    try:
        spoken_lines(settings.path("record.lines_dir"), own_lines(settings, declared))
    except LineError as error:
        wanted = "a folder of WAV files"
        return [_problem(settings, "record.lines_dir", str(error), wanted, "correct it, or leave the setting out")]
    return []


def own_lines(settings: Settings, declared: Sequence[Agent] = ()) -> set[str]:
    """WAV files that tools and agents ask for by name."""
    named = [str(section["filler"]) for section in settings.sections("tools") if "filler" in section]
    return {name for name in named if name and not name.startswith("say:")} | end_lines(settings, declared)


def _records(settings: Settings) -> list[SettingProblem]:
    """A folder that can never be written to; a disk that is only full is no reason to leave a phone unanswered."""
    chosen = settings.path("record.dir")
    if chosen is None:
        return []
    there = next(path for path in (chosen, *chosen.parents) if path.exists())
    if not there.is_dir():
        got = f"{there}, which is no directory"
    elif not os.access(there, os.W_OK | os.X_OK):
        got = f"{there}, where this user may not write"
    else:
        return []
    return [_problem(settings, "record.dir", got, "a folder for records", "name another one, or change its rights")]
    return []


async def _run(ask: Ask, trail: Trail) -> str:
    settings = ask.settings
    found = problems(settings)
    for problem in found:
        trail.broken(problem.setting, f"got {problem.got}, wanted {problem.wanted}", fix=problem.fix)
    for name in sorted(settings.environment):
        if name.lower() != "no_proxy" and settings.environment[name]:
            trail.proven(name, "is set: the provider is dialled through it")
    if found:
        return ""
    roster, _ = ready_agents(settings)
    for name, ready in roster.ready.items():
        profile, session = ready.profile, ready.session
        told = sum(len(part.text) for part in ready.persona.parts)
        if len(roster.ready) > 1 or name != DEFAULT:
            trail.proven(f"agent {name}", f"{profile['provider']}, {session.model}, {session.voice}, {told} characters")
        for what, value, then in endings(ready, date.today().isoformat()):
            trail.proven(what, f"{value} {then}")
        for remark in ready.persona.remarks:
            trail.proven(f"agent {name}", remark)
    providers = dict.fromkeys(
        f"{r.profile['provider']} [{r.profile.origin('provider')}]" for r in roster.ready.values()
    )
    shown = ", ".join(name.replace("provider.name, ", "") for name in providers)
    trail.proven("provider", shown)
    return f"{shown}, nothing in the way of `offhook serve`"


CHECK = Check(
    name="settings",
    boundary="settings",
    proves="provider, model, voice, URL, formats and keys against the dated facts of the wire",
    cannot="that those facts are still true",
    run=_run,
)
