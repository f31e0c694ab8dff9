"""
Keys: pressed towards the other side as sound, and gathered from the caller.

Knows no wire; what a single key means when nobody gathers stands in ``talk``.
"""

from __future__ import annotations

from collections.abc import Callable

from offhook import vocab as v
from offhook.bridge.responses import Responses
from offhook.bridge.state import State, Stream
from offhook.media.tones import KEYS, keys_pcmu, keys_problem

__all__ = ["Keypad"]

_Finish = Callable[[str, str, str, float], None]  # outcome, detail, the keys, when


class Keypad:
    """One call's keys."""

    __slots__ = ("_asked", "_digits", "_finish", "_pressing", "_responses", "_s")

    def __init__(self, state: State, responses: Responses) -> None:
        self._s = state
        self._responses = responses
        self._asked: v.CollectAsked | None = None
        self._digits = ""
        self._finish: _Finish | None = None
        self._pressing: Callable[[str, str, float], None] | None = None

    # ---------------------------------------------------------------------------------------- pressing

    def press(self, digits: str, now: float, done: Callable[[str, str, float], None]) -> None:
        """Send keys as sound, behind what is being said; ``done(outcome, detail, now)`` when they were heard."""
        s = self._s
        problem = keys_problem(digits)
        if problem:
            done("refused", f"digits: {problem}", now)
        elif s.stream is not Stream.OPEN or s.on_hold or self._pressing is not None:
            busy = "keys are being pressed already" if self._pressing is not None else "the caller is on hold"
            done("refused", busy if s.stream is Stream.OPEN else "there is no stream", now)
        else:
            self._pressing = done
            s.note("keys.pressed", n=sum(key in KEYS for key in digits))
            s.play("keys", keys_pcmu(digits), now)
            s.keys_until = s.playback.idle_at()
            s.at("keys heard", s.keys_until + s.settings.mark_grace_s, self.marks_are_back)

    @property
    def awaits_marks(self) -> bool:
        return self._pressing is not None

    def marks_are_back(self, now: float) -> None:
        done, self._pressing = self._pressing, None
        if done is not None:
            self._s.keys_until = 0.0
            self._s.deadlines.met("keys heard")
            done("heard", "", now)

    # --------------------------------------------------------------------------------------- gathering

    def collect(self, asked: v.CollectAsked, now: float, finish: _Finish) -> None:
        """Gather keys from now on; ``finish(outcome, detail, keys, now)`` once."""
        wrong = _problem(asked)
        if self._asked is not None:
            wrong = "keys are being gathered already"
        if wrong:
            finish("refused", wrong, "", now)
            return
        self._asked, self._digits, self._finish = asked, "", finish
        self._s.private.gathering(now)
        self._s.note("keys.gather", digits=asked.digits, end_key=asked.end_key, secret=asked.secret)
        self._s.at("next key", now + asked.first_s, self._timed_out)

    def key(self, digit: str, now: float) -> bool:
        """Whether a key of the caller is taken as one of those that are gathered."""
        asked = self._asked
        if asked is None:
            return False
        if asked.end_key and digit == asked.end_key:
            self._gathered("end key", now)
            return True
        self._digits += digit
        if len(self._digits) >= asked.digits:
            self._gathered("length", now)
        else:
            self._s.at("next key", now + asked.next_s, self._timed_out)
        return True

    def _timed_out(self, now: float) -> None:
        self._gathered("timeout" if self._digits else "nothing", now)

    def _gathered(self, outcome: str, now: float) -> None:
        asked, digits, finish = self._asked, self._digits, self._finish
        self._asked, self._digits, self._finish = None, "", None
        assert asked is not None and finish is not None
        self._s.deadlines.met("next key")
        self._s.private.gathered(now)
        shown = digits if self._s.settings.note_digits and not asked.secret else v.MASKED * len(digits)
        self._s.note("keys.gathered", n=len(digits), outcome=outcome, digits=shown)
        finish(outcome, f"{len(digits)} keys", digits, now)
        if not digits:
            told = "The caller was asked for keys and pressed none."
        elif asked.secret:
            told = f"The caller entered {len(digits)} keys. They are secret and have gone where they belong."
        else:
            told = f"The caller pressed these keys: {' '.join(digits)}"
        self._s.do(v.TellAgent(told))
        if not self._responses.caller_speaking:
            self._responses.ask(now)


def _problem(asked: v.CollectAsked) -> str:
    if not 1 <= asked.digits <= 32:
        return f"digits: got {asked.digits}, wanted 1 to 32"
    if asked.end_key and (len(asked.end_key) != 1 or asked.end_key not in KEYS):
        return f"end_key: got {asked.end_key[:10]!r}, wanted one of {KEYS}, or none"
    if not (0 < asked.first_s <= 120 and 0 < asked.next_s <= 60):
        return "first_s, next_s: wanted up to 120 s and up to 60 s"
    return ""
