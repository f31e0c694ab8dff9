"""A call in virtual time: the bridge between a phone that plays in real time and a provider that does as it is told."""

from __future__ import annotations

import base64
from typing import Any

from offhook import vocab as v
from offhook.bridge import Bridge, BridgeSettings
from offhook.media.lines import TEXTS

TRAITS = v.ProviderTraits(
    name="sim", speaks_first="provider", echoes_session=True, turn_events=True, cancels_itself=True, truncates=True,
    session_limit_s=3600.0, audio_in=v.PCMU_8K, audio_out=v.PCMU_8K,
)  # fmt: skip
CARRIER = v.CarrierTraits(name="phone", returns_marks=True, clears=True, ends_by_rest=False)
LINES = {name: b"\x55" * 8000 for name in TEXTS}
SOUND = base64.b64encode(b"\x21\x9e" * 400)  # 100 ms that can be heard
SILENCE = base64.b64encode(b"\xff" * 800)


class SimCall:
    """Feeds events, keeps commands, plays audio and returns marks as the carrier does."""

    def __init__(
        self, *, traits: v.ProviderTraits = TRAITS, carrier: v.CarrierTraits = CARRIER, **settings: Any
    ) -> None:
        self.bridge = Bridge(BridgeSettings(**settings), traits, carrier, LINES)
        self.now = 100.0
        self.did: list[v.Command] = []
        self.marks: list[tuple[float, str]] = []
        self.plays_until = 0.0
        self.returns_marks = True
        self.ended: v.EndCall | None = None

    def feed(self, *events: v.Event) -> list[v.Command]:
        """What the bridge did because of ``events``."""
        before = len(self.did)
        for event in events:
            self._take(self.bridge.on(event, self.now))
        return self.did[before:]

    def _take(self, commands: Any) -> None:
        for command in commands:
            assert self.ended is None, f"{command} after the end"
            self.did.append(command)
            match command:
                case v.PlayAudio(n_bytes=n_bytes):
                    self.plays_until = max(self.plays_until, self.now) + n_bytes / 8000
                case v.SetMark(name=name):
                    self.marks.append((max(self.plays_until, self.now), name))
                case v.ClearPlayback():
                    self.plays_until = self.now
                    self.marks = [(self.now, name) for _, name in self.marks]
                case v.EndCall():
                    self.ended = command

    def advance(self, ms: float) -> None:
        """Let time pass: deadlines fall due, marks come back."""
        until = self.now + ms / 1000
        while True:
            due = [at for at, _ in self.marks] if self.returns_marks else []
            if self.bridge.next_deadline is not None:
                due.append(self.bridge.next_deadline)
            at = min(due, default=None)
            if at is None or at > until or self.ended:
                break
            self.now = max(self.now, at)
            for mark in [mark for mark in self.marks if mark[0] <= self.now and self.returns_marks]:
                self.marks.remove(mark)
                self._take(self.bridge.on(v.MarkReturned(mark[1]), self.now))
            if self.bridge.next_deadline is not None and self.bridge.next_deadline <= self.now:
                self._take(self.bridge.on_timer(self.now))
        self.now = until

    def of(self, kind: type[v.Command]) -> list[Any]:
        return [command for command in self.did if type(command) is kind]

    def notes(self, kind: str) -> list[dict[str, Any]]:
        return [command.data for command in self.of(v.Note) if command.kind == kind]

    # the usual course of things

    def connect(self) -> SimCall:
        """Up to the point where both sides are ready."""
        self.feed(v.CallOffered(), v.StreamOpened(), v.StreamConnected())
        self.feed(v.StreamStarted("MZ1", "CA1", v.PCMU_8K, {}), v.ProviderOpened(), v.SessionGreeted())
        self.feed(v.SessionConfigured())
        return self

    def caller_frame(self, n: int = 1) -> None:
        for _ in range(n):
            self.feed(v.CallerAudio(SOUND[:216], 160))
            self.advance(20)

    def agent_says(self, ms: int, response: str = "r1", item: str = "i1", *, done: bool = True) -> None:
        self.feed(v.ResponseStarted(response))
        for _ in range(ms // 100):
            self.feed(v.AgentAudio(response, item, 0, SOUND, 800))
        if done:
            self.feed(v.AgentAudioDone(response, item), v.ResponseDone(response, "completed"))
