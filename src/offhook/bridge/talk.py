"""
The conversation: the greeting first and never twice, the caller's speech, barge-in, keys.

Early speech. A caller who says "hello?" before the greeting is heard would kill it twice over: a provider that
stops its own response when it hears speech takes it for a barge-in, and so would we. So caller audio is held
back while the greeting's response is being made (a few hundred ms: models speak faster than real time), is sent
then in order with nothing lost, and what the provider reports of speech that was spoken before the greeting
began to play clears nothing. Speech over the greeting itself is a barge-in like any other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

from offhook import vocab as v
from offhook.bridge.ending import Ending
from offhook.bridge.responses import Responses
from offhook.bridge.state import State, Stream
from offhook.bridge.turns import Cut
from offhook.bridge.watch import Watch

__all__ = ["Talk"]


class Talk:
    """One call's conversation."""

    __slots__ = (
        "_ending", "_greeting", "_greeting_played_at", "_greeting_response", "_keys", "_s", "_speech_at",
        "_spoken_at", "_stopped_at", "_typed", "first_audio", "gather", "responses", "waits_for_hello", "watch",
    )  # fmt: skip

    def __init__(self, state: State, ending: Ending) -> None:
        self._s = state
        self._ending = ending
        self.responses = Responses(state, ending, self._first_audio)
        self.watch = Watch(state, ending, self.responses)
        self._greeting: Literal["none", "due", "asked", "over"] = "due" if state.settings.greeting else "none"
        self._greeting_response: str | None = None
        self._greeting_played_at: float | None = None
        self._speech_at: float | None = None  # when the speech that goes on was reported
        self._spoken_at = 0.0  # when it was spoken
        self._stopped_at: float | None = None  # the end of the caller's last words, until they are answered
        self._keys: list[str] = []  # pressed before anybody could be told
        self._typed: list[str] = []  # written before anybody could read it
        self.first_audio: Callable[[float], None] = lambda now: None  # of a response; for who waits for the next agent
        self.waits_for_hello = False  # of whoever we called: see ``pickup``
        self.gather: Callable[[str, float], bool] = lambda digit, now: False  # takes a key that is being collected

    # ------------------------------------------------------------------------------------- the beginning

    def maybe_ready(self, now: float) -> None:
        """Once both sides are ready: greet first, then let the caller be heard."""
        s = self._s
        if not s.session_ready or s.stream is not Stream.OPEN or s.ending is not None or self.waits_for_hello:
            return
        if self._greeting == "due":
            self._greeting = "asked"
            self.responses.asked = True
            s.do(v.Greet(text=s.greeting or ""))
            s.expect("greeting audio", s.settings.first_audio_s, now, self._no_greeting)
            s.at("greeting hold", now + s.settings.greeting_hold_s, self._release)
        elif self._greeting in ("none", "over"):
            self._release(now)

    def no_greeting_any_more(self, now: float) -> None:
        """A machine answered: nobody is greeted, and what is said next is not held back by it."""
        self._greeting = "over"
        self._s.uplink.forget()
        self._release(now)

    @property
    def greeted(self) -> bool:
        """Whether the greeting, if there is one, is over and the caller is heard."""
        return self._s.uplink.released_at is not None and self._greeting in ("none", "over")

    def _no_greeting(self, now: float) -> None:
        self._ending.fail("no greeting audio came", now)

    def _release(self, now: float) -> None:
        """Send what was held, oldest first; from now on frames go straight through."""
        s = self._s
        s.deadlines.met("greeting hold")
        if s.uplink.released_at is not None or s.ending is not None or not s.session_ready:
            return
        if s.uplink.held_ms:
            s.note("uplink.released", held_ms=s.uplink.held_ms)
        s.do(*s.uplink.release(now))
        s.milestone("M10", "caller audio goes to the provider", now)
        keys, self._keys = self._keys, []
        typed, self._typed = self._typed, []
        for digit in keys:
            self._tell_key(digit)
        s.do(*(v.TellAgent(text) for text in typed))
        if keys or typed:
            self._ask_for_key(now)

    def _first_audio(self, event: v.AgentAudio, now: float) -> None:
        s = self._s
        self.first_audio(now)
        if self._greeting == "asked" and self._greeting_played_at is None:
            self._greeting_played_at = now
        if self._stopped_at is not None:
            ms = round((now - self._stopped_at) * 1000)
            self._stopped_at = None
            s.record.reply(ms)
            s.note("reply", ms=ms)

    # ------------------------------------------------------------------------------------ the caller speaks

    def speech_started(self, event: v.SpeechStarted, now: float) -> bool:
        """True when it is a barge-in, or would be if the agent spoke."""
        s = self._s
        self._speech_at = now
        self._spoken_at = s.uplink.spoken_at(event.at_ms, now)
        self._stopped_at = None
        s.last_word_at = now
        self.responses.caller_speaking = True
        s.deadlines.met("answer")
        self.watch.speech_started(now)
        s.milestone("M11", "speech heard by the provider", now)
        if self._is_early(now):
            played = self._greeting_played_at
            before = None if played is None else round((played - self._spoken_at) * 1000)
            s.note("speech.early", ms_before_greeting=before)
            return False
        self._barge_in(now, by_caller_speech=True)
        return True

    def _is_early(self, now: float) -> bool:
        """Whether the speech just reported was spoken before the greeting could be heard."""
        played, released = self._greeting_played_at, self._s.uplink.released_at
        if self._greeting not in ("asked", "over"):
            return False
        if played is None:
            return self._greeting == "asked"
        if released is None or now - released > self._s.settings.early_report_s:
            return False
        return self._spoken_at < played

    def _barge_in(self, now: float, *, by_caller_speech: bool) -> None:
        """The caller takes the word: what is unheard goes, and the model is told what was heard."""
        self.responses.cancel(by_caller_speech=by_caller_speech)
        for cut in self.take_back(now):
            self._s.record.barge_in(
                now, item=cut.item_id, heard_ms=cut.heard_ms, proven_ms=cut.proven_ms, sent_ms=cut.sent_ms
            )
            self._s.note(
                "barge-in", item=cut.item_id, heard_ms=cut.heard_ms, proven_ms=cut.proven_ms, sent_ms=cut.sent_ms,
                proven_by=self._s.playback.proven,
            )  # fmt: skip

    def take_back(self, now: float) -> Sequence[Cut]:
        """Drop what the caller has not heard, and tell the model what was heard; what was cut."""
        s = self._s
        if s.stream is not Stream.OPEN or s.on_hold or now < s.keys_until or not s.playback.may_be_unplayed(now):
            return ()
        s.do(v.ClearPlayback())
        cuts = s.playback.clear(now)
        if s.provider.truncates:
            s.do(*(v.Truncate(cut.item_id, cut.content_index, cut.heard_ms) for cut in cuts if cut.response_id))
        return cuts

    def speech_stopped(self, event: v.SpeechStopped, now: float) -> float:
        """Seconds that the caller spoke, by when it was reported."""
        s = self._s
        spoke_s = now - self._speech_at if self._speech_at is not None else 0.0
        # not before it began, whatever the provider's clock says
        self._stopped_at = max(s.uplink.spoken_at(event.at_ms, now), self._spoken_at)
        self._speech_at = None
        s.last_word_at = now
        self.responses.caller_speaking = False
        self.watch.speech_stopped()
        self.responses.due = s.provider.turn_events
        if not self.responses.leaving:
            self.responses.await_answer(now)
        return spoke_s

    def transcript(self, event: v.CallerTranscript, now: float) -> None:
        record = self._s.record
        if event.final:
            self._s.last_word_at = now
            record.use(event.usage)
            record.partials.pop(event.item_id, None)
        else:
            record.piece("caller", event.item_id, event.text)

    # --------------------------------------------------------------------------------- the agent's responses

    def response_started(self, event: v.ResponseStarted, now: float) -> None:
        if self._greeting == "asked" and self._greeting_response is None:
            self._greeting_response = event.response_id
        self.responses.started(event, now)

    def response_done(self, event: v.ResponseDone, now: float) -> None:
        s = self._s
        mute = self.responses.done(event, now)
        if self._greeting == "asked" and self._greeting_response in (None, event.response_id):
            self._greeting = "over"
            s.deadlines.met("greeting audio")
            if event.status == "failed":
                self._ending.fail(f"responses fail: {event.reason or event.status}", now)
                return
            self._release(now)
            if mute:  # nothing was heard of it, so saying it now is not saying it twice
                self.responses.ask(now, f"Greet the caller with these words: {s.greeting}")

    # ------------------------------------------------------------------------------------------------- keys

    def key(self, event: v.KeyPressed, now: float) -> None:
        """A key is a word of the caller's: it interrupts the agent and is answered."""
        s = self._s
        s.last_word_at = now
        s.record.totals["keys"] += 1
        s.private.key(now)
        s.note("key", digit=event.digit if s.settings.note_digits else v.MASKED)
        if not self._may_be_told:
            self._keys.append(event.digit)  # not lost, and no reason to cut a greeting that nobody has heard
            return
        if s.on_hold:
            return  # on record; the music goes on, and the agent is not asked
        if s.provider.turn_events:
            self._barge_in(now, by_caller_speech=False)
        if self.gather(event.digit, now):
            return
        self._tell_key(event.digit)
        self._ask_for_key(now)

    @property
    def _may_be_told(self) -> bool:
        """Whether the agent can be told something now, and no greeting is cut that nobody has heard."""
        unheard_greeting = self._greeting == "due" or (self._greeting == "asked" and self._greeting_played_at is None)
        return self._s.session_ready and self._s.stream is Stream.OPEN and not unheard_greeting

    def typed(self, event: v.CallerTyped, now: float) -> None:
        """A written line is a turn of the caller's: it interrupts the agent and is answered."""
        s = self._s
        s.last_word_at = now
        s.note("typed", text=event.text)
        if not self._may_be_told:
            self._typed.append(event.text)
            return
        if s.provider.turn_events:
            self._barge_in(now, by_caller_speech=False)
        s.do(v.TellAgent(event.text))
        if not s.on_hold:
            self._ask_for_key(now)

    def _tell_key(self, digit: str) -> None:
        self._s.do(v.TellAgent(text=f"The caller pressed key {digit}."))

    def _ask_for_key(self, now: float) -> None:
        if self._s.provider.turn_events and not self.responses.caller_speaking:
            self.responses.ask(now)
