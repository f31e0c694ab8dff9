"""
Keys and accounts, by one cheap request each (C1), and this machine's clock by their Date headers (C2). No charge.

Proves that the key is known, that the account matches, and that a number points here; not that the key may open
realtime sessions, nor how much quota is left.
"""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import urlsplit

import msgspec

from offhook.checks._check import Ask, Check, Trail
from offhook.checks._http import Answered, Unreached, ask, lag_s
from offhook.checks._server import carrier
from offhook.checks.agents import Group, Ready, groups
from offhook.net.client import choose_proxy

__all__ = ["CHECK", "json_of"]

CLOCK_OFF_S = 30.0  # a signature or token that expires is off by minutes before anything breaks


async def run(ask_: Ask, trail: Trail) -> str:
    dates: list[tuple[str, float]] = []
    await _providers(ask_, trail, dates)
    await _carrier(ask_, trail, dates)
    _clock(trail, dates)
    return "key and account are known to their owners, and the clock is right"


async def _providers(ask_: Ask, trail: Trail, dates: list[tuple[str, float]]) -> None:
    """The key of every provider that an agent has, where that agent dials."""
    found = groups(ask_.settings, lambda ready: (ready.provider.NAME, _place(ready), ready.session.api_key))
    if not found:
        trail.unproven("provider key", "no provider is chosen", fix="`offhook check settings` says how")
    for group in found:
        await _provider(ask_, trail, dates, group, "provider key" if len(found) == 1 else f"{group.said}: provider key")


def _place(ready: Ready) -> str:
    return _models_url(ready.session.url) if ready.provider.KEY_ENV else ""


async def _provider(ask_: Ask, trail: Trail, dates: list[tuple[str, float]], group: Group, step: str) -> None:
    module, key = group.ready.provider, group.ready.session.api_key.strip()
    if not module.KEY_ENV:
        trail.proven(step, f"{module.LABEL}: no key needed")
        return
    if not key:
        trail.broken(step, f"{module.KEY_ENV} is not set", fix=f"set {module.KEY_ENV}", decides="F-002")
        return
    url = _place(group.ready)
    try:
        headers = {"Authorization": f"Bearer {key}"}
        answer = await ask("GET", url, headers=headers, proxy=choose_proxy(url, ask_.settings.environment))
    except Unreached as error:
        trail.unproven(step, f"{url}: {error}", fix="`offhook check provider` says which step of the way fails")
        return
    _dated(answer, dates)
    name = module.NAME
    origin = ask_.settings.origin(f"provider.{name}_key")
    if answer.status == 200:
        trail.proven(step, f"{name} knows it [{origin}]", ms=answer.ms)
    elif answer.status in (401, 403):
        trail.broken(
            step, f"{name} answers {answer.status} [{origin}]", ms=answer.ms, decides="F-005 F-091",
            fix=f"put a valid key of {name} into {module.KEY_ENV}",
        )  # fmt: skip
    else:
        fix = "`offhook check provider` proves the key by a session"
        trail.unproven(step, f"{urlsplit(url).netloc} answers {answer.status}", ms=answer.ms, fix=fix)


def _models_url(endpoint: str) -> str:
    """The list of models stands beside the realtime endpoint, at OpenAI and at xAI (both checked 2026-11-24)."""
    parts = urlsplit(endpoint)
    scheme = "https" if parts.scheme == "wss" else "http"
    return parts._replace(scheme=scheme, path=parts.path.rsplit("/", 1)[0] + "/models", query="").geturl()


