"""``offhook call`` through the server that runs here: asked by its API, followed by its live stream."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator
from typing import Any

import httpx2
from msgspec import structs

from offhook import vocab as v
from offhook.cli.carrier_rest import explained
from offhook.cli.ctl import QUIET_S, CtlError, reached, told
from offhook.cli.live import words_of
from offhook.evidence.redact import Sieve
from offhook.net.outbound import Options
from offhook.settings import Settings

__all__ = ["NoServer", "Refused", "place"]

BACK_S = 15.0  # after Ctrl-C: for the call to be taken back, or to end politely
VERDICT_S = 15.0  # after the end: the record is written, judged and told of within a second or two

Told = dict[str, Any]


class NoServer(Exception):
    """None runs here; why."""


class Refused(Exception):
    """The server, or the carrier behind it, does not place this call."""


async def place(settings: Settings, number: str, options: Options, live: str) -> tuple[str, str]:
    """
    The carrier's name of the call and how it ended, when it is over and its record judged.

    Raises NoServer before anything was asked for, Refused, and CtlError when the server was lost on the way.
    """
    asked = False
    try:
        async with reached(settings) as server, server.stream("GET", "/api/live", timeout=QUIET_S) as stream:
            if not stream.is_success:
                await stream.aread()
                told(stream)
            sys.stderr.write(f"offhook call: asking the server that runs here ({server.base_url})\n")
            asked = True  # from here on nobody else may place it: it could be placed twice
            return await _Following(server, settings, live).run(stream, number, options)
    except CtlError as error:
        if error.nobody and not asked:
            raise NoServer(str(error)) from None
        raise


class _Following:
    """One call from the request to its end."""

    def __init__(self, server: httpx2.AsyncClient, settings: Settings, live: str) -> None:
        self._server = server
        self._sieve = Sieve(*settings.secrets())
        self._as_json = live == "json"
        self._began = asyncio.get_running_loop().time()
        self._placed: Told = {}
        self._said: set[str] = set()
        self._verdict = asyncio.Event()
        self._over = asyncio.Event()

    async def run(self, stream: httpx2.Response, number: str, options: Options) -> tuple[str, str]:
        events = _events(stream)
        await anext(events)  # its hello: from here on nothing is missed
        reading = asyncio.create_task(self._place_and_read(events, number, options))
        stop, loop = asyncio.Event(), asyncio.get_running_loop()
        for name in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(name, stop.set)
        stopping = asyncio.create_task(self._take_back_when(stop))
        over = asyncio.create_task(self._until_over())
        try:
            await asyncio.wait((reading, over, stopping), return_when=asyncio.FIRST_COMPLETED)
            if stopping.done():
                stopping.result()
                await asyncio.wait((reading, over), return_when=asyncio.FIRST_COMPLETED, timeout=BACK_S)
            if reading.done():
                reading.result()
                if not self._over.is_set():
                    raise CtlError("the server ended its live stream before the call was over")
            elif not over.done():
                raise CtlError("the call is not over; offhook calls shows it, offhook ctl hangup ends it")
        finally:
            for task in (reading, stopping, over):
                task.cancel()
            for name in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(name)
        return str(self._placed["call"]), str(self._placed["status"])

    async def _until_over(self) -> None:
        await self._over.wait()
        try:
            await asyncio.wait_for(self._verdict.wait(), VERDICT_S)
        except TimeoutError:
            pass  # whoever asked reads the record, or is told that there is none

    async def _place_and_read(self, events: AsyncIterator[Told], number: str, options: Options) -> None:
        self._take(await self._ask(number, options))
        async for event in events:
            if event["type"] == "lost":  # its end may be among what was lost
                self._take(told(await self._server.get(f"/api/outbound/{self._placed['id']}")))
            self._hear(event)

    async def _ask(self, number: str, options: Options) -> Told:
        given = {name: value for name, value in structs.asdict(options).items() if value != ""}
        body = {"to": number, **{name.rstrip("_"): value for name, value in given.items()}}
        answer = await self._server.post("/api/calls", json=body)
        if answer.status_code == 409:
            raise Refused(_refusal(answer.json()))
        placed: Told = told(answer)
        return placed

    async def _take_back_when(self, stop: asyncio.Event) -> None:
        """While it rings it is taken back; once it is answered it ends politely. Raises CtlError, HTTPError."""
        await stop.wait()
        if not self._placed:
            raise CtlError("nobody has said yet whether the call is placed; offhook calls shows it")
        back = await self._server.delete(f"/api/outbound/{self._placed['id']}", timeout=BACK_S)
        if back.status_code == 409:
            await self._server.post(f"/api/calls/{self._placed['call']}/hangup", timeout=BACK_S)

    # ----------------------------------------------------------------------------------- what is told

    def _hear(self, event: Told) -> None:
        if event.get("call") != self._placed["call"]:
            return
        if event["type"] == "outbound":
            self._take(event)
        elif event["type"] == "verdict":
            self._verdict.set()
        else:
            happened = _happened(event)
            found = words_of(happened) if happened is not None else None
            if found is not None:
                self._say(*found)

    def _take(self, placed: Told) -> None:
        from offhook.cli.call import status_words

        self._placed = {**placed, "id": self._placed.get("id", placed.get("id"))}
        for one in placed["history"]:
            self._once(one["status"], status_words(one["status"], placed["sip"]))
        if placed["answered_by"]:
            self._once(placed["answered_by"], f"by the carrier's detection: {placed['answered_by']}")
        if placed["over"]:
            self._over.set()

    def _once(self, key: str, text: str) -> None:
        if text and key not in self._said:
            self._said.add(key)
            self._say("call", {"status": self._placed["status"], "text": text, "sid": self._placed["call"]})

    def _say(self, what: str, data: Told) -> None:
        at_s = asyncio.get_running_loop().time() - self._began
        data = self._sieve.clean_data(data)
        if self._as_json:
            sys.stdout.write(json.dumps({"event": what, "at_s": round(at_s, 3), **data}) + "\n")
        else:
            text = data.get("text") or ", ".join(f"{key} {value}" for key, value in data.items())
            sys.stdout.write(f"{at_s:7.2f}s {what:<12} {text}\n")
        sys.stdout.flush()


def _refusal(problem: Told) -> str:
    """The carrier's code in words, where it gave one."""
    detail = str(problem.get("detail", "")).removeprefix("not placed: ")
    codes = [str(one.get("got", "")).removeprefix("code ") for one in problem.get("errors", ())]
    code = int(codes[0]) if codes and codes[0].isdecimal() else None
    return explained(code, detail)


