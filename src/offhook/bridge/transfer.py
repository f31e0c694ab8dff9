"""
Giving the caller to somebody else, and taking them back when nobody picks up.

First what was said of it is heard: the announcement, or the words of the response that asked. Then the carrier is
asked by REST to dial; only it ends the stream, for a call whose stream *we* close cannot be given to anybody. The
provider's session lives on while it rings, so that a caller whom nobody takes is given back to an agent that knows
them. What became of it is told once: answered, busy, no-answer, failed, canceled, refused, withdrawn. Knows no wire.
"""

from __future__ import annotations

import re
from typing import Literal

from offhook import vocab as v
from offhook.bridge.control import Control
from offhook.bridge.ending import Ending
from offhook.bridge.state import State, Stream
from offhook.bridge.talk import Talk

__all__ = ["Next", "Transfer"]

Next = Literal["agent", "line", "end"]  # what becomes of a caller when the leg is over

_NUMBER = re.compile(r"\+[1-9]\d{6,14}\Z")
_SIP = re.compile(r"sips?:[^\s@<>\"']+@[^\s@<>\"']+\Z")
_BUSY_WORDS = {
    "busy": "the line there was busy",
    "no-answer": "nobody answered there",
    "failed": "the call there could not be made",
    "canceled": "the call there was given up",
    "refused": "the carrier refused it",
}


