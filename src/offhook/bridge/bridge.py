"""
The call's state machine: takes events, returns commands; is told the time and never asks for it.

Here stand the two hot paths and the table of who acts on which event. The rules are in the parts, one file each:
``session`` (dial to configured), ``talk`` (greeting, speech, barge-in, keys), ``responses``
(the agent's responses and their audio), ``tools`` (hang_up and its goodbye), ``control`` (what is asked from outside
the call) with ``transfer``, ``handover``, ``hold``, ``keypad``, ``sayings`` and the model's own ``handles``, ``pickup``
(who answers a call that we placed), ``patience`` and ``watch`` (what nobody reports), ``ending`` (how a call ends).
Knows no wire, no socket and no clock.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, Protocol

from offhook import vocab as v
from offhook.bridge.control import ASKED, Control
from offhook.bridge.ending import Ending
from offhook.bridge.handles import Handles
from offhook.bridge.handover import HandOver
from offhook.bridge.patience import Patience
from offhook.bridge.pickup import Pickup
from offhook.bridge.responses import Speech
from offhook.bridge.session import Session
from offhook.bridge.settings import BridgeSettings
from offhook.bridge.state import State, Stream
from offhook.bridge.talk import Talk
from offhook.bridge.tools import Tools
from offhook.bridge.transfer import Next, Transfer
from offhook.bridge.uplink import LOOK_EVERY, is_loud

__all__ = ["Bridge", "BridgeSettings"]

_Commands = Sequence[v.Command]
_NOTHING: tuple[v.Command, ...] = ()

# Once a call is ending these change nothing: a late report of speech must not clear the last line, say.
_OVER_WITH_THE_TALK = frozenset(
    {
        v.CallerTyped, v.KeyPressed, v.SessionGreeted, v.SessionConfigured, v.SessionRejected, v.SpeechStarted,
        v.SpeechStopped, v.ResponseStarted, v.AgentAudioDone, v.ToolCalled, v.SessionEnding,
    }
)  # fmt: skip


class _Heard(Protocol):
    """A part that acts when all that was sent has been heard; while it ``awaits_marks`` it has to be told at once."""

    @property
    def awaits_marks(self) -> bool: ...

    def marks_are_back(self, now: float) -> None: ...


class Bridge:
    """
    One call. ``lines`` are spoken lines as PCMU bytes by name; a missing one is left unsaid and noted.

    Call ``on(event, now)`` for everything that happens, and ``on_timer(now)`` once ``next_deadline`` has come.
    """

    __slots__ = (
        "_control", "_ending", "_handles", "_handover", "_on", "_patience", "_pickup", "_responses", "_s", "_session",
        "_talk", "_tools", "_transfer", "_uplink", "agent_audio", "deadlines", "loud", "uplink",
    )  # fmt: skip

    def __init__(
        self,
        settings: BridgeSettings,
        provider: v.ProviderTraits,
        carrier: v.CarrierTraits,
        lines: Mapping[str, bytes],
    ) -> None:
        self._s = state = State(settings, provider, carrier, lines)
        self.uplink = self._uplink = state.uplink  # ``open`` says that frames go straight through: see ``passed``
        self.deadlines = state.deadlines
        self._ending = Ending(state)
        self._talk = Talk(state, self._ending)
        self._responses = self._talk.responses
        self._tools = Tools(state, self._ending, self._responses)
        self._control = Control(state, self._talk)
        self._session = Session(state, self._ending, self._on_ready)
        self._transfer = Transfer(state, self._talk, self._ending, self._control)
        self._control.do[v.TransferAsked] = self._transfer.asked
        self._pickup = Pickup(state, self._talk, self._ending, self._control)
        self._patience = Patience(state, self._talk, self._ending, self._control)
        self._handles = Handles(state, self._tools, self._control, self._responses)
        self._handover = HandOver(state, self._responses, self._session, self._control, self._renew)
        self._control.do[v.HandOverAsked] = self._handover.asked
        self._talk.first_audio = self._handover.first_audio
        self.loud = self._talk.watch.loud  # one of those frames was as loud as speech
        self.agent_audio = self._responses.audio  # what ``on`` does for AgentAudio, without the way there
        self._on: dict[type[v.Event], Callable[[Any, float], None]] = {
            v.CallerAudio: self._on_held_audio,
            v.MarkReturned: self._on_mark,
            v.CallOffered: self._on_offered,
            v.StreamOpened: self._on_stream_opened,
            v.StreamStarted: self._on_stream_started,
            v.StreamStopped: self._on_stopped,
            v.TransferAccepted: self._transfer.accepted,
            v.TransferAnswered: self._transfer.answered,
            v.TransferFinished: self._transfer.finished,
            v.CallGone: self._transfer.gone,
            v.PartyDetected: self._pickup.detected,
            v.NextDialled: self._handover.dialled,
            v.NextFailed: self._handover.failed,
            v.FromNext: self._handover.heard,
            v.KeyPressed: self._on_key,
            v.CallerTyped: self._on_typed,
            v.ProviderOpened: self._session.opened,
            v.Briefed: self._session.briefed,
            v.DialFailed: self._session.dial_failed,
            v.SessionGreeted: self._session.greeted,
            v.SessionConfigured: self._session.configured,
            v.SessionRejected: self._session.rejected,
            v.ProviderError: self._session.error,
            v.SessionEnding: self._session.announced_end,
            v.SpeechStarted: self._on_speech_started,
            v.SpeechStopped: self._on_speech_stopped,
            v.ResponseStarted: self._on_response_started,
            v.AgentAudioDone: self._responses.audio_done,
            v.ResponseDone: self._on_response_done,
            v.CallerTranscript: self._on_caller_transcript,
            v.AgentTranscript: self._on_agent_transcript,
            v.ToolCalled: self._tools.called,
            v.ToolFinished: self._tools.finished,
            v.LegClosed: self._on_leg_closed,
            v.WritePaused: self._on_paused,
            v.WriteResumed: self._on_resumed,
            v.EndRequested: self._on_end_requested,
            v.HangUpFinished: self._ending.hang_up_finished,
            **dict.fromkeys(ASKED, self._control.asked),
        }

    # ------------------------------------------------------------------------------------------ driving

    @property
    def next_deadline(self) -> float | None:
        """When ``on_timer`` has to be called."""
        return self._s.deadlines.next_at

    def on(self, event: v.Event, now: float) -> _Commands:
        """What shall be done because of ``event``."""
        kind = type(event)
        if kind is v.CallerAudio:
            up = self._uplink
            up.frames = frames = up.frames + 1
            if up.open:  # the path of every frame of the caller
                up.appended_bytes += event.n_bytes  # type: ignore[attr-defined]
                append = v.AppendAudio(event.payload, event.n_bytes)  # type: ignore[attr-defined]
                if not frames % LOOK_EVERY and is_loud(append.payload):
                    self._talk.watch.loud(now)
                return (append,)
        elif kind is v.AgentAudio:
            return self.agent_audio(event, now)  # type: ignore[arg-type]
        state = self._s
        handler = self._on.get(kind)
        if handler is None or state.ended or (state.ending is not None and kind in _OVER_WITH_THE_TALK):
            return _NOTHING
        state.now = now
        handler(event, now)
        return state.take() if state.out else _NOTHING

    def passed(self, frames: int, n_bytes: int, now: float, payload: bytes) -> None:
        """Frames of the caller went straight on while ``uplink.open``; ``payload``, if given, is looked at."""
        up = self._uplink
        up.frames += frames
        up.appended_bytes += n_bytes
        if payload and is_loud(payload):
            self._talk.watch.loud(now)

    @property
    def mark_every_bytes(self) -> int:
        return self._s.settings.mark_every_bytes

    def speech(self, now: float) -> Speech | None:
        """The agent's audio that may go on unread; ``on`` hears of it later, before anything else."""
        return self._responses.speech(now, any(part.awaits_marks for part in self._listeners()))

    def on_timer(self, now: float) -> _Commands:
        """Act upon every deadline that has come."""
        self._s.now = now
        self._s.deadlines.due(now)
        return self._s.take()

    # ------------------------------------------------------------------------------------- the carrier

    def _begin(self, now: float) -> None:
        if self._s.record.began is None:
            self._s.record.began = now
            self._talk.watch.begin(now)
            self._patience.begin(now)
            self._session.dial(now)

    def _on_offered(self, event: v.CallOffered, now: float) -> None:
        s = self._s
        if s.stream is not Stream.ABSENT:
            return
        s.stream = Stream.EXPECTED
        self._begin(now)
        s.milestone("M1", "webhook received", now)
        s.expect("stream after webhook", s.settings.stream_s, now, self._ending.nobody_came)

    def _on_stream_opened(self, event: v.StreamOpened, now: float) -> None:
        s = self._s
        if s.stream not in (Stream.ABSENT, Stream.EXPECTED):
            return
        s.stream = Stream.OPENING
        self._begin(now)
        s.deadlines.met("stream after webhook")
        s.milestone("M5", "carrier upgrade accepted", now)
        s.expect("start", s.settings.start_s, now, self._ending.no_start)

    def _on_stream_started(self, event: v.StreamStarted, now: float) -> None:
        s = self._s
        if s.stream is not Stream.OPENING:
            return
        s.deadlines.met("start")
        s.milestone("M6", "stream started", now)
        s.stream = Stream.OPEN
        if s.ending is not None:  # the provider failed while the stream was on its way
            self._ending.finish_now(now)
        elif event.audio != v.PCMU_8K or event.audio != s.provider.audio_out or event.audio != s.provider.audio_in:
            s.note("format.unsupported", carrier=str(event.audio), provider=str(s.provider.audio_out))
            s.stream = Stream.OPENING  # our lines are PCMU: in another format they would be noise
            self._ending.fail("audio formats do not match", now)
            self._ending.close_stream(now)
        else:
            if not self._uplink.frames:  # else the call comes back from a transfer
                s.expect("first caller frame", s.settings.first_frame_s, now, lambda at: None)  # on record, no more
            self._on_ready(now)
            self._transfer.returned(now)
            self._patience.begin(now)

    def _on_stopped(self, event: v.StreamStopped, now: float) -> None:
        if not self._transfer.stopped(now):
            self._ending.stopped(event, now)

    def _on_held_audio(self, event: v.CallerAudio, now: float) -> None:
        if self._uplink.frames == 1:
            self._talk.watch.first_frame(now)
            if self._uplink.begun():
                self._uplink.appended_bytes += event.n_bytes
                self._s.do(v.AppendAudio(event.payload, event.n_bytes))
                return
        if self._s.ending is not None:
            return
        if self._pickup.listens:
            self._pickup.frame(event, now)
        if self._uplink.muted:
            silence = self._uplink.silent(event)
            if silence is not None:
                self._s.do(silence)
            return
        self._uplink.hold(event, now)

    def _listeners(self) -> tuple[_Heard, ...]:
        return self._control, self._transfer, self._tools.goodbye, self._ending

    def _on_mark(self, event: v.MarkReturned, now: float) -> None:
        s = self._s
        if s.playback.mark_returned(event.name, now) and s.playback.marks_played == 1:
            s.deadlines.met("first mark")
            s.milestone("M17", "first mark back: the caller hears", now)
        s.playback.settle(now)
        if s.playback.marks_waiting == 0:
            for part in self._listeners():
                part.marks_are_back(now)

    # ------------------------------------------------------------------- events that concern several parts

    def _renew(self, now: float) -> None:
        """Another agent's session has taken the place of the one that was."""
        self._tools.renew(now)
        self._handles.renew()

    def _on_key(self, event: v.KeyPressed, now: float) -> None:
        self._patience.caller_did_something()
        self._talk.key(event, now)

    def _on_typed(self, event: v.CallerTyped, now: float) -> None:
        self._patience.caller_did_something()
        self._control.sayings.caller_spoke(now)
        self._talk.typed(event, now)

    def _on_ready(self, now: float) -> None:
        self._talk.maybe_ready(now)
        self._pickup.ready(now)
        self._control.pump(now)

    def _on_speech_started(self, event: v.SpeechStarted, now: float) -> None:
        self._patience.caller_did_something()
        if self._talk.speech_started(event, now):
            self._transfer.caller_spoke()
            self._control.sayings.caller_spoke(now)
            self._tools.goodbye.caller_spoke(now)
            self._tools.promises.caller_spoke(now)

    def _on_speech_stopped(self, event: v.SpeechStopped, now: float) -> None:
        spoke_s = self._talk.speech_stopped(event, now)
        self._tools.goodbye.caller_stopped(spoke_s, now)
        self._transfer.caller_stopped(spoke_s, now)

    def _on_response_started(self, event: v.ResponseStarted, now: float) -> None:
        self._talk.response_started(event, now)
        self._tools.goodbye.response_started(event)
        self._pickup.response_started()
        self._tools.promises.response_started(now)
        self._control.sayings.response_started(event.response_id, now)

    def _on_response_done(self, event: v.ResponseDone, now: float) -> None:
        self._talk.response_done(event, now)
        if self._s.ending is None:
            self._tools.goodbye.response_done(event, now)
            self._responses.ask_next(now)
            self._control.response_done(event, now)
            self._transfer.look(now)

    def _on_caller_transcript(self, event: v.CallerTranscript, now: float) -> None:
        self._talk.transcript(event, now)
        if event.final:
            self._show("caller", event.text)

    def _show(self, who: Literal["caller", "agent"], text: str) -> None:
        """Let a caller with a screen read what was said."""
        if self._s.carrier.shows and self._s.stream is Stream.OPEN and text:
            self._s.do(v.Show(who, text))

    def _on_agent_transcript(self, event: v.AgentTranscript, now: float) -> None:
        record = self._s.record
        if event.final:
            self._show("agent", event.text)
            record.partials.pop(event.item_id, None)
            record.text(event.item_id, event.text)
            if not self._control.sayings.transcript(event):
                self._tools.promises.said(event, now)
        else:
            _, so_far = record.partials.get(event.item_id, ("", ""))
            record.piece("agent", event.item_id, so_far + event.text)

    def _on_leg_closed(self, event: v.LegClosed, now: float) -> None:
        if event.leg is v.Leg.CARRIER:
            if not self._transfer.socket_closed():
                self._ending.carrier_closed(event, now)
        else:
            self._session.closed(event, now)

    def _on_end_requested(self, event: v.EndRequested, now: float) -> None:
        if self._transfer.drained(now):
            return
        settings = self._s.settings
        lines = {"draining": "draining", "operator": settings.operator_line, "tool": settings.operator_line}
        self._ending.finish(event.why, now, wanted=True, line=lines.get(event.why, settings.spend_line))

    # ----------------------------------------------------------------------------------- backpressure

    def _on_paused(self, event: v.WritePaused, now: float) -> None:
        s, name = self._s, event.leg.value
        s.note("write.paused", leg=name, buffered_bytes=event.buffered_bytes)
        if event.leg is v.Leg.PROVIDER:
            self._uplink.pause()
            if s.ending is None:
                s.expect(
                    "provider reads", s.settings.paused_s, now,
                    lambda at: self._ending.fail("provider stopped reading", at),
                )  # fmt: skip
        else:
            s.carrier_paused = True
            s.look_shut()
            s.expect(
                "carrier reads", s.settings.paused_s, now,
                lambda at: self._ending.carrier_dead("carrier stopped reading", at),
            )  # fmt: skip

    def _on_resumed(self, event: v.WriteResumed, now: float) -> None:
        s = self._s
        s.deadlines.met(f"{event.leg.value} reads")
        s.note("write.resumed", leg=event.leg.value)
        if event.leg is v.Leg.CARRIER:
            s.carrier_paused = False
            s.look_shut()
        else:
            self._uplink.resume(now)
            if s.ending is not None:
                self._uplink.close()

    # ------------------------------------------------------------------------------------------ record

    @property
    def ending_wanted(self) -> bool:
        """Whether the call is ending, or has ended, as somebody intended."""
        return self._s.ending is not None and self._s.ending_wanted

    @property
    def away(self) -> bool:
        """Whether the call is in other hands: it has no stream, and that is no end."""
        return self._transfer.away

    def agent_plays(self, now: float) -> bool:
        """Whether the caller hears the agent, by the playback clock."""
        return self._s.playback.unplayed_ms(now) > 0

    @property
    def after_transfer(self) -> Next:
        """What becomes of a caller whose transfer is over."""
        return self._transfer.next

    @property
    def caller_told(self) -> bool:
        """Whether the caller was told in speech why the call ends: a second telling would be one too many."""
        return self._ending.told

    def summary(self) -> dict[str, Any]:
        """The call in figures, for its record."""
        s, playback, record, up = self._s, self._s.playback, self._s.record, self._uplink
        return {
            "end": {"why": s.ending or "", "wanted": s.ending_wanted},
            "caller_told": self._ending.told,
            "missed": record.missed,
            "frames_from_carrier": up.frames,
            "appended_bytes": up.appended_bytes,
            "played_bytes": playback.sent_bytes,
            "counts": {
                "early_bytes": up.early_bytes,
                "early_dropped_bytes": up.early_dropped_bytes,
                "uplink_dropped_bytes": up.dropped_bytes,
                "downlink_dropped_bytes": record.downlink_dropped_bytes,
                "muted_bytes": up.muted_bytes,
                "cancelled_dropped_bytes": record.cancelled_dropped_bytes,
                **record.totals,
            },
            "marks": {
                "sent": playback.marks_sent,
                "played": playback.marks_played,
                "flushed": playback.marks_flushed,
                "lost": playback.marks_lost,
                "unknown": playback.marks_unknown,
                "round_trip_ms": playback.round_trip_ms,
                "latest_ms": playback.latest_ms,
            },
            "heard_proven_by": playback.proven,
            "replies_ms": record.replies_ms,
            "barge_ins": record.barge_ins,
            "items": record.cut_items(playback, s.now),
            "spoken": record.spoken(playback, s.now),
            "partials": record.unfinished(),
            "usage": record.usage,
        }
