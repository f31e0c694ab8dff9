"""
A simulated Twilio on one media stream, the pure part: what it sends when, what it plays, and what goes wrong.

The caller speaks in real time, frames are numbered as they are made and leave when the network lets them; faults of
``carrier_faults`` bend either. Knows no sockets and no clock: callers pass ``now`` and ask for the next ``deadline``.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from offhook.sims.carrier import Phone, Segment
from offhook.sims.carrier_audio import Sound
from offhook.sims.carrier_faults import Fault, named
from offhook.wires._wire import PeerClose
from offhook.wires.carriers._twilio_peer import Peer

__all__ = ["FRAME", "Binary", "Message", "SimCarrier"]

FRAME = 160
BYTES_PER_S = 8000
FIRST_TIMESTAMP_MS = 155  # audio begins some time after the stream, as captures show
OTHER_SID = "MZ" + "f" * 32


class Binary(Struct, frozen=True):
    """A binary frame: nothing that a carrier sends."""

    data: bytes


Message = bytes | Binary | PeerClose


class SimCarrier:
    """
    One media stream of one call.

    ``source(n)`` gives n bytes of PCMU of the caller's own (a microphone); what is said goes before it. ``opened``,
    ``receive`` and ``tick`` return what leaves now, in order.
    """

    def __init__(
        self,
        peer: Peer,
        *,
        parameters: Mapping[str, str] | None = None,
        faults: Sequence[Fault] = (),
        seed: int = 0,
        source: Callable[[int], bytes] | None = None,
    ) -> None:
        self.peer = peer
        self.phone = Phone(peer)
        self.said: list[Segment] = []  # what the caller said, and when it was spoken
        self.presses: list[tuple[str, float]] = []
        self.streams_wanted: list[tuple[float, str]] = []  # (when, "second" or "again"): for the driver
        self.hung_up = False
        self.ended_at: float | None = None  # nothing more leaves
        self.frames_sent = 0
        self.late_ms: list[float] = []  # how late each frame was made: the quality of whoever calls tick
        self._parameters = dict(parameters or {})
        self._faults = tuple(faults)
        self._random = random.Random(seed)
        self._sound = Sound(self.phone, self._faults, seed)
        self._source = source
        self._say = bytearray()
        self._steps: list[tuple[float, int, Callable[[float], list[Message]]]] = []
        self._outbox: list[tuple[float, int, bytes]] = []  # made, not yet let go by the network
        self._order = 0
        self._released = 0.0
        self._opened_at = 0.0
        self._began: float | None = None  # when audio began
        self._position = 0  # bytes of audio made
        self._dead = False
        self._set_up_phone(seed)

    def _set_up_phone(self, seed: int) -> None:
        phone, lost = self.phone, self._fault("lost-marks")
        if self._fault("no-marks"):
            phone.keeps_mark = lambda name: False
        elif lost is not None:
            dice, share = random.Random(seed + 1), lost.figure
            phone.keeps_mark = lambda name: dice.random() >= share
        phone.marks_on_clear = self._fault("no-marks-on-clear") is None
        phone.muted = self._fault("early-media-lost") is not None

    def _fault(self, name: str) -> Fault | None:
        return named(self._faults, name)

    # ------------------------------------------------------------------------------------- the caller

    def say(self, pcmu: bytes) -> None:
        """Speak; what is still being said is said first."""
        self._say += pcmu

    @property
    def speaking(self) -> bool:
        return bool(self._say)

    def press(self, digit: str, now: float) -> list[Message]:
        self.presses.append((digit, now))
        return self._out([self.peer.dtmf(digit)])

    @property
    def ended(self) -> bool:
        return self.ended_at is not None

    def hang_up(self, now: float) -> list[Message]:
        """The caller leaves: stop, then the carrier closes."""
        if self.ended:
            return []
        self.hung_up = True
        if self._dead:  # what the caller does reaches nobody
            self.ended_at = now
            return []
        stops = [self.peer.stop() for _ in range(2 if self._fault("second-stop") else 1)]
        return self._end([*stops, PeerClose(1000)], now)

    # ------------------------------------------------------------------------------------ the carrier

    def begin_with(self, parameters: Mapping[str, str]) -> None:
        """The custom parameters that ``start`` will carry."""
        self._parameters = dict(parameters)

    def opened(self, now: float) -> list[Message]:
        """The WebSocket is open: what is sent first."""
        self._opened_at = self._released = now
        out = self._out([self.peer.connected()])
        if self._fault("media-before-start"):
            out += self._out([self.peer.media(b"\xff\x7f" * 80, n * 20) for n in range(3)])
        late = self._fault("late-start")
        if self._fault("no-start") is None:
            if late is None:
                return out + self._start(now)
            self._at(now + late.figure / 1000, self._start)
        return out

    def _start(self, now: float) -> list[Message]:
        self._began = now
        voicemail = self._fault("voicemail")
        if voicemail is not None:
            self.say(self._sound.voicemail(voicemail.figure))
        for fault in self._faults:
            step = self._step_of(fault)
            if step is not None:
                self._at(self._opened_at + fault.at_s, step)
        return [*self._out([self.peer.start(self._parameters)]), *self.tick(now)]

    def receive(self, data: bytes, now: float, *, binary: bool = False) -> list[Message]:
        """A message of the server; what goes back at once."""
        if self._dead:
            return []
        return self._out(self.phone.receive(data, now, binary=binary))

    def tick(self, now: float) -> list[Message]:
        """Everything that is due by ``now``."""
        out: list[Message] = []
        while self._steps and self._steps[0][0] <= now + 1e-9 and not self.ended:
            out += heapq.heappop(self._steps)[2](now)
        if not self._dead and not self.ended:
            out += self._out(self.phone.tick(now))
        while not self.ended and (due := self._frame_due()) is not None and due <= now + 1e-9:
            self._make_frame(due, now)
        while self._outbox and not self.ended and self._outbox[0][0] <= now + 1e-9:
            out.append(heapq.heappop(self._outbox)[2])
        return out

    def deadline(self) -> float | None:
        """When ``tick`` has something to do; None when nothing will ever be."""
        if self.ended:
            return None
        times = [self._steps[0][0]] if self._steps else []
        times += [self._outbox[0][0]] if self._outbox else []
        times += [at for at in (self._frame_due(), None if self._dead else self.phone.deadline()) if at is not None]
        return min(times, default=None)

    def reads_bytes_s(self, now: float) -> float | None:
        """How fast the carrier reads: None at any speed, 0 not at all."""
        slow = self._fault("slow-read")
        if self._dead:
            return 0.0
        return slow.figure if slow is not None and now >= self._opened_at + slow.at_s else None

    def closed(self, now: float) -> None:
        """The server closed, or the connection is gone."""
        self.phone.tick(now)
        if not self.ended:
            self.ended_at = now

    # -------------------------------------------------------------------------------------- the audio

    def _frame_due(self) -> float | None:
        if self._began is None or self._dead:
            return None
        drift = self._fault("clock-drift")
        stretch = 1 + drift.figure / 1e6 if drift is not None else 1.0
        return self._began + self._position / BYTES_PER_S * stretch

    def _make_frame(self, due: float, now: float) -> None:
        n = FRAME * (1 + self._order % 3) if self._fault("odd-frames") else FRAME
        audio = self._spoken(n, due)
        timestamp = FIRST_TIMESTAMP_MS + self._position // 8
        self._position += n
        self.late_ms.append((now - due) * 1000)
        if self._holds("dtmf-only", due):
            return
        if (loss := self._holds("loss", due)) and self._random.random() < loss.figure:
            self.peer.skip()
            return
        self._send_later(self.peer.media(audio, timestamp), due)
        if self._fault("both-tracks"):
            heard = self._sound.heard(due - n / BYTES_PER_S, n)
            outbound = self.peer.media(heard, timestamp).replace(b'"track":"inbound"', b'"track":"outbound"')
            self._send_later(outbound, due)

    def _spoken(self, n: int, due: float) -> bytes:
        """The caller's next ``n`` bytes: what is to be said, else their own source, else the line's quiet."""
        said = bytes(self._say[:n])
        del self._say[:n]
        if said:
            self.phone.muted = False
            last = self.said[-1] if self.said else None
            if last is not None and abs(last.ended - due) < 0.015:
                last.audio += said
            else:
                self.said.append(Segment(due, bytearray(said)))
        rest = n - len(said)
        more = (self._source(rest) if self._source is not None else self._sound.quiet(rest)) if rest else b""
        return self._sound.bend(said + more, due, due - self._opened_at)

    def _send_later(self, message: bytes, due: float) -> None:
        """Let the network have the message: it comes late, in bunches, or after the one behind it."""
        at = due
        if jitter := self._holds("jitter", due):
            at += self._random.random() * jitter.figure / 1000
        if bunch := self._holds("bunching", due):
            size = bunch.figure / 1000
            at = self._opened_at + (int((at - self._opened_at) / size) + 1) * size
        at = self._released = max(self._released, at)
        if (swap := self._holds("reorder", due)) and self._random.random() < swap.figure:
            at += 0.025
        self._order += 1
        heapq.heappush(self._outbox, (at, self._order, self._twisted(message)))
        self.frames_sent += 1

    def _holds(self, name: str, now: float) -> Fault | None:
        fault = self._fault(name)
        return fault if fault is not None and now >= self._opened_at + fault.at_s else None

    # ------------------------------------------------------------------------------------- the faults

    def _at(self, when: float, step: Callable[[float], list[Message]]) -> None:
        self._order += 1
        heapq.heappush(self._steps, (when, self._order, step))

    def _step_of(self, fault: Fault) -> Callable[[float], list[Message]] | None:
        """What happens once, at the fault's moment."""
        peer = self.peer
        once: dict[str, Callable[[float], list[Message]]] = {
            "hang-up": self.hang_up,
            "close-without-stop": lambda now: self._end([PeerClose(1000)], now),
            "stop-without-close": lambda now: self._end([peer.stop()], now),
            "drop": lambda now: self._end([PeerClose(None)], now),
            "reconnect": self._reconnect,
            "second-stream": self._second,
            "half-dead": self._die,
            "second-start": lambda now: self._out([peer.start(self._parameters)]),
            "unknown-event": lambda now: [_odd(peer, "offhook-unknown", {"unheard": "of"})],
            "other-stream": lambda now: [peer.media(b"\xff" * FRAME, 0).replace(
                peer.stream_sid.encode(), OTHER_SID.encode())],
            "malformed-json": lambda now: [b'{"event":"media","media":{'],
            "binary-frame": lambda now: [Binary(b"\xff" * FRAME)],
            "unknown-mark": lambda now: [peer.mark("never-sent")],
        }  # fmt: skip
        return once.get(fault.name)

    def _end(self, last: Sequence[Message], now: float) -> list[Message]:
        """Nothing comes after ``last``; what the network still holds arrives before it, unless TCP breaks."""
        self.phone.tick(now)
        self.ended_at = now
        held = [] if last[0] == PeerClose(None) or self._dead else [entry[2] for entry in sorted(self._outbox)]
        self._outbox.clear()
        return [*held, *(self._twisted(one) if isinstance(one, bytes) else one for one in last)]

    def _die(self, now: float) -> list[Message]:
        self._dead = True
        self._outbox.clear()
        return []

    def _reconnect(self, now: float) -> list[Message]:
        fault = self._fault("reconnect")
        assert fault is not None
        self.streams_wanted.append((now + fault.figure / 1000, "again"))
        return self._end([PeerClose(None)], now)

    def _second(self, now: float) -> list[Message]:
        self.streams_wanted.append((now, "second"))
        return []

    def _out(self, messages: Sequence[bytes]) -> list[Message]:
        """Messages in order: behind audio that the network still holds back."""
        if not self._outbox:
            return [self._twisted(message) for message in messages]
        for message in messages:
            self._order += 1
            heapq.heappush(self._outbox, (self._released, self._order, self._twisted(message)))
        return []

    def _twisted(self, message: bytes) -> bytes:
        """The message as these faults let it be: fields added, left out or of another type."""
        names = {fault.name for fault in self._faults}
        if not names & {"unknown-field", "number-types", "no-parameters", "foreign-call"}:
            return message
        data: dict[str, Any] = msgspec.json.decode(message)
        start, media = data.get("start"), data.get("media")
        if "unknown-field" in names:
            data["offhookUnknown"] = {"a": [1, None]}
        if start is not None and "no-parameters" in names:
            start.pop("customParameters", None)
        if start is not None and "foreign-call" in names:
            start["callSid"] = "CA" + "e" * 32
        if "number-types" in names:
            for part, field in ((data, "sequenceNumber"), (media, "chunk"), (media, "timestamp")):
                if part and field in part:
                    part[field] = int(part[field])
        return msgspec.json.encode(data)

    def played_ms(self) -> int:
        """Milliseconds of the agent's audio that the caller has heard."""
        return sum(len(segment.audio) for segment in self.phone.heard) // 8


def _odd(peer: Peer, event: str, body: dict[str, Any]) -> bytes:
    """A message of a shape nobody knows, numbered as any other."""
    data = msgspec.json.decode(peer.mark("x"))
    return msgspec.json.encode({**{key: data[key] for key in ("sequenceNumber", "streamSid")}, "event": event, **body})