class Transfer:
    """The transfer of one call, if there is one."""

    __slots__ = (
        "_answered", "_asked", "_control", "_ending", "_how", "_old_socket", "_s", "_spoke_over", "_stage", "_talk",
        "next",
    )  # fmt: skip

    def __init__(self, state: State, talk: Talk, ending: Ending, control: Control) -> None:
        self._s = state
        self._talk = talk
        self._ending = ending
        self._control = control
        self._asked: v.TransferAsked | None = None
        # saying: what is said of it is on its way; asking: the carrier is asked; ringing, talking: the stream is gone
        self._stage: Literal["", "saying", "asking", "ringing", "talking", "back"] = ""
        self._answered = False
        self._how = ""
        self._spoke_over = False
        self._old_socket = False  # of the stream that ended; nobody has told us that it is closed
        self.next: Next = "end"

    # ----------------------------------------------------------------------------------------- asking

    def asked(self, event: v.TransferAsked, now: float) -> None:
        """Give the caller away: what is said of it first."""
        why = self._problem(event)
        if why:
            self._control.done(event.id, "transfer", "refused", why)
            return
        s = self._s
        if s.on_hold:
            self._control.hold.resume(now, silently=True)
        self._asked, self._stage, self._spoke_over, self._answered = event, "saying", False, False
        s.note("transfer.asked", announced=bool(event.announcement))
        if event.announcement:
            self._control.sayings.say(event.announcement, now, self._announced)
        else:
            self.look(now)
            if self._stage == "saying":
                s.at("transfer said", now + s.settings.goodbye_s, self._go)

    def _problem(self, event: v.TransferAsked) -> str:
        s = self._s
        if self._stage not in ("", "back"):
            return "a transfer is under way already"
        if not s.carrier.ends_by_rest:
            return "the carrier's REST is not set up: it wants the account and its token"
        if s.stream is not Stream.OPEN:
            return "the call has no stream"
        if not _NUMBER.match(event.target) and not _SIP.match(event.target):
            return "target: wanted +COUNTRY and number, or sip:name@host"
        return ""

    def _announced(self, outcome: str, detail: str, now: float) -> None:
        if self._stage != "saying":
            return
        if outcome == "interrupted" and self._spoke_over:
            return  # by "fine, thanks", or by a wish to stay: known when they have finished
        self._s.note("transfer.announced", outcome=outcome, detail=detail[:80])
        self._go(now)

    @property
    def awaits_marks(self) -> bool:
        return self._stage == "saying"

    def marks_are_back(self, now: float) -> None:
        self.look(now)

    def look(self, now: float) -> None:
        """A response ended, or marks came back: perhaps all that is said of it was heard."""
        if self._stage != "saying" or self._asked is None or self._asked.announcement or self._spoke_over:
            return
        if not self._talk.responses.busy and not self._talk.responses.caller_speaking:
            if self._s.playback.unplayed_ms(now) == 0:
                self._go(now)
            else:
                grace = self._s.settings.mark_grace_s
                self._s.at("transfer said", self._s.playback.idle_at() + grace, self._go)

    def caller_spoke(self) -> None:
        """A barge-in, over the announcement perhaps."""
        self._spoke_over = self._stage == "saying"

    def caller_stopped(self, spoke_s: float, now: float) -> None:
        """Whoever says more than "thank you" over the announcement wants to stay."""
        if self._stage != "saying" or not self._spoke_over:
            return
        if spoke_s > self._s.settings.short_bye_s:
            self._stage = ""
            self._answer("withdrawn", "the caller spoke over the announcement")
            self._s.do(v.TellAgent("The transfer was not made: the caller has something to say."))
        else:
            self._go(now)

    def _go(self, now: float) -> None:
        s, asked = self._s, self._asked
        if self._stage != "saying" or asked is None or (self._spoke_over and self._talk.responses.caller_speaking):
            return
        self._stage = "asking"
        s.deadlines.met("transfer said", "answer")
        s.do(v.Transfer(asked.target, s.settings.ring_s))
        s.expect("transfer accepted", s.settings.rest_s, now, lambda at: self._refused("no answer to the request", at))

    def accepted(self, event: v.TransferAccepted, now: float) -> None:
        s = self._s
        if self._stage not in ("asking", "ringing"):
            return
        s.deadlines.met("transfer accepted")
        if not event.ok:
            if self._stage == "ringing":  # the stream stopped all the same: the caller had left
                self._gone("caller hung up", now)
            else:
                self._refused(event.detail, now)
        elif self._stage == "asking":
            s.expect("stop", s.settings.stop_s, now, lambda at: self._refused("the stream went on", at))

    def _refused(self, detail: str, now: float) -> None:
        """The carrier did not take it, and the stream goes on: so does the talk."""
        self._stage = ""
        self._s.deadlines.met("transfer accepted", "stop")
        self._answer("refused", detail)
        self._tell("refused", now)

    def _answer(self, outcome: str, detail: str) -> None:
        """The one answer to whoever asked."""
        self._how = outcome
        if self._asked is not None and not self._answered:
            self._answered = True
            self._control.done(self._asked.id, "transfer", outcome, detail)

    def _tell(self, outcome: str, now: float) -> None:
        words = _BUSY_WORDS.get(outcome, outcome)
        self._s.do(v.TellAgent(f"The transfer failed: {words}. The caller is with you again. Tell them, and go on."))
        self._talk.responses.ask(now)

    # ------------------------------------------------------------------------------------------ away

    @property
    def away(self) -> bool:
        """Whether the call is in other hands; its stream is gone, and that is no end."""
        return self._stage in ("ringing", "talking")

    def stopped(self, now: float) -> bool:
        """The carrier ended the stream: True when it did so because we asked for it."""
        if self._stage != "asking":
            return False
        s = self._s
        self._stage = "ringing"
        s.milestone("M19", "stop seen", now)
        self._old_socket = True
        s.deadlines.drop_all(keep=("transfer accepted", "session limit", "provider reads"))
        s.cut_unheard(now)
        self._talk.responses.cancel(by_caller_speech=False)
        s.do(v.CloseStream())
        s.stream = Stream.AWAY
        s.note("transfer", state="ringing")
        s.expect("transfer result", s.settings.ring_s + s.settings.stop_s + 10.0, now, self._silent)
        return True

    def socket_closed(self) -> bool:
        """The carrier's socket is gone: True when it is the one of a stream that ended before."""
        old, self._old_socket = self._old_socket, False
        return old

    def _silent(self, now: float) -> None:
        self._answer("unknown", "the carrier told nothing of it")
        self._gone("nothing was heard of the transfer", now)

    def answered(self, event: v.TransferAnswered, now: float) -> None:
        if self._stage != "ringing":
            return
        self._stage = "talking"
        s = self._s
        s.deadlines.drop_all()
        s.note("transfer", state="answered")
        self._answer("answered", "")
        self._ending.close_provider(now)
        s.expect("transfer end", s.settings.talk_s, now, lambda at: self._gone("transferred", at))

    def finished(self, event: v.TransferFinished, now: float) -> None:
        """The leg is over: ``next`` says what the carrier is to do with the caller."""
        s = self._s
        if self._stage not in ("ringing", "talking"):
            return
        s.note("transfer", state=event.how, detail=event.detail[:80], seconds=event.seconds)
        if event.how in ("completed", "answered"):
            self._answer("answered", f"{event.seconds} s" if event.seconds is not None else "")
            self._gone("transferred", now)
            return
        asked = self._asked
        if asked is not None and asked.failed == "agent" and s.provider_up and not s.provider_gone:
            self._stage, self.next = "back", "agent"
            self._answer(event.how, event.detail)
            s.deadlines.met("transfer result")
            s.stream = Stream.EXPECTED
            s.expect("stream after webhook", s.settings.stream_s, now, self._ending.nobody_came)
            return
        self._answer(event.how, event.detail)
        self._gone(f"transfer failed: {event.how}", now)
        self.next = "line"

    def returned(self, now: float) -> None:
        """A caller whom nobody took has a stream again."""
        if self._stage != "back":
            return
        self._stage = ""
        self._talk.responses.caller_speaking = False  # the end of what they said over the old stream never came
        self._s.uplink.resume(now)
        self._talk.watch.resume(now)
        self._tell(self._how, now)

    def gone(self, event: v.CallGone, now: float) -> None:
        """The phone call is over, and no stream could have told."""
        if self.away:
            self._answer("canceled", "the caller left")
            self._gone("transferred" if self._stage == "talking" else "caller hung up", now)

    def drained(self, now: float) -> bool:
        """The server stops: a call in other hands goes on without us. True when it was one."""
        if not self.away:
            return False
        self._answer("unknown", "the server stopped")
        self._gone("transferred", now)
        return True

    def _gone(self, why: str, now: float) -> None:
        s = self._s
        self._stage = ""
        s.stream = Stream.GONE
        s.deadlines.met("transfer result", "transfer end", "transfer accepted", "stop")
        self._ending.finish(why, now, wanted=why != "nothing was heard of the transfer")
