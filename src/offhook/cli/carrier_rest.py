"""
Asking the carrier's REST from a command: the account's numbers, and what a refusal means.
"""

from __future__ import annotations

import re
from typing import Any

from offhook.checks import settings as judge
from offhook.diagnosis.codes import explain_code
from offhook.net import rest
from offhook.net.client import choose_proxy
from offhook.settings import Settings
from offhook.wires._wire import RestRequest
from offhook.wires.carriers import twilio

__all__ = ["NoRest", "carrier_of", "explained", "number_problem", "numbers", "send"]

_NUMBER = re.compile(r"\+[1-9]\d{6,14}\Z")


class NoRest(Exception):
    """The carrier's REST cannot be asked; the text says why and what to do."""


def carrier_of(settings: Settings) -> twilio.CarrierSettings:
    """The carrier's settings, with what REST needs. Raises NoRest."""
    made = judge.carrier_settings(settings, settings["server.public_url"].rstrip("/") or "https://127.0.0.1")
    if made.rest_credentials is None:
        raise NoRest(
            "the carrier's REST is not set up: carrier.account_sid or its secret is missing; "
            "set TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN (Twilio console, Account info)"
        )
    return made


async def send(settings: Settings, request: RestRequest) -> rest.RestResult:
    """Carry out a request. Raises NoRest when the carrier refuses it."""
    result = await rest.send(request, proxy=choose_proxy(request.url, settings.environment))
    if not result.done:
        raise NoRest(explained(result.code, result.detail))
    return result


async def numbers(settings: Settings, number: str = "") -> list[dict[str, Any]]:
    """The account's numbers, or the one that is ``number``. Raises NoRest."""
    result = await send(settings, twilio.list_numbers(carrier_of(settings), number))
    rows = result.data.get("incoming_phone_numbers")
    return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []


def number_problem(number: str) -> str:
    """Why nobody can be called under ``number``; "" when somebody can."""
    if _NUMBER.match(number) or re.match(r"sips?:[^\s@]+@[^\s@]+\Z", number):
        return ""
    return f"got {number[:40]!r}, wanted + and the country's code, as +15550100077, or sip:name@host"


def explained(code: int | None, detail: str) -> str:
    """A refusal of the carrier with what its code means and what to look at."""
    found = explain_code(str(code)) if code is not None else None
    if found is None:
        return detail
    return f"{detail}\n  {code}: {found.name}: {found.meaning}\n  look at: {found.look}; more: offhook explain {code}"
