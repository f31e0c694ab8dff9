"""
What the agent is to say word for word: one after the other, when the line is free, each until it was heard.

The provider speaks it, in the agent's own voice; where a provider has nothing that says a text as it stands, its
instructions come nearest, and ``said`` compares what it says it said. Once the provider is gone nothing can speak
free text, and the call is ending: then the shipped lines speak (see ``ending``). Knows no provider.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from msgspec import Struct

from offhook import vocab as v
from offhook.bridge.responses import Responses
from offhook.bridge.state import State, Stream

__all__ = ["Outcome", "Sayings"]

MOST = 20  # that wait: nobody listens to more
MOST_CHARS = 2000  # two minutes of speech

Outcome = Callable[[str, str, float], None]  # heard, interrupted, failed or refused; a detail; when


class _Saying(Struct):
    text: str
    done: Outcome
    response: str | None = None  # that says it
    sent: bool = False  # all of it is on its way to the caller
    other_words: bool = False


class Sayings:
    """One call's sayings; ``may(now)`` tells whether the conversation is one that can be spoken into."""

    __slots__ = ("_may", "_now_saying", "_responses", "_s", "_waiting")

    def __init__(self, state: State, responses: Responses, may: Callable[[], bool]) -> None:
        self._s = state
        self._responses = responses
        self._may = may
        self._waiting: deque[_Saying] = deque()
        self._now_saying: _Saying | None = None

    def say(self, text: str, now: float, done: Outcome) -> None:
        """Say ``text`` as soon as nobody speaks; ``done`` is called once."""
        text = " ".join(text.split())
        if not text or len(text) > MOST_CHARS:
            done("refused", f"text: got {len(text)} characters, wanted 1 to {MOST_CHARS}", now)
        elif len(self._waiting) >= MOST:
            done("refused", f"{MOST} lines wait already", now)
        else:
            self._waiting.append(_Saying(text, done))
            self.pump(now)

    def pump(self, now: float) -> None:
        """Begin the next one, if the line is free for it."""
        s = self._s
        free = s.session_ready and s.stream is Stream.OPEN and s.ending is None and not s.shut
        if not self._waiting or self._now_saying is not None or not free or not self._may():
            return
        if self._responses.free:
            self._now_saying = saying = self._waiting.popleft()
            self._responses.speak(v.Say(saying.text), now)

    @property
    def awaits_marks(self) -> bool:
        return bool(self._waiting) or self._now_saying is not None

    @property
    def quiet(self) -> bool:
        """None of them is being said."""
        return self._now_saying is None

    # ------------------------------------------------------------------------------------- how it goes

    def response_started(self, response_id: str, now: float) -> None:
        saying = self._now_saying
        if saying is not None and saying.response is None and not self._responses.was_cancelled(response_id):
            saying.response = response_id

    def transcript(self, event: v.AgentTranscript) -> bool:
        """What the provider says that it said; whether these are words that were asked for here."""
        saying = self._now_saying
        if saying is None or event.response_id != saying.response:
            return False
        saying.other_words = _words(event.text) != _words(saying.text)
        return True

    def response_done(self, event: v.ResponseDone, now: float) -> None:
        saying = self._now_saying
        if saying is None or (saying.response or event.response_id) != event.response_id:
            return
        if event.status == "cancelled" or self._responses.was_cancelled(event.response_id):
            self._over("interrupted", "the caller spoke", now)
        elif not self._responses.spoke(event.response_id):
            self._over("failed", event.reason or "nothing was to be heard", now)
        else:
            saying.sent = True
            self._look(now)

    def _look(self, now: float) -> None:
        s = self._s
        if s.playback.unplayed_ms(now) == 0:
            self.marks_are_back(now)
        else:
            s.at("line said", s.playback.idle_at() + s.settings.mark_grace_s, self.marks_are_back)

    def marks_are_back(self, now: float) -> None:
        """All that was sent has been played."""
        saying = self._now_saying
        if saying is not None and saying.sent:
            self._over("heard", "in other words" if saying.other_words else "", now)

    def caller_spoke(self, now: float) -> None:
        """A barge-in: what was not heard yet never will be."""
        saying = self._now_saying
        if saying is not None and saying.response is not None:
            self._over("interrupted", "the caller spoke", now)

    def give_up(self, why: str, now: float) -> None:
        """None of them will be said."""
        waiting, self._waiting = self._waiting, deque()
        if self._now_saying is not None:
            self._over("failed", why, now)
        for saying in waiting:
            saying.done("failed", why, now)

    def _over(self, outcome: str, detail: str, now: float) -> None:
        saying, self._now_saying = self._now_saying, None
        self._s.deadlines.met("line said")
        if saying is not None:
            saying.done(outcome, detail, now)
        self.pump(now)


def _words(text: str) -> list[str]:
    """A text's words as far as speech keeps them: no marks, no case."""
    return "".join(ch if ch.isalnum() else " " for ch in text.lower()).split()
