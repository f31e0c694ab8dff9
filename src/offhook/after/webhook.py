"""
Telling a call to an address: a signed POST, and for gptme's server the promotion of a transcript.

An answer that was lost is not told from one that never came: then the same document is sent again, with the same key.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from urllib.parse import quote, urlsplit

from msgspec import Struct

from offhook import __version__
from offhook.after.hook import Job, Outcome, Run
from offhook.after.sign import headers as signature
from offhook.outward import Answered, Forbidden, OutwardError, ask

__all__ = ["Target", "promotion", "webhook"]

_BODY_CHARS = 120


class Target(Struct, frozen=True, kw_only=True):
    """Where a request goes, and what it may reach."""

    url: str
    headers: Mapping[str, str] = {}
    allow: Sequence[str] = ()
    proxy: str | None = None
    deadline_s: float = 30.0


def webhook(target: Target, key: bytes | None) -> Run:
    """POST the document; ``key`` signs it."""

    async def run(job: Job) -> Outcome:
        body = job.payload.encode()
        signed = signature(key, job.key, int(time.time()), body) if key else {"webhook-id": job.key}
        named = {
            "Content-Type": "application/json", "User-Agent": f"offhook/{__version__}", "Idempotency-Key": job.key,
            **target.headers, **signed,
        }  # fmt: skip
        return await _post(target, target.url, named, body)

    return run


def promotion(target: Target, token: str) -> Run:
    """
    Add what was said to the caller's conversation in gptme's server.

    ``POST /api/v2/conversations/{E.164}/transcript`` with ``turns`` and the call's SID, by which the server takes a
    call once (gptme 0.35.1, server/api_v2_sessions.py; read 2026-11-22).
    """

    async def run(job: Job) -> Outcome:
        data = json.loads(job.payload)["data"]
        number = data["called"] if data["direction"] == "outbound" else data["caller"]
        if not number:
            return Outcome(False, "the store has no full number of this call (store.numbers)", last=True)
        turns = [
            {"role": "user" if turn["who"] == "caller" else "assistant", "text": heard}
            for turn in data["transcript"]
            if turn["who"] in ("caller", "agent") and (heard := _heard(turn))
        ]
        if not turns:
            return Outcome(True, "nothing was said")
        body = json.dumps({"turns": turns, "call_metadata": {"call_sid": data["call"]}}).encode()
        url = f"{target.url.rstrip('/')}/api/v2/conversations/{quote(number, safe='')}/transcript"
        named = {"Content-Type": "application/json", "Authorization": f"Bearer {token}", "Idempotency-Key": job.key}
        return await _post(target, url, named if token else {**named, "Authorization": ""}, body)

    return run


def _heard(turn: Mapping[str, str]) -> str:
    """A turn without what the caller never heard."""
    text, struck = turn["text"], turn["struck"]
    return text.removesuffix(struck).strip() if struck else text.strip()


async def _post(target: Target, url: str, headers: Mapping[str, str], body: bytes) -> Outcome:
    given = {name: value for name, value in headers.items() if value}
    try:
        answer = await ask(
            "POST", url, headers=given, body=body, allow=target.allow, proxy=target.proxy,
            timeout_s=target.deadline_s, most_bytes=64 * 1024,
        )  # fmt: skip
    except Forbidden as error:
        return Outcome(False, f"{error.why}; `allow` lets it in", last=True)
    except OutwardError as error:
        return Outcome(False, error.why)
    return _judged(answer, urlsplit(url).hostname or "")


def _judged(answer: Answered, host: str) -> Outcome:
    if 200 <= answer.status < 300:
        return Outcome(True)
    if 300 <= answer.status < 400:
        return Outcome(
            False, f"{host} answered {answer.status}, a redirect; they are not followed: correct the address"
        )
    said = " ".join(answer.body[:_BODY_CHARS].decode("utf-8", "replace").split())
    why = f"{host} answered {answer.status}" + (f": {said}" if said else "")
    if answer.status == 410:  # Standard Webhooks: whoever answers so wants no more of them
        return Outcome(False, why, last=True)
    waits = answer.headers.get("retry-after", "")
    return Outcome(False, why, after_s=float(waits) if waits.isdigit() else None)
