"""
What is waited for, and until when: the named deadlines of one call.

Knows no clock: callers pass seconds, and call ``due`` when ``next_at`` has come.
"""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["Deadlines"]

Act = Callable[[float], None]


class Deadlines:
    """At most one deadline of a name; ``on_missed(name, waited_s, now)`` is told of broken expectations."""

    __slots__ = (
        "_on_missed", "_waiting", "next_at",
    )  # fmt: skip

    def __init__(self, on_missed: Callable[[str, float, float], None]) -> None:
        self.next_at: float | None = None
        self._on_missed = on_missed
        self._waiting: dict[str, tuple[float, Act]] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._waiting

    def at(self, name: str) -> float | None:
        """When ``name`` falls due; None when it is not waited for."""
        entry = self._waiting.get(name)
        return None if entry is None else entry[0]

    def set(self, name: str, when: float, act: Act) -> None:
        """Do ``act`` at ``when``; a deadline of the same name is replaced."""
        self._waiting[name] = (when, act)
        self._look()

    def expect(self, name: str, seconds: float, now: float, act: Act) -> None:
        """Expect a confirmation within ``seconds``; without it the miss is told by name, then ``act`` runs."""

        def missed(at: float) -> None:
            self._on_missed(name, seconds, at)
            act(at)

        self.set(name, now + seconds, missed)

    def met(self, *names: str) -> None:
        """These have been confirmed, or do not matter any more."""
        for name in names:
            self._waiting.pop(name, None)
        self._look()

    def drop_all(self, keep: tuple[str, ...] = ()) -> None:
        self._waiting = {name: entry for name, entry in self._waiting.items() if name in keep}
        self._look()

    def due(self, now: float) -> None:
        """Act upon all that has fallen due; what an act sets anew is looked at next time."""
        for name, entry in list(self._waiting.items()):
            if entry[0] <= now and self._waiting.get(name) is entry:
                self.met(name)
                entry[1](now)

    def _look(self) -> None:
        self.next_at = min((when for when, _ in self._waiting.values()), default=None)
