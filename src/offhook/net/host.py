"""
One process that answers calls: its parts put together, and its life.

``gate.py`` says which requests are the carrier's, ``webhooks.py`` answers them, ``streams.py`` lets media streams in,
``calls.py`` makes the calls and ends them, ``errands.py`` does what they ask for. Knows no framework (``app.py`` does
HTTP) and no wire by name: both wires are given.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from offhook.evidence.journal import JournalDir
from offhook.net import client, rest
from offhook.net.answerer import AnswerFor
from offhook.net.calls import Calls, Limits, Observer
from offhook.net.clock import Clock, Handle
from offhook.net.errands import Errands
from offhook.net.gate import Gate
from offhook.net.hands import Box, Hands
from offhook.net.listening import Listening
from offhook.net.metrics import Metrics
from offhook.net.notes import RequestNotes
from offhook.net.outbound import Outbound
from offhook.net.parties import Carrier, Recorder
from offhook.net.server import UpgradeRequest
from offhook.net.sockets import Listener
from offhook.net.spending import Spending
from offhook.net.streams import Streams
from offhook.net.talks import Talks
from offhook.net.webhooks import Webhooks
from offhook.wires._wire import Refusal

__all__ = ["Host"]

LAG_PROBE_S = 0.1
LAG_NOTED_S = 0.05


class Host:
    """
    All calls of one process, on one loop.

    ``carrier`` is the wire module of who brings phone calls, ``screen`` of those that begin at a screen, where there
    are any; ``answer_for`` says who takes a call; ``number_id`` tells callers apart
    without their numbers. ``dialler`` and ``send_rest`` are replaced where
    there is no network.
    """

    def __init__(
        self,
        *,
        carrier: ModuleType,
        carrier_settings: Any,
        answer_for: AnswerFor,
        journals: JournalDir,
        clock: Clock,
        limits: Limits,
        token_secret: bytes,
        metrics: Metrics,
        dial_options: Mapping[str, Any],
        observer: Observer | None = None,
        recorder: Callable[[Path, float], Recorder] | None = None,
        rest_proxy: Callable[[str], str | None] = lambda url: None,
        dialler: Callable[..., Awaitable[Any]] = client.dial,
        send_rest: Callable[..., Awaitable[rest.RestResult]] = rest.send,
        oracle: Callable[..., Any] | None = None,
        tools: Box | None = None,
        screen: ModuleType | None = None,
        number_id: Callable[[str], str] = lambda number: "",
        spending: Spending | None = None,
        unix: Callable[[], float] = time.time,
    ) -> None:
        self.metrics = metrics
        self.carrier = Carrier(carrier, carrier_settings)
        self._clock = clock
        self._lag_timer: Handle | None = None
        self._notes = notes = RequestNotes(journals, clock, carrier, metrics, unix)
        self._errands = Errands(
            self.carrier, clock=clock, notes=notes, metrics=metrics,
            dial_options=dial_options, dialler=dialler, send_rest=send_rest, rest_proxy=rest_proxy,
        )  # fmt: skip
        self.hands = Hands(tools, clock, journals)
        self.calls = Calls(
            self.carrier, answer_for, self._errands,
            journals=journals, clock=clock, limits=limits, metrics=metrics, recorder=recorder, observer=observer,
            hands=self.hands,
            number_id=number_id, spending=spending,
            unix=unix,
        )  # fmt: skip
        self.gate = Gate(self.carrier, notes, metrics, oracle)
        self.streams = Streams(
            self.carrier, self.gate, self.calls,
            token_secret=token_secret, clock=clock, limits=limits, notes=notes, metrics=metrics,
        )  # fmt: skip
        self.talks = (
            Talks(Carrier(screen, screen.CarrierSettings()), self.calls,
                  secret=token_secret, clock=clock, limits=limits, metrics=metrics)
            if screen is not None else None
        )  # fmt: skip
        self.listening = Listening(self.calls, secret=token_secret, clock=clock)
        self.outbound = Outbound(self.carrier, self._errands, self.calls, journals=journals, clock=clock)
        self.webhooks = Webhooks(
            self.carrier, self.gate, self.calls, self.streams, self.outbound,
            clock=clock, notes=notes, metrics=metrics,
        )  # fmt: skip

    async def call_status(self, call_sid: str) -> str:
        """What the carrier says of a call; empty where it says nothing."""
        carrier = self.carrier
        result = await self._errands.rest("show", carrier.wire.show_call(carrier.settings, call_sid))
        return str(result.data.get("status", "")) if result.done else ""

    def screens(self, request: UpgradeRequest) -> Refusal | Listener | None:
        """Take the WebSocket of a screen: a call's, or of somebody who listens in; None for any other."""
        if self.talks is not None and request.path.endswith(self.talks.path):  # behind a prefix too
            return self.talks.upgrade(request)
        return self.listening.upgrade(request)

    def start(self) -> None:
        """Begin to watch the loop: work that blocks it is noted in every call that it hurt."""
        self._probe_lag(self._clock.now())

    def _probe_lag(self, due: float) -> None:
        now = self._clock.now()
        lag = now - due
        if lag > LAG_NOTED_S:
            self.metrics.loop_lag.observe(lag)
            for call in self.calls.running.values():
                call.journal.note("bridge.loop-lag", now, ms=round(lag * 1000))
        self._lag_timer = self._clock.call_at(now + LAG_PROBE_S, lambda: self._probe_lag(now + LAG_PROBE_S))

    async def drain(self) -> None:
        """Take no new calls and end the running ones; returns when nothing is left to do."""
        await self.outbound.stop()
        await self.calls.drain()
        self.streams.give_up("draining")
        if self.talks is not None:
            self.talks.give_up("draining")
        if self._lag_timer is not None:
            self._lag_timer.cancel()
        self._notes.tell()
        await self._errands.finish()
