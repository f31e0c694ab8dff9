"""
The world around the server: providers that follow each call's script, the carrier's account, whom it calls, the ledger.

Everything that is true of a call is known here and not by the server: what its model said and asked for and when, what
its caller said and heard, whom the carrier called, and what was really done.
"""

from __future__ import annotations

import asyncio
import base64
import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from msgspec import Struct, field

from offhook.dial.foreign import FAKE_KEYS
from offhook.net.server import Server
from offhook.sims.provider import SimProvider
from offhook.sims.provider_scene import Answer
from offhook.sims.run_account import SimAccount, Telephone
from offhook.sims.run_provider import FakeProvider
from offhook.sims.run_webhook import Route
from offhook.wires._wire import Out, PeerClose, Refusal

__all__ = ["HOOK_SECRET", "OUR_NUMBERS", "TOKEN", "Ledger", "Part", "Seen", "Town"]

HOOK_SECRET = "whsec_" + base64.b64encode(b"evening-hook-secret-0123").decode()
TOKEN = "evening-token-0123456789abcdef"
OUR_NUMBERS = {"default": "+15550100002", "grok": "+15550100003", "desk": "+15550100004"}
_LINE = re.compile(r"LINE (\S+) (\S+) END")


class Seen(Struct):
    """What really happened in one call, as the world around the server knows it."""

    call_sid: str = ""
    said: list[tuple[float, str]] = field(default_factory=list)  # by the caller, as the provider transcribed it
    answered: list[tuple[float, str]] = field(default_factory=list)  # what the model began to say, and when
    outputs: list[tuple[str, str]] = field(default_factory=list)  # of tools, as the model got them
    sessions: list[SimProvider] = field(default_factory=list)
    heard_ms: float = 0.0
    cut_heard_ms: float | None = None  # of the answer that was cut into
    began: float = 0.0
    ended: float = 0.0
    cut_by: str = ""  # kill: the server was killed in this call
    alerts: list[tuple[str, str]] = field(default_factory=list)
    legs: list[tuple[str, str]] = field(default_factory=list)
    trouble: str = ""  # the script could not be played to its end
    outcomes: list[str] = field(default_factory=list)  # of what the API was asked
    placed: object = ""  # how a call of ours ended: its status by the API, or the command's exit code
    printed: str = ""


class Part(Struct):
    """One call of the evening: who calls whom, what both say, and what must be true of it afterwards."""

    key: str
    kind: str
    ours: str
    theirs: str
    script: list[Answer]
    replies: list[Answer]
    plays: Callable[[Any], Any]
    tools: dict[str, int] = {}  # how often each one's deed must stand in the ledger
    runs: list[tuple[str, str]] = []  # tool, outcome: in the record
    rules: frozenset[str] = frozenset()  # findings that are right; others are an untruth
    verdicts: tuple[str, ...] = ("healthy",)
    end: str = ""  # what the record's end must match
    outbound: dict[str, Any] = {}
    dies: int = 0  # the provider drops the connection in this answer
    people: dict[str, Telephone] = {}
    checks: tuple[str, ...] = ()
    seen: Seen = field(default_factory=Seen)


