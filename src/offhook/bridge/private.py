"""
When nobody may record or listen in: while somebody asked for it, and while a caller presses keys.

Keys are heard as sound, and a card number is pressed or said in the same minute. Knows no file: the shell records.
Where nothing is recorded keys are kept from those who listen in, and the record has no word of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from offhook import vocab as v

if TYPE_CHECKING:
    from offhook.bridge.state import State

__all__ = ["Private"]


class Private:
    """One call's pauses of the recording; each reason is let go of by itself."""

    __slots__ = ("_s", "_since", "_whys")

    def __init__(self, state: State) -> None:
        self._s = state
        self._whys: dict[str, None] = {}
        self._since = 0.0

    def asked(self, event: v.RecordingAsked, now: float) -> str:
        """Why it cannot be done; empty when it is."""
        if not self._s.settings.records:
            return "no recording is made (record.audio)"
        if event.on:
            self._resume("asked", now)
        else:
            self._pause("asked", event.why[:80], 0.0, now)
        return ""

    def gathering(self, now: float) -> None:
        """Keys are about to come; until they are gathered."""
        if self._keys_are_private():
            self._pause("gathering", "keys are gathered", 0.0, now)

    def gathered(self, now: float) -> None:
        self._resume("gathering", now)

    def key(self, now: float) -> None:
        """A key was pressed: the sound of it came before the word of it."""
        s = self._s
        if self._keys_are_private():
            self._pause("keys", "keys", s.settings.key_sound_s, now)
            s.at("keys are over", now + s.settings.keys_over_s, lambda at: self._resume("keys", at))

    def _keys_are_private(self) -> bool:
        return not self._s.settings.note_digits

    def _pause(self, reason: str, why: str, back_s: float, now: float) -> None:
        if not self._whys:
            self._since = now
            self._s.do(v.Record(on=False, back_s=back_s))
            if self._s.settings.records:
                self._s.note("recording.paused", why=why or reason)
        self._whys[reason] = None

    def _resume(self, reason: str, now: float) -> None:
        if reason not in self._whys:
            return
        del self._whys[reason]
        if not self._whys:
            self._s.do(v.Record(on=True))
            if self._s.settings.records:
                self._s.note("recording.resumed", ms=round((now - self._since) * 1000))
