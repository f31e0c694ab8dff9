"""
Which call a tapped connection belongs to, and the record of each call.

Both legs go into one record by explicit rules, and the record says by which:

- *the only call*: one call is running, and it has no provider session. Joined at once.
- *an identifier*: the session's request or one of its messages names a running call's callSid or streamSid.
- *the caller's own audio*: what is sent to the provider contains frames that came from one call's carrier.
- *the only call without a session*: several calls run, and after HOLD_S only this one has none. Said to be uncertain.

What no rule decides gets a record of its own, with the candidates named. Nothing is guessed.
"""

from __future__ import annotations

import binascii
import itertools
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from offhook.evidence.counted import Counted
from offhook.evidence.journal import Journal, JournalDir
from offhook.evidence.witness import ProviderWitness
from offhook.tap.dialects import Dialect, differences
from offhook.vocab import Leg

__all__ = ["Call", "CallBook", "Session"]

HOLD_S = 3.0  # a session that belongs to one of several calls is watched so long for proof
MAX_HELD = 2000
LINGER_S = 2.0  # what the carrier asks for after the stream belongs to the call
UNSTREAMED_S = 60.0  # a webhook that no stream follows
FRAMES_KEPT = 250  # of each call, 5 s, to be found in what a server sends on
PROOF = 2  # so many frames of one call make it that call's
Later = Callable[[float, Callable[[], None]], Any]


class Call:
    """One call's record while it runs."""

    def __init__(self, name: str, journal: Journal, now: float) -> None:
        self.name = name
        self.journal = journal
        self.began = now
        self.stream_sid = ""
        self.streams = 0  # open ones
        self.had_stream = False
        self.sessions = 0
        self.had_session = False
        self.webhooks = 0
        self.why = ""
        self.summary: dict[str, Any] = {}
        self.counted = Counted(now)
        self.frames: deque[bytes] = deque(maxlen=FRAMES_KEPT)
        self.over = False

    @property
    def quiet(self) -> bool:
        """Whether nothing of it is open."""
        return not self.streams and not self.sessions


class Session:
    """One provider session: its messages go to the record of its call, and are held as long as that is not known."""

    def __init__(self, book: CallBook, dialect: Dialect, now: float, sight: bytes) -> None:
        self.dialect = dialect
        self.call: Call | None = None
        self.began = now
        self._book = book
        self._witness: ProviderWitness | None = None
        self._held: list[Callable[[ProviderWitness], None]] = []  # what was seen, for the record it will belong to
        self._proof: dict[str, int] = {}
        self._closed = False
        self.look(sight)

    def dialled(self) -> int:
        """Which attempt of its call this is; 1 as long as nobody knows whose it is."""
        return self.call.counted.provider.dialled() if self.call is not None else 1

    def opened(self, now: float) -> None:
        self._do(lambda witness: self._must().counted.provider.opened(now))

    def note(self, kind: str, now: float, **data: Any) -> None:
        self._do(lambda witness: witness.journal.note(kind, now, **data))

    def said(self, data: bytes, now: float, binary: bool) -> None:
        def write(witness: ProviderWitness) -> None:
            witness.said(data, now, binary=binary)
            self._must().counted.from_provider(data, now)

        self._do(write)

    def heard(self, data: bytes, now: float, binary: bool) -> None:
        def write(witness: ProviderWitness) -> None:
            witness.heard(data, now, binary=binary)
            self._must().counted.to_provider(data, now)

        self._do(write)
        self.look(data)
        if self._witness is None:
            self._listen(data)

    def look(self, data: bytes) -> None:
        """Whether a request or a message names a running call."""
        if self._witness is not None:
            return
        named = [call for call in self._book.running() if _names(call, data)]
        if len(named) == 1:
            self.join(named[0], "an identifier", certain=True)

    def _listen(self, data: bytes) -> None:
        """Whether the caller's own audio is in it, as it came."""
        for call in self._book.running():
            n = sum(1 for frame in call.frames if frame in data)
            if not n and b'"audio"' in data[:400]:
                n = _decoded_count(call.frames, data)
            if n:
                self._proof[call.name] = self._proof.get(call.name, 0) + n
        sure = [name for name, n in self._proof.items() if n >= PROOF]
        if len(sure) == 1 and len(self._proof) == 1 and sure[0] in self._book.calls:
            self.join(self._book.calls[sure[0]], "the caller's own audio", certain=True)

    def _do(self, what: Callable[[ProviderWitness], None]) -> None:
        if self._witness is not None:
            what(self._witness)
        elif len(self._held) < MAX_HELD:
            self._held.append(what)
        else:
            self._book.alone(self, "too much was held")
            self._do(what)

    def _must(self) -> Call:
        assert self.call is not None
        return self.call

    def join(self, call: Call, how: str, *, certain: bool, candidates: tuple[str, ...] = ()) -> None:
        """From here on the session is part of ``call``'s record."""
        self.call = call
        call.had_session = True
        call.sessions += not self._closed
        call.journal.redactors[Leg.PROVIDER] = self.dialect.redact
        leg = self.dialect.leg() if self.dialect.leg is not None else None
        self._witness = ProviderWitness(call.journal, leg, self.dialect.judge, differences)
        now = self._book.now()
        more = {"candidates": list(candidates)} if candidates else {}
        call.journal.note("tap.join", now, how=how, certain=certain, provider=self.dialect.label,
                          held=len(self._held), **more)  # fmt: skip
        held, self._held = self._held, []
        for what in held:
            what(self._witness)
        self._book.forget(self)

    def close(self) -> None:
        """The session is over; if nobody knows whose it was, it gets a record of its own."""
        self._closed = True
        if self.call is None:
            self._book.decide(self)
        call = self.call
        if call is not None and call.sessions:
            call.sessions -= 1
        if call is not None:
            self._book.settle(call)


