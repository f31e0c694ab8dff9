"""
Who hears whom: hold with music, and mute in either direction.

A caller on hold hears the shipped music, or the user's own ``hold.wav``; the agent hears silence and is asked nothing
until the caller is back. What the agent says meanwhile is not played. Knows no wire.
"""

from __future__ import annotations

from typing import Literal

from offhook import vocab as v
from offhook.bridge.state import State, Stream
from offhook.bridge.talk import Talk
from offhook.bridge.turns import BYTES_PER_S

__all__ = ["Hold"]

# Music is sent so far ahead, and again when half of it was heard: a clear takes back what is left in one message.
AHEAD_S = 4
_BACK = "The caller was on hold and is back on the line. Go on with the conversation."


class Hold:
    """Hold and mute of one call."""

    __slots__ = ("_at", "_caller_muted", "_s", "_since", "_talk")

    def __init__(self, state: State, talk: Talk) -> None:
        self._s = state
        self._talk = talk
        self._at = 0  # in the music
        self._since = 0.0
        self._caller_muted = False  # asked for, hold or not

    def hold(self, now: float) -> str:
        """Put the caller on hold; why not, or ""."""
        s = self._s
        if s.on_hold:
            return "the caller is on hold already"
        if s.stream is not Stream.OPEN:
            return "there is no stream that could play music"
        if not s.lines.get("hold"):
            s.note("line.missing", name="hold")
            return "there is no music: the line 'hold' is missing"
        self._talk.responses.cancel(by_caller_speech=False)
        self._talk.take_back(now)
        s.on_hold = True
        s.look_shut()
        s.uplink.mute(True)
        s.deadlines.met("answer", "speech heard", "response end")
        self._since = now
        s.note("hold", on=True)
        s.at("hold limit", now + s.settings.hold_s, self._too_long)
        self._play(now)
        return ""

    def _play(self, now: float) -> None:
        s = self._s
        music = s.lines["hold"]
        part = b""
        while len(part) < AHEAD_S * BYTES_PER_S:
            piece = music[self._at : self._at + AHEAD_S * BYTES_PER_S - len(part)]
            self._at = (self._at + len(piece)) % len(music)
            part += piece
        s.last_word_at = now  # a caller on hold is not idle
        s.play("music:hold", part, now)
        s.at("hold music", now + s.playback.unplayed_ms(now) / 1000 - AHEAD_S / 2, self._play)

    def _too_long(self, now: float) -> None:
        self._s.missed("hold", self._s.settings.hold_s)
        self.resume(now)

    def resume(self, now: float, *, silently: bool = False) -> str:
        """Take the caller back, and let the agent speak unless ``silently``; why not, or ""."""
        s = self._s
        if not s.on_hold:
            return "the caller is not on hold"
        s.on_hold = False
        s.look_shut()
        s.uplink.mute(self._caller_muted)
        s.deadlines.met("hold music", "hold limit")
        self._talk.take_back(now)
        s.note("hold", on=False, ms=round((now - self._since) * 1000))
        if not silently and s.session_ready and s.stream is Stream.OPEN and s.ending is None:
            s.do(v.TellAgent(_BACK))
            self._talk.responses.ask(now)
        return ""

    def mute(self, who: Literal["caller", "agent"], on: bool, now: float) -> None:
        s = self._s
        s.note("mute", who=who, on=on)
        if who == "caller":
            self._caller_muted = on
            s.uplink.mute(on or s.on_hold)
            return
        if on and not s.agent_muted:
            for cut in self._talk.take_back(now):
                s.note("unheard", item=cut.item_id, heard_ms=cut.heard_ms, sent_ms=cut.sent_ms)
        s.agent_muted = on
        s.look_shut()
