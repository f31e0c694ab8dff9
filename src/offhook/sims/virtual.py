"""
A world in virtual time: a loop whose clock jumps to what happens next, processes that can be blocked or killed, and
WebSockets between them that live in memory. An hour takes seconds, and the same seed gives the same call.

Knows no wire and no call. Nothing here touches a network or a real clock.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Any, Literal, Protocol

from offhook.sims.virtual_loop import JumpingLoop, Plan

__all__ = ["By", "Ear", "End", "Link", "Process", "Told", "World", "connect"]

By = Literal["us", "them", "nobody"]
CLOSE_GRACE_S = 1.0  # as net/sockets.py: a peer that does not answer our close gets this long
PAUSED_ABOVE = 64 * 1024  # bytes on their way that nobody takes: the sender is told
MAX_UNREAD = 4 * 1024 * 1024


class Ear(Protocol):
    """Who is told what happens on a socket: the manners of net/sockets.py."""

    def opened(self, socket: Any) -> None: ...
    def text(self, data: bytes) -> None: ...
    def binary(self, data: bytes) -> None: ...
    def closed(self, code: int | None, reason: str, by: By) -> None: ...
    def paused(self, n_bytes: int) -> None: ...
    def resumed(self) -> None: ...


class Told:
    """An ear made of two functions, for ends that do not care for the rest."""

    def __init__(self, heard: Callable[[bytes, bool], None], closed: Callable[[int | None, str, By], None]) -> None:
        self._heard = heard
        self.closed = closed

    def opened(self, socket: Any) -> None:
        """Whoever made the connection knows."""

    def text(self, data: bytes) -> None:
        self._heard(data, False)

    def binary(self, data: bytes) -> None:
        self._heard(data, True)

    def paused(self, n_bytes: int) -> None:
        """A simulated peer goes on, and drops in the end."""

    def resumed(self) -> None:
        """See ``paused``."""


class World:
    """Time, chance and everything that is planned. ``with World() as world``."""

    def __init__(self, seed: int = 1) -> None:
        self.loop = JumpingLoop()
        self.random = random.Random(seed)
        self.now = self.loop.time
        self.outside = Process(self)  # peers that never stall

    def __enter__(self) -> World:
        return self

    def __exit__(self, *exc: object) -> None:
        pending = asyncio.all_tasks(self.loop)
        for task in pending:
            task.cancel()
        if pending:
            self.loop.run_until_complete(asyncio.gather(*pending, return_exceptions=True))
        self.loop.close()

    def call_at(self, when: float, fn: Callable[..., None], *args: Any) -> Plan:
        return self.loop.plan(when, fn, *args)

    def after(self, seconds: float, fn: Callable[..., None], *args: Any) -> Plan:
        return self.loop.plan(self.loop.virtual + seconds, fn, *args)

    def run(self, seconds: float) -> None:
        """Let so much time pass."""
        self.loop.run_until_complete(asyncio.sleep(seconds))

    def run_until(self, happened: Callable[[], bool], limit_s: float, look_every_s: float = 0.1) -> bool:
        """Let time pass until ``happened()``, or ``limit_s``; whether it did."""

        async def look() -> bool:
            until = self.now() + limit_s
            while not happened():
                if self.now() >= until:
                    return False
                await asyncio.sleep(look_every_s)
            return True

        return self.loop.run_until_complete(look())


class Process:
    """
    A program in the world, and its clock: what shall happen in it waits while it is blocked, never happens once killed.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self.now = world.now
        self.blocked_until = 0.0
        self.dead = False
        self.ends: list[End] = []
        self._waiting: list[Callable[[], None]] = []

    def call_at(self, when: float, fn: Callable[[], None]) -> Plan:
        return self.world.call_at(when, self.enter, fn)

    def after(self, seconds: float, fn: Callable[[], None]) -> Plan:
        return self.call_at(self.world.now() + seconds, fn)

    def enter(self, fn: Callable[[], None]) -> None:
        """Run ``fn`` in this process now, or as soon as it is free."""
        if self.dead:
            return
        if self._waiting or self.blocked_until > self.world.now():
            if not self._waiting:
                self.world.call_at(self.blocked_until, self._free)
            self._waiting.append(fn)
            return
        fn()

    def _free(self) -> None:
        """What had to wait happens, in its order; one of it may block the process again."""
        while self._waiting and not self.dead:
            if self.blocked_until > self.world.now():
                self.world.call_at(self.blocked_until, self._free)
                return
            fn = self._waiting[0]
            fn()
            del self._waiting[0]

    def block(self, seconds: float) -> None:
        """Synchronous work: nothing else of this process runs for so long."""
        self.blocked_until = max(self.blocked_until, self.world.now()) + seconds

    def kill(self) -> None:
        """No clean-up: its connections are reset by the operating system."""
        for end in list(self.ends):
            end.abort(1006, "")
        self.dead = True


