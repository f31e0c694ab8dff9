"""
One phone call: two legs, one bridge, one journal, and the sockets between them.

This is the glue, and the place to start reading. A frame's whole way is ``from_carrier`` ->
leg -> bridge -> ``_append`` -> leg -> socket: one stack of calls, no await, no queue, no task; a frame that is
like all before it has a shorter one (``straight.py``). What has to wait (dialling, the REST hang-up) is given to
the ``Shell``, and its results come back as events. Knows no wire by name, no settings file and no web framework.
"""

from __future__ import annotations

import traceback
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from offhook import vocab as v
from offhook.bridge import Bridge
from offhook.evidence.journal import Journal
from offhook.evidence.record import Channel
from offhook.net.clock import Clock, Handle
from offhook.net.compiled import Compiled, compiled
from offhook.net.handover import Left, Next
from offhook.net.parties import CarrierLeg, CarrierListener, ProviderListener, Recorder, Shell
from offhook.net.sockets import Socket
from offhook.net.straight import Straight
from offhook.wires._wire import ConnectRequest, LocalProtocolError, ProviderLeg, Violation

__all__ = ["Call"]

# What a person watching the call wants to hear of; audio and confirmations are not among them.
_SHOWN: frozenset[type[v.Event]] = frozenset((
    v.StreamStarted, v.KeyPressed, v.StreamStopped, v.SpeechStarted, v.SpeechStopped, v.CallerTranscript,
    v.AgentTranscript, v.ToolCalled, v.DialFailed, v.SessionRejected, v.SessionConfigured, v.ProviderError,
    v.LegClosed, v.ResponseDone,
))  # fmt: skip
# What C has written already when the bridge asks for it.
_WENT = frozenset((v.PlayAudio, v.SetMark))


