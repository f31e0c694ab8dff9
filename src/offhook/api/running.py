"""
A running call as those who watch see it, kept up by what is observed of it. Bounded: a call of days does not grow here.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any

__all__ = ["SILENT_DB", "RunningCall"]

TURNS = 40  # of the end of the talk
TEXT_CHARS = 4000
PARTIALS = 8
SILENT_DB = -96.0  # digital silence
# Levels' classes are bits of the peak: 15 is full scale.
LEVELS_DB = (SILENT_DB, *(round((loudest - 15) * 6.02, 1) for loudest in range(1, 16)))


class RunningCall:
    """Of one call: who it is, where it stands, what was said last, what it has used."""

    def __init__(self, call: str, began_at: float, told: Mapping[str, Any]) -> None:
        self.call = call
        self.record = str(told["record"])
        self.told = told
        self.began_at = round(began_at * 1000)
        self.state = "ringing"
        self.provider_ready = False
        self.speaks = {"caller": False, "agent": False}
        self.turns: deque[dict[str, Any]] = deque(maxlen=TURNS)
        self.partials: dict[str, tuple[str, str]] = {}  # item -> who, the text so far
        self.tools: dict[str, str] = {}  # those that run, by the model's id
        self.reply_ms: int | None = None
        self.barge_ins = 0
        self.troubles: deque[str] = deque(maxlen=20)  # what the verdict will be asked about
        self.troubled = 0  # how often that was
        self.stands: dict[str, Any] | None = None  # the verdict as of then; None: nobody has judged it yet
        self.judged_at, self.judged_troubled = 0.0, 0
        self.usage: dict[str, int] = {}
        self.usd: float | None = None
        self.cost_unknown: tuple[str, ...] = ()
        self._loud: dict[int, dict[str, float]] = {}  # by who asks how often: the loudest since it was told

    def view(self) -> dict[str, Any]:
        """All of it as data."""
        return {
            "call": self.call, "record": self.record, "began_at": self.began_at, "state": self.state,
            **{name: self.told[name] for name in ("agent", "direction", "caller", "called", "carrier", "provider",
                                                  "model", "voice")},
            "caller_speaks": self.speaks["caller"], "agent_speaks": self.speaks["agent"],
            "reply_ms": self.reply_ms, "barge_ins": self.barge_ins, "usd": self.usd,
            "cost_unknown": list(self.cost_unknown), "tools": list(self.tools.values()),
            "troubles": list(self.troubles), "stands": self.stands, "turns": list(self.turns),
            "partials": [{"who": who, "item": item, "text": text} for item, (who, text) in self.partials.items()],
        }  # fmt: skip

    def said(self, who: str, item: str, text: str, at_s: float) -> None:
        """A whole text; the same item may be told again."""
        self.partials.pop(item, None)
        turn = {"who": who, "item": item, "text": text[:TEXT_CHARS], "at_s": round(at_s, 2)}
        for n, old in enumerate(self.turns):
            if item and old["item"] == item:
                self.turns[n] = {**turn, "at_s": old["at_s"]}
                return
        self.turns.append(turn)

    def saying(self, who: str, item: str, text: str) -> str:
        """A piece of the agent's, or the caller's text so far; what is there of it now."""
        so_far = self.partials.get(item, ("", ""))[1] if who == "agent" else ""
        whole = (so_far + text)[:TEXT_CHARS]
        self.partials[item] = (who, whole)
        if len(self.partials) > PARTIALS:
            del self.partials[next(iter(self.partials))]
        return whole

    def use(self, usage: Mapping[str, int]) -> None:
        for name, n in usage.items():
            self.usage[name] = self.usage.get(name, 0) + n

    def look(self, classes: tuple[int | None, int | None]) -> None:
        """How loud it is now: the caller as the carrier brings them, the agent as the caller hears it."""
        for who, loudest in zip(("caller", "agent"), classes, strict=True):
            if loudest is not None:
                level = LEVELS_DB[loudest]
                for since in self._loud.values():
                    if since.get(who, SILENT_DB) <= level:
                        since[who] = level

    def loudness(self, every: int) -> list[float | None] | None:
        """Peak in dBFS of caller and agent since this was asked last; None where neither was measured."""
        since = self._loud.setdefault(every, {})
        told = [since.get("caller"), since.get("agent")] if since else None
        since.clear()
        return told
