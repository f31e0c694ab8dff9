"""
The call in figures: what the bridge counts and keeps for the call's record.

Lists of what may happen often are capped, with a total: a call of an hour, or a hostile peer, must not make it grow.
"""

from __future__ import annotations

from typing import Any

from offhook.bridge.turns import Playback

__all__ = ["CallRecord"]

_KEPT = 200
_TEXT_CHARS = 4000
_PARTIALS = 8  # texts that are on their way at once: more are of a provider that never ends one


class CallRecord:
    """Milestones, turns, texts and counters of one call; times in seconds of the caller's clock."""

    def __init__(self) -> None:
        self.began: float | None = None
        self.milestones: dict[str, float] = {}
        self.missed: list[dict[str, Any]] = []
        self.replies_ms: list[int] = []
        self.barge_ins: list[dict[str, Any]] = []
        self.texts: dict[str, str] = {}
        self.partials: dict[str, tuple[str, str]] = {}  # item -> who, the text so far
        self.usage: dict[str, int] = {}
        self.downlink_dropped_bytes = 0
        self.cancelled_dropped_bytes = 0
        self.totals = {"replies": 0, "barge_ins": 0, "missed": 0, "keys": 0}

    def miss(self, name: str, waited_s: float) -> None:
        self.totals["missed"] += 1
        if len(self.missed) < _KEPT:
            self.missed.append({"name": name, "waited_s": waited_s})

    def reply(self, ms: int) -> None:
        self.totals["replies"] += 1
        if len(self.replies_ms) < _KEPT:
            self.replies_ms.append(ms)

    def barge_in(self, now: float, **figures: str | int) -> None:
        self.totals["barge_ins"] += 1
        if len(self.barge_ins) < _KEPT:
            self.barge_ins.append({"at": self._since(now), **figures})

    def text(self, item_id: str, text: str) -> None:
        """What the agent said in an item, as the provider wrote it down."""
        if item_id in self.texts or len(self.texts) < _KEPT:
            self.texts[item_id] = text[:_TEXT_CHARS]

    def piece(self, who: str, item_id: str, text: str) -> None:
        """A text that has not come to its end: the record's only trace of it where the call ends before."""
        self.partials[item_id] = (who, text[:_TEXT_CHARS])
        if len(self.partials) > _PARTIALS:
            del self.partials[next(iter(self.partials))]

    def spoken(self, playback: Playback, now: float) -> dict[str, list[int]]:
        """The agent's items: at which ms each began to play, how many ms it has, and how many of them were heard."""
        return {
            item.item_id: [self._since(item.at), item.sent_bytes // 8, playback.heard_ms(item.item_id, now)]
            for item in list(playback.items.values())[-_KEPT:]
        }

    def unfinished(self) -> list[dict[str, str]]:
        return [{"who": who, "item": item, "text": text} for item, (who, text) in self.partials.items()]

    def use(self, usage: dict[str, int] | None) -> None:
        for name, n in (usage or {}).items():
            self.usage[name] = self.usage.get(name, 0) + n

    def _since(self, at: float) -> int:
        return round((at - (self.began or 0.0)) * 1000)

    def cut_items(self, playback: Playback, now: float) -> list[dict[str, Any]]:
        """
        The items that were not heard to their end. ``heard_text`` is the text's share by time, cut at a word:
        models speak evenly enough for a reader, and no provider says which word falls on which byte.
        """
        lines: list[dict[str, Any]] = []
        for item in playback.items.values():
            ms, heard_ms = item.sent_bytes // 8, playback.heard_ms(item.item_id, now)
            if heard_ms >= ms or len(lines) >= _KEPT or item.item_id.startswith("music:"):
                continue
            text = self.texts.get(item.item_id, "")
            lines.append(
                {
                    "item": item.item_id,
                    "text": text,
                    "ms": ms,
                    "heard_ms": heard_ms,
                    "heard_text": _share(text, heard_ms / ms),
                }
            )
        return lines


def _share(text: str, share: float) -> str:
    end = int(len(text) * share)
    return text[:end].rpartition(" ")[0] if end < len(text) and not text[end].isspace() else text[:end]
