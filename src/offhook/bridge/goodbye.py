"""
How the agent takes leave: the goodbye of ``hang_up``, heard before the phone is hung up.

The phone is hung up when the goodbye was heard: the last mark is back, or the playback clock says so where marks
are lost, or the goodbye's cap has passed. A caller who has more to say than "bye" keeps the line open.
"""

from __future__ import annotations

from typing import Literal

from offhook import vocab as v
from offhook.bridge.ending import Ending
from offhook.bridge.responses import Responses
from offhook.bridge.state import State

__all__ = ["Goodbye"]

_GOODBYE = "Say a short goodbye to the caller."


class Goodbye:
    """One call's leave-taking."""

    __slots__ = (
        "_cap_at", "_ending", "_goodbye", "_interrupted", "_response", "_responses", "_s",
    )  # fmt: skip

    def __init__(self, state: State, ending: Ending, responses: Responses) -> None:
        self._s = state
        self._ending = ending
        self._responses = responses
        self._goodbye: Literal["", "asked", "said"] = ""
        self._response: str | None = None  # that says goodbye
        self._cap_at = 0.0
        self._interrupted = False  # the caller speaks over it

    def take(self, response: str | None, now: float) -> None:
        """Leave, once the goodbye was said and heard; ``response`` says it, or has none yet."""
        if not self._goodbye:
            self._take(response, now)

    def _take(self, response: str | None, now: float) -> None:
        self._goodbye = "asked"
        self._responses.leaving = True
        self._interrupted = self._responses.caller_speaking
        self._cap_at = now + self._s.settings.goodbye_s
        self._s.at("goodbye", self._cap_at, self._cap)
        self._s.deadlines.met("answer")
        if not self._responses.spoke(response):
            self._response = None
            self._responses.ask(now, _GOODBYE)
            return
        self._response = response
        if self._responses.running != response:
            self._said(now)

    # -------------------------------------------------------------------------------- how the goodbye goes

    def response_started(self, event: v.ResponseStarted) -> None:
        own = self._goodbye == "asked" and self._response is None
        if own and not self._responses.was_cancelled(event.response_id):
            self._response = event.response_id

    def response_done(self, event: v.ResponseDone, now: float) -> None:
        if self._goodbye == "asked" and event.response_id == self._response:
            self._said(now)

    def _said(self, now: float) -> None:
        """All of it has been sent."""
        s = self._s
        self._goodbye = "said"
        s.deadlines.met("answer")
        self._responses.last_mark(now)
        if self._interrupted:
            return
        if s.playback.unplayed_ms(now) == 0:
            self._heard(now)
            return
        s.at("goodbye", min(self._cap_at, s.playback.idle_at() + s.settings.mark_grace_s), self._cap)

    @property
    def awaits_marks(self) -> bool:
        return self._goodbye == "said"

    def marks_are_back(self, now: float) -> None:
        if self._goodbye == "said" and not self._interrupted:
            self._heard(now)

    def _cap(self, now: float) -> None:
        if self._interrupted:
            self._withdraw(now)
        else:
            self._heard(now)

    def _heard(self, now: float) -> None:
        self._goodbye = ""
        self._s.note("goodbye.heard", unplayed_ms=self._s.playback.unplayed_ms(now))
        self._ending.finish("agent hung up", now, wanted=True)

    # --------------------------------------------------------------------------------- the caller speaks on

    def caller_spoke(self, now: float) -> None:
        """Nobody is hung up on in the middle of a word."""
        if self._goodbye:
            self._interrupted = True
            self._s.at("goodbye", max(now, self._cap_at), self._cap)

    def caller_stopped(self, spoke_s: float, now: float) -> None:
        if not self._goodbye or not self._interrupted:
            return
        self._interrupted = False
        if spoke_s > self._s.settings.short_bye_s:
            self._withdraw(now)
        elif self._goodbye == "said":
            self._heard(now)

    def _withdraw(self, now: float) -> None:
        """More than "bye": the caller has something to say, so the line stays open."""
        self._goodbye = ""
        self._interrupted = False
        self._responses.leaving = False
        self._s.deadlines.met("goodbye")
        self._s.note("goodbye.withdrawn")
        if not self._responses.busy and not self._responses.caller_speaking:
            self._responses.await_answer(now)
