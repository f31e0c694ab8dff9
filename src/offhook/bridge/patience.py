"""
A caller who says nothing is asked whether they are still there, and one whose time runs out is told before it does.

The agent says it, in its own words and the conversation's language. Knows no provider.
"""

from __future__ import annotations

from offhook.bridge.control import Control
from offhook.bridge.ending import Ending
from offhook.bridge.state import State, Stream
from offhook.bridge.talk import Talk

__all__ = ["Patience"]

_LOOK_AGAIN_S = 1.0


class Patience:
    """One call's patience with silence and with time."""

    __slots__ = ("_asked", "_control", "_ending", "_s", "_talk", "_warned")

    def __init__(self, state: State, talk: Talk, ending: Ending, control: Control) -> None:
        self._s = state
        self._talk = talk
        self._ending = ending
        self._control = control
        self._asked = 0  # since the caller last did anything
        self._warned = False

    def begin(self, now: float) -> None:
        """The call begins, or is back from elsewhere."""
        s = self._s.settings
        if s.idle_prompt_s > 0:
            self._s.at("silence", now + s.idle_prompt_s, self._look)
        if 0 < s.warn_s < s.max_call_s / 2 and not self._warned:
            began = self._s.record.began or now
            self._s.at("time warning", max(now, began + s.max_call_s - s.warn_s), self._warn)

    def caller_did_something(self) -> None:
        self._asked = 0

    def _look(self, now: float) -> None:
        """Nobody says a word; what the agent said counts until it was heard."""
        s, every = self._s, self._s.settings.idle_prompt_s
        since = max(s.last_word_at, min(now, s.playback.idle_at()))
        if since + every > now:
            s.at("silence", since + every, self._look)
        elif not self._talk.greeted or s.shut or s.stream is not Stream.OPEN or not self._talk.responses.free:
            s.at("silence", now + _LOOK_AGAIN_S, self._look)
        elif self._asked >= s.settings.idle_prompts:
            self._ending.finish("idle", now, wanted=True, line=s.settings.idle_line)
        else:
            self._asked += 1
            s.note("idle.prompt", n=self._asked, silent_s=round(now - since))
            self._talk.responses.ask(
                now,
                f"The caller has said nothing for {round(now - since)} seconds. Ask in one short sentence, in the "
                "language of this conversation, whether they are still there.",
            )
            s.at("silence", now + every, self._look)

    def _warn(self, now: float) -> None:
        s = self._s.settings
        self._warned = True
        self._s.note("limit.warning", left_s=round(s.warn_s))
        self._control.tell(
            f"This call ends in {round(s.warn_s)} seconds, for its time is up. Tell the caller so in one short "
            "sentence, then go on.",
            now,
        )
