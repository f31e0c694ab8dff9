"""
The call's state machine: who is connected, who speaks, what is waited for, and how it ends.

Takes events, returns commands; is told the time and never asks for it. Knows no wire, no socket and no clock.
Every step that the other side must confirm has a deadline with a name; a missed one is noted and acted upon.
"""

from __future__ import annotations

import base64
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from msgspec import Struct

from offhook import vocab as v
from offhook.media.levels import is_silence
from offhook.turns import BYTES_PER_S, Playback

__all__ = ["Bridge", "BridgeSettings"]

_Commands = Sequence[v.Command]
_NOTHING: tuple[v.Command, ...] = ()


# Audio that the clock counts as played may still be on its way to the phone for about so long.
ON_THE_WAY_S = 0.15


class BridgeSettings(Struct, frozen=True):
    """Every deadline and bound of a call. Seconds where the name ends in ``_s``."""

    greeting: str | None = None
    on_failure: Literal["say", "fall_through"] = "say"  # fall_through: the carrier's next verb runs
    # The carrier opens the stream right after the webhook's answer; ringing time is before the webhook.
    stream_s: float = 20.0
    start_s: float = 5.0  # connected and start come in the first packets
    first_frame_s: float = 5.0  # media flows from the start on, silence included
    open_s: float = 12.0  # the dialler's own limit is 10 s; this catches a dialler that never reports
    greeted_s: float = 5.0  # the first message follows the upgrade within 0.2 s at every provider measured
    configured_s: float = 5.0  # the echo follows within 0.2 s
    first_audio_s: float = 8.0  # a slow model's first word takes 2.5 to 6 s and is healthy
    answer_s: float = 20.0  # caller spoke, nothing came back: longer than any think time seen
    first_mark_s: float = 5.0  # after the audio before it has been played
    rest_s: float = 6.0  # the REST client's own limit is 5 s
    stop_s: float = 5.0  # stop follows a finished REST request within a second
    close_s: float = 1.0  # a provider session is closed within this time after the caller left
    goodbye_s: float = 20.0  # a goodbye that is longer is cut
    paused_s: float = 10.0  # a peer that does not read for so long is gone
    max_call_s: float = 3600.0
    idle_s: float = 300.0  # neither side said a word
    session_margin_s: float = 60.0  # the spoken ending comes so long before the provider's cut
    early_audio_s: float = 15.0  # caller audio kept until the provider is ready: 320 kB
    # Caller audio is held back while the greeting is being made (see _hold), but not for ever.
    greeting_hold_s: float = 6.0
    max_unplayed_s: float = 300.0  # half of what Twilio takes before it drops (10 min)
    silent_audio_s: float = 4.0  # so much digital silence from the provider is a fault, not a pause
    max_failed_responses: int = 3
    mark_every_bytes: int = 1600  # 200 ms


