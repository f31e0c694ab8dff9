"""What the evening's agents can do, inside the server: each run is written into the ledger, and counted there."""

from __future__ import annotations

import asyncio
import json
import os
import time

from offhook import CallContext, ToolError, tool
from offhook import vocab as v


def write(what: str, who: str, **more: object) -> None:
    line = json.dumps({"t": time.time(), "what": what, "who": who, "pid": os.getpid(), **more}) + "\n"
    with open(os.environ["EVENING_LEDGER"], "ab", buffering=0) as file:
        file.write(line.encode())


@tool()
def book(who: str, day: str, call: CallContext) -> dict[str, str]:
    """Book a day."""
    write("book", who, call=call.call_id)
    return {"booked": day}


@tool(deadline_s=15)
async def slow_book(who: str, day: str, call: CallContext) -> dict[str, str]:
    """Book a day, at a desk that takes its time."""
    write("slow_book", who, call=call.call_id)
    await asyncio.sleep(2.5)
    write("slow_book done", who)
    return {"booked": day}


@tool(changes=False)
def look(who: str) -> str:
    """Look something up."""
    write("look", who)
    return "free on Tuesday"


@tool()
def breaks(who: str) -> str:
    """Raise."""
    write("breaks", who)
    raise ValueError(f"the desk of {who} is on fire")


@tool()
def says_no(who: str) -> str:
    """Refuse, politely."""
    write("says_no", who)
    raise ToolError("nothing is free")


@tool(deadline_s=2)
async def hangs(who: str) -> str:
    """Never come back."""
    write("hangs", who)
    await asyncio.sleep(600)
    return "never"


@tool(deadline_s=25)
async def conduct(who: str, call: CallContext) -> str:
    """Hold the caller for a second, speak a line, mute and unmute, and press a key: what a supervisor's desk does."""
    write("conduct", who)
    outcomes = [(await call.order(v.HoldAsked(True))).outcome]
    await asyncio.sleep(1.0)
    outcomes.append((await call.order(v.HoldAsked(False))).outcome)
    outcomes.append((await call.order(v.MuteAsked("caller", True))).outcome)
    outcomes.append((await call.order(v.MuteAsked("caller", False))).outcome)
    outcomes.append((await call.order(v.DtmfAsked("5"))).outcome)
    write("conducted", who, outcomes=outcomes)
    return " ".join(outcomes)


@tool(deadline_s=20)
async def next_desk(who: str, call: CallContext) -> str:
    """Hand the caller over to the other agent."""
    write("next_desk", who)
    done = await call.order(v.HandOverAsked("grok"))
    write("handed over", who, outcome=done.outcome)
    return done.outcome
