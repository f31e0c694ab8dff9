"""
What happens in running calls, for whoever watches: one stream of events, any number of subscribers.

Fed by the host's observer, on the loop of the calls, with what is worth telling and never with audio. A subscriber has
a bounded queue of its own: one that reads slowly loses the oldest events and is told how many, no call waits for it.
The last events are kept, so that one who comes back goes on where it was. Levels are read from the journals' meters by
a timer, and only while somebody asked for them.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from offhook import vocab as v
from offhook.api.running import RunningCall
from offhook.api.telling import tell
from offhook.net.calls import BEGUN, OVER

__all__ = ["Event", "Hub", "Subscriber", "TooMany"]

KEPT = 2000  # events that one who comes back can still get
QUEUE = 500  # events that wait for one subscriber
MOST = 64  # subscribers
LEVELS_PER_S = 10
# A look at a call settles it, 25 to 35 us (2026-11-26): with more calls each is looked at less often. They take turns,
# for all at once were 8 ms in which nobody's frames went on.
LOOKS_PER_S = 1000
TURNS_PER_S = 50
QUIET = "levels"  # not kept, and the first to be lost
_PLAIN = (QUIET, "speaking")  # names of calls and figures alone: nothing is to be taken out


class TooMany(Exception):
    """There are as many subscribers as this server has."""


class Event:
    """
    One thing that happened. ``seq`` None: it is told once and never again.

    Made ready for the wire when somebody first reads it: most events are read by nobody.
    """

    __slots__ = ("_json", "call", "data", "hub", "kind", "seq")

    def __init__(self, hub: Hub, seq: int | None, kind: str, call: str, data: Mapping[str, Any]) -> None:
        self.hub, self.seq, self.kind, self.call, self.data = hub, seq, kind, call, data
        self._json: bytes | None = None

    @property
    def id(self) -> str:
        """What a subscriber gives back to go on behind this one."""
        return "" if self.seq is None else f"{self.hub.boot}-{self.seq}"

    @property
    def json(self) -> bytes:
        if self._json is None:
            own = {"id": self.id, "type": self.kind, "call": self.call}
            told = {name: value for name, value in own.items() if value}
            data = self.data if self.kind in _PLAIN else self.hub.clean(dict(self.data))
            self._json = msgspec.json.encode({**told, **data})
        return self._json


class Subscriber:
    """
    One who watches. ``call``: of one call only, by the carrier's name for it; ``levels``: so many a second.

    ``await next()`` gives event after event.
    """

    def __init__(self, hub: Hub, call: str, levels: int, missed: list[Event]) -> None:
        self.call = call
        self.every = LEVELS_PER_S // levels if levels else 0  # of the hub's ticks
        self.lost = 0
        self._hub = hub
        self._queue: deque[Event] = deque(event for event in missed if self.wants(event))
        self._room = QUEUE + len(self._queue)
        self._news = asyncio.Event()
        self._over = False

    def wants(self, event: Event) -> bool:
        return not self.call or event.call == self.call or event.kind in ("hello", "lost")

    def put(self, event: Event) -> None:
        if len(self._queue) >= self._room:
            self.lost += self._queue.popleft().kind != QUIET
        self._queue.append(event)
        self._news.set()

    async def next(self) -> Event | None:
        """The next event; None when the server stops."""
        while not self._queue:
            if self._over:
                return None
            self._news.clear()
            await self._news.wait()
        if self.lost:
            n, self.lost = self.lost, 0
            return Event(self._hub, None, "lost", "", {"events": n, "why": "you read slower than things happen"})
        return self._queue.popleft()

    def end(self) -> None:
        self._over = True
        self._news.set()

    def close(self) -> None:
        self._hub.leave(self)


class Hub:
    """
    ``clean`` takes out of an event what nobody may read; ``running`` gives the calls that run; ``spent`` what a
    call has cost so far, by its state.
    """

    def __init__(
        self,
        clean: Callable[[Any], Any] = lambda data: data,
        *,
        digits: bool = False,
        now: Callable[[], float] = time.time,
        spent: Callable[[RunningCall], tuple[float | None, tuple[str, ...]]] = lambda call: (None, ()),
    ) -> None:
        self.boot = secrets.token_hex(4)
        self.calls: dict[str, RunningCall] = {}
        self.clean = clean
        self.spent = spent
        # loudness classes of a running call's sides at this moment
        self.levels: Callable[[str], tuple[int | None, int | None] | None] = lambda call: None
        self.agent_plays: Callable[[str], bool] = lambda call: False  # whether the caller hears the agent now
        self.watch: Callable[[], None] = lambda: None  # called ten times a second while somebody watches levels
        self._digits = digits
        self._now = now
        self._seq = 0
        self._ring: deque[Event] = deque(maxlen=KEPT)
        self._subscribers: set[Subscriber] = set()
        self._ticks = 0
        self._owed = 0.0  # looks
        self._round: list[str] = []  # calls that are not looked at yet
        self._timer: asyncio.TimerHandle | None = None

    # --------------------------------------------------------------------------------- what is observed

    def __call__(self, call: str, happened: v.Event | v.Note, at_s: float) -> None:
        """The observer of the host's calls."""
        if type(happened) is v.Note and happened.kind == BEGUN:
            self.calls[call] = RunningCall(call, self._now(), happened.data)
            self.publish("call.started", call, self.calls[call].view())
            return
        running = self.calls.get(call)
        if running is None:
            return
        if type(happened) is v.Note and happened.kind == OVER:
            del self.calls[call]
            told = {"record": running.record, "seconds": round(at_s, 1), **happened.data}
            self.publish("call.ended", call, told)
            return
        for kind, data in tell(running, happened, at_s, digits=self._digits):
            self.publish(kind, call, {"at_s": round(at_s, 3), **data})
        if type(happened) is v.ResponseDone and happened.usage:
            usd, unknown = self.spent(running)
            running.usd, running.cost_unknown = usd, unknown
            self.publish("spend", call, {"usd": usd, "unknown": list(unknown), "usage": dict(running.usage)})

    def publish(self, kind: str, call: str = "", data: Mapping[str, Any] = {}, *, kept: bool = True) -> None:
        """Tell everybody; on the loop. ``kept``: also those who come back later."""
        self._seq += kept
        event = Event(self, self._seq if kept else None, kind, call, data)
        if kept:
            self._ring.append(event)
        for subscriber in self._subscribers:
            if subscriber.wants(event):
                subscriber.put(event)

    # ------------------------------------------------------------------------------------- who watches

    def subscribe(self, call: str = "", *, after: str = "", levels: int = 0) -> Subscriber:
        """Begin to watch, behind the event ``after`` if that can be had. Raises TooMany."""
        if len(self._subscribers) >= MOST:
            raise TooMany
        snapshot = {"boot": self.boot, "calls": [one.view() for one in self.calls.values() if call in ("", one.call)]}
        hello = Event(self, None, "hello", "", snapshot)
        subscriber = Subscriber(self, call, levels, [hello, *self._missed(after)])
        self._subscribers.add(subscriber)
        if levels and self._timer is None:
            self._tick()
        return subscriber

    def leave(self, subscriber: Subscriber) -> None:
        self._subscribers.discard(subscriber)

    @property
    def watched(self) -> int:
        return len(self._subscribers)

    def _missed(self, after: str) -> list[Event]:
        boot, _, number = after.partition("-")
        if not number.isdecimal() or len(number) > 15:
            return []
        seq = int(number)
        if boot != self.boot or seq > self._seq:
            why = "the server has been started anew since"
            return [Event(self, None, "lost", "", {"events": None, "why": why})]
        kept = [event for event in self._ring if event.seq is not None and event.seq > seq]
        gone = self._seq - seq - len(kept)
        if gone:
            why = f"only the last {KEPT} events are kept"
            return [Event(self, None, "lost", "", {"events": gone, "why": why}), *kept]
        return kept

    # ------------------------------------------------------------------------------------------ levels

    def _tick(self) -> None:
        """Tell how loud both sides were since the last time, to those who asked; ends when nobody does."""
        listening = [one for one in self._subscribers if one.every]
        if not listening:
            self._timer = None
            return
        self._look()
        self._ticks += 1
        n, part = divmod(self._ticks, TURNS_PER_S // LEVELS_PER_S)
        if not part:
            self.watch()
            for every in {one.every for one in listening}:
                if n % every == 0:
                    self._tell_levels(every, [one for one in listening if one.every == every])
        self._timer = asyncio.get_running_loop().call_later(1 / TURNS_PER_S, self._tick)

    def _look(self) -> None:
        """At the calls whose turn it is."""
        self._owed += min(len(self.calls) * LEVELS_PER_S, LOOKS_PER_S) / TURNS_PER_S
        while self._owed >= 1:
            self._owed -= 1
            self._round = self._round or list(self.calls)
            if not self._round:
                return
            name = self._round.pop()
            running = self.calls.get(name)
            if running is None:
                continue
            levels = self.levels(name)
            if levels is not None:
                running.look(levels)
            plays = self.agent_plays(name)
            if plays is not running.speaks["agent"]:
                running.speaks["agent"] = plays
                self.publish("speaking", name, {"who": "agent", "on": plays})

    def _tell_levels(self, every: int, to: list[Subscriber]) -> None:
        levels = {name: told for name, running in self.calls.items() if (told := running.loudness(every)) is not None}
        everything = Event(self, None, QUIET, "", {"levels": levels}) if levels else None
        for one in to:
            if not one.call and everything is not None:
                one.put(everything)
            elif one.call in levels:
                one.put(Event(self, None, QUIET, one.call, {"levels": {one.call: levels[one.call]}}))

    def stop(self) -> None:
        """The server stops: who watches is told all that happened, then no more."""
        for subscriber in self._subscribers:
            subscriber.end()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
