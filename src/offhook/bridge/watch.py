"""
What nobody reports: a provider that hears nothing, a dead line, a call without words, a call too long.

Acts on clocks alone; the conversation tells it what was heard.
"""

from __future__ import annotations

from offhook.bridge.ending import Ending
from offhook.bridge.responses import Responses
from offhook.bridge.state import State

__all__ = ["Watch"]


class Watch:
    """One call's watchdogs."""

    __slots__ = (
        "_ending", "_ever_heard", "_frames", "_last_loud_at", "_looks", "_nudges", "_responses", "_s",
    )  # fmt: skip

    def __init__(self, state: State, ending: Ending, responses: Responses) -> None:
        self._s = state
        self._ending = ending
        self._responses = responses
        self._looks = 0  # loud ones since the provider last showed that it hears
        self._last_loud_at = 0.0
        self._ever_heard = False
        self._nudges = 0  # since then
        self._frames = 0

    def begin(self, now: float) -> None:
        s = self._s
        s.last_word_at = now
        s.at("max call", now + s.settings.max_call_s, self._time_up)
        s.at("idle", now + s.settings.idle_s, self._look_idle)

    def resume(self, now: float) -> None:
        """The call has a stream again after it was in other hands."""
        s = self._s
        s.last_word_at = now
        s.at("max call", max(now, (s.record.began or now) + s.settings.max_call_s), self._time_up)
        s.at("idle", now + s.settings.idle_s, self._look_idle)
        s.at("frames", now + s.settings.frames_stop_s, self._look_for_frames)

    def _time_up(self, now: float) -> None:
        self._ending.finish("time limit", now, wanted=True, line=self._s.settings.time_up_line)

    def _look_idle(self, now: float) -> None:
        """Nobody has said a word for too long; what the agent said counts until it was heard."""
        quiet_since = max(self._s.last_word_at, min(now, self._s.playback.idle_at()))
        due = quiet_since + self._s.settings.idle_s
        if due <= now:
            self._ending.finish("idle", now, wanted=True, line=self._s.settings.idle_line)
        else:
            self._s.at("idle", due, self._look_idle)

    # --------------------------------------------------------------------------------- the caller's line

    def first_frame(self, now: float) -> None:
        self._s.deadlines.met("first caller frame")
        self._s.milestone("M7", "caller audio flows", now)
        self._s.at("frames", now + self._s.settings.frames_stop_s, self._look_for_frames)

    def _look_for_frames(self, now: float) -> None:
        s = self._s
        if s.uplink.frames == self._frames:
            s.missed("frames", s.settings.frames_stop_s)
            self._ending.carrier_dead("carrier stopped sending", now)
            return
        self._frames = s.uplink.frames
        s.at("frames", now + s.settings.frames_stop_s, self._look_for_frames)

    # ------------------------------------------------------------------------------ does the provider hear

    def loud(self, now: float) -> None:
        """
        The caller makes sound that goes to the provider.

        When the provider says nothing of it for long, it may be music, or the provider may have stopped
        listening while its connection lives. Asking it for an answer tells: a living one speaks, which
        mends the silence; a dead one misses the answer's deadline, and the caller is told. One that speaks when it is
        asked and has never heard a word is deaf: after ``max_deaf_nudges`` the caller is told as well. One that heard
        the caller before may be listening to music: it is asked again, each time after twice as long.
        """
        s = self._s
        self._last_loud_at = now
        waiting = self._responses.busy or self._responses.caller_speaking or "answer" in s.deadlines
        if waiting or not s.provider.turn_events or s.playback.unplayed_ms(now):
            return
        if "speech heard" not in s.deadlines:
            self._looks = 0
            s.at("speech heard", now + self._patience_s(), self._not_heard)
        self._looks += 1

    def _patience_s(self) -> float:
        return self._s.settings.speech_heard_s * (2 ** min(self._nudges, 6) if self._ever_heard else 1)

    def _not_heard(self, now: float) -> None:
        settings = self._s.settings
        if self._looks < settings.speech_heard_looks:
            return
        if self._nudges >= settings.max_deaf_nudges and not self._ever_heard:
            self._s.missed("speech heard", settings.speech_heard_s)
            self._ending.fail("the provider does not hear the caller", now)
            return
        self._nudge("speech heard", self._patience_s(), now)

    def speech_started(self, now: float) -> None:
        self._ever_heard = True
        self._nudges = 0
        self._s.deadlines.met("speech heard")
        self._s.at("speech end", now + self._s.settings.speech_end_s, self._look_for_end)

    def speech_stopped(self) -> None:
        self._s.deadlines.met("speech end")

    def _look_for_end(self, now: float) -> None:
        """A turn that goes on: right while the caller makes any sound, else its end was not reported."""
        wait = self._s.settings.speech_end_s
        if now - self._last_loud_at < wait / 3:
            self._s.at("speech end", now + wait, self._look_for_end)
            return
        self._responses.caller_speaking = False
        self._nudge("speech end", wait, now)

    def _nudge(self, name: str, waited_s: float, now: float) -> None:
        self._nudges += 1
        self._s.missed(name, waited_s)
        self._responses.ask(now, within_s=self._s.settings.first_audio_s)
