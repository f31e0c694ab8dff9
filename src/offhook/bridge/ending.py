"""
How a call ends: the last line spoken, the phone hung up, both sides closed, each step confirmed or overdue.

Never silence: a call that cannot go on is told so by a spoken line, or falls through to the carrier's next
verb. Whoever ends it, the first reason is the one that counts.
"""

from __future__ import annotations

from offhook import vocab as v
from offhook.bridge.state import State, Stream

__all__ = ["Ending"]

# While the stream is on its way, a failed call waits for it: the caller is told when there is somebody to tell.
_COMING = ("stream after webhook", "start")
_CARRIER_STEPS = (
    "first caller frame",
    "frames",
    "rest",
    "stop",
    "stream closed",
    "line heard",
    "carrier reads",
    *_COMING,
)


class Ending:
    """The end of one call."""

    __slots__ = (
        "_hung_up", "_line", "_provider_closing", "_s", "told",
    )  # fmt: skip

    def __init__(self, state: State) -> None:
        self._s = state
        self._line: str | None = None
        self._provider_closing = False
        self._hung_up = False
        self.told = False  # the caller has heard why it ends, or still hears it

    # -------------------------------------------------------------------------------------------- why

    def fail(self, why: str, now: float, line: str = "provider_failed") -> None:
        """The call cannot go on."""
        self.finish(why, now, wanted=False, line=line)

    def finish(self, why: str, now: float, *, wanted: bool, line: str | None = None) -> None:
        s = self._s
        if s.ending is not None:
            return
        if s.stream is Stream.AWAY:  # the caller is in other hands: the provider is not needed, and the call goes on
            s.note("provider.gone-while-away", why=why)
            self.close_provider(now)
            return
        s.end(why, now, wanted=wanted)
        self._line = line
        s.uplink.close()
        s.note("ending", why=why, wanted=wanted)
        s.deadlines.drop_all(keep=_COMING)
        self.close_provider(now)
        if s.stream is Stream.OPEN:
            self.finish_now(now)
        elif s.stream is Stream.ABSENT:
            s.stream = Stream.GONE
        self._maybe_over(now)

    # ------------------------------------------------------------------------------------ the last words

    def _falls_through(self) -> bool:
        return self._s.settings.on_failure == "fall_through" and not self._s.ending_wanted

    def finish_now(self, now: float) -> None:
        """Say the last line, if there is one, then hang up when it was heard."""
        s, name = self._s, self._line
        if not name or self._falls_through():
            self._hang_up(now)
            return
        audio = s.lines.get(name)
        if not audio:
            s.note("line.missing", name=name)
            self._hang_up(now)
            return
        if s.playback.may_be_unplayed(now):
            s.do(v.ClearPlayback())
            s.cut_unheard(now)
        s.note("line", name=name)
        self.told = True
        s.play(f"line:{name}", audio, now)
        s.at("line heard", s.playback.idle_at() + s.settings.mark_grace_s, self._hang_up)

    @property
    def awaits_marks(self) -> bool:
        return self._s.ending is not None

    def marks_are_back(self, now: float) -> None:
        """All that was sent has been played."""
        if "line heard" in self._s.deadlines:
            self._s.deadlines.met("line heard")
            self._hang_up(now)

    # ------------------------------------------------------------------------------------ the phone side

    def _hang_up(self, now: float) -> None:
        """By REST where that is possible, then ``stop`` is awaited; else by closing the stream."""
        s = self._s
        if s.carrier.ends_by_rest and s.stream is Stream.OPEN and not self._falls_through():
            self._hung_up = True
            s.do(v.HangUp(why=s.ending or "ended"))
            s.expect("rest", s.settings.rest_s, now, self.close_stream)
        else:
            self.close_stream(now)

    def hang_up_finished(self, event: v.HangUpFinished, now: float) -> None:
        s = self._s
        if not self._hung_up or s.stream is not Stream.OPEN:
            return
        s.deadlines.met("rest")
        s.note("rest.done", ok=event.ok, detail=event.detail[:120])
        if event.ok:
            s.expect("stop", s.settings.stop_s, now, self.close_stream)
        else:
            self.close_stream(now)

    def close_stream(self, now: float, within_s: float | None = None) -> None:
        s = self._s
        if s.stream in (Stream.OPEN, Stream.OPENING):
            s.cut_unheard(now)
            s.stream = Stream.CLOSING
            s.do(v.CloseStream(code=1000))
            s.expect("stream closed", within_s or s.settings.stream_close_s, now, self._stream_lost)
        elif s.stream is not Stream.CLOSING:
            s.stream = Stream.GONE
        self._maybe_over(now)

    def _stream_lost(self, now: float) -> None:
        self._s.stream = Stream.GONE
        self._maybe_over(now)

    def stopped(self, event: v.StreamStopped, now: float) -> None:
        """The carrier ended the stream: the caller hung up, or our own hang-up has been done."""
        s = self._s
        s.milestone("M19", "stop seen", now)
        self._caller_left("caller hung up", now, wanted=self._s.started)
        self.close_stream(now, s.settings.close_s)

    def carrier_closed(self, event: v.LegClosed, now: float) -> None:
        """
        The carrier's socket is gone. Its close codes are not documented; ``stop`` is the sign of a clean end.

        A stream that never said ``start`` was no call that anybody could have wanted to end.
        """
        clean = self._s.started and event.by == "them" and event.code in (1000, 1001, 1005)
        if not clean and "line heard" in self._s.deadlines:
            self.told = False  # the line broke off in the middle
        self._caller_left(f"carrier connection lost: {event.code or 'no close frame'}", now, wanted=clean)
        self._s.stream = Stream.GONE
        self._maybe_over(now)

    def carrier_dead(self, why: str, now: float) -> None:
        """Nobody reads, or sends, any more: nothing can be said, so nothing is."""
        self._caller_left(why, now, wanted=False)
        self.close_stream(now)

    def _caller_left(self, why: str, now: float, *, wanted: bool) -> None:
        s = self._s
        s.deadlines.met(*_CARRIER_STEPS)
        if s.ending is None:
            s.end(why, now, wanted=wanted)
            s.deadlines.drop_all()
        s.cut_unheard(now)
        s.uplink.close()
        self.close_provider(now)

    def nobody_came(self, now: float) -> None:
        """No stream followed the webhook: perhaps the caller left while it rang, but nothing here proves it."""
        self._s.stream = Stream.GONE
        self.finish("no stream followed the webhook", now, wanted=False)
        self._maybe_over(now)

    def no_start(self, now: float) -> None:
        """A stream that says nothing of itself cannot be written to, so nothing can be said either."""
        self.finish("carrier sent no start", now, wanted=False)
        self.close_stream(now)

    # --------------------------------------------------------------------------------- the provider side

    def close_provider(self, now: float) -> None:
        """Also stops a dial that is under way."""
        s = self._s
        if self._provider_closing or s.provider_gone:
            return
        self._provider_closing = True
        s.do(v.CloseProvider())
        if s.provider_up:
            s.expect("provider closed", s.settings.close_s, now, self.provider_closed)

    def provider_came_late(self, now: float) -> None:
        """The connection came up while the call was ending."""
        self._provider_closing = False
        self.close_provider(now)

    def provider_closed(self, now: float) -> None:
        s = self._s
        s.provider_gone = True
        s.provider_up = False
        s.deadlines.met("provider closed")
        self._maybe_over(now)

    # ----------------------------------------------------------------------------------------------- over

    def _maybe_over(self, now: float) -> None:
        s = self._s
        if s.ended or s.ending is None or s.stream is not Stream.GONE:
            return
        if s.provider_up and not s.provider_gone:
            return
        s.milestone("M20", "both sides closed", now)
        s.do(v.EndCall(wanted=s.ending_wanted, why=s.ending))
        s.ended = True
        s.deadlines.drop_all()
