"""
The straight way in C (native/way.c), and what it needs of a call: what ``straight.py`` does, and the way back as well.

What is usual never comes to Python: the ``Way`` counts it, and every ``SETTLED_EVERY`` frames, and before the bridge
hears of anything else, its notes are replayed here to the leg, the journal and the bridge, each with its own time and
in their order. So whoever counts and decides is the same as on the ordinary way, only later. Knows no wire.
"""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING, Any

import msgspec

from offhook import vocab as v
from offhook.bridge.turns import MARK_PREFIX
from offhook.bridge.uplink import LOOK_EVERY, QUIET
from offhook.evidence.record import Channel
from offhook.media.levels import CLASSES, KINDS, LONG_BYTES
from offhook.net.hot import hot
from offhook.net.sockets import Socket
from offhook.wires._wire import CarrierWay, ProviderLeg, ProviderWay, Usual

if TYPE_CHECKING:
    from offhook.bridge.responses import Speech
    from offhook.net.call import Call
    from offhook.net.parties import CarrierLeg

__all__ = ["SETTLED_EVERY", "Compiled", "compiled"]

# A settling takes some 30 microseconds and two for each note, and touches all that a call owns, none of which is in the
# cache any more. So it is rare, every two seconds. Whoever wants the figures before looks at what is not settled yet.
SETTLED_EVERY = 100
# As native/way.c has them: kinds of notes, of which the third is a mark that came back, and a level that is none.
_LOOKED, _SPOKE = 0, 1
_NO_LEVEL = 255
_TYPE = re.compile(
    rb'\{"type": ?"([a-z_.]+)"'
)  # as providers begin their messages; another order goes the ordinary way

