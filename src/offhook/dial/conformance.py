"""
The whole list against one server, as h2spec does it: every statement passed, failed, or not testable from here.

Groups run side by side; each is bounded in time. A statement that the carrier's seat cannot see says so with its
reason; nothing counts as passed that was not seen. The single probes stand in ``probes.py``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Literal

from offhook.dial.call import Result
from offhook.dial.judge import statement_of
from offhook.dial.plan import Plan
from offhook.dial.probes import Bench, Found, ends, oddities, signatures, upgrades, waiting, webhooks
from offhook.dial.statements import STATEMENTS

__all__ = ["UNSEEN", "run", "told_by_call"]

GROUP_S = 40.0
State = Literal["pass", "fail", "not testable"]

# What cannot be seen from the carrier's seat, and why.
UNSEEN: Mapping[str, str] = {
    "W15": "needs a call that the server wants to refuse",
    "H07": "needs wss:// to the server itself",
    "I05": "what a server does with another format shows only inside it",
    "I11": "what a server reckons time by shows only inside it",
    "I12": "whether the outbound track reached the model shows only at the provider",
    "I17": "the unusual spellings that JSON allows are all read by any JSON parser",
    "I18": "whether memory is bounded shows only inside the server",
    "O19": "needs more than ten minutes of audio",
    "O21": "the provider's order is not known here",
    "P02": "how a mark is booked shows only inside the server",
    "P04": "a wait shows only when the server wants to end the call",
    "P05": "the provider's interruption is not seen; the time from the caller's first word is in the figures",
    "P06": "which answer a frame belongs to is not seen",
    "P07": "what the provider is told is not seen",
    "P11": "when the provider spoke is not seen",
    "L02": "what reached the model is not seen",
    "L06": "needs a provider that fails: dial with --fakes and --provider-fault",
    "L07": "needs the server's REST request, which goes to the carrier",
    "L08": "needs the server's REST request, which goes to the carrier",
    "L09": "needs the server's REST request, which goes to the carrier",
    "L10": "needs the server's REST request, which goes to the carrier",
    "L11": "needs the server's REST request, which goes to the carrier",
    "L13": "needs ten minutes; dial with --duration",
    "L14": "needs a minute of silence on the wire",
    "L15": "what a server does with its unsent bytes shows only inside it",
    "L16": "needs a server that may be ended",
    "L17": "needs callers whose answers are known",
    "L18": "needs the server's own count of tasks and sockets",
    "S03": "how a stream is bound to its call shows only inside the server",
    "S04": "needs the server's log",
    "S06": "the vectors are made with secrets that this server has not",
    "S07": "no voice webhook is JSON; what the server makes of one is its own affair",
}


async def run(plan: Plan, *, on_group: Callable[[str], None] = lambda text: None) -> list[tuple[str, str, str]]:
    """Every statement in the list's order, with its result and the reason."""
    bench = Bench(plan)
    found: dict[str, tuple[State, str]] = {}
    talking = asyncio.create_task(bench.conversation())
    try:
        groups = {
            "webhook": webhooks, "upgrade": upgrades, "signatures": signatures, "reading": oddities,
            "before start": waiting, "ends": ends,
        }  # fmt: skip

        async def one(name: str) -> Found:
            try:
                async with asyncio.timeout(GROUP_S):
                    made = await groups[name](bench)
            except TimeoutError:
                made = {}
            on_group(name)
            return made

        probed = await asyncio.gather(*(one(name) for name in groups))
        call = await talking
        found |= told_by_call(call, plan)
        for made in probed:
            found |= {sid: told for sid, told in made.items() if sid not in found or found[sid][0] == "not testable"}
    finally:
        talking.cancel()
        await asyncio.gather(talking, return_exceptions=True)
        await bench.close()
    return [(sid, *found.get(sid, _unseen(sid, call))) for sid in STATEMENTS]


def _unseen(sid: str, call: Result) -> tuple[State, str]:
    if not call.facts.stream_opened and sid[0] in "IOPLH":
        return "not testable", "no stream came about"
    return "not testable", UNSEEN.get(sid, "was not reached")


def told_by_call(call: Result, plan: Plan) -> dict[str, tuple[State, str]]:
    """What one conversation says of the statements. Pure."""
    found: dict[str, tuple[State, str]] = {}
    if plan.kind == "webhook":
        found |= _webhook(call)
    else:
        found |= {f"W{n:02}": ("not testable", "only the stream was dialled") for n in range(1, 17)}
    facts, figures = call.facts, call.figures
    if not facts.stream_opened:
        if facts.failed is not None and facts.failed[0].startswith("319"):
            found["H01"] = ("fail", f"{facts.failed[0]}: {facts.failed[1]}")
        return found
    found |= {sid: ("pass", "") for sid in ("H01", "H02", "H04", "H05", "H06", "I01", "I09")}
    slow = figures.upgrade_ms is not None and figures.upgrade_ms > 1000
    found["H03"] = ("fail", f"{figures.upgrade_ms:.0f} ms") if slow else ("pass", f"{figures.upgrade_ms or 0:.0f} ms")
    if plan.stream_url.startswith("wss") and not plan.connect and not plan.insecure:
        found["H07"] = ("pass", "")
    found["L01"] = ("fail", f"{facts.unread} frames dropped") if facts.unread else ("pass", "")
    return found | _writing(call) | _playback(call)


