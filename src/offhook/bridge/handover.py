"""
Another agent takes over in the same call: its session is opened beside the one that runs, and takes its place when it
is ready. Until then nothing changes for the caller; what was still to be heard of the old agent is heard.

Knows no provider and no agent.
"""

from __future__ import annotations

from collections.abc import Callable

from offhook import vocab as v
from offhook.bridge.control import Control
from offhook.bridge.responses import Responses
from offhook.bridge.session import Session
from offhook.bridge.state import State, Stream

__all__ = ["HandOver"]

_TAKE_OVER = "You take over the call now. Say in one short sentence who you are, and go on with what the caller wants."


class HandOver:
    """The hand-over of one call, if there is one; ``renew`` lets the parts go on with another session."""

    __slots__ = (
        "_asked", "_configure_sent", "_control", "_gap_from", "_next", "_renew", "_responses", "_s", "_session",
        "_since", "_unwritten",
    )  # fmt: skip

    def __init__(
        self,
        state: State,
        responses: Responses,
        session: Session,
        control: Control,
        renew: Callable[[float], None],
    ) -> None:
        self._s = state
        self._responses = responses
        self._session = session
        self._control = control
        self._renew = renew
        self._asked: v.HandOverAsked | None = None
        self._next: v.NextDialled | None = None
        self._configure_sent = False
        self._unwritten = False
        self._since = 0.0
        self._gap_from: float | None = None  # when the old agent was heard out

    def asked(self, event: v.HandOverAsked, now: float) -> None:
        s = self._s
        why = "a hand-over is under way already" if self._asked is not None else ""
        if s.stream is not Stream.OPEN or not s.session_ready:
            why = "the call is not one that can be spoken to now"
        if self._responses.leaving:
            why = "the agent takes leave already"
        if why:
            self._control.done(event.id, "hand-over", "refused", why)
            return
        self._asked, self._since, self._configure_sent = event, now, False
        s.note("handover.asked", agent=event.agent[:60])
        s.do(v.Redial(event.agent))
        s.expect("handover", s.settings.handover_s, now, lambda at: self._fail("it was not ready in time", at))

    def dialled(self, event: v.NextDialled, now: float) -> None:
        if self._asked is None:
            self._s.do(v.DropNext())
            return
        traits = event.traits
        if traits.audio_in != v.PCMU_8K or traits.audio_out != v.PCMU_8K:
            self._fail(f"its provider hears {traits.audio_in} and speaks {traits.audio_out}, not PCMU/8000", now)
            return
        self._next = event

    def failed(self, event: v.NextFailed, now: float) -> None:
        if self._asked is not None:
            self._fail(event.why, now)

    def heard(self, event: v.FromNext, now: float) -> None:
        """What the next agent's session says before it takes over."""
        next_, inner = self._next, event.event
        if self._asked is None or next_ is None:
            return
        match inner:
            case v.ProviderOpened() if next_.traits.speaks_first == "us":
                self._configure(now)
            case v.SessionGreeted():
                self._configure(now)
            case v.SessionConfigured(differences=differences):
                fatal = next((one for one in differences if one.fatal), None)
                if fatal is not None:
                    self._fail(f"its session was not applied: {fatal.field}", now)
                elif self._configure_sent:
                    self._swap(now)
            case v.SessionRejected(spares=True) if self._configure_sent and not self._unwritten:
                self._unwritten = True
                self._s.note("session.without", field=inner.field, code=inner.code, message=inner.message[:200])
                self._s.do(v.ToNext(v.ConfigureSession(transcribe=False)))
            case v.SessionRejected():
                self._fail(f"its session was rejected: {inner.field or inner.code}", now)
            case v.ProviderError(fatal=True):
                self._fail(f"its provider reports {inner.code}", now)

    def _configure(self, now: float) -> None:
        next_ = self._next
        if self._configure_sent or next_ is None:
            return
        self._configure_sent = True
        self._s.do(v.ToNext(v.ConfigureSession()))
        if not next_.traits.echoes_session:
            self._s.at("handover unconfirmed", now + self._s.settings.unconfirmed_s, self._swap)

    def _swap(self, now: float) -> None:
        s, next_, asked = self._s, self._next, self._asked
        if next_ is None or asked is None:
            return
        self._asked = self._next = None
        s.deadlines.met("handover", "handover unconfirmed")
        s.do(v.SwapProvider())
        s.provider, s.settings = next_.traits, next_.settings
        self._responses.renew()
        s.uplink.renew(now)
        self._session.renew(now)
        self._renew(now)
        self._gap_from = max(now, s.playback.idle_at())
        s.note("handover", agent=next_.agent[:60], ms=round((now - self._since) * 1000))
        self._control.done(asked.id, "hand-over", "done", f"{round((now - self._since) * 1000)} ms")
        self._responses.ask(now, _TAKE_OVER)

    def first_audio(self, now: float) -> None:
        """The new agent can be heard: how long the line was silent between the two."""
        if self._gap_from is not None:
            self._s.note("handover.heard", gap_ms=max(0, round((now - self._gap_from) * 1000)))
            self._gap_from = None

    def _fail(self, why: str, now: float) -> None:
        """The old agent stays, and knows."""
        s, asked = self._s, self._asked
        self._asked = self._next = None
        s.deadlines.met("handover", "handover unconfirmed")
        s.do(v.DropNext())
        s.note("handover.failed", why=why[:200])
        if asked is not None:
            self._control.done(asked.id, "hand-over", "failed", why)
        if s.ending is None:
            self._control.tell("The other agent cannot be reached. Tell the caller, and go on yourself.", now)
