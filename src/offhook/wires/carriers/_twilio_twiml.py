"""
The TwiML that we answer and give by REST: every document, with what follows when a stream or a leg ends.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal
from xml.sax.saxutils import escape, quoteattr

from offhook.wires._wire import Fact

if TYPE_CHECKING:
    from offhook.wires.carriers.twilio import CarrierSettings, Webhook

__all__ = ["after", "answer", "dial", "not_put_through", "refuse", "reject"]

# name and value together stay under it
PARAMETER_CHARS = Fact(500, "twilio.com/docs/voice/twiml/stream", "2026-11-22")


def document(*children: str) -> bytes:
    return ('<?xml version="1.0" encoding="UTF-8"?><Response>' + "".join(children) + "</Response>").encode()


def element(name: str, attributes: Mapping[str, str], *children: str) -> str:
    given = "".join(f" {key}={quoteattr(plain(value))}" for key, value in attributes.items())
    return f"<{name}{given}>{''.join(children)}</{name}>" if children else f"<{name}{given}/>"


def say(text: str) -> str:
    return f"<Say>{escape(plain(text))}</Say>"


def plain(text: str) -> str:
    """Without what XML 1.0 cannot carry at all."""
    return "".join(ch for ch in text if ch in "\t\n\r" or (ch >= " " and ch not in "\ufffe\uffff"))


def answer(
    settings: CarrierSettings, webhook: Webhook, token: str, parameters: Mapping[str, str] | None = None
) -> bytes:
    """
    The document that opens the stream, with a way on when the stream breaks.

    With REST credentials the spoken fallback follows, for a wanted end goes by REST and never gets there;
    without them the carrier asks ``after_path``, and the answer depends on how the stream ended.
    """
    given = {"token": token, **{name: value for name, value in (parameters or {}).items() if name != "token"}}
    children = [element("Parameter", {"name": name, "value": _fit(name, value)}) for name, value in given.items()]
    stream = element(
        "Stream",
        {"url": settings.stream_url, "statusCallback": settings.public_url + settings.status_path},
        *children,
    )
    if settings.rest_credentials is not None:
        return document(element("Connect", {}, stream), say(settings.fallback_say), element("Hangup", {}))
    return document(element("Connect", {"action": settings.public_url + settings.after_path}, stream))


def _fit(name: str, value: str) -> str:
    """``value``, cut so that name and value stay under the carrier's limit."""
    return value[: PARAMETER_CHARS.value - 1 - len(name)]


def refuse(settings: CarrierSettings, why: str) -> bytes:
    """The document for a call that is not taken: a spoken reason, then the end."""
    text = {"busy": settings.busy_say, "draining": settings.draining_say}.get(why, settings.fallback_say)
    return document(say(text), element("Hangup", {}))


def reject() -> bytes:
    """The document that does not answer the call at all."""
    return document(element("Reject", {}))


def after(settings: CarrierSettings, how: Literal["wanted", "broken"]) -> bytes:
    """The document that follows the stream: the fallback is heard only where the stream broke."""
    if how == "wanted":
        return document(element("Hangup", {}))
    return document(say(settings.fallback_say), element("Hangup", {}))


def not_put_through(settings: CarrierSettings) -> bytes:
    """The document for a caller whom nobody took, and to whom no agent can be given back."""
    return document(say(settings.not_put_through_say), element("Hangup", {}))


def dial(settings: CarrierSettings, call_sid: str, target: str, ring_s: int, caller_id: str = "") -> bytes:
    """
    The document that gives the caller to somebody else: a number, or a ``sip:`` URI.

    Given by REST, so its addresses are absolute (15004). The action is asked for when the leg has ended, whoever ended
    it; that somebody picked up is told by the leg's own callback, which names its parent in the address we gave.
    """
    of = f"?of={call_sid}"
    leg = {
        "statusCallback": f"{settings.public_url}{settings.call_path}/leg{of}",
        "statusCallbackEvent": "ringing answered completed",
    }
    noun = "Sip" if target.startswith(("sip:", "sips:")) else "Number"
    attributes = {
        "action": f"{settings.public_url}{settings.call_path}/transfer{of}",
        "timeout": str(ring_s),
        **({"callerId": caller_id} if caller_id else {}),
    }
    inner = element(noun, leg, escape(plain(target)))
    return document(element("Dial", attributes, inner))