def _webhook(call: Result) -> dict[str, tuple[State, str]]:
    facts = call.facts
    found: dict[str, tuple[State, str]] = {}
    broken = {statement: why for statement, _, why, _ in facts.complaints}
    if facts.failed is not None and not facts.complaints and not facts.stream_opened:
        code, why = facts.failed
        if not code.startswith("319"):
            sid = {"11203": "W01", "11215": "W14"}.get(code, "W01")
            return {sid: ("fail", f"{code}: {why}")}
    for n in range(1, 13):
        sid = f"W{n:02}"
        found[sid] = ("fail", broken[sid]) if sid in broken else ("pass", "")
    if facts.webhook_ms is not None and facts.webhook_ms > 1000:
        found["W01"] = ("fail", f"answered after {facts.webhook_ms:.0f} ms")
    found["W14"] = ("fail", f"{facts.redirects} redirects") if facts.redirects else ("pass", "")
    return found


def _writing(call: Result) -> dict[str, tuple[State, str]]:
    """O statements and I02, I03, from what was refused."""
    facts, heard = call.facts, call.heard
    silent: tuple[State, str] = ("not testable", "the server sent nothing")
    found: dict[str, tuple[State, str]] = {f"O{n:02}": silent for n in (*range(1, 13), 14, 15, 16, 17, 18)}
    found["O13"] = found["O22"] = found["I03"] = silent
    found["O20"] = ("not testable", "the server opened no <Start> stream")
    if call.figures.messages:
        found |= {f"O{n:02}": ("pass", "") for n in (1, 2, 3, 16, 17)}
        found["I03"] = ("pass", "")
    if heard.ms:
        found |= {f"O{n:02}": ("pass", "") for n in (4, 7, 8, 9, 10, 11, 12, 14)}
        found["O13"] = _rate(call)
        odd = [n for n in facts.lengths if n % 160]
        few = len(odd) <= 1 + len(facts.lengths) // 4
        found["O22"] = ("pass", "") if few else ("fail", f"{len(odd)} of {len(facts.lengths)} messages")
    none: tuple[State, str] = ("not testable", "the server sent no mark")
    found["O05"] = found["O15"] = ("pass", "") if facts.marks else none
    found["O06"] = ("pass", "") if call.figures.clears else ("not testable", "the server sent no clear")
    for seen in facts.violations:
        sid = statement_of(seen.violation)
        found[sid] = ("fail", f"{seen.violation.message}: got {seen.violation.got}, wanted {seen.violation.wanted}")
        if sid in ("O07", "O08"):
            found["I03"] = ("fail", found[sid][1])
    if facts.protocol:
        found["O16"] = found["O17"] = ("fail", facts.protocol)
    by_us = facts.closed_by == "us"
    found["O18"] = (
        ("not testable", "the server closed nothing") if by_us else ("pass", f"closed with {facts.closed_code}")
    )
    return found


def _rate(call: Result) -> tuple[State, str]:
    heard = call.heard
    if heard.judged in ("pcm16", "a-law", "base64-twice"):
        return "fail", f"the bytes are {heard.judged}"
    if heard.rate is not None:
        return "fail", heard.rate_proof
    if heard.judged == "ok":
        return "pass", "the bytes are µ-law; the rate shows no wall"
    return "not testable", "too little sound to tell"


def _playback(call: Result) -> dict[str, tuple[State, str]]:
    facts = call.facts
    none: tuple[State, str] = ("not testable", "the server sent no mark")
    found: dict[str, tuple[State, str]] = {"P01": none, "P09": none}
    if facts.marks:
        again = len(facts.marks) - len(set(facts.marks))
        found["P01"] = ("fail", f"{again} names repeat") if again else ("pass", "")
        if call.mark_last is None:
            found["P09"] = ("not testable", "no answer came to its end")
        else:
            found["P09"] = ("pass", "") if call.mark_last else ("fail", "audio came behind the last mark")
    found["P08"] = ("not testable", "the server sent no clear")
    if call.figures.clears:
        found["P08"] = ("fail", f"{facts.idle_clears} clears of nothing") if facts.idle_clears else ("pass", "")
    return found