async def _events(stream: httpx2.Response) -> AsyncIterator[Told]:
    async for line in stream.aiter_lines():
        if line.startswith("data: "):
            yield json.loads(line.removeprefix("data: "))


def _happened(event: Told) -> v.Event | v.Note | None:
    """What an event of the stream was in the call, as far as it is shown."""
    match event:
        case {"type": "note", "note": kind, "data": data}:
            return v.Note(kind=kind, data=data)
        case {"type": "trouble", "what": "deadline.missed", "data": data}:
            return v.Note(kind="deadline.missed", data=data)
        case {"type": "trouble", "what": "provider error", "data": data}:
            return v.ProviderError(code=data.get("code"), message=str(data.get("message")), benign=False)
        case {"type": "transcript", "who": "caller", "final": True}:
            return v.CallerTranscript(event["item"], event["text"], final=True)
        case {"type": "transcript", "final": True}:
            return v.AgentTranscript("", event["item"], event["text"], final=True)
        case {"type": "key", "digit": digit}:
            return v.KeyPressed(digit)
        case {"type": "tool", "state": "done"}:
            return v.Note(kind="tool.done", data=event)
        case {"type": "tool", "name": name}:
            return v.ToolCalled("", name, "")
        case {"type": "latency", "what": "reply", "ms": ms}:
            return v.Note(kind="reply", data={"ms": ms})
        case {"type": "barge-in", "heard_ms": heard, "of_ms": sent}:
            return v.Note(kind="barge-in", data={"heard_ms": heard, "sent_ms": sent})
        case {"type": "state", "state": "ending", "why": why}:
            return v.Note(kind="ending", data={"why": why})
        case {"type": "state", "state": "on hold"}:
            return v.Note(kind="hold", data={"on": True})
    return None
