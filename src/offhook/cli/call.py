"""
``offhook call``: the call placed, followed on the terminal, and judged when it is over; by the server that runs here,
or, where none does, by a server for this one call.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import sys

from msgspec import structs

from offhook import vocab as v
from offhook.checks import settings as judge
from offhook.cli.banner import refusal
from offhook.cli.behind import run_behind_tunnel
from offhook.cli.carrier_rest import NoRest, carrier_of, explained, number_problem
from offhook.cli.places import data_dir
from offhook.cli.process import judged, new_loop
from offhook.cli.serve import ListenError, Serving
from offhook.diagnosis.report import judge as verdict_on
from offhook.evidence.files import find
from offhook.evidence.record import RecordingError
from offhook.evidence.redact import Sieve
from offhook.net.outbound import Options, Placed
from offhook.settings import Settings

__all__ = ["options_of", "run", "status_words"]

WORDS = {
    "queued": "queued at the carrier", "initiated": "being dialled", "ringing": "ringing", "in-progress": "answered",
    "completed": "over", "busy": "the line is busy", "no-answer": "nobody answers", "failed": "cannot be reached",
    "canceled": "taken back",
}  # fmt: skip
EXIT = {"completed": 0, "busy": 3, "no-answer": 3, "canceled": 3}


def options_of(settings: Settings, **given: object) -> Options:
    """How calls are placed: by the settings, and by what a command says otherwise."""
    made = Options(
        from_=settings["outbound.from"],
        ring_s=settings["outbound.ring_s"],
        hello_s=settings["outbound.hello_s"],
        machine=settings["outbound.detect"],
        voicemail=settings["outbound.voicemail"],
        message=settings["outbound.message"],
        machine_sure=settings["outbound.machine_sure"],
    )
    return structs.replace(made, **{name: value for name, value in given.items() if value is not None})


def run(settings: Settings, number: str, options: Options, *, live: str = "text", tunnel: str = "") -> int:
    """Place one call and follow it to its end. The exit code."""
    problem = number_problem(number)
    if problem:
        sys.stderr.write(f"offhook call: NUMBER: {problem}\n")
        return 2

    async def work(told: Settings) -> int:
        try:
            return await _call(told, number, options, live)
        except (NoRest, ListenError) as error:
            sys.stderr.write(f"offhook call: {error}\n")
            return 2

    if not tunnel:
        code = _by_the_server(settings, number, options, live)
        if code is not None:
            return code
    if tunnel:
        return run_behind_tunnel(settings, tunnel, "call", new_loop, lambda told: judged(told, work))
    found = judge.problems(settings)
    if found:
        sys.stderr.write(Sieve(*settings.secrets()).clean(refusal(found)))
        return 2
    with asyncio.Runner(loop_factory=new_loop) as runner:
        return runner.run(work(settings))


def _by_the_server(settings: Settings, number: str, options: Options, live: str) -> int | None:
    """The exit code; None where no server of ours runs here, and this command has to be one."""
    from offhook.cli.call_there import NoServer, Refused, place
    from offhook.cli.ctl import CtlError

    try:
        sid, status = asyncio.run(place(settings, number, options, live))
    except NoServer as why:
        sys.stderr.write(f"offhook call: serving this call itself ({why})\n")
        return None
    except Refused as why:
        sys.stderr.write(f"offhook call: refused: {why}\n")
        return 1
    except CtlError as error:
        sys.stderr.write(f"offhook call: {error}\n")
        return 2
    return _verdict(settings, sid, status)


async def _call(settings: Settings, number: str, options: Options, live: str) -> int:
    carrier_of(settings)
    serving = Serving(settings, live=live)
    await serving.start()
    logging.getLogger("offhook").setLevel(logging.WARNING)  # what goes well is told on the terminal
    try:
        placed = await _placed(serving, number, options)
    finally:
        await serving.stop()  # the record is whole then
    if placed.status == "refused":
        sys.stderr.write(f"offhook call: refused: {explained(placed.code, placed.detail)}\n")
        return 1
    return _verdict(settings, placed.sid, placed.status)


async def _placed(serving: Serving, number: str, options: Options) -> Placed:
    outbound = serving.host.outbound
    told: set[str] = set()
    began = asyncio.get_running_loop().time()

    def clock() -> float:
        return asyncio.get_running_loop().time() - began

    if serving.live is not None:
        serving.live.clock = clock

    def follow(placed: Placed) -> None:
        at_s = clock()
        words = status_words(placed.status, placed.sip)
        if words and placed.status not in told:
            told.add(placed.status)
            _say(serving, placed, at_s, words)
        if placed.answered_by and placed.answered_by not in told:
            told.add(placed.answered_by)
            _say(serving, placed, at_s, f"by the carrier's detection: {placed.answered_by}")

    outbound.watchers.append(follow)
    placed = await outbound.place(number, options)
    if not placed.over:
        await _until_over(serving, placed)
    return placed


def status_words(status: str, sip: str) -> str:
    """What a status of the carrier's means; empty where it needs no word."""
    return WORDS.get(status, "") + (f" (SIP {sip})" if sip and status == "failed" else "")


def _say(serving: Serving, placed: Placed, at_s: float, text: str) -> None:
    if serving.live is not None and serving.live.as_json:
        serving.live.say("call", status=placed.status, at_s=at_s, text=text, sid=placed.sid)
        return
    sys.stdout.write(f"{at_s:7.2f}s {'call':<12} {text}\n")
    sys.stdout.flush()


async def _until_over(serving: Serving, placed: Placed) -> None:
    """Until the call is over; Ctrl-C takes it back while it rings, and ends it politely once it is answered."""
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    over = asyncio.ensure_future(serving.host.outbound.over(placed))
    stopping = asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait((over, stopping), return_when=asyncio.FIRST_COMPLETED)
        if not over.done():
            await serving.host.outbound.cancel(placed)
            call = serving.host.calls.running.get(placed.sid)
            if call is not None:
                call.feed(v.EndRequested("operator"))
            await asyncio.wait((over,), timeout=15)
        await serving.host.calls.idle(10.0)
    finally:
        for task in (over, stopping):
            task.cancel()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)


def _verdict(settings: Settings, sid: str, status: str) -> int:
    directory = data_dir(settings)
    try:
        report = verdict_on(find(sid, directory))
    except RecordingError as error:
        sys.stderr.write(f"offhook call: {error}\n")
        return EXIT.get(status, 1)
    sys.stdout.write(f"{report.line}\n")
    sys.stdout.write(f"the record: offhook show {sid[:12]}, offhook explain {sid[:12]}\n")
    bad = report.verdict in ("broken", "suspected")
    return 1 if bad else EXIT.get(status, 1)
