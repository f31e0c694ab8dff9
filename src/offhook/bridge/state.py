"""
What the parts of the bridge share: settings, who is connected, what is waited for, and what shall be done.

Holds no rules of its own: those are in the parts (``session``, ``talk``, ``tools``,
``ending``).
"""

from __future__ import annotations

import base64
import enum
from collections.abc import Callable, Mapping

from offhook import vocab as v
from offhook.bridge.deadlines import Deadlines
from offhook.bridge.private import Private
from offhook.bridge.record import CallRecord
from offhook.bridge.settings import BridgeSettings
from offhook.bridge.turns import BYTES_PER_S, Playback
from offhook.bridge.uplink import Uplink

__all__ = ["State", "Stream"]


class Stream(enum.Enum):
    """The carrier's media stream, as far as it is known."""

    ABSENT = "absent"  # nobody has announced one
    EXPECTED = "expected"  # the webhook came
    OPENING = "opening"  # its socket is up, start has not come: nothing may be written
    OPEN = "open"
    AWAY = "away"  # the call was given to somebody else: it has no stream, and may come back with another
    CLOSING = "closing"  # we asked for its end, or the carrier has stopped it
    GONE = "gone"


class State:
    """One call's shared state."""

    __slots__ = (
        "agent_muted", "carrier", "carrier_paused", "deadlines", "ended", "ending", "ending_wanted", "greeting",
        "keys_until", "last_word_at", "lines", "now", "on_hold", "out", "playback", "private", "provider",
        "provider_gone", "provider_up", "record", "session_ready", "settings", "shut", "stream", "uplink",
        "when_ending",
    )  # fmt: skip

    def __init__(
        self,
        settings: BridgeSettings,
        provider: v.ProviderTraits,
        carrier: v.CarrierTraits,
        lines: Mapping[str, bytes],
    ) -> None:
        self.settings = settings
        self.greeting = settings.greeting  # or what was found out about the caller makes of it
        self.provider = provider
        self.carrier = carrier
        self.lines = lines
        self.deadlines = Deadlines(self._missed)
        self.playback = Playback()
        self.uplink = Uplink(settings.early_audio_s)
        self.record = CallRecord()
        self.private = Private(self)
        self.out: list[v.Command] = []
        self.now = 0.0  # of the last thing that was no audio, for the summary
        self.last_word_at = 0.0  # of either side
        self.stream = Stream.ABSENT
        self.carrier_paused = False
        self.agent_muted = False
        self.on_hold = False
        self.shut = False  # any of the three: the agent's audio is not played
        self.keys_until = 0.0  # keys are being sent as sound: nothing may cut them short
        self.provider_up = False
        self.provider_gone = False
        self.session_ready = False  # configured, or gone on unconfirmed
        self.ending: str | None = None  # why; from then on the conversation is over
        self.ending_wanted = False
        self.ended = False
        self.when_ending: list[Callable[[float], None]] = []  # told once, when the conversation is over

    def take(self) -> list[v.Command]:
        """What shall be done, in order; handed out once."""
        out, self.out = self.out, []
        return out

    def do(self, *commands: v.Command) -> None:
        if not self.ended:
            self.out.extend(commands)

    def note(self, kind: str, **data: str | int | float | bool | None) -> None:
        self.do(v.Note(kind=kind, data=data))

    def milestone(self, mid: str, what: str, now: float) -> None:
        if mid not in self.record.milestones:
            self.record.milestones[mid] = now
            self.note("milestone", id=mid, what=what)

    @property
    def started(self) -> bool:
        """Whether the stream ever said what it carries."""
        return "M6" in self.record.milestones

    def expect(self, name: str, seconds: float, now: float, act: Callable[[float], None]) -> None:
        """Expect a confirmation; a missed one goes on record by name, then ``act`` runs."""
        if not self.ended:
            self.deadlines.expect(name, seconds, now, act)

    def at(self, name: str, when: float, act: Callable[[float], None]) -> None:
        if not self.ended:
            self.deadlines.set(name, when, act)

    def _missed(self, name: str, waited_s: float, now: float) -> None:
        self.missed(name, waited_s)

    def missed(self, name: str, waited_s: float) -> None:
        """A confirmation that did not come."""
        self.record.miss(name, waited_s)
        self.note("deadline.missed", name=name, waited_ms=round(waited_s * 1000), step=self.step())

    def step(self) -> str:
        """The last milestone that was reached."""
        return next(reversed(self.record.milestones), "")

    def look_shut(self) -> None:
        """Whether the agent's audio goes to the caller, after one of its three conditions has changed."""
        self.shut = self.carrier_paused or self.agent_muted or self.on_hold

    def play(self, item: str, audio: bytes, now: float) -> None:
        """Append audio of our own (PCMU) to what the caller hears: a second a message, and a mark behind it."""
        for start in range(0, len(audio), BYTES_PER_S):
            chunk = audio[start : start + BYTES_PER_S]
            self.playback.sent(item, "", 0, len(chunk), now)
            self.do(v.PlayAudio(base64.b64encode(chunk), len(chunk)))
        mark = self.mark(now)
        if mark is not None:
            self.do(mark)

    def cut_unheard(self, now: float) -> None:
        """What has not been played by now never will be."""
        for cut in self.playback.clear(now):
            self.note("unheard", item=cut.item_id, heard_ms=cut.heard_ms, sent_ms=cut.sent_ms)

    def end(self, why: str, now: float, *, wanted: bool) -> None:
        """From now on the conversation is over."""
        self.ending, self.ending_wanted = why, wanted
        for told in self.when_ending:
            told(now)

    def mark(self, now: float) -> v.SetMark | None:
        """A mark behind all that was sent; None for a carrier that returns none."""
        return v.SetMark(self.playback.mark(now)) if self.carrier.returns_marks else None
