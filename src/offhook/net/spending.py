"""
What the calls of this process cost while they run, and the caps that end them politely.

Counted from the provider's own usage figures and from minutes, by dated prices (``evidence/cost.py``). What has no
known price counts nothing and is named: a cap over an unknown price holds the minutes alone. The day is UTC; what it
had cost before this process began, somebody tells (``spent_before``). Knows no wire.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from msgspec import Struct, field

from offhook import vocab as v
from offhook.evidence.cost import Used, cost
from offhook.net.answerer import Answerer
from offhook.net.call import Call
from offhook.net.clock import Clock, Handle
from offhook.wires._wire import Fact, Price

__all__ = ["DAY_S", "Caps", "Spending"]

log = logging.getLogger("offhook")

DAY_S = 86_400
LOOK_S = 5.0  # minutes pass between two reports of usage

PricesOf = Callable[[Answerer], Fact[tuple[Price, ...]] | None]


class Caps(Struct, frozen=True):
    """US dollars; 0: no cap."""

    call_usd: float = 0.0
    day_usd: float = 0.0
    carrier_usd_per_minute: float | None = None

    @property
    def any(self) -> bool:
        return self.call_usd > 0 or self.day_usd > 0


class _Running(Struct):
    call: Call
    prices: Fact[tuple[Price, ...]] | None
    model: str
    phone: bool
    usage: dict[str, float] = field(default_factory=dict)
    usd: float = 0.0
    over: bool = False


class Spending:
    """What the calls of one process cost."""

    def __init__(self, caps: Caps, prices_of: PricesOf, clock: Clock, *, unix: Callable[[], float] = time.time) -> None:
        self.caps = caps
        self._prices_of = prices_of
        self._clock = clock
        self._unix = unix
        self._running: dict[str, _Running] = {}
        self._day = self._today()
        self._began_on = self._day
        self._ended_usd = 0.0
        self._before_usd: float | None = None  # unknown until somebody tells
        self._timer: Handle | None = None

    def _today(self) -> int:
        return int(self._unix() // DAY_S)

    def spent_before(self, usd: float) -> None:
        """What the day on which this process began had cost before; the last word counts."""
        self._new_day()
        if self._day == self._began_on:
            self._before_usd = usd

    def begin(self, call: Call, who: Answerer, *, phone: bool) -> None:
        """
        A call begins, or another agent takes it over: by whose prices it is counted from here on.

        ``phone``: a carrier is paid for it.
        """
        known = self._running.get(call.name)
        one = _Running(call, self._prices_of(who), getattr(who.session, "model", ""), phone)
        if known is not None:
            one.usage, one.over = known.usage, known.over
        self._running[call.name] = one
        if one.prices is None:
            call.journal.note("spend.unknown-price", self._clock.now(), model=one.model[:80])
            log.warning("no price is known: the spend cap holds minutes only", extra={"model": one.model})
        if self._timer is None:
            self._timer = self._clock.call_at(self._clock.now() + LOOK_S, self._look)

    def heard(self, call: Call, event: object) -> None:
        """A response ended, or the caller's words were written down: what that used is counted."""
        one = self._running.get(call.name)
        if one is None or not isinstance(event, v.ResponseDone | v.CallerTranscript) or not event.usage:
            return
        for name, n in event.usage.items():
            one.usage[name] = one.usage.get(name, 0.0) + n
        self._count(one)

    def ended(self, call: Call) -> None:
        one = self._running.pop(call.name, None)
        if one is not None:
            self._count(one)
            self._new_day()
            self._ended_usd += one.usd

    @property
    def today_usd(self) -> float:
        """What is known to have been spent today, running calls included."""
        self._new_day()
        return (self._before_usd or 0.0) + self._ended_usd + sum(one.usd for one in self._running.values())

    @property
    def full(self) -> bool:
        """Whether the day's cap is reached: no further call is taken."""
        return 0 < self.caps.day_usd <= self.today_usd

    def _new_day(self) -> None:
        if self._today() != self._day:
            self._day, self._ended_usd, self._before_usd = self._today(), 0.0, 0.0

    def _look(self) -> None:
        self._timer = None
        for one in list(self._running.values()):
            self._count(one)
        if self._running:
            self._timer = self._clock.call_at(self._clock.now() + LOOK_S, self._look)

    def _count(self, one: _Running) -> None:
        minutes = (self._clock.now() - one.call.started_at) / 60
        told = Used(usage=one.usage, minutes=minutes, texts=None, carrier_minutes=minutes, phone=one.phone)
        made = cost(told, one.prices, model=one.model, carrier_usd_per_minute=self.caps.carrier_usd_per_minute)
        one.usd = made.usd or 0.0
        of_call = 0 < self.caps.call_usd <= one.usd
        if one.over or one.call.ended is not None or not (of_call or self.full):
            return
        one.over = True
        one.call.journal.note(
            "spend.cap", self._clock.now(), cap="call" if of_call else "day", usd=round(one.usd, 4),
            today_usd=round(self.today_usd, 4), before_usd=self._before_usd, unknown=", ".join(made.unknown),
        )  # fmt: skip
        log.warning("spend cap reached", extra={"call": one.call.name, "usd": round(one.usd, 4)})
        one.call.feed(v.EndRequested("spend cap of the call" if of_call else "spend cap of the day"))