class CallBook:
    """All calls that run through one tap. ``later`` calls something after a number of seconds."""

    def __init__(self, journals: JournalDir, now: Callable[[], float], later: Later, sees: tuple[str, ...]) -> None:
        self.calls: dict[str, Call] = {}
        self.finished = 0
        self.now = now
        self.on_end: Callable[[Call], None] = lambda call: None
        self._journals = journals
        self._later = later
        self._sees = sees
        self._waiting: list[Session] = []
        self._numbers = itertools.count(1)

    def running(self) -> list[Call]:
        return [call for call in self.calls.values() if not call.over]

    # ----------------------------------------------------------------------------------------- calls

    def call(self, name: str, now: float, facts: Mapping[str, Any], numbers: tuple[str, ...] = ()) -> Call:
        """The call of that name; a new one where there is none."""
        found = self.calls.get(name)
        if found is not None:
            return found
        began = {"source": "tap", "sees": list(self._sees), "call": name, **facts}
        call = Call(name, self._journals.open(name, {}, now, began, numbers), now)
        self.calls[name] = call
        self._later(UNSTREAMED_S, lambda: self.settle(call, at_once=True))
        for session in list(self._waiting):
            self._later(HOLD_S, lambda session=session: self.decide(session))  # type: ignore[misc]
        return call

    def new_name(self) -> str:
        return f"tap-{next(self._numbers)}"

    def settle(self, call: Call, *, at_once: bool = False) -> None:
        """End the record of a call of which nothing is open, a little later: the carrier may still ask."""
        if not call.quiet or call.over:
            return
        if at_once:
            self.end(call)
        elif call.had_stream or call.had_session:
            self._later(LINGER_S, lambda: self.settle(call, at_once=True))

    def end(self, call: Call) -> None:
        """Close the record."""
        if call.over:
            return
        call.over = True
        why = call.why or ("no stream came" if not call.had_stream else "the tap stopped")
        call.journal.close(self.now(), {"end": {"why": why}, **call.summary, **call.counted.figures()})
        del self.calls[call.name]
        self.finished += 1
        self.on_end(call)

    def end_all(self) -> None:
        """The tap stops: what is undecided gets its own record, and every record its end."""
        for session in list(self._waiting):
            self.alone(session, "the tap stopped")
        for call in list(self.calls.values()):
            self.end(call)

    # -------------------------------------------------------------------------------------- sessions

    def session(self, dialect: Dialect, now: float, sight: bytes) -> Session:
        """A provider session begins; ``sight`` is what its request shows."""
        session = Session(self, dialect, now, sight)
        if session.call is not None:
            return session
        running = self.running()
        if len(running) == 1 and not running[0].sessions and not self._waiting:
            session.join(running[0], "the only call", certain=True)
            return session
        self._waiting.append(session)
        if "carrier" in self._sees:
            self._later(HOLD_S, lambda: self.decide(session))
        else:
            self.alone(session, "only the provider's leg is tapped")
        return session

    def decide(self, session: Session) -> None:
        """The time for proof is over."""
        if session.call is not None or session not in self._waiting:
            return
        free = [call for call in self.running() if not call.sessions]
        rivals = [other for other in self._waiting if other is not session]
        if len(free) == 1 and not rivals:
            only = len(self.running()) == 1
            session.join(free[0], "the only call" if only else "the only call without a session", certain=only,
                         candidates=tuple(call.name for call in self.running()))  # fmt: skip
        else:
            self.alone(session, "ambiguous" if self.running() else "no call was seen")

    def alone(self, session: Session, why: str) -> None:
        """No rule says whose the session is: a record of its own, and a word in those it could belong to."""
        if session.call is not None:
            return
        candidates = tuple(call.name for call in self.running())
        name = self.new_name()
        for call in self.running():
            call.journal.note("tap.join", self.now(), how="undecided", certain=False, other=name, why=why)
        call = self.call(name, session.began, {"provider": session.dialect.label})
        session.join(call, f"a record of its own: {why}", certain=False, candidates=candidates)

    def forget(self, session: Session) -> None:
        if session in self._waiting:
            self._waiting.remove(session)


def _names(call: Call, data: bytes) -> bool:
    sids = [sid for sid in (call.name, call.stream_sid) if len(sid) >= 16]
    return any(sid.encode() in data for sid in sids)


def _decoded_count(frames: deque[bytes], data: bytes) -> int:
    """Frames that are in a message whose audio was cut anew, so that its text is another."""
    begin = data.find(b'"', data.find(b":", data.find(b'"audio"'))) + 1
    end = data.find(b'"', begin)
    try:
        audio = binascii.a2b_base64(data[begin:end])
        return sum(1 for frame in frames if binascii.a2b_base64(frame) in audio)
    except (binascii.Error, ValueError):
        return 0