class Ledger:
    """What the tools really did; each line was written by the process that did it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.touch()

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.path.read_text().splitlines()]

    def write(self, what: str, who: str, **more: Any) -> None:
        with self.path.open("a") as file:
            file.write(json.dumps({"t": time.time(), "what": what, "who": who, **more}) + "\n")


class Scripted(SimProvider):
    """A session that follows the script of the call that it is told of."""

    def __init__(self, name: str, town: Town, **knobs: Any) -> None:
        super().__init__(name, **knobs)
        self._town = town
        self._part: Part | None = None
        self._spoken = 0
        self._dies_at = float("inf")

    def _load(self) -> None:
        if self._part is not None:
            return
        found = _LINE.search(str(self.peer.session.get("instructions", "")))
        part = next((self._town.parts[n] for n in found.groups() if n in self._town.parts), None) if found else None
        if part is None:
            return
        self._part = part
        again = len(part.seen.sessions)  # a second session goes on where the first one was
        part.seen.sessions.append(self)
        self._script = tuple(part.script) or self._script
        if again:
            self.turns = sum(session.turns for session in part.seen.sessions[:-1])
            self._greeting = self._reply

    def _next_answer(self) -> Answer:
        self._load()
        answer = super()._next_answer()
        if self._part is not None:
            self._part.seen.said.append((time.time(), f"turn {self.turns}"))
        return answer

    def _asked(self, now: float) -> list[Out]:
        self._load()
        part, peer = self._part, self.peer
        free = peer.response is None and not self._pending and not self._next and self._unasked is None
        if part is not None and free and peer.asked and not peer.forced and self.responses and part.replies:
            self._reply = part.replies.pop(0)
        return super()._asked(now)

    def _give(self, answer: Answer, now: float) -> list[Out]:
        part = self._part
        given = super()._give(answer, now)
        if part is not None:
            part.seen.answered.append((time.time(), answer.transcript))
            self._spoken += 1
            if part.dies and self._spoken >= part.dies:
                self._dies_at = now + 0.8
        return given

    def deadline(self) -> float | None:
        due = super().deadline()
        return self._dies_at if due is None else min(due, self._dies_at)

    def tick(self, now: float) -> list[Any]:
        if now >= self._dies_at:  # TCP is gone without a word
            self._dies_at = float("inf")
            return [PeerClose(None)]
        return super().tick(now)


class Town:
    """``async with Town(folder) as town``; ``parts`` are the calls, by the number of the other side."""

    def __init__(self, folder: Path) -> None:
        self.parts: dict[str, Part] = {}
        self.ledger = Ledger(folder / "ledger.jsonl")
        self.fakes = {name: self._fake(name) for name in ("openai", "xai")}
        self.hooks: list[dict[str, Any]] = []
        self._http = Server(self._app, lambda request: Refusal(404, "not found\n", "path"))

    def _fake(self, name: str) -> FakeProvider:
        from offhook.loopback.lines import AGENT, audio

        greeting = Answer(audio=audio("greeting"), transcript=AGENT["greeting"])
        reply = Answer(audio=audio("done"), transcript=AGENT["done"])

        def make(n: int) -> SimProvider:
            now = {"unix_s": time.time() - asyncio.get_running_loop().time()} if name == "openai" else {}
            keys = frozenset({FAKE_KEYS[name]})
            return Scripted(name, self, greeting=greeting, reply=reply, keys=keys, **now)

        return FakeProvider(name, make=make)

    async def __aenter__(self) -> Town:
        for fake in self.fakes.values():
            await fake.__aenter__()
        await self._http.start()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._http.stop()
        for fake in self.fakes.values():
            await fake.__aexit__()

    @property
    def http(self) -> str:
        return f"http://127.0.0.1:{self._http.port}"

    async def _app(self, scope: dict[str, Any], receive: Callable[..., Any], send: Callable[..., Any]) -> None:
        """The endpoint of the HTTP tool, and the one that hears of calls that are over."""
        if scope["type"] != "http":
            return
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        headers = {name.decode().lower(): value.decode() for name, value in scope["headers"]}
        path, status = scope["path"], 200
        if path.startswith("/crm/"):
            self.ledger.write("crm", path.removeprefix("/crm/"), call=headers.get("x-call", ""))
        elif path == "/hook":
            status = 500 if len(self.hooks) % 17 == 3 else 200  # now and then the receiver is not itself
            self.hooks.append({"t": time.time(), "status": status, "headers": headers, "body": body})
        answer = b'{"booked":"Tue"}'
        kind = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": status, "headers": kind})
        await send({"type": "http.response.body", "body": answer})

    def account(self, port: int, people: dict[str, Telephone]) -> SimAccount:
        """An account whose calls reach the server at ``port``."""
        route = Route(connect=("127.0.0.1", port))
        blocked = frozenset(part.theirs for part in self.parts.values() if part.outbound.get("blocked"))
        return SimAccount(TOKEN, tuple(OUR_NUMBERS.values()), people, route=route, blocked=blocked)
