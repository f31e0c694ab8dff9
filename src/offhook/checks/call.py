"""
A real call between two numbers of the account (C10): one calls the number that points at this server, says a question
and a goodbye, and this server's own record of the call is judged.

Proves everything, the phone network included; not the handset of a caller. It costs two call minutes and a session at
the provider, so it runs with ``--live`` only.
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from offhook.checks._check import Ask, Check, Trail
from offhook.checks._http import Answered, Unreached, ask
from offhook.checks._server import carrier
from offhook.checks.credentials import json_of
from offhook.diagnosis.report import Report, judge
from offhook.evidence.record import RecordingError
from offhook.net.client import choose_proxy
from offhook.settings import Settings
from offhook.wires._wire import Fact
from offhook.wires.carriers.twilio import mask_number

__all__ = ["CHECK"]

# US dollars a minute for an outbound and an inbound leg to a local number of the United States; elsewhere it differs.
PRICE = Fact((0.014, 0.0085), "twilio.com/en-us/voice/pricing/us", "2026-11-22", assumed=True)
SCRIPT = (
    "<Response><Pause length='5'/><Say>What are your opening hours?</Say><Pause length='9'/>"
    "<Say>Thank you. Goodbye.</Say><Pause length='6'/><Hangup/></Response>"
)
POLL_S = 1.0
LONGEST_S = 70.0
RECORD_S = 5.0  # the record is whole a second after the call; the judge runs behind it
FINAL = ("completed", "busy", "no-answer", "failed", "canceled")


async def run(ask_: Ask, trail: Trail) -> str:
    settings = carrier(ask_)
    if not ask_.live:
        trail.unproven("call", "--live places a real one", fix="offhook check call --live")
        return ""
    if settings.rest_credentials is None:
        trail.unproven("call", "no TWILIO_ACCOUNT_SID with a token: no call can be placed",
                       fix="set TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN")  # fmt: skip
        return ""
    numbers = await _numbers(ask_, trail, settings.public_url + settings.webhook_path)
    if numbers is None:
        return ""
    began = time.time()
    sid = await _place(ask_, trail, *numbers)
    status = await _follow(ask_, sid)
    if status != "completed":
        raise trail.fail("call", f"it ended as {status or 'nothing known'}", fix="see the carrier's log of this call",
                         decides="F-157")  # fmt: skip
    trail.proven("call", f"completed, {time.time() - began:.0f} s", ms=(time.time() - began) * 1000)
    await _judged(ask_, trail, began)
    return "a real call was answered, understood and ended, and its record is healthy"


async def _rest(ask_: Ask, method: str, path: str, form: dict[str, str] | None = None) -> Answered:
    settings = carrier(ask_)
    url = f"{settings.rest_base}/Accounts/{settings.account_sid}/{path}"
    headers = {"Content-Type": "application/x-www-form-urlencoded"} if form else {}
    return await ask(method, url, headers=headers, content=urlencode(form or {}).encode(),
                     auth=settings.rest_credentials, proxy=choose_proxy(url, ask_.settings.environment))  # fmt: skip


async def _numbers(ask_: Ask, trail: Trail, wanted: str) -> tuple[str, str] | None:
    """Who calls whom: another number of the account calls the one that points at this server."""
    try:
        rows = json_of(await _rest(ask_, "GET", "IncomingPhoneNumbers.json?PageSize=200")).get("incoming_phone_numbers")
    except Unreached as error:
        trail.unproven("numbers", str(error), fix="let this machine reach the carrier")
        return None
    given: list[dict[str, Any]] = [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
    ours = [str(row["phone_number"]) for row in given if row.get("voice_url") == wanted]
    others = [str(row["phone_number"]) for row in given if row.get("voice_url") != wanted]
    if not ours:
        raise trail.fail("numbers", f"none of {len(given)} points at {wanted}", decides="F-042",
                         fix="`offhook check credentials` says where they point")  # fmt: skip
    if not others:
        trail.unproven("numbers", "the account has no second number to call from", fix="call it yourself")
        return None
    trail.proven("numbers", f"{mask_number(others[0])} calls {mask_number(ours[0])}")
    return others[0], ours[0]


async def _place(ask_: Ask, trail: Trail, caller: str, called: str) -> str:
    form = {"From": caller, "To": called, "Twiml": SCRIPT, "Timeout": "20"}
    try:
        answer = await _rest(ask_, "POST", "Calls.json", form)
    except Unreached as error:
        raise trail.fail("call", str(error), fix="let this machine reach the carrier") from None
    data = json_of(answer)
    if answer.status not in (200, 201) or not isinstance(data.get("sid"), str):
        code = data.get("code")
        said = f"refused with HTTP {answer.status}, code {code}: {data.get('message', '')}"[:200]
        fix = f"offhook explain {code}" if code else "see the Twilio console"
        raise trail.fail("call", said, fix=fix, decides="F-157")
    return str(data["sid"])


async def _follow(ask_: Ask, sid: str) -> str:
    """The call's final status; "" where it never had one."""
    until = time.monotonic() + LONGEST_S
    while time.monotonic() < until:
        await asyncio.sleep(POLL_S)
        try:
            status = str(json_of(await _rest(ask_, "GET", f"Calls/{sid}.json")).get("status", ""))
        except Unreached:
            continue
        if status in FINAL:
            return status
    return ""


async def _judged(ask_: Ask, trail: Trail, began: float) -> None:
    """What this server recorded of the call meanwhile."""
    until = time.monotonic() + RECORD_S
    report: Report | None = None
    while report is None and time.monotonic() < until:
        await asyncio.sleep(0.5)
        report = _newest(ask_.records, began)
    if report is None:
        trail.broken("record", f"no call was recorded in {ask_.records} meanwhile", decides="F-026 F-042",
                     fix="run this check where the server runs; else the call went elsewhere")  # fmt: skip
    elif report.verdict == "healthy":
        trail.proven("record", report.line[:200])
    else:
        trail.broken("record", report.line[:300], fix=f"offhook explain {report.call.begin.get('call')}")


def _newest(records: Path, since: float) -> Report | None:
    """The verdict on the newest record that has ended since."""
    paths = sorted(records.glob("*.jsonl"), key=lambda path: path.stat().st_mtime) if records.is_dir() else []
    if not paths or paths[-1].stat().st_mtime < since:
        return None
    try:
        report = judge(paths[-1])
    except RecordingError:
        return None
    return report if report.call.end is not None else None


def _costs(settings: Settings) -> str:
    out, in_ = PRICE.value
    return f"two call minutes, about ${out + in_:.3f} (prices of {PRICE.checked}, assumed), and a provider session"


CHECK = Check(
    name="call",
    boundary="call-control",
    proves="a real call between two numbers of the account, the phone network included",
    cannot="the handset of a caller",
    run=run,
    costs=_costs,
    timeout_s=100,
)
