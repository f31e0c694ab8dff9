"""
Whom a call deals with: the carrier's leg, who records, the process around it, and what its sockets tell it.

Knows no wire by name and decides nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal, Protocol

from msgspec import Struct, structs

from offhook import vocab as v
from offhook.net.sockets import Socket
from offhook.wires._wire import CarrierWay, Violation

if TYPE_CHECKING:
    from offhook.net.call import Call
    from offhook.net.handover import Next

__all__ = ["Carrier", "CarrierLeg", "CarrierListener", "ProviderListener", "Recorder", "Shell"]


class Carrier(Struct):
    """The carrier's wire and its settings, which learn their public address when the server listens."""

    wire: ModuleType
    settings: Any

    def saying(self, fallback: str) -> Any:
        """The settings with another spoken fallback; without one as they are."""
        return structs.replace(self.settings, fallback_say=fallback) if fallback else self.settings


class CarrierLeg(Protocol):
    """Our side of a carrier's wire; the manners of ProviderLeg."""

    violations: list[Violation]
    usual_bytes: int  # of audio in a usual frame

    def receive(self, data: bytes, now: float, *, binary: bool = False) -> v.Event: ...
    def usual(self, data: bytes) -> bytes | None: ...
    def way(self) -> CarrierWay | None: ...
    def expects(self) -> int: ...
    def came(self, frames: int, marks: int) -> None: ...
    def plays_unread(self) -> bool: ...
    def played(self, frames: int) -> None: ...
    def send(self, command: v.Command) -> Sequence[bytes]: ...
    def play(self, payload: bytes) -> bytes: ...
    def mark(self, name: str) -> bytes: ...
    def redact(self, data: bytes, *, binary: bool = False) -> Mapping[str, Any]: ...
    def counters(self) -> Mapping[str, int]: ...


class Recorder(Protocol):
    """Keeps the audio of both sides, when that was asked for."""

    def caller(self, payload: bytes, n_bytes: int, now: float, /) -> None: ...
    def agent(self, payload: bytes, n_bytes: int, now: float, /) -> None: ...
    def clear(self, now: float) -> None: ...
    def pause(self, now: float, back_s: float = 0.0) -> None: ...
    def resume(self, now: float) -> None: ...
    def close(self, now: float) -> Mapping[str, Any]: ...


class Shell(Protocol):
    """What a call asks of the process around it. Nothing here blocks; results come back as events."""

    streams_up: int  # streams of the carrier that came up on this server since it started

    def dial(self, call: Call, attempt: int) -> None: ...
    def stop_dialling(self, call: Call) -> None: ...
    def hang_up(self, call: Call, why: str) -> None: ...
    def transfer(self, call: Call, asked: v.Transfer) -> None: ...
    def redial(self, call: Call, agent: str) -> None: ...
    def stop_redialling(self, call: Call) -> None: ...
    def handed_over(self, call: Call, next_: Next) -> None: ...
    def done(self, call: Call, answer: v.Done) -> None: ...
    def run_tool(self, call: Call, asked: v.RunTool) -> None: ...
    def ended(self, call: Call, end: v.EndCall) -> None: ...
    def observe(self, call: Call, happened: v.Event | v.Note, now: float) -> None: ...


class CarrierListener:
    """The callbacks of one carrier socket of a call; a call that comes back from a transfer has another."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self.text = call.from_carrier  # one Python frame less on every message

    def opened(self, socket: Socket) -> None:
        """Never called: the socket was open before the call adopted it."""

    def binary(self, data: bytes) -> None:
        self._call.from_carrier(data, True)

    def closed(self, code: int | None, reason: str, by: Literal["us", "them", "nobody"]) -> None:
        if self._call.listener is self:  # else it is the socket of a stream that ended before
            self._call.closed(v.Leg.CARRIER, code, reason, by)

    def paused(self, n_bytes: int) -> None:
        self._call.feed(v.WritePaused(leg=v.Leg.CARRIER, buffered_bytes=n_bytes))

    def resumed(self) -> None:
        self._call.feed(v.WriteResumed(leg=v.Leg.CARRIER))


class ProviderListener:
    """The provider socket's callbacks of one call."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self.text = call.from_provider

    def opened(self, socket: Socket) -> None:
        self._call.provider_opened(socket)

    def binary(self, data: bytes) -> None:
        self._call.from_provider(data, True)

    def closed(self, code: int | None, reason: str, by: Literal["us", "them", "nobody"]) -> None:
        self._call.closed(v.Leg.PROVIDER, code, reason, by)

    def paused(self, n_bytes: int) -> None:
        self._call.feed(v.WritePaused(leg=v.Leg.PROVIDER, buffered_bytes=n_bytes))

    def resumed(self) -> None:
        self._call.feed(v.WriteResumed(leg=v.Leg.PROVIDER))