class Bridge:
    """
    One call. ``lines`` are spoken lines as PCMU bytes by name; a missing one is left unsaid and noted.

    Call ``on(event, now)`` for everything that happens, and ``on_timer(now)`` once ``next_deadline`` has passed.
    """

    def __init__(
        self,
        settings: BridgeSettings,
        provider: v.ProviderTraits,
        carrier: v.CarrierTraits,
        lines: Mapping[str, bytes],
    ) -> None:
        self._set = settings
        self._provider = provider
        self._carrier = carrier
        self._lines = lines
        self._timers: dict[str, tuple[float, Callable[[float], None]]] = {}
        self.next_deadline: float | None = None
        self._out: list[v.Command] = []
        self._began: float | None = None
        # carrier
        self._stream = False  # may be written to
        self._stream_gone = False
        self._stream_closing = False
        self._carrier_paused = False
        self._frames = 0
        # provider
        self._dialled = 0
        self._provider_up = False
        self._provider_gone = False
        self._configure_sent = False
        self._configured_at: float | None = None
        self._provider_paused = False
        self._failed_responses = 0
        self._response: str | None = None  # the one being made
        self._cancelled: deque[str] = deque(maxlen=32)
        self._ask_when_done = False
        self._ask_instructions: str | None = None
        # uplink
        self._open = False  # frames go straight through
        self._held: deque[v.CallerAudio] = deque()
        self._held_bytes = 0
        self._held_since: float | None = None
        self._appended_bytes = 0
        self._anchors: list[tuple[int, float]] = []  # position in appended bytes -> when it was spoken
        # downlink
        self._playback = Playback()
        self._since_mark = 0
        self._heard_any_mark = False
        self._silent_bytes = 0
        self._audible = False
        # the conversation
        self._greeting: Literal["none", "due", "asked", "heard"] = "due" if settings.greeting else "none"
        self._greeting_played_at: float | None = None
        self._speech_at: float | None = None
        self._stopped_speaking_at: float | None = None
        self._last_word_at = 0.0
        self._turns: list[dict[str, Any]] = []
        self._texts: dict[str, str] = {}
        self._barge_ins: list[dict[str, Any]] = []
        self._milestones: dict[str, float] = {}
        self._missed: list[dict[str, Any]] = []
        self._usage: dict[str, int] = {}
        self._counts = dict.fromkeys(
            ("early_dropped_bytes", "uplink_dropped_bytes", "downlink_dropped_bytes",
             "cancelled_dropped_bytes", "early_bytes"), 0,
        )  # fmt: skip
        # the end
        self._goodbye: Literal["", "asked", "said"] = ""
        self._goodbye_response: str | None = None
        self._ending: str | None = None  # why
        self._ending_wanted = False
        self._ending_line: str | None = None
        self._ended = False
        self._on: dict[type[v.Event], Callable[[Any, float], _Commands | None]] = {
            v.CallerAudio: self._on_caller_audio,
            v.AgentAudio: self._on_agent_audio,
            v.MarkReturned: self._on_mark,
            v.CallOffered: self._on_offered,
            v.StreamOpened: self._on_stream_opened,
            v.StreamStarted: self._on_stream_started,
            v.KeyPressed: self._on_key,
            v.StreamStopped: self._on_stream_stopped,
            v.ProviderOpened: self._on_provider_opened,
            v.DialFailed: self._on_dial_failed,
            v.SessionGreeted: self._on_greeted,
            v.SessionConfigured: self._on_configured,
            v.SessionRejected: self._on_rejected,
            v.SpeechStarted: self._on_speech_started,
            v.SpeechStopped: self._on_speech_stopped,
            v.ResponseStarted: self._on_response_started,
            v.AgentAudioDone: self._on_agent_audio_done,
            v.ResponseDone: self._on_response_done,
            v.CallerTranscript: self._on_caller_transcript,
            v.AgentTranscript: self._on_agent_transcript,
            v.ToolCalled: self._on_tool,
            v.ProviderError: self._on_provider_error,
            v.SessionEnding: self._on_session_ending,
            v.LegClosed: self._on_leg_closed,
            v.WritePaused: self._on_paused,
            v.WriteResumed: self._on_resumed,
            v.EndRequested: self._on_end_requested,
            v.HangUpFinished: self._on_hang_up_finished,
        }

    # ------------------------------------------------------------------------------------------ driving

    def on(self, event: v.Event, now: float) -> _Commands:
        """What shall be done because of ``event``."""
        if type(event) is v.CallerAudio and self._open:  # the path of every frame
            self._frames += 1
            self._appended_bytes += event.n_bytes
            return (v.AppendAudio(event.payload, event.n_bytes),)
        handler = self._on.get(type(event))
        if handler is None or self._ended:
            return _NOTHING
        done = handler(event, now)
        if done is not None:  # the two hot events answer directly
            return done
        return self._take()

    def on_timer(self, now: float) -> _Commands:
        """Act upon every deadline that has passed."""
        if self._ended:
            return _NOTHING
        for name, (when, act) in list(self._timers.items()):
            if when <= now and self._timers.get(name, (None,))[0] == when:
                self._drop_timer(name)
                act(now)
                if self._ended:
                    break
        return self._take()

    def _take(self) -> _Commands:
        out, self._out = self._out, []
        return out

    def _do(self, *commands: v.Command) -> None:
        if not self._ended:
            self._out.extend(commands)

    def _note(self, kind: str, **data: str | int | float | bool | None) -> None:
        self._do(v.Note(kind=kind, data=data))

    def _timer(self, name: str, when: float, act: Callable[[float], None]) -> None:
        if self._ended:
            return
        self._timers[name] = (when, act)
        self.next_deadline = min(at for at, _ in self._timers.values())

    def _drop_timer(self, *names: str) -> None:
        for name in names:
            self._timers.pop(name, None)
        self.next_deadline = min((at for at, _ in self._timers.values()), default=None)

    def _milestone(self, mid: str, what: str, now: float) -> None:
        if mid not in self._milestones:
            self._milestones[mid] = now
            self._note("milestone", id=mid, what=what)

    def _await(self, name: str, seconds: float, now: float, act: Callable[[float], None]) -> None:
        """Expect a confirmation; without it ``act`` runs, and the record says what was missed."""

        def missed(at: float) -> None:
            self._missed.append({"name": name, "waited_s": seconds})
            self._note("deadline.missed", name=name, waited_ms=round(seconds * 1000))
            act(at)

        self._timer(name, now + seconds, missed)

    # ------------------------------------------------------------------------- the carrier: begin and end

    def _begin(self, now: float) -> None:
        if self._began is None:
            self._began = now
            self._last_word_at = now
            self._timer("max call", now + self._set.max_call_s, self._time_up)
            self._timer("idle", now + self._set.idle_s, self._look_idle)
            self._dial()

    def _on_offered(self, event: v.CallOffered, now: float) -> None:
        self._begin(now)
        self._milestone("M1", "webhook received", now)
        self._await("stream after webhook", self._set.stream_s, now, self._no_stream)

    def _no_stream(self, now: float) -> None:
        if self._ending is None:
            self._finish("no stream followed the webhook", now, wanted=True)
        else:  # the provider had failed before, and nobody came to be told
            self._stream_gone = True
            self._provider_gone = True
            self._over(now)

    def _on_stream_opened(self, event: v.StreamOpened, now: float) -> None:
        self._begin(now)
        self._drop_timer("stream after webhook")
        self._milestone("M5", "carrier upgrade accepted", now)
        self._await("start", self._set.start_s, now, self._no_start)

    def _no_start(self, now: float) -> None:
        if self._ending is None:
            self._fail("carrier sent no start", now)
        self._close_stream(now)

    def _on_stream_started(self, event: v.StreamStarted, now: float) -> None:
        self._drop_timer("start")
        self._milestone("M6", "stream started", now)
        if event.audio != self._provider.audio_out or event.audio != self._provider.audio_in:
            self._note("format.unsupported", carrier=str(event.audio), provider=str(self._provider.audio_out))
            self._fail("audio formats do not match", now)
            return
        self._stream = True
        self._await("first caller frame", self._set.first_frame_s, now, self._keep_on)
        if self._ending is not None:  # the provider failed while the stream was on its way
            self._finish_now(now)
        else:
            self._maybe_ready(now)

    def _keep_on(self, now: float) -> None:
        """The missed confirmation is on record; nothing can be mended from here."""

    def _on_stream_stopped(self, event: v.StreamStopped, now: float) -> None:
        self._drop_timer("stop", "rest")
        self._milestone("M19", "stop seen", now)
        self._caller_left("caller hung up", now)

    def _caller_left(self, why: str, now: float) -> None:
        """The phone side is over, whoever ended it: everything is closed within ``close_s``."""
        if self._ending is None:
            self._ending, self._ending_wanted = why, True
            self._cut_unheard(now)
        self._stream = False
        self._open = False
        self._held.clear()
        self._close_provider(now)
        self._close_stream(now)
        self._maybe_over(now)

    def _on_leg_closed(self, event: v.LegClosed, now: float) -> None:
        if event.leg is v.Leg.CARRIER:
            self._stream_gone = True
            self._stream = False
            self._drop_timer("stream closed")
            if self._ending is None:
                self._ending = f"carrier connection lost: {event.code or 'no close frame'}"
                self._ending_wanted = event.by == "them" and event.code in (1000, 1001, 1005)
                self._cut_unheard(now)
            self._caller_left("caller hung up", now)
            return
        self._provider_gone = True
        self._provider_up = False
        self._open = False
        self._drop_timer("provider closed", "provider open", "first message", "session configured")
        if self._ending is None:
            self._note("provider.lost", code=event.code, reason=event.reason[:80], by=event.by)
            self._fail(f"provider closed: {event.code or 'connection dropped'}", now, line="provider_lost")
        else:
            self._maybe_over(now)

    def _maybe_over(self, now: float) -> None:
        if "stream after webhook" in self._timers or "start" in self._timers:
            return  # the caller is on the way, and shall be told why it ends
        no_stream = self._stream_gone or (not self._stream and not self._stream_closing)
        provider = self._provider_gone or not self._provider_up
        if self._ending is not None and no_stream and provider:
            self._over(now)

    def _over(self, now: float) -> None:
        if self._ended:
            return
        self._milestone("M20", "both sides closed", now)
        self._do(v.EndCall(wanted=self._ending_wanted, why=self._ending or "ended"))
        self._ended = True
        self._timers.clear()
        self.next_deadline = None

    # ------------------------------------------------------------------------------------- the provider

    def _dial(self) -> None:
        self._dialled += 1
        self._do(v.DialProvider(attempt=self._dialled))
        began = self._began or 0.0
        self._await("provider open", self._set.open_s, began, lambda at: self._fail("provider never opened", at))

    def _on_dial_failed(self, event: v.DialFailed, now: float) -> None:
        self._drop_timer("provider open")
        self._note("dial.failed", phase=event.phase, cause=event.cause[:200], status=event.status)
        early = now - (self._began or now) < 3.0
        if event.retryable and self._dialled < 2 and early and self._ending is None:
            self._dial()
            return
        self._provider_gone = True
        self._fail(f"provider {event.phase} failed", now)

    def _on_provider_opened(self, event: v.ProviderOpened, now: float) -> None:
        self._drop_timer("provider open")
        self._provider_up = True
        if self._ending is not None:
            self._close_provider(now)
            return
        self._milestone("M8", "provider open", now)
        limit = self._provider.session_limit_s
        if limit is not None:
            self._timer("session limit", now + limit - self._set.session_margin_s, self._time_up)
        if self._provider.speaks_first == "us":
            self._configure(now)
        else:
            self._await("first message", self._set.greeted_s, now, lambda at: self._fail("provider never greeted", at))

    def _on_greeted(self, event: v.SessionGreeted, now: float) -> None:
        self._drop_timer("first message")
        if not self._configure_sent:
            self._milestone("M8a", "provider's first message", now)
            self._configure(now)

    def _configure(self, now: float) -> None:
        self._configure_sent = True
        self._do(v.ConfigureSession())
        if self._provider.echoes_session:
            self._await(
                "session configured",
                self._set.configured_s,
                now,
                lambda at: self._fail("provider never confirmed the session", at),
            )
        else:
            self._await("session configured", self._set.configured_s, now, self._unconfirmed)

    def _unconfirmed(self, now: float) -> None:
        self._note("session.unconfirmed")
        self._ready_provider(now)

    def _on_configured(self, event: v.SessionConfigured, now: float) -> None:
        self._drop_timer("session configured")
        for difference in event.differences:
            self._note(
                "session.difference",
                field=difference.field,
                asked=difference.asked[:120],
                got=difference.got[:120],
                fatal=difference.fatal,
            )
        fatal = next((difference for difference in event.differences if difference.fatal), None)
        if fatal is not None:
            self._fail(f"session not applied: {fatal.field}", now)
        elif self._configured_at is None:
            self._ready_provider(now)

    def _on_rejected(self, event: v.SessionRejected, now: float) -> None:
        self._drop_timer("session configured")
        self._note("session.rejected", field=event.field, code=event.code, message=event.message[:200])
        self._fail(f"session rejected: {event.field or event.code}", now)

    def _ready_provider(self, now: float) -> None:
        self._configured_at = now
        self._milestone("M9", "session configured", now)
        self._maybe_ready(now)

    def _maybe_ready(self, now: float) -> None:
        """Both sides are ready: greet first, then let the caller be heard."""
        if self._configured_at is None or not self._stream or self._ending is not None:
            return
        if self._greeting == "due":
            self._greeting = "asked"
            self._do(v.Greet(text=self._set.greeting or ""))
            self._await_audio("greeting audio", now)
            self._timer("greeting hold", now + self._set.greeting_hold_s, self._release)
        elif self._greeting == "none":
            self._release(now)

    def _await_audio(self, name: str, now: float) -> None:
        self._await(name, self._set.first_audio_s, now, lambda at: self._fail(f"no {name} came", at))

    def _on_provider_error(self, event: v.ProviderError, now: float) -> None:
        self._note(
            "provider.error", code=event.code, message=event.message[:200], field=event.field,
            benign=event.benign, fatal=event.fatal,
        )  # fmt: skip
        if event.fatal:
            self._fail(f"provider error: {event.code}", now)

    def _on_session_ending(self, event: v.SessionEnding, now: float) -> None:
        self._note("session.ending", in_s=event.in_s, reason=event.reason[:80])
        left = max(0.0, (event.in_s or 0.0) - self._set.session_margin_s)
        self._timer("session limit", now + left, self._time_up)

    # ------------------------------------------------------------------------------------------- uplink

    def _on_caller_audio(self, event: v.CallerAudio, now: float) -> _Commands | None:
        self._frames += 1
        return self._hold(event, now)

    def _hold(self, event: v.CallerAudio, now: float) -> _Commands | None:
        """
        Keep what the caller says until the provider may hear it.

        Until the session is configured it would be read in the wrong format. And while the greeting is being
        made it would kill it: a provider that stops its own response when it hears speech takes the caller's
        first "hello?" for a barge-in. So it is held until the greeting's response is complete (a few hundred
        ms: models speak faster than real time), and sent then, in order, nothing lost.
        """
        if self._frames == 1:
            self._drop_timer("first caller frame")
            self._milestone("M7", "caller audio flows", now)
        if self._ending is not None:
            return self._take()
        if self._provider_paused:
            self._counts["uplink_dropped_bytes"] += event.n_bytes
            return self._take()
        if not self._held:
            self._held_since = now
        self._held.append(event)
        self._held_bytes += event.n_bytes
        self._counts["early_bytes"] += event.n_bytes
        while self._held_bytes > self._set.early_audio_s * BYTES_PER_S:
            dropped = self._held.popleft()
            self._held_bytes -= dropped.n_bytes
            self._counts["early_dropped_bytes"] += dropped.n_bytes
            if self._held_since is not None:
                self._held_since += dropped.n_bytes / BYTES_PER_S
        return self._take()

    def _release(self, now: float) -> None:
        """Send what was held, oldest first; from now on frames go straight through."""
        self._drop_timer("greeting hold")
        if self._open or self._ending is not None or self._configured_at is None:
            return
        if self._held and self._held_since is not None:
            self._anchors.append((self._appended_bytes, self._held_since))
            self._note("uplink.released", held_ms=self._held_bytes // 8)
        for frame in self._held:
            self._appended_bytes += frame.n_bytes
            self._do(v.AppendAudio(frame.payload, frame.n_bytes))
        self._held.clear()
        self._held_bytes = 0
        self._anchors.append((self._appended_bytes, now))
        self._open = not self._provider_paused
        self._milestone("M10", "caller audio goes to the provider", now)

    def _spoken_at(self, at_ms: int | None, now: float) -> float:
        """When the audio at ``at_ms`` of the provider's clock was spoken, on ours."""
        if at_ms is None:
            # The wire does not say. Right after a release the provider is still hearing what was held.
            if self._anchors and now - self._anchors[-1][1] < 1.0 and len(self._anchors) > 1:
                return self._anchors[0][1]
            return now
        position = at_ms * 8
        for start, spoken in reversed(self._anchors):
            if position >= start:
                return min(now, spoken + (position - start) / BYTES_PER_S)
        return now

    # ----------------------------------------------------------------------------------------- downlink

    def _on_agent_audio(self, event: v.AgentAudio, now: float) -> _Commands | None:
        if self._ending is not None or event.response_id in self._cancelled or not self._stream:
            self._counts["cancelled_dropped_bytes"] += event.n_bytes
            return _NOTHING
        if event.response_id != self._response or not self._audible:
            self._on_audio_news(event, now)
            if self._ending is not None:
                return self._take()
        if self._carrier_paused:
            self._counts["downlink_dropped_bytes"] += event.n_bytes
            return self._take()
        playback = self._playback
        playback.sent(event.item_id, event.response_id, event.content_index, event.n_bytes, now)
        since = self._since_mark + event.n_bytes
        play = v.PlayAudio(event.payload, event.n_bytes)
        if since < self._set.mark_every_bytes:
            self._since_mark = since
            if self._out:
                return (*self._take(), play)
            return (play,)
        self._since_mark = 0
        mark = v.SetMark(playback.mark(now))
        if playback.idle_at() - now > self._set.max_unplayed_s:
            self._too_far_ahead(now)
        if self._out:
            return (*self._take(), play, mark)
        return (play, mark)

    def _on_audio_news(self, event: v.AgentAudio, now: float) -> None:
        """The first audio of a response, or audio that nobody could hear so far."""
        self._response = event.response_id
        self._drop_timer("greeting audio", "answer", "goodbye audio")
        self._milestone("M14", "first provider audio", now)
        if self._greeting == "asked" and self._greeting_played_at is None:
            self._greeting_played_at = now
        if self._stopped_speaking_at is not None:
            self._turns.append({"at": now, "reply_ms": round((now - self._stopped_speaking_at) * 1000)})
            self._note("reply", ms=round((now - self._stopped_speaking_at) * 1000))
            self._stopped_speaking_at = None
        if is_silence(event.payload):
            self._silent_bytes += event.n_bytes
            if self._silent_bytes > self._set.silent_audio_s * BYTES_PER_S:
                self._note("provider.silent-audio", ms=self._silent_bytes // 8)
                self._fail("provider sends digital silence", now)
            return
        self._silent_bytes = 0
        self._audible = True
        self._last_word_at = now
        self._milestone("M15", "audible provider audio", now)
        if not self._heard_any_mark and self._carrier.returns_marks and "first mark" not in self._timers:
            due = event.n_bytes / BYTES_PER_S + self._set.first_mark_s
            self._await("first mark", due, now, self._keep_on)

    def _too_far_ahead(self, now: float) -> None:
        self._note("downlink.too-far-ahead", unplayed_ms=self._playback.unplayed_ms(now))
        self._fail("provider sent more audio than can be played", now)

    def _on_agent_audio_done(self, event: v.AgentAudioDone, now: float) -> None:
        if event.response_id not in self._cancelled:
            self._last_mark(now)

    def _last_mark(self, now: float) -> None:
        """One mark behind the last audio of an answer."""
        if self._since_mark and self._stream:
            self._since_mark = 0
            self._do(v.SetMark(self._playback.mark(now)))

    def _on_mark(self, event: v.MarkReturned, now: float) -> None:
        played = self._playback.mark_returned(event.name, now)
        if played and not self._heard_any_mark:
            self._heard_any_mark = True
            self._drop_timer("first mark")
            self._milestone("M17", "first mark back: the caller hears", now)
        self._playback.settle(now)
        if self._goodbye == "said" and self._playback.marks_waiting == 0:
            self._goodbye_heard(now)
        if "line heard" in self._timers and self._playback.marks_waiting == 0:
            self._drop_timer("line heard")
            self._hang_up(now)

    # ------------------------------------------------------------------------------------- conversation

    def _on_speech_started(self, event: v.SpeechStarted, now: float) -> None:
        spoken_at = self._spoken_at(event.at_ms, now)
        self._speech_at = now
        self._stopped_speaking_at = None
        self._last_word_at = now
        self._drop_timer("answer")
        self._milestone("M11", "speech heard by the provider", now)
        if self._greeting in ("asked", "heard") and (
            self._greeting_played_at is None or spoken_at < self._greeting_played_at
        ):
            # said before the greeting could be heard: no reason to cut it short
            self._note("speech.early", ms_before_greeting=self._ms_before_greeting(spoken_at))
            return
        self._barge_in(now)

    def _ms_before_greeting(self, spoken_at: float) -> int | None:
        if self._greeting_played_at is None:
            return None
        return round((self._greeting_played_at - spoken_at) * 1000)

    def _barge_in(self, now: float) -> None:
        """The caller speaks over the agent: what is unheard goes, and the model is told what was heard."""
        response = self._response
        if response is not None:
            self._cancelled.append(response)
            if not self._provider.cancels_itself:
                self._do(v.CancelResponse(response_id=response))
        self._since_mark = 0
        if not self._stream or now > self._playback.idle_at() + ON_THE_WAY_S:
            return
        self._do(v.ClearPlayback())
        cuts = self._playback.clear(now)
        if self._provider.truncates:
            for cut in cuts:
                if not cut.item_id.startswith("line:"):
                    self._do(v.Truncate(cut.item_id, cut.content_index, cut.heard_ms))
        for cut in cuts:
            self._barge_ins.append({"at": now, "item": cut.item_id, "heard_ms": cut.heard_ms, "sent_ms": cut.sent_ms})
            self._note(
                "barge-in", item=cut.item_id, heard_ms=cut.heard_ms, sent_ms=cut.sent_ms,
                proven_by=self._playback.proven,
            )  # fmt: skip

    def _cut_unheard(self, now: float) -> None:
        """The caller left: what was not played by now never will be."""
        for cut in self._playback.clear(now):
            self._note("unheard", item=cut.item_id, heard_ms=cut.heard_ms, sent_ms=cut.sent_ms)

    def _on_speech_stopped(self, event: v.SpeechStopped, now: float) -> None:
        spoke_s = now - self._speech_at if self._speech_at is not None else 0.0
        self._speech_at = None
        self._stopped_speaking_at = self._spoken_at(event.at_ms, now)
        self._last_word_at = now
        if self._goodbye and spoke_s > 1.5:
            # more than "bye": the caller has something to say, so the line stays open
            self._goodbye = ""
            self._drop_timer("goodbye", "goodbye audio")
            self._note("goodbye.withdrawn", spoke_ms=round(spoke_s * 1000))
        if self._ending is None and not self._goodbye:
            self._await("answer", self._set.answer_s, now, lambda at: self._fail("the agent never answered", at))

    def _on_response_started(self, event: v.ResponseStarted, now: float) -> None:
        self._response = event.response_id
        self._audible = False
        self._milestone("M12", "response created", now)
        if self._goodbye == "asked" and self._goodbye_response is None:
            self._goodbye_response = event.response_id

    def _on_response_done(self, event: v.ResponseDone, now: float) -> None:
        for name, n in (event.usage or {}).items():
            self._usage[name] = self._usage.get(name, 0) + n
        if self._response == event.response_id:
            self._response = None
        if event.response_id not in self._cancelled:
            self._last_mark(now)
        self._drop_timer("answer", "greeting audio")
        if event.status == "failed" or (event.status == "incomplete" and event.reason != "max_output_tokens"):
            self._response_failed(event, now)
        else:
            self._failed_responses = 0
        if self._greeting == "asked":
            self._greeting = "heard"
            self._release(now)
        if self._goodbye == "asked" and event.response_id == self._goodbye_response:
            self._goodbye_said(now)
        elif self._ask_when_done:
            self._ask_when_done = False
            instructions, self._ask_instructions = self._ask_instructions, None
            self._ask(now, instructions)

    def _response_failed(self, event: v.ResponseDone, now: float) -> None:
        self._failed_responses += 1
        self._note("response.failed", status=event.status, reason=event.reason)
        if self._failed_responses >= self._set.max_failed_responses or self._greeting == "asked":
            self._fail(f"responses fail: {event.reason or event.status}", now)
        elif self._ending is None and not self._goodbye:
            self._await("answer", self._set.answer_s, now, lambda at: self._fail("the agent never answered", at))

    def _ask(self, now: float, instructions: str | None = None) -> None:
        self._do(v.AskResponse(instructions=instructions))
        self._await("answer", self._set.answer_s, now, lambda at: self._fail("the agent never answered", at))

    def _on_caller_transcript(self, event: v.CallerTranscript, now: float) -> None:
        if event.final:
            self._last_word_at = now

    def _on_agent_transcript(self, event: v.AgentTranscript, now: float) -> None:
        if event.final:
            self._texts[event.item_id] = event.text[:4000]

    def _on_key(self, event: v.KeyPressed, now: float) -> None:
        self._last_word_at = now
        self._note("key", digit=event.digit)
        if self._ending is not None or self._configured_at is None:
            return
        busy = self._response is not None
        self._barge_in(now)
        if busy and self._provider.cancels_itself and self._response is not None:
            # it stops itself for speech only; a key is ours to act upon
            self._do(v.CancelResponse(response_id=self._response))
        self._do(v.TellAgent(text=f"The caller pressed key {event.digit}."))
        if busy:
            self._ask_when_done = True  # never over a running response
        else:
            self._ask(now)

    # -------------------------------------------------------------------------------------------- tools

    def _on_tool(self, event: v.ToolCalled, now: float) -> None:
        self._note("tool", name=event.name[:60])
        if self._ending is not None:
            return
        if event.name != "hang_up":
            self._do(v.AnswerTool(event.tool_call_id, '{"error":"there is no tool of this name"}'))
            self._ask_after_tool(now)
            return
        if self._goodbye:
            return
        self._timer("goodbye", now + self._set.goodbye_s, self._goodbye_heard)
        self._do(v.AnswerTool(event.tool_call_id, '{"ok":true,"note":"the call ends after your goodbye"}'))
        spoke = any(item.response_id == event.response_id for item in self._playback.items.values())
        self._goodbye = "asked"
        if spoke:
            self._goodbye_response = event.response_id
            if self._response is None:
                self._goodbye_said(now)
        else:
            self._goodbye_response = None
            self._ask_after_tool(now, "Say a short goodbye to the caller.")

    def _ask_after_tool(self, now: float, instructions: str | None = None) -> None:
        if self._response is None:
            self._ask(now, instructions)
        else:
            self._ask_when_done = True
            self._ask_instructions = instructions

    def _goodbye_said(self, now: float) -> None:
        self._goodbye = "said"
        self._drop_timer("answer")
        self._last_mark(now)
        if self._playback.unplayed_ms(now) == 0:
            self._goodbye_heard(now)
            return
        # by mark, or by the clock with a second of grace where marks are lost
        grace = 1.0 if self._heard_any_mark else 0.3
        when = min(self._timers["goodbye"][0], self._playback.idle_at() + grace) if "goodbye" in self._timers else now
        self._timer("goodbye", when, self._goodbye_heard)

    def _goodbye_heard(self, now: float) -> None:
        self._drop_timer("goodbye", "goodbye audio", "answer")
        self._goodbye = ""
        self._note("goodbye.heard", unplayed_ms=self._playback.unplayed_ms(now))
        self._finish("agent hung up", now, wanted=True)

    # ---------------------------------------------------------------------------------------- endings

    @property
    def ending_wanted(self) -> bool:
        """Whether the call is ending, or has ended, as somebody intended."""
        return self._ending is not None and self._ending_wanted

    def _fail(self, why: str, now: float, line: str = "provider_failed") -> None:
        """The call cannot go on: never in silence."""
        self._finish(why, now, wanted=False, line=line)

    def _time_up(self, now: float) -> None:
        self._finish("time limit", now, wanted=True, line="time_up")

    def _look_idle(self, now: float) -> None:
        """Nobody has said a word for too long; what the agent said counts until it was heard."""
        quiet_since = max(self._last_word_at, min(now, self._playback.idle_at()))
        due = quiet_since + self._set.idle_s
        if due <= now:
            self._finish("idle", now, wanted=True, line="time_up")
        else:
            self._timer("idle", due, self._look_idle)

    def _on_end_requested(self, event: v.EndRequested, now: float) -> None:
        line = "draining" if event.why == "draining" else "time_up"
        self._finish(event.why, now, wanted=True, line=line)

    def _finish(self, why: str, now: float, *, wanted: bool, line: str | None = None) -> None:
        if self._ending is not None:
            return
        self._ending, self._ending_wanted = why, wanted
        self._ending_line = line
        self._open = False
        self._held.clear()
        self._note("ending", why=why, wanted=wanted)
        keep = ("stream after webhook", "start", "first caller frame")
        self._drop_timer(*(name for name in list(self._timers) if name not in keep))
        self._close_provider(now)
        if self._stream:
            self._finish_now(now)
        elif not self._stream_gone and ("stream after webhook" in self._timers or "start" in self._timers):
            pass  # the stream is on its way: the caller is told when it is there
        else:
            self._stream_gone = True
            self._maybe_over(now)

    def _finish_now(self, now: float) -> None:
        """Say the last line, if there is one, then hang up when it was heard."""
        line = self._ending_line
        fall_through = self._set.on_failure == "fall_through" and not self._ending_wanted
        if line is None or fall_through:
            self._hang_up(now)
            return
        audio = self._lines.get(line)
        if audio is None:
            self._note("line.missing", name=line)
            self._hang_up(now)
            return
        if self._playback.unplayed_ms(now):
            self._do(v.ClearPlayback())
            self._playback.clear(now)
        self._note("line", name=line)
        for start in range(0, len(audio), BYTES_PER_S):  # a second a message
            chunk = audio[start : start + BYTES_PER_S]
            self._playback.sent(f"line:{line}", "", 0, len(chunk), now)
            self._do(v.PlayAudio(base64.b64encode(chunk), len(chunk)))
        self._do(v.SetMark(self._playback.mark(now)))
        self._timer("line heard", self._playback.idle_at() + 1.0, self._hang_up)

    def _hang_up(self, now: float) -> None:
        fall_through = self._set.on_failure == "fall_through" and not self._ending_wanted
        if self._carrier.ends_by_rest and self._stream and not fall_through:
            self._do(v.HangUp(why=self._ending or "ended"))
            self._await("rest", self._set.rest_s, now, self._close_stream)
        else:
            self._close_stream(now)

    def _on_hang_up_finished(self, event: v.HangUpFinished, now: float) -> None:
        self._drop_timer("rest")
        if event.ok and self._stream:
            self._await("stop", self._set.stop_s, now, self._close_stream)
        else:
            self._close_stream(now)

    def _close_stream(self, now: float) -> None:
        if self._stream_gone or self._stream_closing:
            self._maybe_over(now)
            return
        self._stream = False
        self._stream_closing = True
        self._do(v.CloseStream(code=1000))
        self._await("stream closed", 2.0, now, self._stream_lost)

    def _stream_lost(self, now: float) -> None:
        self._stream_gone = True
        self._provider_gone = True
        self._over(now)

    def _close_provider(self, now: float) -> None:
        self._do(v.CloseProvider())
        if self._provider_up and not self._provider_gone:
            self._await("provider closed", self._set.close_s, now, self._provider_lost)

    def _provider_lost(self, now: float) -> None:
        self._provider_gone = True
        self._maybe_over(now)

    # ----------------------------------------------------------------------------------- backpressure

    def _on_paused(self, event: v.WritePaused, now: float) -> None:
        name = event.leg.value
        self._note("write.paused", leg=name, buffered_bytes=event.buffered_bytes)
        if event.leg is v.Leg.PROVIDER:
            # live speech that is late is worth less than the words that follow: what comes now is dropped
            self._provider_paused = True
            self._open = False
            self._await(
                f"{name} reads",
                self._set.paused_s,
                now,
                lambda at: self._fail("provider stopped reading", at),
            )
        else:
            self._carrier_paused = True
            self._await(f"{name} reads", self._set.paused_s, now, self._carrier_stuck)

    def _carrier_stuck(self, now: float) -> None:
        self._ending, self._ending_wanted = "carrier stopped reading", False
        self._close_provider(now)
        self._close_stream(now)

    def _on_resumed(self, event: v.WriteResumed, now: float) -> None:
        self._drop_timer(f"{event.leg.value} reads")
        self._note("write.resumed", leg=event.leg.value)
        if event.leg is v.Leg.CARRIER:
            self._carrier_paused = False
        else:
            self._provider_paused = False
            if self._milestones.get("M10") is not None and self._ending is None:
                self._anchors.append((self._appended_bytes, now))
                self._open = True

    # ------------------------------------------------------------------------------------------ record

    def summary(self) -> dict[str, Any]:
        """The call in figures, for its record."""
        began = self._began or 0.0

        def since(at: float) -> int:
            return round((at - began) * 1000)

        return {
            "end": {"why": self._ending or "", "wanted": self._ending_wanted},
            "milestones_ms": {name: since(at) for name, at in self._milestones.items()},
            "missed": self._missed,
            "frames_from_carrier": self._frames,
            "appended_bytes": self._appended_bytes,
            "played_bytes": self._playback.sent_bytes,
            "counts": self._counts,
            "marks": {
                "sent": self._playback.marks_sent,
                "played": self._playback.marks_played,
                "flushed": self._playback.marks_flushed,
                "unknown": self._playback.marks_unknown,
            },
            "heard_proven_by": self._playback.proven,
            "replies_ms": [turn["reply_ms"] for turn in self._turns],
            "barge_ins": [{**cut, "at": since(cut["at"])} for cut in self._barge_ins],
            "items": [
                {
                    "item": item.item_id,
                    "text": self._texts.get(item.item_id, ""),
                    "ms": item.n_bytes // 8,
                    "heard_ms": item.cut_at_ms if item.cut_at_ms is not None else item.n_bytes // 8,
                }
                for item in self._playback.items.values()
            ],
            "usage": self._usage,
        }