class Call:
    """
    A running call. Its two listeners are handed to the sockets; everything else happens inside.

    ``name`` is the call's name in the record and in every log line. All methods belong to one loop.
    """

    __slots__ = (
        "_up_at", "offered",
        "_agent_audio", "_armed_for", "_carrier_leg", "_carrier_socket", "_deadlines", "_do",
        "_goes_straight", "_now", "_provider_leg", "_provider_socket", "_shell", "_straight", "_timer", "_timer_at",
        "_uplink", "arriving", "bridge", "clock", "connect_request", "ended", "feeding", "journal", "later", "listener",
        "name", "next", "private", "provider", "recorder", "started_at", "stream_id",
    )  # fmt: skip

    def __init__(
        self,
        name: str,
        *,
        shell: Shell,
        clock: Clock,
        bridge: Bridge,
        provider_leg: ProviderLeg,
        connect_request: ConnectRequest,
        journal: Journal,
        recorder: Recorder | None = None,
    ) -> None:
        self.name = name
        self.bridge = bridge
        self.journal = journal
        self.connect_request = connect_request
        self.started_at = clock.now()
        self.ended: v.EndCall | None = None
        self.stream_id: str | None = None
        self.next: Next | None = None  # the session of an agent that is to take over
        self.offered = False  # its webhook has been answered
        self._up_at: dict[v.Leg, float] = {}
        self.provider = ProviderListener(self)
        self.clock = clock
        self.recorder = recorder
        self.private = False  # nobody may record or listen in just now
        self.feeding = False  # inside an event: another one waits
        self.later: deque[v.Event] = deque()
        self._shell = shell
        self._now = clock.now
        self._provider_leg = provider_leg
        self.listener = CarrierListener(self)
        self._straight: Straight | Compiled | None = None
        self._goes_straight = False
        self._uplink = bridge.uplink
        self._agent_audio = bridge.agent_audio
        self._deadlines = bridge.deadlines
        self._carrier_leg: CarrierLeg | None = None
        self._carrier_socket: Socket | None = None
        self._provider_socket: Socket | None = None
        self._timer: Handle | None = None
        self._timer_at = 0.0
        self._armed_for: float | None = None
        self.arriving: tuple[Channel, bytes] | None = None  # audio on its way in: kept whole only if it breaks the call
        self._do: dict[type[v.Command], Callable[[Any, float], None]] = {
            v.AppendAudio: self._append,
            v.PlayAudio: self._play,
            v.SetMark: self._mark,
            v.ClearPlayback: self._clear,
            v.Show: self._to_carrier,
            v.CloseStream: self._close_stream,
            v.CloseProvider: self._close_provider,
            v.DialProvider: self._dial,
            v.HangUp: self._hang_up,
            v.RunTool: self._run_tool,
            v.Transfer: self._transfer,
            v.Redial: self._redial,
            v.ToNext: self._to_next,
            v.SwapProvider: self._swap,
            v.DropNext: self._drop_next,
            v.Record: self._record,
            v.Note: self._note,
            v.Done: self._done,
            v.EndCall: self._end,
        }

    def record_by(self, recorder: Recorder | None) -> None:
        """Give the audio of both sides to another recorder from now on."""
        self.recorder = recorder
        self._lay()

    # ------------------------------------------------------------------------------- the carrier's side

    def adopt_stream(self, leg: CarrierLeg, socket: Socket, backlog: Sequence[tuple[bytes, float, v.Event]]) -> None:
        """
        Take over a carrier socket whose first messages named this call.

        ``backlog`` holds those messages, when they came, and what the leg made of them.
        """
        self._carrier_leg = leg
        self._up_at[v.Leg.CARRIER] = self._now()
        if self._carrier_socket is not None:  # of the stream before a transfer, which did not confirm its end
            self._carrier_socket.close(1000, "")
            self.closed(v.Leg.CARRIER, None, "", "us")
        self.listener = CarrierListener(self)
        self._carrier_socket = socket
        socket.hand_to(self.listener)
        self.journal.redactors[v.Leg.CARRIER] = leg.redact
        self.feed(v.StreamOpened())
        for data, at, event in backlog:
            self.journal.frame(Channel.FROM_CARRIER, data, at)
            if type(event) is v.StreamStarted:
                self.stream_id = event.stream_id
            self._drain_violations(leg.violations, Channel.FROM_CARRIER, at)
            self.feed(event)
        self._lay()

    def _lay(self) -> None:
        """Give usual frames their straight way while both sockets are there and the bridge lets them through."""
        self._goes_straight = self._uplink.open
        carrier, provider = self._carrier_socket, self._provider_socket
        if carrier is None or self._carrier_leg is None:
            return
        if self._straight is not None:
            self._straight.settle()
            self._straight.leave(carrier, provider)
            self._straight = None
        if provider is None or not self._goes_straight:
            carrier.hear(self.from_carrier)
        else:
            self._straight = compiled(self, self._carrier_leg, self._provider_leg, carrier, provider) or Straight(
                self, self._carrier_leg, self._provider_leg, provider.writer()
            )
            carrier.hear(self._straight.text)

    def from_carrier(self, data: bytes, binary: bool = False) -> None:
        """
        A message of the carrier; audio that is not like the frames before it, or while something stands in its way.

        What is not audio goes into the journal whole, before the bridge hears of it.
        """
        now = self._now()
        leg = self._carrier_leg
        assert leg is not None
        event = leg.receive(data, now, binary=binary)
        if type(event) is v.CallerAudio and not self.feeding:
            self.arriving = (Channel.FROM_CARRIER, data)
            self.journal.audio(0, event.payload, event.n_bytes, now, data)
            if self.recorder is not None:
                self.recorder.caller(event.payload, event.n_bytes, now)
            self.feeding = True
            try:
                for command in self.bridge.on(event, now):
                    self._do.get(type(command), self._to_provider)(command, now)
            except Exception as error:  # our own fault: this call ends by name, the others go on
                self.broke(error, now)
            finally:
                self.feeding = False
            self.settle(now)
            return
        self._news(Channel.FROM_CARRIER, leg.violations, event, data, now, binary)

    def from_provider(self, data: bytes, binary: bool = False) -> None:
        now = self._now()
        leg = self._provider_leg
        event = leg.receive(data, now, binary=binary)
        if type(event) is v.AgentAudio:
            self.arriving = (Channel.FROM_PROVIDER, data)
            self.journal.audio(2, event.payload, event.n_bytes, now, data)
            if self.feeding:
                self.later.append(event)
            else:
                self._act(self._agent_audio, event, now)
            return
        self._news(Channel.FROM_PROVIDER, leg.violations, event, data, now, binary)

    def _news(
        self, channel: Channel, violations: list[Violation], event: v.Event, data: bytes, now: float, binary: bool
    ) -> None:
        """A message that is no audio: on record, then to the bridge."""
        self.arriving = None
        if type(event) is v.MarkReturned:
            self.journal.mark(channel, data, now)
        else:
            self.journal.frame(channel, data, now, binary)
        if violations:
            self._drain_violations(violations, channel, now)
        self._feed(event, now)

    def _drain_violations(self, violations: list[Violation], channel: Channel, now: float) -> None:
        for violation in violations:
            self.journal.violation(violation, channel, now)
        violations.clear()

    # -------------------------------------------------------------------------------------- the bridge

    def feed(self, event: v.Event) -> None:
        """Tell the bridge what happened outside the two wires."""
        self._feed(event, self._now())

    def _feed(self, event: v.Event, now: float) -> None:
        if self.feeding:  # a write that paused its socket, say: never inside another event
            self.later.append(event)
            return
        if self._straight is not None:
            self._straight.settle()
        if type(event) in _SHOWN:
            self._shell.observe(self, event, now)
        self._act(self.bridge.on, event, now)

    def _act(self, on: Callable[[Any, float], Sequence[v.Command]], event: v.Event, now: float) -> None:
        """Do what the bridge answers to an event."""
        self.feeding = True
        try:
            commands = on(event, now)
            if len(commands) == 2 and type(commands[1]) is v.SetMark and type(commands[0]) is v.PlayAudio:
                self._play_marked(commands[0], commands[1], now)
            else:
                for command in commands:
                    self._do.get(type(command), self._to_provider)(command, now)
        except Exception as error:  # our own fault: this call ends by name, the others go on
            self.broke(error, now)
        finally:
            self.feeding = False
        self.settle(now)

    def settle(self, now: float) -> None:
        """What an event left behind: events that waited for it, another deadline, another way for the audio."""
        if self.later:
            self._feed(self.later.popleft(), now)
        if self._uplink.open is not self._goes_straight:
            self._lay()
        if self._deadlines.next_at != self._armed_for:
            self._arm()
        if self._straight is not None:
            self._straight.look(now)

    def levels(self) -> tuple[int | None, int | None]:
        """Loudness classes of the caller and of what they hear now, for whoever watches."""
        now = self._now()
        if self._straight is not None and not self.feeding:
            self._straight.settle()
            self.settle(now)
        return self.journal.levels(now)

    def so_far(self) -> tuple[float, Mapping[str, Any]]:
        """The bridge's figures as they stand, which no record has before the end, and when that is in ms."""
        now = self._now()
        if self._straight is not None and not self.feeding:
            self._straight.settle()
            self.settle(now)
        return round((now - self.started_at) * 1000, 1), self.bridge.summary()

    def replay(
        self, on: Callable[[Any, float], Sequence[v.Command]], event: v.Event, now: float
    ) -> Sequence[v.Command]:
        """Tell the bridge of what went straight; its audio and marks are returned, anything else is done."""
        asked = on(event, now)
        if all(type(command) in _WENT for command in asked):
            return asked
        outer, self.feeding = self.feeding, True
        try:
            for command in asked:
                if type(command) not in _WENT:
                    self._do.get(type(command), self._to_provider)(command, now)
        finally:
            self.feeding = outer
        return [command for command in asked if type(command) in _WENT]

    def _arm(self) -> None:
        """Keep one timer at or before the bridge's next deadline; an early one just looks again."""
        self._armed_for = deadline = self._deadlines.next_at
        if deadline is None or self.ended is not None or (self._timer is not None and self._timer_at <= deadline):
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = deadline
        self._timer = self.clock.call_at(deadline, self._tick)

    def _tick(self) -> None:
        self._timer = self._armed_for = None
        now = self._now()
        deadline = self._deadlines.next_at
        if deadline is None or deadline > now:  # met or put off meanwhile, as with every tool: nothing to look at
            self._arm()
            return
        if self._straight is not None:
            self._straight.settle()
        deadline = self._deadlines.next_at
        if deadline is not None and deadline <= now and not self.feeding:
            self.feeding = True
            try:
                for command in self.bridge.on_timer(now):
                    self._do.get(type(command), self._to_provider)(command, now)
            except Exception as error:
                self.broke(error, now)
            finally:
                self.feeding = False
        self.settle(now)

    def broke(self, error: Exception, now: float) -> None:
        """A defect of ours, or a message that would have broken the contract: named, and the call ends."""
        where = traceback.extract_tb(error.__traceback__)[-1]
        if self.arriving is not None:
            self.journal.frame(*self.arriving, now)
        if isinstance(error, LocalProtocolError):
            self.journal.violation(error.violation, Channel.TO_CARRIER, now)
        self.journal.note(
            "bridge.exception",
            now,
            type=type(error).__name__,
            where=f"{where.name}:{where.lineno}",
            text=str(error)[:200] if isinstance(error, LocalProtocolError) else "",
        )
        self._abandon(f"defect: {type(error).__name__} in {where.name}", now)

    def abandon(self, why: str) -> None:
        """End the call now, without its peers' consent."""
        self._abandon(why, self._now())

    def _abandon(self, why: str, now: float) -> None:
        if self.ended is not None:
            return
        if self._carrier_socket is not None:
            self._carrier_socket.close(1011, "")
        if self._provider_socket is not None:
            self._provider_socket.close(1000, "")
        self._end(v.EndCall(wanted=False, why=why), now)

    # ------------------------------------------------------------------------------------- the commands

    def _append(self, command: v.AppendAudio, now: float) -> None:
        socket = self._provider_socket
        if socket is None:
            return
        for data in self._provider_leg.send(command):
            self.journal.audio(3, command.payload, command.n_bytes, now, data)
            socket.send(data)

    def _play(self, command: v.PlayAudio, now: float) -> None:
        socket, leg = self._carrier_socket, self._carrier_leg
        if socket is None or leg is None:
            return
        try:
            data = leg.play(command.payload)
        except LocalProtocolError as error:
            self._unplayable(error, now)
            return
        self.journal.audio(1, command.payload, command.n_bytes, now, data)
        socket.send(data)
        if self.recorder is not None:
            self.recorder.agent(command.payload, command.n_bytes, now)

    def _play_marked(self, play: v.PlayAudio, mark: v.SetMark, now: float) -> None:
        """Audio and the mark behind it, in one write."""
        socket, leg = self._carrier_socket, self._carrier_leg
        if socket is None or leg is None:
            return
        try:
            audio, receipt = leg.play(play.payload), leg.mark(mark.name)
        except LocalProtocolError as error:
            self._unplayable(error, now)
            return
        self.journal.audio(1, play.payload, play.n_bytes, now, audio)
        self.journal.mark(1, receipt, now)
        socket.send_both(audio, receipt)
        if self.recorder is not None:
            self.recorder.agent(play.payload, play.n_bytes, now)

    def _unplayable(self, error: LocalProtocolError, now: float) -> None:
        """The provider's audio is nothing that a carrier plays: the caller is told, and the call ends by name."""
        if self.arriving is not None:
            self.journal.frame(*self.arriving, now)
        self.journal.violation(error.violation, Channel.TO_CARRIER, now)
        said = f"{error.violation.field}: {error.violation.got}, wanted {error.violation.wanted}"
        self.later.append(v.ProviderError(code="unplayable_audio", message=said, fatal=True))

    def _mark(self, command: v.SetMark, now: float) -> None:
        socket, leg = self._carrier_socket, self._carrier_leg
        if socket is None or leg is None:
            return
        for data in leg.send(command):
            self.journal.mark(1, data, now)
            socket.send(data)

    def _to_carrier(self, command: v.Command, now: float) -> None:
        socket, leg = self._carrier_socket, self._carrier_leg
        if socket is None or leg is None:
            return
        for data in leg.send(command):
            self.journal.frame(Channel.TO_CARRIER, data, now)
            socket.send(data)

    def _clear(self, command: v.ClearPlayback, now: float) -> None:
        self._to_carrier(command, now)
        self.journal.cut(now)
        if self.recorder is not None:
            self.recorder.clear(now)

    def _to_provider(self, command: v.Command, now: float) -> None:
        socket = self._provider_socket
        if socket is None:
            return
        for data in self._provider_leg.send(command):
            self.journal.frame(Channel.TO_PROVIDER, data, now)
            socket.send(data)

    def _close_stream(self, command: v.CloseStream, now: float) -> None:
        if self.bridge.away:
            self.stream_id = None  # another one may come
        self.journal.note("stream.close-sent", now, code=command.code)
        if self._carrier_socket is not None:
            self._carrier_socket.close(command.code, command.reason)

    def _close_provider(self, command: v.CloseProvider, now: float) -> None:
        self._shell.stop_dialling(self)
        if self._provider_socket is not None:
            self.journal.note("provider.close-sent", now, code=command.code)
            self._provider_socket.close(command.code, command.reason)

    def _dial(self, command: v.DialProvider, now: float) -> None:
        self.journal.note("dial.begun", now, attempt=command.attempt)
        self._shell.dial(self, command.attempt)

    def _hang_up(self, command: v.HangUp, now: float) -> None:
        self.journal.note("rest.hang-up", now, why=command.why)
        self._shell.hang_up(self, command.why)

    def _run_tool(self, command: v.RunTool, now: float) -> None:
        self._shell.run_tool(self, command)

    def _transfer(self, command: v.Transfer, now: float) -> None:
        self._shell.transfer(self, command)

    # --------------------------------------------------------------------------------------- hand-over

    def _redial(self, command: v.Redial, now: float) -> None:
        self._shell.redial(self, command.agent)

    def _to_next(self, command: v.ToNext, now: float) -> None:
        if self.next is not None:
            self.next.send(command.command, now)

    def _swap(self, command: v.SwapProvider, now: float) -> None:
        """The next session takes the place of the one that runs; frames go to it from here on."""
        next_, self.next = self.next, None
        assert next_ is not None and next_.socket is not None
        old = self._provider_socket
        if old is not None:
            old.hand_to(Left())
            self.journal.note("provider.replaced", now, age_s=round(now - self._up_at[v.Leg.PROVIDER], 2))
            old.close(1000, "")
        self.provider = ProviderListener(self)
        self._provider_socket, self._provider_leg = next_.socket, next_.leg
        next_.socket.hand_to(self.provider)
        self.journal.redactors[v.Leg.PROVIDER] = next_.leg.redact
        self._up_at[v.Leg.PROVIDER] = now
        self._lay()
        self._shell.handed_over(self, next_)

    def _drop_next(self, command: v.DropNext, now: float) -> None:
        next_, self.next = self.next, None
        self._shell.stop_redialling(self)
        if next_ is not None:
            next_.drop()

    def _note(self, command: v.Note, now: float) -> None:
        self.journal.note(command.kind, now, **command.data)
        self._shell.observe(self, command, now)

    def _done(self, command: v.Done, now: float) -> None:
        self._shell.done(self, command)

    def _record(self, command: v.Record, now: float) -> None:
        self.private = not command.on
        if self.recorder is None:
            return
        if command.on:
            self.recorder.resume(now)
        else:
            self.recorder.pause(now, command.back_s)

    def _end(self, command: v.EndCall, now: float) -> None:
        if self.ended is not None:
            return
        self.ended = command
        if self._straight is not None:
            self._straight.settle()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._shell.stop_dialling(self)
        if self.next is not None:
            self._drop_next(v.DropNext(), now)
        for socket in (self._carrier_socket, self._provider_socket):
            if socket is not None:  # it did not confirm its end in time
                socket.close(1000, "")
        summary = dict(self.bridge.summary())
        if self.recorder is not None and (kept := self.recorder.close(now)):
            summary["recording"] = dict(kept)
        if self._carrier_leg is not None:
            summary["carrier_wire"] = dict(self._carrier_leg.counters())
        else:
            self.journal.note("stream.never", now, others=self._shell.streams_up)
        summary["end"] = {"wanted": command.wanted, "why": command.why}  # an abandoned call's bridge knows none
        self.journal.close(now, summary)
        self._shell.ended(self, command)

    # ------------------------------------------------------------------------------ what sockets report

    def provider_opened(self, socket: Socket) -> None:
        """The dialled connection is up; a call that is already over closes it again."""
        if self.ended is not None:
            socket.close(1000, "")
            return
        self._provider_socket = socket
        self._up_at[v.Leg.PROVIDER] = self._now()
        self._lay()
        self.feed(v.ProviderOpened())

    def closed(self, leg: v.Leg, code: int | None, reason: str, by: Literal["us", "them", "nobody"]) -> None:
        """A socket is gone; after the end of the call it only has to be forgotten."""
        if leg is v.Leg.CARRIER:
            self._carrier_socket = None
        else:
            self._provider_socket = None
            self._lay()
        if self.ended is None:
            now = self._now()
            age_s = round(now - self._up_at.get(leg, self.started_at), 2)
            self.journal.note(
                f"{leg.value}.closed", now, code=code, reason=reason[:80], by=by, age_s=age_s, clean=code is not None
            )
            self.feed(v.LegClosed(leg=leg, code=code, reason=reason, by=by))
