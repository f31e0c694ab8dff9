"""
Writing down what crosses the wires of a program that is not ours: whole messages in, journal lines out.

Where our own bridge is under test it writes its journal itself; a proxy and a simulated peer only look on. Each
direction is read by the wire that knows it, violations go beside the messages, audio is counted and measured on all
four channels. A message that breaks a reader is kept as it is; it can end nothing. Knows no wire.
"""

from __future__ import annotations

import binascii
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

import msgspec

from offhook import vocab as v
from offhook.evidence.journal import Journal
from offhook.evidence.record import Channel
from offhook.media.levels import LONG_BYTES, LOOK_EVERY, is_silence
from offhook.wires._wire import Violation, clean_text

__all__ = ["CarrierWitness", "ProviderWitness", "Reader", "describe", "write_differences"]

GONE = "left out of the echo"
SESSION = (b'"session.update"', b'"session.updated"', b'"session.created"')


class Reader(Protocol):
    """One side of a wire, reading the other: a leg."""

    violations: list[Violation]

    def receive(self, data: bytes, now: float, *, binary: bool = False) -> v.Event: ...


class _Append(msgspec.Struct, tag_field="type", tag="input_audio_buffer.append", gc=False):
    audio: str


_append = msgspec.json.Decoder(_Append).decode
Judge = Callable[..., Iterable[Violation]]
Compare = Callable[[Mapping[str, Any], Mapping[str, Any]], Iterable[tuple[str, str, str | None]]]


def describe(data: bytes, *, binary: bool = False, digits: bool = False) -> dict[str, Any]:
    """A message of a dialect that nobody here reads: its names and sizes, no value."""
    if binary:
        return {"binary_bytes": len(data)}
    try:
        message = msgspec.json.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return {"not_json_bytes": len(data)}
    if not isinstance(message, dict):
        return {"not_an_object": type(message).__name__}
    names = [clean_text(name)[:40] for name in list(message)[:20]]
    kind = message.get("type") or message.get("event")
    told = {"type": clean_text(kind)[:60]} if isinstance(kind, str) else {}
    return {**told, "unknown_dialect": True, "names": names}


class _MediaBody(msgspec.Struct, gc=False):
    payload: str


class _Media(msgspec.Struct, tag_field="event", tag="media", gc=False):
    media: _MediaBody


_media = msgspec.json.Decoder(_Media).decode


class Peer(Protocol):
    """The carrier's side of a stream, judging what it is sent."""

    violations: list[Violation]

    def receive(self, data: bytes, now: float, *, binary: bool = False) -> object: ...


class CarrierWitness:
    """Both directions of one media stream. ``leg`` and ``peer`` None: a dialect that nobody here reads."""

    def __init__(
        self, journal: Journal, leg: Reader | None, peer: Peer | None, frames: deque[bytes] | None = None
    ) -> None:
        self.journal = journal
        self._leg = leg
        self._peer = peer
        self._frames = frames  # the caller's latest audio, for whoever has to tell one call from another

    def said(self, data: bytes, now: float, *, binary: bool = False) -> None:
        """A message of the carrier."""
        try:
            event = self._leg.receive(data, now, binary=binary) if self._leg is not None else None
        except Exception as error:
            self.journal.note("exception", now, task="reader", type=type(error).__name__, where="from_carrier")
            event = None
        if type(event) is v.CallerAudio:
            if self._frames is not None and not is_silence(event.payload):
                self._frames.append(event.payload)
            self.journal.audio(Channel.FROM_CARRIER, event.payload, event.n_bytes, now, data)
            return
        if type(event) is v.MarkReturned:
            self.journal.mark(Channel.FROM_CARRIER, data, now)
        else:
            self.journal.frame(Channel.FROM_CARRIER, data, now, binary)
        _drain(self.journal, self._leg.violations if self._leg is not None else [], Channel.FROM_CARRIER, now)

    def heard(self, data: bytes, now: float, *, binary: bool = False) -> list[Violation]:
        """A message of the server; what the carrier's side found in it."""
        taken = None
        if self._peer is not None:
            try:
                taken = self._peer.receive(data, now, binary=binary)
            except Exception as error:
                self.journal.note("exception", now, task="judge", type=type(error).__name__, where="to_carrier")
        payload = _payload(data) if hasattr(taken, "audio") else None
        if payload:
            _measure(self.journal, Channel.TO_CARRIER, payload, now, data)
        elif hasattr(taken, "name"):
            self.journal.mark(Channel.TO_CARRIER, data, now)
        else:
            self.journal.frame(Channel.TO_CARRIER, data, now, binary)
        found = list(self._peer.violations) if self._peer is not None else []
        _drain(self.journal, self._peer.violations if self._peer is not None else [], Channel.TO_CARRIER, now)
        return found


