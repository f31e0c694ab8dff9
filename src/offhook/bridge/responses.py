"""
The agent's responses: which one runs, which were cancelled, when to ask for the next, and their audio's way down.

A provider refuses a second response while one runs, so asks wait their turn. Knows nothing of greetings,
speech and tools: those parts ask and cancel here.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import NamedTuple

from offhook import vocab as v
from offhook.bridge.ending import Ending
from offhook.bridge.state import State, Stream
from offhook.bridge.turns import BYTES_PER_S
from offhook.media.levels import is_silence

__all__ = ["Responses", "Speech"]

_NOTHING: tuple[v.Command, ...] = ()
_OPEN = Stream.OPEN
_CANCELLED_KEPT = 32
# So much may pass before the bridge is told of it: more than a few pieces of speech hold, and marks that come late.
UNREAD_S = 60.0


class Speech(NamedTuple):
    """Audio that may go to the caller as it comes, until something else happens, and how far its marks are."""

    response_id: str
    item_id: str
    content_index: int
    since_mark: int  # bytes
    marks_sent: int
    marked: bool  # the carrier returns marks
    marks_awaited: bool  # something happens when the last one is back, so each has to be told at once


class Responses:
    """``on_first_audio(event, now)`` is called once for each response that can be heard."""

    __slots__ = (
        "_ask_next", "_began_audio", "_cancelled", "_cancelled_order", "_ending", "_failed", "_last_audio_at",
        "_last_done", "_mute", "_on_first_audio", "_s", "_silent_bytes", "_since_mark", "_sounding", "_stale",
        "_verbatim", "_with_tool", "asked", "caller_speaking", "due", "leaving", "running",
    )  # fmt: skip

    def __init__(self, state: State, ending: Ending, on_first_audio: Callable[[v.AgentAudio, float], None]) -> None:
        self._s = state
        self._ending = ending
        self._on_first_audio = on_first_audio
        self.running: str | None = None
        self.asked = False  # we asked, and nothing has begun yet
        self.caller_speaking = False
        self.due = False  # the caller has stopped, and the provider will answer unasked
        self.leaving = False  # the goodbye is on its way: nothing is asked again
        self._cancelled: set[str] = set()
        self._cancelled_order: deque[str] = deque()
        self._last_done: str | None = None
        self._sounding: str | None = None  # the response whose audio can be heard
        self._began_audio: str | None = None  # the response whose audio has begun, audible or not
        self._with_tool: str | None = None
        self._ask_next: list[str | None] = []  # instructions of the ask that waits, if one does
        self._stale = False  # something was added after the ask, before its response began
        self._verbatim = False  # what was asked last is a fixed text: nothing makes it stale
        self._last_audio_at = 0.0
        self._since_mark = 0
        self._silent_bytes = 0
        self._failed = 0
        self._mute = 0

    # ----------------------------------------------------------------------------------------- asking

    @property
    def busy(self) -> bool:
        return self.asked or self.running is not None

    @property
    def free(self) -> bool:
        """Nobody speaks, is asked to, or is about to answer."""
        waits = bool(self._ask_next) or "answer" in self._s.deadlines
        return not (self.busy or waits or self.caller_speaking or self.leaving)

    def ask(self, now: float, instructions: str | None = None, within_s: float | None = None) -> None:
        """Let the agent answer; after the response that runs, if one does."""
        s = self._s
        if s.ending is not None:
            return
        if s.on_hold:
            self._ask_next = [instructions]  # nobody would hear it
            return
        if self.busy:
            self._ask_next = [instructions]
            self._stale = self.asked and not self._verbatim
            cancelled = self.running is not None and self.running in self._cancelled
            self._await_end(now, s.settings.response_end_s if cancelled else s.settings.answer_s)
            return
        self._ask_next = []
        self.speak(v.AskResponse(instructions=instructions), now, within_s)

    def speak(self, command: v.Command, now: float, within_s: float | None = None) -> None:
        """Begin a response by ``command``, while none runs."""
        self.asked = True
        self._verbatim = type(command) is v.Say
        self._s.do(command)
        self.await_answer(now, within_s)

    def go_on(self, now: float) -> None:
        """
        Let the agent go on with what it was just given: a tool's result.

        A caller who speaks is answered anyway, with the result. One who has just stopped is answered too, but by a
        response that may have begun before the result was there: it is stopped, and asked for again.
        """
        if self.caller_speaking:
            return
        if self.due and not self.busy:
            self._ask_next = [None]
            self._stale = True
            self._await_end(now, self._s.settings.response_end_s)
            return
        self.ask(now)

    def await_answer(self, now: float, within_s: float | None = None) -> None:
        wait = self._s.settings.answer_s if within_s is None else within_s
        self._s.expect("answer", wait, now, lambda at: self._ending.fail("the agent never answered", at))

    def _await_end(self, now: float, within_s: float) -> None:
        def overdue(at: float) -> None:
            if at - self._last_audio_at < within_s and self.running not in self._cancelled:
                self._await_end(at, within_s)  # it is still speaking
                return
            self._s.missed("response end", within_s)
            self.running = None
            self.asked = self.due = False
            self.ask_next(at)

        self._s.at("response end", now + within_s, overdue)

    def ask_next(self, now: float) -> None:
        """The ask that waited; a caller who speaks will be answered anyway."""
        if self._ask_next and not self.busy and not self._s.on_hold:
            (instructions,), self._ask_next = self._ask_next, []
            if not self.caller_speaking:
                self.ask(now, instructions)

    def cancel(self, *, by_caller_speech: bool) -> None:
        """Stop the running response, and drop what still comes of it. Some providers stop it for speech themselves."""
        response = self.running
        self._since_mark = 0
        if response is None or response in self._cancelled:
            return
        self._cancelled.add(response)
        self._cancelled_order.append(response)
        if len(self._cancelled_order) > _CANCELLED_KEPT:
            self._cancelled.discard(self._cancelled_order.popleft())
        if not (by_caller_speech and self._s.provider.cancels_itself):
            self._s.do(v.CancelResponse(response_id=response))

    # --------------------------------------------------------------------------------- what they report

    def started(self, event: v.ResponseStarted, now: float) -> None:
        self.running = event.response_id
        self.asked = self.due = False
        self._sounding = None
        self._s.deadlines.met("speech heard")
        self._s.milestone("M12", "response created", now)
        if self._stale and self._ask_next:  # it does not know of what came after the ask
            self.cancel(by_caller_speech=False)
            self._await_end(now, self._s.settings.response_end_s)
        self._stale = False

    def tool_called(self, response_id: str | None) -> None:
        self._with_tool = response_id or self.running

    def renew(self) -> None:
        """Another session answers from here on: nothing of the old one is waited for."""
        if self.running is not None:
            self._cancelled.add(self.running)
        self.running, self.asked, self._ask_next, self._stale = None, False, [], False
        self.caller_speaking = False
        self._s.deadlines.met("answer", "response end", "speech heard", "speech end")

    def was_cancelled(self, response_id: str) -> bool:
        return response_id in self._cancelled

    def spoke(self, response_id: str | None) -> bool:
        """Whether audio of a response was sent to the caller."""
        items = self._s.playback.items.values()
        return response_id is not None and any(item.response_id == response_id for item in items)

    def done(self, event: v.ResponseDone, now: float) -> bool:
        """Book the end of a response; True when it was mute: complete, and nothing to hear or to do in it."""
        s, response = self._s, event.response_id
        s.record.use(event.usage)
        if s.ending is not None:
            return False
        if self.running == response:
            self.running = None
        self.asked = False
        self._last_done = response
        s.deadlines.met("response end")
        if response in self._cancelled or event.status == "cancelled":
            return False
        s.deadlines.met("answer")
        self.last_mark(now)
        if event.status == "failed" or (event.status == "incomplete" and event.reason != "max_output_tokens"):
            self._fails(event, now)
            return False
        self._failed = 0
        if self._sounding == response or self._with_tool == response or self.spoke(response):
            self._mute = 0
            return False
        self._is_mute(event, now)
        return True

    def _fails(self, event: v.ResponseDone, now: float) -> None:
        self._failed += 1
        self._s.note("response.failed", status=event.status, reason=event.reason)
        if self._failed >= self._s.settings.max_failed_responses:
            self._ending.fail(f"responses fail: {event.reason or event.status}", now)
        elif not self.leaving and not self.caller_speaking:
            self.ask(now)  # once more: the caller waits

    def _is_mute(self, event: v.ResponseDone, now: float) -> None:
        """Text without audio is silence to a caller, however well the provider thinks it goes."""
        if not self._s.provider.turn_events:
            return
        self._mute += 1
        self._s.note("response.mute", status=event.status, so_far=self._mute)
        if self._mute >= self._s.settings.max_mute_responses:
            self._ending.fail("responses carry no audio", now)

    # ------------------------------------------------------------------------------------------- audio

    def audio(self, event: v.AgentAudio, now: float) -> Sequence[v.Command]:
        """The path of every piece of the agent's speech."""
        s = self._s
        if event.response_id in self._cancelled or s.ending is not None or s.stream is not _OPEN:
            s.record.cancelled_dropped_bytes += event.n_bytes
            return _NOTHING
        if event.response_id != self._sounding:
            self._news(event, now)
            if s.ending is not None:
                return s.take()
        self._last_audio_at = now
        if s.shut:
            # The carrier does not read: what is written stays in order and is heard; what comes now would only be
            # heard late and grow. Or the agent is muted, or the caller on hold.
            s.record.downlink_dropped_bytes += event.n_bytes
            return s.take()
        playback = s.playback
        playback.sent(event.item_id, event.response_id, event.content_index, event.n_bytes, now)
        play = v.PlayAudio(event.payload, event.n_bytes)
        since = self._since_mark + event.n_bytes
        if since < s.settings.mark_every_bytes:
            self._since_mark = since
            return (*s.take(), play) if s.out else (play,)
        self._since_mark = 0
        if playback.idle_at() - now > s.settings.max_unplayed_s:
            s.note("downlink.too-far-ahead", unplayed_ms=playback.unplayed_ms(now))
            self._ending.fail("provider sent more audio than can be played", now)
            return s.take()
        mark = s.mark(now)
        if s.out or mark is None:
            return (*s.take(), play) if mark is None else (*s.take(), play, mark)
        return (play, mark)

    def speech(self, now: float, marks_awaited: bool) -> Speech | None:
        """The audio for which ``audio`` would do nothing but count and set marks; None while there is none."""
        s = self._s
        sounding, playback = self._sounding, s.playback
        if sounding is None or sounding in self._cancelled or s.ending is not None or s.stream is not _OPEN:
            return None
        item = next(reversed(playback.items.values()), None)
        if item is None or item.response_id != sounding or s.shut or s.out:
            return None
        if playback.idle_at() - now > s.settings.max_unplayed_s - UNREAD_S:
            return None
        marks_awaited = marks_awaited or not playback.marks_played
        return Speech(sounding, item.item_id, item.content_index, self._since_mark, playback.marks_sent,
                      s.carrier.returns_marks, marks_awaited)  # fmt: skip

    def _news(self, event: v.AgentAudio, now: float) -> None:
        """The first audio of a response, or of one that nobody could hear so far."""
        s = self._s
        if event.response_id != self._began_audio:
            self._began_audio = event.response_id
            s.deadlines.met("greeting audio", "answer", "speech heard")
            s.milestone("M14", "first provider audio", now)
            if self.running is None and event.response_id != self._last_done:
                self.running = event.response_id  # a provider that does not announce its responses
                self.asked = False
        if is_silence(event.payload):
            self._silent_bytes += event.n_bytes
            if self._silent_bytes > s.settings.silent_audio_s * BYTES_PER_S:
                s.note("provider.silent-audio", ms=self._silent_bytes // 8)
                self._ending.fail("provider sends digital silence", now)
            return
        self._silent_bytes = 0
        self._sounding = event.response_id
        s.last_word_at = now
        self._on_first_audio(event, now)
        if "M15" not in s.record.milestones:
            s.milestone("M15", "audible provider audio", now)
            if s.carrier.returns_marks:
                due = event.n_bytes / BYTES_PER_S + s.settings.first_mark_s
                s.expect("first mark", due, now, lambda at: None)  # on record; nothing can be mended from here

    def audio_done(self, event: v.AgentAudioDone, now: float) -> None:
        if event.response_id in self._cancelled:
            return
        s = self._s
        if s.agent_muted and s.provider.truncates and event.item_id not in s.playback.items:
            s.do(v.Truncate(event.item_id, 0, 0))  # the model shall not think that it was heard
        self.last_mark(now)

    def last_mark(self, now: float) -> None:
        """One mark behind the last audio of an answer."""
        s = self._s
        if self._since_mark and s.stream is _OPEN:
            self._since_mark = 0
            mark = s.mark(now)
            if mark is not None:
                s.do(mark)