async def _carrier(ask_: Ask, trail: Trail, dates: list[tuple[str, float]]) -> None:
    settings = carrier(ask_)
    if settings.rest_credentials is None:
        trail.unproven(
            "carrier account",
            "no TWILIO_ACCOUNT_SID with a token: the account cannot be asked",
            fix="set TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN",
        )
        return
    base = f"{settings.rest_base}/Accounts/{settings.account_sid}"
    proxy = choose_proxy(base, ask_.settings.environment)
    try:
        answer = await ask("GET", base + ".json", auth=settings.rest_credentials, proxy=proxy)
    except Unreached as error:
        trail.unproven("carrier account", f"{urlsplit(base).netloc}: {error}", fix="let this machine reach the carrier")
        return
    _dated(answer, dates)
    if answer.status in (401, 403, 404):
        trail.broken(
            "carrier account",
            f"Twilio answers {answer.status}: this SID and this token do not belong together",
            ms=answer.ms,
            decides="F-023",
            fix="copy both from the Twilio console, Account info",
        )
        return
    account = json_of(answer)
    status = account.get("status")
    if status != "active":
        trail.broken("carrier account", f"its status is {status!r}", fix="see the Twilio console", decides="F-157")
        return
    trail.proven(
        "carrier account", f"{settings.account_sid[:6]}… is active, type {account.get('type', '?')}", ms=answer.ms
    )
    await _number(ask_, trail, base, settings.public_url + settings.webhook_path, proxy)


async def _number(ask_: Ask, trail: Trail, base: str, wanted: str, proxy: str | None) -> None:
    settings = carrier(ask_)
    try:
        answer = await ask(
            "GET", f"{base}/IncomingPhoneNumbers.json?PageSize=200", auth=settings.rest_credentials, proxy=proxy
        )
    except Unreached as error:
        trail.unproven("number", str(error), fix="check again")
        return
    numbers = json_of(answer).get("incoming_phone_numbers")
    if answer.status != 200 or not isinstance(numbers, list):
        trail.unproven("number", f"Twilio answers {answer.status}", fix="an API key may lack the right to list numbers")
        return
    ours = [number for number in numbers if isinstance(number, dict) and number.get("voice_url") == wanted]
    for number in ours:
        if number.get("voice_application_sid") or number.get("trunk_sid"):
            trail.broken(
                "number",
                f"{_masked(number)}: an application or a trunk takes its calls, the webhook is never asked",
                fix="clear voice_application_sid and trunk_sid of the number",
                decides="F-042",
            )
            return
        if str(number.get("voice_method", "POST")).upper() != "POST":
            trail.broken(
                "number",
                f"{_masked(number)} asks by {number.get('voice_method')}",
                decides="F-027",
                fix="set the number's webhook method to HTTP POST",
            )
            return
    if ours:
        trail.proven("number", f"{', '.join(map(_masked, ours))} points at {wanted}", ms=answer.ms)
    else:
        said = "; ".join(f"{_masked(number)} at {number.get('voice_url') or 'nothing'}" for number in numbers[:4])
        trail.broken(
            "number",
            f"none of {len(numbers)} points at {wanted} ({said})",
            decides="F-006 F-042",
            fix=f"set the number's webhook for incoming calls to {wanted}",
        )


def _masked(number: dict[str, Any]) -> str:
    from offhook.wires.carriers.twilio import mask_number

    return mask_number(str(number.get("phone_number", "?")))


def json_of(answer: Answered) -> dict[str, Any]:
    """A JSON object of an answer; empty where it is none."""
    try:
        data = msgspec.json.decode(answer.body)
    except msgspec.DecodeError:
        return {}
    return data if isinstance(data, dict) else {}


def _dated(answer: Answered, dates: list[tuple[str, float]]) -> None:
    date = answer.headers.get("date")
    if date:
        dates.append((date, time.time()))


def _clock(trail: Trail, dates: list[tuple[str, float]]) -> None:
    lags = [lag for date, at in dates if (lag := lag_s(date, at)) is not None]
    if not lags:
        trail.unproven("clock", "nobody told the time", fix="give a key or an account to ask with")
        return
    worst = max(lags, key=abs)
    if abs(worst) > CLOCK_OFF_S:
        trail.broken(
            "clock",
            f"{abs(worst):.0f} s {'ahead' if worst > 0 else 'behind'}",
            fix="start time synchronisation (chrony, systemd-timesyncd)",
            decides="F-017",
        )
    else:
        trail.proven("clock", f"within {max(1.0, abs(worst)):.0f} s of theirs")


CHECK = Check(
    name="credentials",
    boundary="settings",
    proves="the key is known, the account matches, a number points here, the clock is right",
    cannot="the right to realtime sessions, quota in use",
    run=run,
)
