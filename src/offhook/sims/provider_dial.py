"""
Faults on a dial: which are there, from when on, and what they make of a strict provider's messages.

Stands between the wire's ``Peer`` and whoever carries its messages. Knows no sockets; callers pass ``now``.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec
from msgspec import Struct

from offhook.sims.provider_effects import DELTA
from offhook.sims.provider_faults import FAULTS, Fault, faults_of
from offhook.sims.provider_scene import (
    Answer,
    Binary,
    Hold,
    Item,
    LatePongs,
    Later,
    Message,
    Scene,
    StopReading,
)
from offhook.wires._wire import Out, PeerClose, Refusal

__all__ = ["Act", "Dial", "Dialled", "list_faults", "parse_fault"]

Act = bytes | PeerClose | Binary | StopReading | LatePongs  # what a simulated provider does on its socket
MID_RESPONSE = 3  # pieces of audio: what happens "in" a response happens when it is under way
_json = msgspec.json.Encoder()


class Dialled(Struct, frozen=True):
    """A fault and when it is there: in some responses, from a time on, with the first audio, or from the beginning."""

    fault: Fault
    first: int | None = None
    last: int | None = None
    after_s: float | None = None
    on_append: bool = False
    amount: float = 0.0

    def holds(self, responses: int, open_s: float) -> bool:
        """Whether it is there in the ``responses``-th response, ``open_s`` after the opening."""
        if self.first is not None:
            return self.first <= responses and (self.last is None or responses <= self.last)
        return self.after_s is None or open_s >= self.after_s


def parse_fault(text: str, provider: str) -> Dialled:
    """
    ``name``, or ``name@`` and when: ``5s`` after the opening, ``response2`` from that response on, ``response2-3`` in
    these, ``append`` with the first audio, ``open``. A fault that is about an amount takes that: ``delay-greeting@3s``,
    ``too-many@2``. Raises ValueError that says what there is.
    """
    name, at, when = text.partition("@")
    fault = FAULTS.get(name)
    if fault is None:
        raise ValueError(f"no fault {name!r}; {provider} has {', '.join(faults_of(provider))}")
    if provider not in fault.wires:
        raise ValueError(f"fault {name!r} cannot happen to {provider}, only to {', '.join(fault.wires)}")
    if at and (fault.refuses is not None or fault.knobs):
        raise ValueError(f"fault {text!r}: {name} is there from the beginning, so nothing stands after @")
    when = when if at else fault.at
    seconds = re.fullmatch(r"(\d{1,6}(?:\.\d+)?)s", when)
    if fault.takes == "seconds":
        if seconds is None:
            raise ValueError(f"fault {text!r}: after @ stand seconds, as in {name}@{fault.at}")
        return Dialled(fault, amount=float(seconds[1]))
    if fault.takes == "number":
        if not re.fullmatch(r"\d{1,6}", when):
            raise ValueError(f"fault {text!r}: after @ stands a number, as in {name}@{fault.at}")
        return Dialled(fault, amount=float(when))
    if seconds is not None:
        return Dialled(fault, after_s=float(seconds[1]))
    responses = re.fullmatch(r"(?:response)?([1-9]\d{0,5})(?:-([1-9]\d{0,5}))?", when)
    if responses is not None:
        return Dialled(fault, first=int(responses[1]), last=int(responses[2]) if responses[2] else None)
    if when == "append" and fault.does is not None:
        return Dialled(fault, on_append=True)
    if when == "open" or not at:
        return Dialled(fault)
    raise ValueError(f"fault {text!r}: after @ stand seconds (5s), responses (response2, response2-3), append or open")


class Dial:
    """The faults of one session."""

    def __init__(self, provider: str, faults: Iterable[str]) -> None:
        self.faults = tuple(parse_fault(text, provider) for text in faults)
        self.knobs: dict[str, Any] = {name: value for d in self.faults for name, value in d.fault.knobs.items()}
        self._provider = provider
        self._scene = Scene(provider, None)
        self._undone = [d for d in self.faults if d.fault.does is not None]
        self._waiting: deque[Item] = deque()  # behind a hold
        self._free_at = 0.0
        self._later: list[tuple[float, Message]] = []
        self._opened_at: float | None = None
        self.ended = False

    def play(self, peer: Any) -> None:
        """``peer`` is whose messages will be given."""
        self._scene.peer = peer

    def has(self, name: str) -> Dialled | None:
        return next((d for d in self.faults if d.fault.name == name), None)

    def refusal(self) -> Refusal | None:
        """The first dialled refusal of the upgrade."""
        return next((d.fault.refuses(self._provider) for d in self.faults if d.fault.refuses is not None), None)

    def _there(self, d: Dialled, responses: int) -> bool:
        self._scene.amount = d.amount
        return d.holds(responses, self._scene.open_s)

    def _look_at(self, now: float) -> None:
        self._scene.now = now
        self._scene.open_s = now - self._opened_at if self._opened_at is not None else 0.0

    # ------------------------------------------------------------------------------------- both directions

    def opened(self, out: list[Out], now: float) -> list[Act]:
        """What the provider says first."""
        self._opened_at = now
        self._look_at(now)
        self._begin(lambda d: d.first is None and d.after_s is None and not d.on_append)
        return self.says(out, now)

    def hears(self, data: bytes, now: float) -> bytes | None:
        """A text message as the provider takes it; None: not at all."""
        self._look_at(now)
        if b'"input_audio_buffer.append"' in data[:80]:
            self._begin(lambda d: d.on_append)
        ears = [d for d in self.faults if d.fault.hears is not None]
        if not any(self._there(d, self._scene.responses) for d in ears):
            return data
        try:
            message = msgspec.json.decode(data, type=dict[str, Any])
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return data  # the peer says what it thinks of it
        for d in ears:
            if self._there(d, self._scene.responses) and d.fault.hears is not None:
                heard = d.fault.hears(message, self._scene)
                if heard is None:
                    return None
                message = heard
        return _json.encode(message)

    def says(self, out: list[Out], now: float) -> list[Act]:
        """What becomes of messages that the peer sends now."""
        if not self.faults:
            return list(out)
        self._look_at(now)
        for said in out:
            if isinstance(said, PeerClose):
                self._waiting.append(said)
            else:
                self._waiting.extend(self._changed(msgspec.json.decode(said, type=dict[str, Any])))
        return self._drain(now)

    def _changed(self, message: Message) -> list[Item]:
        scene, kind = self._scene, message["type"]
        if kind == "response.created":
            scene.responses += 1
            scene.deltas = 0
        elif kind == DELTA:
            scene.deltas += 1
            scene.last_delta = message
        items: list[Item] = [message]
        for d in self.faults:
            for effect in d.fault.says if self._there(d, scene.responses) else ():
                before, items = items, []
                for item in before:
                    made = effect(item, scene) if isinstance(item, dict) else None
                    items += [item] if made is None else made
        if kind == "response.done" or (kind == DELTA and scene.deltas == MID_RESPONSE):
            self._waiting.extend(items)
            self._begin(lambda d: d.first is not None and d.first <= scene.responses)
            return []
        return items

    def replies(self, answer: Answer, now: float) -> Answer | None:
        """The answer that is given instead; None: none."""
        self._look_at(now)
        for d in self.faults:
            if d.fault.replies is not None and self._there(d, self._scene.responses + 1):
                changed = d.fault.replies(answer, self._scene)
                if changed is None:
                    return None
                answer = changed
        return answer

    def _begin(self, due: Callable[[Dialled], bool]) -> None:
        """What faults do once, of those that are due."""
        for d in [d for d in self._undone if due(d)]:
            self._undone.remove(d)
            self._scene.amount = d.amount
            if d.fault.does is not None:
                self._waiting.extend(d.fault.does(self._scene))

    # ------------------------------------------------------------------------------------------ time

    def deadline(self) -> float | None:
        """When something is due."""
        if self.ended or self._opened_at is None:
            return None
        due = [at for at, _ in self._later]
        due += [self._opened_at + d.after_s for d in self._undone if d.after_s is not None]
        if self._waiting:
            due.append(self._free_at)
        return min(due, default=None)

    def tick(self, now: float) -> list[Act]:
        """What is due."""
        self._look_at(now)
        ripe = [message for at, message in self._later if at <= now]
        self._later = [(at, message) for at, message in self._later if at > now]
        self._waiting.extend(ripe)
        self._begin(lambda d: d.after_s is not None and self._scene.open_s >= d.after_s)
        return self._drain(now)

    def _drain(self, now: float) -> list[Act]:
        out: list[Act] = []
        while self._waiting and self._free_at <= now and not self.ended:
            item = self._waiting.popleft()
            match item:
                case Hold(seconds=seconds):
                    self._free_at = now + seconds
                case Later(seconds=seconds, message=message):
                    self._later.append((now + seconds, message))
                case dict():
                    out.append(_json.encode(item))
                case _:
                    out.append(item)
                    self.ended = isinstance(item, PeerClose)
        return out


def list_faults(provider: str) -> Mapping[str, str]:
    """The faults of a provider and what each is, for who dials them."""
    return {name: FAULTS[name].text for name in faults_of(provider)}
