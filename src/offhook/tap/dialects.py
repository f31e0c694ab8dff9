"""
Which wire a tapped connection speaks, as far as we read one. What nobody here reads passes, and is recorded as unknown.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from types import ModuleType
from typing import Any
from urllib.parse import parse_qs

import msgspec
from msgspec import Struct

from offhook.evidence.witness import Judge, Reader, describe
from offhook.wires import _judge
from offhook.wires._wire import Violation
from offhook.wires.carriers import _twilio_peer, twilio
from offhook.wires.providers import _openai_judge, _xai_judge, loopback, openai, xai

__all__ = ["PROVIDERS", "Dialect", "Stream", "carrier_leg", "differences", "provider_of", "stream_of"]

_WIRES: dict[str, ModuleType] = {"openai": openai, "xai": xai, "loopback": loopback}
_JUDGES: dict[str, Judge] = {"openai": _openai_judge.judge, "xai": _xai_judge.judge}
PROVIDERS = ("auto", *_WIRES)
_HOSTS = {"api.openai.com": "openai", "api.x.ai": "xai"}
_MODELS = (("gpt", "openai"), ("grok", "xai"), ("receptionist", "loopback"))


class Dialect(Struct, frozen=True):
    """A provider's wire, or none: ``leg`` makes a reader of it."""

    name: str
    label: str
    leg: Callable[[], Reader] | None = None
    judge: Judge | None = None
    redact: Callable[..., Any] = describe


def provider_of(host: str, target: str, chosen: str = "auto") -> Dialect:
    """The provider's wire, by who is dialled, then by the model that is asked for."""
    name = chosen
    if chosen == "auto":
        model = parse_qs(target.partition("?")[2]).get("model", [""])[0].lower()
        name = _HOSTS.get(host.lower()) or next((wire for head, wire in _MODELS if model.startswith(head)), "")
        if host.lower().endswith((".openai.azure.com", ".cognitiveservices.azure.com")):
            name = "openai"
    wire = _WIRES.get(name)
    if wire is None:
        return Dialect("", f"unknown wire at {host}")
    return Dialect(
        name, wire.LABEL, leg=lambda: wire.Leg(wire.SessionSettings(api_key="")), judge=_JUDGES.get(name, _no_judge),
        redact=wire.Leg(wire.SessionSettings(api_key="")).redact,
    )  # fmt: skip


def _no_judge(data: bytes, *, binary: bool = False) -> Iterable[Violation]:
    return ()


class Stream(Struct, frozen=True):
    """What a carrier's ``start`` says, in a dialect that is read here."""

    call_sid: str
    stream_sid: str
    peer: _twilio_peer.Peer
    parameters: dict[str, str]


class _Start(msgspec.Struct):
    event: str = ""
    start: dict[str, Any] = {}
    streamSid: str = ""


def stream_of(data: bytes) -> Stream | None:
    """The Twilio stream that a ``start`` opens; None for any other message."""
    try:
        message = msgspec.json.decode(data, type=_Start)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    given = {name: value for name, value in message.start.items() if isinstance(value, str)}
    stream_sid = message.streamSid or given.get("streamSid", "")
    if message.event != "start" or not stream_sid or not given.get("callSid"):
        return None
    peer = _twilio_peer.Peer(stream_sid, given["callSid"], given.get("accountSid", ""), tolerant=True)
    peer.start({})
    custom = message.start.get("customParameters")
    parameters = {str(k): str(value) for k, value in custom.items()} if isinstance(custom, dict) else {}
    return Stream(given["callSid"], stream_sid, peer, parameters)


def carrier_leg() -> Reader:
    """A reader of what the carrier says."""
    return twilio.Leg(twilio.CarrierSettings(public_url="https://tap.invalid", auth="none"))


def differences(asked: Any, echo: Any) -> Iterable[tuple[str, str, str | None]]:
    """
    Where a session came back other than it was asked for.

    A field that is left out of the echo says nothing at a real provider; only an audio format is worth a note then.
    """
    for found in _judge.differences(asked, echo):
        if found.got is not None or "format" in found.field:
            yield found.field, found.asked, found.got
