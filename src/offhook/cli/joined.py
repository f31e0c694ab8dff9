"""
What ``offhook explain`` adds to a record when it is asked to: the carrier's own log of the call, and what isolated
checks prove of the boundaries that a fault hid.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from msgspec import structs

from offhook.checks._check import Ask, Outcome, Step
from offhook.checks._http import Unreached, ask
from offhook.checks._server import carrier
from offhook.checks.credentials import json_of
from offhook.checks.registry import checks, run_all
from offhook.diagnosis.boundaries import BOUNDARIES
from offhook.diagnosis.report import Report
from offhook.evidence.record import Line, Recording
from offhook.net.client import choose_proxy
from offhook.settings import Settings

__all__ = ["CarrierError", "hidden", "with_carriers_view"]

# Checks that cost nothing, start no server and ask nobody outside but the provider and our own public URL.
CHEAP = ("settings", "audio", "store", "tools", "public", "webhook", "proxy", "provider")


class CarrierError(Exception):
    """The carrier could not be asked about a call."""


def with_carriers_view(call: Recording, settings: Settings) -> Recording:
    """The record with the carrier's notifications and final status of this call as notes. Raises CarrierError."""
    given = carrier(Ask(settings, Path()))
    sid = str(call.begin.get("call") or "")
    if given.rest_credentials is None:
        raise CarrierError("no TWILIO_ACCOUNT_SID with a token: the carrier cannot be asked")
    if not sid.startswith("CA"):
        raise CarrierError(f"this record names no call of the carrier ({sid or 'nothing'!r})")
    base = f"{given.rest_base}/Accounts/{given.account_sid}/Calls/{sid}"
    return asyncio.run(_joined(call, base, given.rest_credentials, choose_proxy(base, settings.environment)))


async def _joined(call: Recording, base: str, auth: tuple[str, str], proxy: str | None) -> Recording:
    try:
        log, status = await asyncio.gather(
            ask("GET", base + "/Notifications.json?PageSize=50", auth=auth, proxy=proxy),
            ask("GET", base + ".json", auth=auth, proxy=proxy),
        )
    except Unreached as error:
        raise CarrierError(f"the carrier was not reached: {error}") from None
    if log.status != 200:
        raise CarrierError(f"the carrier answers {log.status} to its log of this call")
    rows = json_of(log).get("notifications")
    notes = [_alert(row) for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
    if status.status == 200:
        notes.append({"note": "call.status", "status": str(json_of(status).get("status", "")), "from": "account"})
    number = max(line.number for line in call.lines)
    added = [Line(number + n, "note", call.last_ms, note) for n, note in enumerate(notes, 1)]
    end = [line for line in call.lines if line.kind == "end"]
    rest = [line for line in call.lines if line.kind != "end"]
    return structs.replace(call, lines=(*rest, *added, *end))


def _alert(row: dict[str, Any]) -> dict[str, Any]:
    return {"note": "alert", "code": str(row.get("error_code") or ""), "text": "", "from": "account"}


def hidden(report: Report, settings: Settings, records: Path) -> list[str]:
    """
    What would have hit next: the boundaries behind the first root, proven now by their isolated checks.

    They look at the settings of today, which need not be those of the call; each line says which check it was.
    """
    behind = _behind(report)
    if not behind:
        return ["nothing is hidden: no fault stands before another boundary"]
    chosen = [check for check in checks(CHEAP) if check.boundary in behind]
    outcomes = asyncio.run(run_all(chosen, Ask(settings, records)))
    lines = [line for outcome in outcomes for line in _broken(outcome)]
    quiet = [outcome.check for outcome in outcomes if outcome.verdict != "broken"]
    if quiet:
        lines.append(f"nothing broken by: offhook check {' '.join(quiet)}")
    return lines


def _behind(report: Report) -> Sequence[str]:
    roots = [BOUNDARIES.index(root.boundary) for root in report.roots if root.blames]
    return BOUNDARIES[min(roots) + 1 :] if roots else ()


def _broken(outcome: Outcome) -> list[str]:
    return [line for step in outcome.steps if step.state == "broken" for line in _said(outcome, step)]


def _said(outcome: Outcome, step: Step) -> tuple[str, str]:
    proven = f"proven by offhook check {outcome.check}"
    return (
        f"would have hit next  {outcome.boundary}: {step.name}: {step.detail}  [{proven}]",
        f"   fix       {step.fix}",
    )
