"""
Whether it is the agent's own voice that interrupts the agent: how loud both sides were, ten times a second.

Costs a byte a tenth of a second and side while the call runs; what it comes to is computed once, when it is over.
Around each interruption the two rows are laid on each other with every delay that a speakerphone can have. A caller who
really interrupts speaks in a rhythm of their own, and goes on when the agent has stopped; an echo stops with it.
"""

from __future__ import annotations

from typing import Any

__all__ = ["Echo"]

SLOTS_S = 10
MOST = 4 * 3600 * SLOTS_S  # of the first hours
# Around each interruption. As measured on 2026-11-26 (16 calls with echo of -10 to -20 dB after 120 to 650 ms; 31 with
# callers who interrupt every 3 to 8 s with 0.4 to 4 s of speech, and with noises): echo 0.71 to 0.84 and more, callers
# 0.50 and less. With four seconds before and one after the two come near each other, 0.49 and 0.33.
BEFORE, AFTER = 15, 6
CUTS = (3, 40)  # fewer prove nothing; more say the same
NOW = 2  # looks come a tenth of a second apart, more or less
LAGS = range(9)  # up to 800 ms: a mobile phone behind a jitter buffer
ENOUGH = 4 * SLOTS_S
BYTES_PER_S = 8000


class Echo:
    """One call. Levels are loudness classes of ``media/levels.py``; ``began`` and ``now`` are one clock."""

    __slots__ = ("_agent", "_began", "_caller", "_cuts", "_n_bytes", "_until")

    def __init__(self, began: float) -> None:
        self._began = began
        self._caller = bytearray()
        self._agent = bytearray()
        self._cuts: list[int] = []
        self._until = began  # when all that came so far will have been played
        self._n_bytes = 0

    def caller(self, level: int, now: float) -> None:
        """A look at the caller's audio."""
        row, slot = self._caller, int((now - self._began) * SLOTS_S)
        if slot == len(row) < MOST:
            row.append(level)
        else:
            self._put(row, slot, level)

    def agent(self, level: int, n_bytes: int, now: float) -> None:
        """A look at the agent's audio, of which ``n_bytes`` have come by now in all; it plays when its turn comes."""
        begins = self._until if self._until > now else now
        self._until = until = begins + (n_bytes - self._n_bytes) / BYTES_PER_S
        self._n_bytes = n_bytes
        row = self._agent
        self._put(row, self._slot(begins), level)
        more = min(self._slot(until), MOST) - len(row)
        if more > 0:
            row.extend(bytes((level,)) * more)

    def cut(self, now: float) -> None:
        """What was not played is dropped."""
        self._until = now
        at = self._slot(now)
        del self._agent[at:]
        if len(self._cuts) < CUTS[1]:
            self._cuts.append(at)

    def levels(self, now: float) -> tuple[int | None, int | None]:
        """The loudest of the last moment: the caller, and what the caller hears of the agent; None where nothing is."""
        end = self._slot(now) + 1
        caller, agent = (max(row[max(0, end - NOW) : end], default=None) for row in (self._caller, self._agent))
        return caller, agent

    def figures(self) -> dict[str, Any] | None:
        """The best correlation and its delay; None where too few interruptions are known."""
        if len(self._cuts) < CUTS[0]:
            return None
        slots = sorted({at for cut in self._cuts for at in range(max(0, cut - BEFORE), cut + AFTER)})
        found = max((self._alike(slots, lag), -lag) for lag in LAGS)
        return {"correlation": round(found[0], 2), "lag_ms": -found[1] * 1000 // SLOTS_S}

    def _alike(self, slots: list[int], lag: int) -> float:
        """Pearson's correlation of both rows, the caller's so much later."""
        agent, caller = self._agent, self._caller
        pairs = [(agent[at] if at < len(agent) else 0, caller[at + lag]) for at in slots if at + lag < len(caller)]
        n = len(pairs)
        if n < ENOUGH:
            return 0.0
        mean_x, mean_y = sum(x for x, _ in pairs) / n, sum(y for _, y in pairs) / n
        xx = sum((x - mean_x) ** 2 for x, _ in pairs)
        yy = sum((y - mean_y) ** 2 for _, y in pairs)
        xy = sum((x - mean_x) * (y - mean_y) for x, y in pairs)
        return float(xy / (xx * yy) ** 0.5) if xx and yy else 0.0

    def _slot(self, at: float) -> int:
        return int((at - self._began) * SLOTS_S)

    def _put(self, row: bytearray, slot: int, level: int) -> None:
        if slot < len(row):
            if slot >= 0 and row[slot] < level:
                row[slot] = level
        elif slot < MOST:
            row.extend(bytes(slot - len(row)))
            row.append(level)
