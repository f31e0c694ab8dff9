"""
The provider session from the dial to "configured", and its errors: each step confirmed, or the call ends by name.

Knows no provider: its manners come as traits.
"""

from __future__ import annotations

from collections.abc import Callable

from offhook import vocab as v
from offhook.bridge.ending import Ending
from offhook.bridge.state import State, Stream

__all__ = ["Session"]

_STEPS = ("provider open", "first message", "session configured")

# A session shorter than five minutes is none that anybody offers, one of more than a day neither: a clock is wrong.
EXPIRES_S = (300.0, 86_400.0)


class Session:
    """One call's provider session; ``on_ready(now)`` is called once, when it may be spoken to."""

    def __init__(self, state: State, ending: Ending, on_ready: Callable[[float], None]) -> None:
        self._s = state
        self._ending = ending
        self._on_ready = on_ready
        self._dialled = 0
        self._began = 0.0
        self._configure_sent = False
        self._unwritten = False  # the provider has nobody who writes down what the caller says
        self._configure_due = False  # as soon as the briefing is there
        self._briefing: v.Briefed | None = None
        self._waits_for_briefing = state.settings.briefing_s > 0

    # ----------------------------------------------------------------------------------------- connecting

    def dial(self, now: float) -> None:
        """At the webhook, so that ringing and connecting go on at the same time."""
        s = self._s
        if not self._dialled:
            self._began = now
            s.expect("provider open", s.settings.open_s, now, self._never("provider never opened"))
            if self._waits_for_briefing:
                s.at("briefing", now + s.settings.briefing_s, self._unbriefed)
        self._dialled += 1
        s.do(v.DialProvider(attempt=self._dialled))

    def _never(self, why: str) -> Callable[[float], None]:
        return lambda now: self._ending.fail(why, now)

    def dial_failed(self, event: v.DialFailed, now: float) -> None:
        s = self._s
        s.note("dial.failed", phase=event.phase, cause=event.cause[:200], status=event.status)
        in_time = now - self._began < s.settings.redial_within_s
        if event.retryable and self._dialled == 1 and in_time and s.ending is None:
            self.dial(now)
            return
        self._ending.fail(f"provider {event.phase} failed", now)
        self._ending.provider_closed(now)

    def opened(self, event: v.ProviderOpened, now: float) -> None:
        s = self._s
        s.deadlines.met("provider open")
        s.provider_up = True
        if s.ending is not None:
            self._ending.provider_came_late(now)
            return
        s.milestone("M8", "provider open", now)
        limit = s.provider.session_limit_s
        if limit is not None:
            s.at("session limit", now + max(0.0, limit - s.settings.session_margin_s), self._time_up)
        if s.provider.speaks_first == "us":
            self._configure(now)
        else:
            s.expect("first message", s.settings.greeted_s, now, self._never("provider never greeted"))

    def greeted(self, event: v.SessionGreeted, now: float) -> None:
        self._s.deadlines.met("first message")
        if event.expires_unix is not None and self._s.settings.unix_s is not None:
            self._expires(event.expires_unix - self._s.settings.unix_s - now, now)
        if not self._configure_sent and not self._configure_due:
            self._s.milestone("M8a", "provider's first message", now)
            self._configure(now)

    def _expires(self, in_s: float, now: float) -> None:
        """
        The provider's own word on when it will cut the session; of it and of what is known of all sessions the earlier.

        It is told on another machine's clock: what would end a call at once, or after a day, tells that one is wrong.
        """
        s = self._s
        believed = EXPIRES_S[0] <= in_s <= EXPIRES_S[1]
        s.note("session.expires", in_s=round(in_s), believed=believed)
        due = now + in_s - s.settings.session_margin_s
        known = s.deadlines.at("session limit")
        if believed and (known is None or due < known):
            s.at("session limit", due, self._time_up)

    def renew(self, now: float) -> None:
        """Another provider's session has taken the place of the one that was."""
        limit = self._s.provider.session_limit_s
        self._s.deadlines.met("session limit")
        if limit is not None:
            self._s.at("session limit", now + max(0.0, limit - self._s.settings.session_margin_s), self._time_up)

    # ---------------------------------------------------------------------------------------- configuring

    def briefed(self, event: v.Briefed, now: float) -> None:
        """What was found out about the caller; in time it becomes part of what the agent is told."""
        s = self._s
        in_time = self._waits_for_briefing
        s.note(
            "lookup" if in_time else "lookup.came-late", outcome=event.outcome, source=event.source[:80],
            ms=round(event.ms), detail=event.detail[:200], resumed=event.resumed,
        )  # fmt: skip
        if not in_time:
            return
        s.deadlines.met("briefing")
        self._briefing = event
        if event.greeting is not None and s.greeting:
            s.greeting = event.greeting
        self._go_on(now)

    def _unbriefed(self, now: float) -> None:
        """Nobody waits longer than that to be greeted."""
        self._s.note("lookup", outcome="late", source="", ms=round(self._s.settings.briefing_s * 1000))
        self._go_on(now)

    def _go_on(self, now: float) -> None:
        self._waits_for_briefing = False
        if self._configure_due and self._s.ending is None:
            self._configure(now)

    def _configure(self, now: float) -> None:
        s = self._s
        self._configure_due = True
        if self._waits_for_briefing:
            return
        self._configure_sent = True
        given = self._briefing
        told = (given.instructions, given.language) if given else (None, None)
        s.do(v.ConfigureSession(*told, transcribe=not self._unwritten))
        name = "session configured"
        if s.provider.echoes_session:
            s.expect(name, s.settings.configured_s, now, self._never("provider never confirmed the session"))
        else:  # nothing will come, so nothing is missed; only a refusal is waited for
            s.at(name, now + s.settings.unconfirmed_s, self._unconfirmed)

    def _unconfirmed(self, now: float) -> None:
        self._s.note("session.unconfirmed")
        self._ready(now)

    def configured(self, event: v.SessionConfigured, now: float) -> None:
        s = self._s
        for difference in event.differences:
            s.note(
                "session.difference", field=difference.field, asked=difference.asked[:120],
                got=difference.got[:120], fatal=difference.fatal,
            )  # fmt: skip
        fatal = next((difference for difference in event.differences if difference.fatal), None)
        if fatal is not None:
            self._ending.fail(f"session not applied: {fatal.field}", now)
        elif self._configure_sent:
            s.deadlines.met("session configured")
            self._ready(now)

    def rejected(self, event: v.SessionRejected, now: float) -> None:
        """Without somebody who writes down the caller's words a call is a call; without anything else it is not."""
        if event.spares and not self._unwritten:
            self._unwritten = True
            self._s.note("session.without", field=event.field, code=event.code, message=event.message[:200])
            self._configure(now)
            return
        self._s.note("session.rejected", field=event.field, code=event.code, message=event.message[:200])
        self._ending.fail(f"session rejected: {event.field or event.code}", now)

    def _ready(self, now: float) -> None:
        if not self._s.session_ready:
            self._s.session_ready = True
            self._s.milestone("M9", "session configured", now)
            self._on_ready(now)

    # ----------------------------------------------------------------------------------- errors and the end

    def error(self, event: v.ProviderError, now: float) -> None:
        self._s.note(
            "provider.error", code=event.code, message=event.message[:200], field=event.field,
            benign=event.benign, fatal=event.fatal,
        )  # fmt: skip
        if event.fatal:
            self._ending.fail(f"provider error: {event.code}", now)

    def announced_end(self, event: v.SessionEnding, now: float) -> None:
        s = self._s
        s.note("session.ending", in_s=event.in_s, reason=event.reason[:80])
        left = max(0.0, (event.in_s or 0.0) - s.settings.session_margin_s)
        s.at("session limit", now + left, self._time_up)

    def _time_up(self, now: float) -> None:
        self._ending.finish("provider session limit", now, wanted=True, line=self._s.settings.time_up_line)

    def closed(self, event: v.LegClosed, now: float) -> None:
        s = self._s
        s.deadlines.met(*_STEPS)
        if s.stream is Stream.AWAY and event.by == "us":
            s.provider_gone = True  # the caller was given away: it was not needed any more
        elif s.ending is None:
            s.note("provider.lost", code=event.code, reason=event.reason[:80], by=event.by)
            s.provider_gone = True  # nothing is left to be closed
            self._ending.fail(f"provider closed: {event.code or 'connection dropped'}", now, line="provider_lost")
        self._ending.provider_closed(now)