class Link:
    """How the network between two ends behaves. Seconds; ``jitter_s`` never reorders."""

    def __init__(self, latency_s: float = 0.02, jitter_s: float = 0.0, cut_after_s: float | None = None) -> None:
        self.latency_s = latency_s
        self.jitter_s = jitter_s
        self.cut_after_s = cut_after_s  # something in between drops the connection at this age
        self.cut_code: int | None = None  # with this close code, to both; None: a reset


class End:
    """One end of a WebSocket: what net/sockets.py calls a Socket, and as that behaves."""

    def __init__(self, process: Process, link: Link) -> None:
        self.process = process
        self.ear: Ear | None = None
        self._text: Callable[[bytes], None] | None = None  # hears texts in the ear's place
        self.other: End = self
        self.by: By | None = None
        self.code: int | None = None
        self.reason = ""
        self.gone = False
        self.unread = 0  # bytes that were sent to this end and not yet handed to its ear
        self.reading = True
        self.slow = False  # takes what comes, at a pace of its own
        self.fragments = 0
        self.watch: Callable[[bytes, bool], None] | None = None  # sees every message that arrives here
        self.pong_delay_s = 0.0
        self._link = link
        self._world = process.world
        self._due = 0.0
        self._paused = False
        self._kept: list[tuple[bytes, bool]] = []
        process.ends.append(self)

    # ------------------------------------------------------------------------------------- for its users

    def send(self, data: bytes, binary: bool = False) -> None:
        if self.by is not None:
            return
        other = self.other
        other.unread += len(data)
        world = self._world
        link = self._link
        due = world.loop.virtual + link.latency_s
        if link.jitter_s:
            due += world.random.random() * link.jitter_s
        other._due = due = max(due, other._due)
        world.loop.plan(due, other._arrive, data, binary)
        if other.unread > PAUSED_ABOVE:
            self._bound()

    def send_both(self, first: bytes, second: bytes) -> None:
        self.send(first)
        self.send(second)

    def hand_to(self, listener: Ear) -> None:
        self.ear, self._text = listener, None

    def hear(self, text: Callable[[bytes], None]) -> None:
        self._text = text

    def pen(self) -> None:
        """Nothing compiled can write here."""

    def writer(self) -> Callable[[Any, bytes], None]:
        return lambda kind, data: self.send(data)

    def _bound(self) -> None:
        if self.other.unread > MAX_UNREAD:
            self.abort(1006, f"peer stopped reading: over {MAX_UNREAD} bytes unsent")
        elif not self._paused and (not self.other.reading or self.other.process.blocked_until > self._world.now()):
            self._paused = True
            assert self.ear is not None
            self.process.enter(lambda: self.ear.paused(self.other.unread) if self.ear else None)

    def close(self, code: int = 1000, reason: str = "") -> None:
        """The closing handshake."""
        if self.by is not None:
            return
        self.by, self.code, self.reason = "us", code, reason
        self._later(self.other._told_close, code, reason)
        self._world.after(CLOSE_GRACE_S, self._finish)

    def abort(self, code: int | None, reason: str) -> None:
        """Drop TCP."""
        if self.by is None:
            self.by, self.code, self.reason = "us", code, reason
        self._later(self.other._reset)
        self._world.after(0, self._finish)

    @property
    def buffered_bytes(self) -> int:
        return self.other.unread

    def ping(self, pong: Callable[[], None]) -> None:
        """The peer's WebSocket library answers by itself, unless it is blocked."""

        def answer() -> None:
            self._world.after(self.other.pong_delay_s + self._link.latency_s, lambda: self.process.enter(pong))

        self._world.after(self._link.latency_s, lambda: self.other.process.enter(answer))

    def stop_reading(self) -> None:
        """Half dead: the socket lives, nobody takes what comes."""
        self.reading = False

    def read_slowly(self, bytes_s: float) -> None:
        """Take so many bytes a second from now on."""
        if not self.slow:
            self.reading, self.slow = False, True
            self._take_one(bytes_s)

    def _take_one(self, bytes_s: float) -> None:
        if self.gone or not self.slow:
            return
        wait_s = 0.02
        if self._kept:
            data, binary = self._kept.pop(0)
            wait_s = len(data) / bytes_s
            self._hand_over(data, binary)
        self._world.after(wait_s, self._take_one, bytes_s)

    def read_on(self) -> None:
        self.reading = True
        kept, self._kept = self._kept, []
        for data, binary in kept:
            self._hand_over(data, binary)

    # -------------------------------------------------------------------------------- what the net does

    def _later(self, fn: Callable[..., None], *args: object) -> None:
        """Behind everything that is on its way to the other end."""
        other = self.other
        other._due = due = max(self._world.now() + self._link.latency_s, other._due)
        self._world.loop.plan(due, fn, *args)

    def _arrive(self, data: bytes, binary: bool) -> None:
        process = self.process
        if process.blocked_until > self._world.loop.virtual:
            process.enter(lambda: self._arrive(data, binary))
        elif not self.reading:
            self._kept.append((data, binary))
        elif not process.dead:
            self._hand_over(data, binary)

    def _hand_over(self, data: bytes, binary: bool) -> None:
        self.unread -= len(data)
        if self.by == "them" or self.gone or self.ear is None:
            return
        if self.watch is not None:
            self.watch(data, binary)
        if binary:
            self.ear.binary(data)
        else:
            (self._text or self.ear.text)(data)
        other = self.other
        if other._paused and self.unread < PAUSED_ABOVE // 2:
            other._paused = False
            other.process.enter(lambda: other.ear.resumed() if other.ear else None)

    def _told_close(self, code: int, reason: str) -> None:
        if not (self.reading or self.slow) or self.process.dead:
            return
        if self.process.blocked_until > self._world.now():
            self.process.enter(lambda: self._told_close(code, reason))
            return
        if self.by is None:
            self.by, self.code, self.reason = "them", code, reason
        self._later(self.other._finish)
        self._finish()

    def _reset(self) -> None:
        if self.by is None:
            self.by, self.code, self.reason = "nobody", None, ""
        self._finish()

    def _finish(self) -> None:
        if self.gone:
            return
        self.gone = True
        if self in self.process.ends:
            self.process.ends.remove(self)
        ear = self.ear
        if ear is not None:
            self.process.enter(lambda: ear.closed(self.code, self.reason, self.by or "nobody"))

    def _cut(self) -> None:
        """Something in between ends the connection."""
        if self.gone:
            return
        for end in (self, self.other):
            if end.by is None:
                end.by = "nobody" if self._link.cut_code is None else "them"
                end.code = self._link.cut_code
            end._finish()


def connect(left: Process, right: Process, link: Link) -> tuple[End, End]:
    """The two ends of an open connection; whoever made it gives each its ear."""
    one, two = End(left, link), End(right, link)
    one.other, two.other = two, one
    if link.cut_after_s is not None:
        left.world.after(link.cut_after_s, one._cut)
    return one, two
