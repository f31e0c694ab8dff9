"""
What is asked from outside the call, by an API, a tool or a command: each asking gets one answer, ``Done``.

Here stands who does what; how it is done stands in ``sayings``, ``hold`` and ``keypad``. A call that is
ending does none of it and says so.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from offhook import vocab as v
from offhook.bridge.hold import Hold
from offhook.bridge.keypad import Keypad
from offhook.bridge.sayings import Sayings
from offhook.bridge.state import State
from offhook.bridge.talk import Talk

__all__ = ["ASKED", "Control"]

ASKED: dict[type[v.Event], str] = {
    v.SayAsked: "say", v.InjectAsked: "inject", v.MuteAsked: "mute", v.HoldAsked: "hold", v.DtmfAsked: "dtmf",
    v.CollectAsked: "collect", v.TransferAsked: "transfer", v.HandOverAsked: "hand-over", v.RecordingAsked: "record",
}  # fmt: skip
MOST_INJECTED = 20  # that wait for the session


class Control:
    """One call's answers to what is asked of it."""

    __slots__ = ("_injected", "_s", "_talk", "do", "hold", "keypad", "sayings")

    def __init__(self, state: State, talk: Talk) -> None:
        self._s = state
        self._talk = talk
        self.sayings = Sayings(state, talk.responses, lambda: talk.greeted)
        self.hold = Hold(state, talk)
        self.keypad = Keypad(state, talk.responses)
        talk.gather = self.keypad.key
        self._injected: deque[v.InjectAsked] = deque()  # that wait for a session, or for a free line
        self.do: dict[type[v.Event], Callable[[Any, float], None]] = {
            v.SayAsked: self._say,
            v.InjectAsked: self._inject,
            v.MuteAsked: self._mute,
            v.HoldAsked: self._hold,
            v.DtmfAsked: self._dtmf,
            v.CollectAsked: self._collect,
            v.RecordingAsked: self._record,
        }

    def asked(self, event: Any, now: float) -> None:
        """Something was asked; it is on record before it is done."""
        s, what = self._s, ASKED[type(event)]
        s.note("control.asked", id=event.id, what=what)
        if s.ending is not None:
            self.done(event.id, what, "refused", "the call is ending")
        else:
            self.do[type(event)](event, now)

    def done(self, id_: str, what: str, outcome: str, detail: str = "", value: str = "") -> None:
        self._s.note("control.done", id=id_, what=what, outcome=outcome, detail=detail[:200])
        self._s.do(v.Done(id_, what, outcome, detail, value))

    # --------------------------------------------------------------------------------------- what is asked

    def _say(self, event: v.SayAsked, now: float) -> None:
        self.sayings.say(event.text, now, lambda outcome, detail, at: self.done(event.id, "say", outcome, detail))

    def _inject(self, event: v.InjectAsked, now: float) -> None:
        if not event.text.strip():
            self.done(event.id, "inject", "refused", "text: got nothing")
        elif len(self._injected) >= MOST_INJECTED:
            self.done(event.id, "inject", "refused", f"{MOST_INJECTED} wait already")
        else:
            self._injected.append(event)
            self.pump(now)

    def pump(self, now: float) -> None:
        """
        What waited for the session goes as soon as it is there; what shall be answered waits for a free line.

        Free means: nobody speaks or is about to, and all that was said has been heard. An answer that came earlier
        would stand behind words which it does not know of, or be cut by them.
        """
        s = self._s
        while s.session_ready and s.ending is None and self._injected:
            event = self._injected[0]
            if event.respond and not self._free(now):
                break
            self._injected.popleft()
            s.do(v.TellAgent(event.text))
            if event.respond:
                self._talk.responses.ask(now)
            self.done(event.id, "inject", "told")
        self.sayings.pump(now)

    def _free(self, now: float) -> bool:
        s = self._s
        if not self._talk.greeted or s.shut or not self._talk.responses.free or not self.sayings.quiet:
            return False
        if s.playback.unplayed_ms(now):
            s.at("line free", s.playback.idle_at() + s.settings.mark_grace_s, self.pump)
            return False
        return True

    def tell(self, text: str, now: float) -> None:
        """Let the agent know something, and say it when the line is free."""
        self._injected.append(v.InjectAsked(text, respond=True))
        self.pump(now)

    def _mute(self, event: v.MuteAsked, now: float) -> None:
        self.hold.mute(event.who, event.on, now)
        self.done(event.id, "mute", "done", f"{event.who} {'on' if event.on else 'off'}")
        self.pump(now)

    def _hold(self, event: v.HoldAsked, now: float) -> None:
        why = self.hold.hold(now) if event.on else self.hold.resume(now)
        self.done(event.id, "hold", "refused" if why else "done", why or ("on" if event.on else "off"))
        self.pump(now)

    def _dtmf(self, event: v.DtmfAsked, now: float) -> None:
        self.keypad.press(event.digits, now, lambda outcome, detail, at: self.done(event.id, "dtmf", outcome, detail))

    def _collect(self, event: v.CollectAsked, now: float) -> None:
        def finish(outcome: str, detail: str, digits: str, at: float) -> None:
            self.done(event.id, "collect", outcome, detail, digits)

        self.keypad.collect(event, now, finish)

    def _record(self, event: v.RecordingAsked, now: float) -> None:
        why = self._s.private.asked(event, now)
        self.done(event.id, "record", "refused" if why else "done", why or ("on" if event.on else "paused"))

    # ------------------------------------------------------------------------------------- how it goes on

    @property
    def awaits_marks(self) -> bool:
        return bool(self._injected) or self.keypad.awaits_marks or self.sayings.awaits_marks

    def marks_are_back(self, now: float) -> None:
        self.keypad.marks_are_back(now)
        self.sayings.marks_are_back(now)
        self.pump(now)

    def response_done(self, event: v.ResponseDone, now: float) -> None:
        self.sayings.response_done(event, now)
        self.pump(now)