class ProviderWitness:
    """Both directions of one provider session. ``leg`` and ``judge`` None: a dialect that nobody here reads."""

    def __init__(self, journal: Journal, leg: Reader | None, judge: Judge | None, compare: Compare) -> None:
        self.journal = journal
        self._leg = leg
        self._judge = judge
        self._compare = compare
        self._asked: Mapping[str, Any] | None = None

    def said(self, data: bytes, now: float, *, binary: bool = False) -> None:
        """A message of the provider."""
        try:
            event = self._leg.receive(data, now, binary=binary) if self._leg is not None else None
        except Exception as error:  # a reader's defect: the message is kept, and that nobody could read it
            self.journal.note("exception", now, task="reader", type=type(error).__name__, where="from_provider")
            event = None
        if type(event) is v.AgentAudio:
            self.journal.audio(Channel.FROM_PROVIDER, event.payload, event.n_bytes, now, data)
            return
        self.journal.frame(Channel.FROM_PROVIDER, data, now, binary)
        _drain(self.journal, self._leg.violations if self._leg is not None else [], Channel.FROM_PROVIDER, now)
        if not binary and any(name in data[:200] for name in SESSION):
            self._session(data, now)

    def heard(self, data: bytes, now: float, *, binary: bool = False) -> None:
        """A message of the client."""
        if not binary and self._append(data, now):
            return
        self.journal.frame(Channel.TO_PROVIDER, data, now, binary)
        if self._judge is not None:
            try:
                _drain(self.journal, list(self._judge(data, binary=binary)), Channel.TO_PROVIDER, now)
            except Exception as error:
                self.journal.note("exception", now, task="judge", type=type(error).__name__, where="to_provider")
        if not binary and SESSION[0] in data[:4096]:
            self._session(data, now)

    def _append(self, data: bytes, now: float) -> bool:
        """Whether a message was caller audio; it is counted and measured."""
        if self._judge is None:
            return False
        try:
            payload = _append(data).audio.encode()
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            return False
        _measure(self.journal, Channel.TO_PROVIDER, payload, now, data)
        return True

    def _session(self, data: bytes, now: float) -> None:
        """A session that is asked for or confirmed, and where the two differ."""
        try:
            message = msgspec.json.decode(data)
            session = message["session"]
            kind = message["type"]
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, KeyError, TypeError):
            return
        if not isinstance(session, dict):
            return
        if kind == "session.update":
            self._asked = session
            self.journal.note("session.asked", now, session=_brief(session))
        elif kind == "session.updated":
            self.journal.note("session.echoed", now, session=_brief(session))
            if self._asked is not None:
                write_differences(self.journal, self._compare(self._asked, session), now)


def _drain(journal: Journal, found: list[Violation], channel: Channel, now: float) -> None:
    for violation in found:
        journal.violation(violation, channel, now)
    found.clear()


def _payload(data: bytes) -> bytes | None:
    try:
        return _media(data).media.payload.encode()
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None


def write_differences(journal: Journal, found: Iterable[tuple[str, str, str | None]], now: float) -> None:
    """Note where a session came back other than it was asked for; another audio format is static on the line."""
    for field, asked, got in found:
        fatal = field.endswith(("format", "format.type", "format.rate")) and got is not None
        journal.note("session.difference", now, field=field, asked=asked, got=got or GONE, fatal=fatal)


def _measure(journal: Journal, channel: Channel, payload: bytes, now: float, data: bytes) -> None:
    """Count audio of a foreign program; what it sends is not what came in, so it is measured as well."""
    n_bytes = len(payload) * 3 // 4 - payload[-2:].count(b"=")
    journal.audio(channel, payload, n_bytes, now, data)
    meter = journal.meters[channel]
    if n_bytes > LONG_BYTES or not meter.frames % LOOK_EVERY:
        try:
            meter.look(payload)
        except (binascii.Error, ValueError):
            return  # the wire's judge has said so


def _brief(node: Any) -> Any:
    """A session as it may be noted: long texts by their length, tools by name."""
    if isinstance(node, Mapping):
        return {
            name: [tool.get("name", tool.get("type")) for tool in value if isinstance(tool, Mapping)]
            if name == "tools" and isinstance(value, list)
            else _brief(value)
            for name, value in node.items()
        }
    if isinstance(node, str):
        return clean_text(node) if len(node) <= 80 else f"<{len(node)} characters>"
    if isinstance(node, (list, tuple)):
        return [_brief(part) for part in node]
    return node
