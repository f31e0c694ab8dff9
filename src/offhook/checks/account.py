"""
The carrier's own view (C9): its last alerts, and whether its last calls are in our records.

Proves which symptoms Twilio logged and which calls never reached us; not why.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import msgspec

from offhook.checks._check import Ask, Check, Trail
from offhook.checks._http import Unreached, ask
from offhook.checks._server import carrier
from offhook.net.client import choose_proxy
from offhook.wires._wire import Fact

__all__ = ["ALERTS", "CHECK"]

ALERTS = Fact("https://monitor.twilio.com/v1/Alerts", "twilio/twilio-oai twilio_monitor_v1.yaml", "2026-11-22")
LOOKED_AT = 20


async def run(ask_: Ask, trail: Trail) -> str:
    settings = carrier(ask_)
    if settings.rest_credentials is None:
        trail.unproven(
            "account",
            "no TWILIO_ACCOUNT_SID with a token: the account cannot be asked",
            fix="set TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN",
        )
        return ""
    calls = await _rows(ask_, trail, "calls", f"{settings.rest_base}/Accounts/{settings.account_sid}/Calls.json")
    alerts = await _rows(ask_, trail, "alerts", ALERTS.value)
    if calls is not None:
        _missing(ask_, trail, calls)
    if alerts is not None:
        _alerts(trail, alerts)
    return "the carrier's last calls are in the records, and it logged nothing against them"


async def _rows(ask_: Ask, trail: Trail, name: str, url: str) -> list[dict[str, Any]] | None:
    credentials = carrier(ask_).rest_credentials
    try:
        answer = await ask(
            "GET", f"{url}?PageSize={LOOKED_AT}", auth=credentials, proxy=choose_proxy(url, ask_.settings.environment)
        )
    except Unreached as error:
        trail.unproven(name, str(error), fix="let this machine reach the carrier")
        return None
    try:
        data = msgspec.json.decode(answer.body)
    except msgspec.DecodeError:
        data = {}
    rows = data.get(name) if isinstance(data, dict) else None
    if answer.status != 200 or not isinstance(rows, list):
        trail.unproven(
            name, f"Twilio answers {answer.status}", fix="`offhook check credentials` says whether the token is right"
        )
        return None
    return [row for row in rows if isinstance(row, dict)]


def _missing(ask_: Ask, trail: Trail, calls: list[dict[str, Any]]) -> None:
    """Inbound calls that the carrier connected and of which no record is here."""
    kept = " ".join(path.name for path in _records(ask_))
    inbound = [row for row in calls if row.get("direction") == "inbound"]
    lost = [str(row.get("sid")) for row in inbound if str(row.get("sid")) not in kept]
    if lost:
        trail.unproven(
            "calls",
            f"{len(lost)} of {len(inbound)} inbound calls are not in these records: {lost[0]}…",
            fix="another number or server may have taken them; `offhook check credentials` looks at the numbers",
        )
    else:
        trail.proven("calls", f"all {len(inbound)} of the last inbound calls are in the records")


def _records(ask_: Ask) -> Iterator[Any]:
    return ask_.records.glob("*.jsonl") if ask_.records.is_dir() else iter(())


def _alerts(trail: Trail, alerts: list[dict[str, Any]]) -> None:
    codes = Counter(str(row.get("error_code", "?")) for row in alerts)
    if not codes:
        trail.proven("alerts", "the carrier's debugger is empty")
        return
    said = ", ".join(f"{code} × {n}" for code, n in codes.most_common(6))
    trail.unproven(
        "alerts",
        f"the debugger holds {said}: symptoms, not causes",
        fix=f"offhook explain {codes.most_common(1)[0][0]}",
    )


CHECK = Check(
    name="account",
    boundary="call-control",
    proves="the carrier's alerts, and calls of which there is no record here",
    cannot="the cause of an alert: `offhook explain CODE`",
    run=run,
)
