"""
Checks of settings that several provider wires make alike: functions over one wire's own facts.

Knows no provider; what is listed, dead or somebody else's is given by the wire that asks.
"""

import ipaddress
from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

from offhook.wires._wire import Fact, SettingProblem

__all__ = ["check_key", "check_name", "check_url"]


def check_key(key: str, *, env: str, prefix: str, others: Mapping[str, str], source: Fact[str]) -> list[SettingProblem]:
    """What is wrong with an API key, its value never shown."""

    def problem(got: str, fix: str) -> list[SettingProblem]:
        return [_problem("provider.key", got, f"an API key ({prefix}…)", fix, source)]

    if not key.strip():
        return problem("nothing", f"set {env} in the environment or in .env")
    if key != key.strip():
        got = f"a key with white space at its edge ({len(key)} characters)"
        return problem(got, f"remove the blank or line end in {env}")
    if key in ("None", "null", "undefined"):
        return problem(f"the text {key!r}", f"some program wrote it into {env}: set the key itself")
    for others_prefix, whose in others.items():
        if key.startswith(others_prefix):
            return problem(f"a key of {whose}", f"set {env} to the right key, or choose another provider")
    if any(not ("!" <= ch <= "~") for ch in key):
        return problem("a key with a character that no header can carry", f"copy the key into {env} again")
    return []


def check_name(
    what: str,
    value: str,
    *,
    vendor: str,
    listed: Fact[tuple[str, ...]],
    dead: Sequence[str],
    others: Mapping[str, str],
    allow_unlisted: bool,
) -> list[SettingProblem]:
    """What is wrong with a model or a voice (``what``)."""
    setting = f"provider.{what}"
    wanted = "one of " + ", ".join(listed.value[:6]) + (" …" if len(listed.value) > 6 else "")
    known = [name.lower() for name in listed.value]
    if value in dead:
        got = f"{value!r}, which {vendor} does not serve"
        return [_problem(setting, got, wanted, f'write {what} = "{listed.value[0]}"', listed)]
    if value.lower() in known:
        return []
    for part, whose in others.items():
        if value.lower() == part or value.lower().startswith(part + "-"):
            got = f"{value!r}, a {what} of {whose}"
            return [_problem(setting, got, wanted, f"choose a {what} of {vendor}, or that provider", listed)]
    if allow_unlisted:
        return []
    fix = "correct it, or set provider.allow_unlisted = true: then the provider's echo decides"
    return [_problem(setting, f"{value!r}, not known on {listed.checked}", wanted, fix, listed)]


def check_url(url: str, *, endpoint: Fact[str], env: str) -> list[SettingProblem]:
    """What is wrong with an endpoint: plain ``ws://`` is for loopback addresses only."""

    def problem(got: str, fix: str) -> list[SettingProblem]:
        return [_problem("provider.url", got, f"wss:// and a host, as {endpoint.value}", fix, endpoint)]

    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        return problem(f"{url[:60]!r}: {error}", f"write it as {endpoint.value}")
    if not parts.hostname:
        return problem(repr(url[:60]), "write the whole URL, or leave the setting out")
    if parts.scheme != "wss" and not (parts.scheme == "ws" and is_loopback(parts.hostname)):
        return problem(f"scheme {parts.scheme or 'none'}", "use wss://; ws:// is for loopback addresses")
    if parts.username is not None or parts.password is not None:
        return problem("credentials in the URL", f"put the key into {env}")
    if parts.query:
        return problem("a query", "remove it: Offhook adds the model itself")
    return []


def is_loopback(host: str) -> bool:
    """Whether ``host`` can only be this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False  # a name


def _problem(setting: str, got: str, wanted: str, fix: str, fact: Fact[str] | Fact[tuple[str, ...]]) -> SettingProblem:
    source = f"{fact.source}, read {fact.checked}"
    return SettingProblem(setting=setting, got=got, wanted=wanted, fix=fix, source=source)
