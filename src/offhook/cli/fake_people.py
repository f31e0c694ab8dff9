"""
Who has a telephone in a simulated town, and how they behave on it: those who can be called, and those who call.

A behaviour is a coroutine over a ``PhoneCall``; what is said is spoken English that ships with Offhook.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from msgspec import Struct

from offhook.loopback.lines import audio
from offhook.media.synth import sine
from offhook.sims.carrier_audio import pcmu_of
from offhook.sims.run_account import Telephone
from offhook.sims.run_carrier import PhoneCall

__all__ = ["CALLERS", "CALLED", "Kind", "telephone"]

QUIET_S = 0.4  # after so long what the other side said is over
PATIENCE_S = 30.0  # somebody who hears nothing for so long hangs up
MESSAGE_S = 20.0  # of a machine's tape
Talks = Callable[[PhoneCall], Awaitable[None]]


class Kind(Struct, frozen=True):
    """A behaviour and what to expect of it."""

    does: str
    talks: Talks | None = None
    how: str = "completed"
    answered_by: str = "human"
    answers_s: float = 1.0
    detected_s: float = 1.5


def _heard(call: PhoneCall) -> int:
    return sum(len(segment.audio) for stream in call.streams for segment in stream.carrier.phone.heard)


async def _listen(call: PhoneCall, before: int = 0) -> int:
    """Until something was heard and is over, or patience is; bytes heard so far."""
    quiet = waited = 0.0
    while quiet < QUIET_S and waited < PATIENCE_S:
        await asyncio.sleep(0.05)
        waited += 0.05
        quiet = quiet + 0.05 if _heard(call) > before and not call.phone.unplayed_ms else 0.0
    return _heard(call)


async def _say(call: PhoneCall, line: str) -> None:
    call.say(audio(line))
    while call.speaking:  # noqa: ASYNC110  # the line is asked, frame by frame
        await asyncio.sleep(0.05)


def _conversation(*lines: str, first: str = "") -> Talks:
    """Say each line once the one before was answered, then hang up."""

    async def talk(call: PhoneCall) -> None:
        if first:
            await asyncio.sleep(0.3)
            await _say(call, first)
        heard = await _listen(call)
        for line in lines:
            await _say(call, line)
            heard = await _listen(call, heard)
        call.hang_up()

    return talk


async def _asks_for_somebody(call: PhoneCall) -> None:
    """Asks to be put through; back with the agent, or on hold, they wait until the line is dead."""
    await _listen(call)
    await _say(call, "caller_transfer")
    await call.ended()


async def _presses(call: PhoneCall) -> None:
    heard = await _listen(call)
    for key in "1234#":
        call.press(key)
        await asyncio.sleep(0.3)
    await _listen(call, heard)
    call.hang_up()


async def _says_nothing(call: PhoneCall) -> None:
    await call.ended()


async def _leaves(call: PhoneCall) -> None:
    await asyncio.sleep(0.5)
    call.hang_up()


def _machine(*, beeps: bool) -> Talks:
    async def talk(call: PhoneCall) -> None:
        await asyncio.sleep(0.3)
        call.say(audio("goodbye") + audio("callee_hello") + audio("parking"))
        if beeps:
            call.say(pcmu_of(sine(4000, 1000.0, -12.0)))
        await asyncio.sleep(MESSAGE_S)
        call.hang_up()

    return talk


CALLED: Mapping[str, Kind] = {
    "person": Kind("says hello, asks a price, thanks, leaves",
                   _conversation("caller_price", "caller_thanks", first="callee_hello")),
    "silent": Kind("picks up and says nothing", _says_nothing),
    "leaves": Kind("picks up and hangs up at once", _leaves),
    "voicemail": Kind("a machine: greets, beeps, records for 20 s", _machine(beeps=True), answered_by="machine_start"),
    "no-beep": Kind("a machine that does not beep", _machine(beeps=False), answered_by="machine_start"),
    "fax": Kind("a fax, by the carrier's detection", _says_nothing, answered_by="fax"),
    "busy": Kind("is busy", how="busy"),
    "no-answer": Kind("does not pick up", how="no-answer"),
    "failed": Kind("cannot be reached", how="failed"),
}  # fmt: skip
CALLERS: Mapping[str, Kind] = {
    "asks": Kind("asks for opening hours and a price, thanks, leaves",
                 _conversation("caller_hours", "caller_price", "caller_thanks")),
    "transfer": Kind("asks to be put through, and waits", _asks_for_somebody),
    "keys": Kind("presses 1234#, listens, leaves", _presses),
    "silent": Kind("says nothing", _says_nothing),
    "leaves": Kind("hangs up at once", _leaves),
}  # fmt: skip


def telephone(kind: Kind) -> Telephone:
    """Somebody who can be called."""
    return Telephone(kind.answers_s, kind.how, kind.talks, kind.answered_by, kind.detected_s)  # type: ignore[arg-type]