_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def _is_object(data: bytes) -> bool:
    """Whether it can be read at all: what cannot has a name of its own, given on the ordinary way."""
    try:
        _members(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True


if hot is not None:
    hot.tables(CLASSES, bytes(kind | (code not in QUIET) << 6 for code, kind in enumerate(KINDS)))


def compiled(
    call: Call, leg: CarrierLeg, provider_leg: ProviderLeg, carrier: Socket, provider: Socket
) -> Compiled | None:
    """The compiled way between two sockets; None where it is not built, not wanted, or a wire has nothing usual."""
    if hot is None:
        return None
    up, down = leg.way(), provider_leg.way()
    to_provider, to_carrier = provider.pen(), carrier.pen()
    if up is None or down is None or to_provider is None or to_carrier is None:
        return None
    made = Compiled(call, leg, provider_leg)
    return made if made.lay(up, down, to_provider, to_carrier, carrier, provider) else None


@functools.cache
def _pattern(fields: tuple[Usual, ...]) -> Any:
    """Fields as C wants them: bodies of their own before their parts, which name them by place."""
    bodies = list(dict.fromkeys(field.name.partition(".")[0] for field in fields if "." in field.name))
    rows: list[tuple[str, str, str, int, int, bool]] = []
    places: dict[str, int] = {}
    for field in fields:
        body, dot, name = field.name.rpartition(".")
        if dot and body not in places:
            rows.append((body, "object", "", 0, 0, False))
            places[body] = len(rows)
        value = MARK_PREFIX if field.rule == "numbered" else field.value
        rows.append((name, field.rule, value, places.get(body, 0), field.own, field.optional))
    assert len(places) == len(bodies)
    assert hot is not None
    return hot.Pattern(*rows)


class Compiled:
    """The compiled way of one call; ``text`` is the callback for what the carrier says beside it."""

    __slots__ = (
        "_asides", "_call", "_leg", "_n_bytes", "_provider_leg", "_speech", "_way",
    )  # fmt: skip

    def __init__(self, call: Call, leg: CarrierLeg, provider_leg: ProviderLeg) -> None:
        assert hot is not None
        self._call = call
        self._leg = leg
        self._provider_leg = provider_leg
        self._asides: frozenset[bytes] = frozenset()
        self._n_bytes = leg.usual_bytes
        self._speech: Speech | None = None
        self._way = hot.Way(call.clock.now, self._due, self._broke, SETTLED_EVERY, LOOK_EVERY)

    def lay(
        self, up: CarrierWay, down: ProviderWay, to_provider: Any, to_carrier: Any, carrier: Socket, provider: Socket
    ) -> bool:
        """Take usual messages from both sockets. False where that cannot be."""
        call, way = self._call, self._way
        self._asides = down.asides
        tape = call.recorder
        laid = way.lay_up(
            to_provider, _pattern(up.media), _pattern(up.mark), up.stream_id.encode(), *down.append_out,
            up.n_text, up.n_bytes, None if tape is None else tape.caller,
        )  # fmt: skip
        if not laid:
            return False
        way.lay_down(
            to_carrier, _pattern(down.delta), *up.media_out, *up.mark_out, MARK_PREFIX.encode(),
            call.bridge.mark_every_bytes, LONG_BYTES, None if tape is None else tape.agent,
        )  # fmt: skip
        call.journal.unsettled = way.pending
        self._expect()
        carrier.attach(way)
        provider.attach(way, downwards=True)
        provider.hear(self.told)
        return True

    def leave(self, carrier: Socket, provider: Socket | None) -> None:
        """The sockets are the call's again."""
        self._way.close()
        self._call.journal.unsettled = None
        carrier.attach(None)
        if provider is not None:
            provider.attach(None)
            provider.hear(self._call.from_provider)

    # --------------------------------------------------------------------------------- what is not usual

    def text(self, data: bytes) -> None:
        """A text message of the carrier."""
        self.settle()
        self._call.from_carrier(data)
        self._expect()

    def told(self, data: bytes) -> None:
        """A text message of the provider. One on which nothing hangs is written down, and needs no settling."""
        kind = _TYPE.match(data)
        if kind is not None and kind[1] in self._asides and _is_object(data):
            self._call.journal.frame(Channel.FROM_PROVIDER, data, self._call.clock.now())
            return
        self.settle()
        self._call.from_provider(data)

    def _expect(self) -> None:
        journal = self._call.journal
        self._way.expect(self._leg.expects(), journal.last_frame_at, journal.meters[0].looked)

    def look(self, now: float) -> None:
        """After everything that happened: whether the agent's speech may pass, and how far it is."""
        call = self._call
        self._speech = speech = call.bridge.speech(now) if self._leg.plays_unread() else None
        journal = call.journal
        if speech is None or (speech.marked and not journal.knows_marks(1)):  # the first one is kept whole
            return
        if not 0 <= speech.content_index < 1000:
            return
        meter = journal.meters[2]
        marks_pass = journal.knows_marks(0) and not speech.marks_awaited
        lengths, any_length = journal.shapes()
        self._way.speak(
            speech.response_id.encode(), speech.item_id.encode(), speech.content_index, speech.since_mark,
            speech.marks_sent, speech.marked, marks_pass, lengths, any_length, meter.frames, meter.looked,
        )  # fmt: skip

    # ----------------------------------------------------------------------------------------- settling

    def _due(self) -> None:
        """C has so much to tell that it is time."""
        self.settle()
        self._call.settle(self._call.clock.now())

    def settle(self) -> None:
        """Tell leg, journal and bridge of what went this way; the agent's speech waits for ``look``."""
        taken = self._way.take()
        if taken is not None:
            self._book(*taken)

    def _book(
        self,
        frames: int,
        widest_s: float,
        last: float,
        up: tuple[int, ...] | None,
        down: tuple[int, ...] | None,
        pieces: int,
        spoken_bytes: int,
        notes: tuple[tuple[int, int, float, int, int], ...],
    ) -> None:
        journal, bridge = self._call.journal, self._call.bridge
        if frames:
            journal.passed(frames, frames * self._n_bytes, widest_s, last, b"")
            bridge.passed(frames, frames * self._n_bytes, last, b"")
        if up is not None:
            journal.looks(0, up)
        if down is not None:
            journal.looks(2, down)
        if pieces and self._speech is not None:
            self._provider_leg.passed(self._speech.item_id, spoken_bytes)
            self._leg.played(pieces)
        marks = self._replay(journal.spoke(pieces, spoken_bytes), notes)
        self._leg.came(frames, marks)
        journal.marks(0, marks)

    def _replay(self, spoken: int, notes: tuple[tuple[int, int, float, int, int], ...]) -> int:
        """
        Tell of each look, piece of speech and mark that came back, in their order: how many marks did.

        ``spoken``: bytes of the agent's speech before.
        """
        call, speech = self._call, self._speech
        bridge, journal = call.bridge, call.journal
        heard, sounded, loud, audio = journal.echo.caller, journal.echo.agent, bridge.loud, bridge.agent_audio
        came = went = 0
        for kind, value, at, marked, level in notes:
            if kind == _LOOKED:
                heard(level, at)
                if value:
                    loud(at)
            elif kind == _SPOKE:
                assert speech is not None
                spoken += value
                if level != _NO_LEVEL:
                    sounded(level, spoken, at)
                event = v.AgentAudio(speech.response_id, speech.item_id, speech.content_index, b"", value)
                asked = call.replay(audio, event, at)
                if (bool(asked) and type(asked[-1]) is v.SetMark) is not bool(marked):
                    raise RuntimeError("the bridge and the compiled way disagree about a mark")
                went += marked
            else:
                came += 1
                call.replay(bridge.on, v.MarkReturned(f"{MARK_PREFIX}{value}"), at)
        journal.marks(1, went)
        return came

    def _broke(self, error: Exception, data: bytes, now: float) -> None:
        """A write failed: our own fault, and this call ends by name, the others go on."""
        self._call.arriving = (Channel.FROM_CARRIER, data)
        self._call.broke(error, now)
