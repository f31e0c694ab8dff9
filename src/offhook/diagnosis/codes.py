"""
What the codes mean that carriers, WebSockets and providers give: where each one stands, what it hides, what to look at.

Data with source and date; a code says where somebody stood when they noticed, seldom what broke. Pure.
"""

from __future__ import annotations

from msgspec import Struct

from offhook.diagnosis.codes_twilio import RANGES, TWILIO
from offhook.wires._wire import Fact

__all__ = ["CHECKED", "Code", "explain_code", "known_codes"]

CHECKED = "2026-11-22"

CLOSES = Fact(
    {
        "1000": ("normal closure", "whoever sent it ended on purpose", "who closed first, and what they wrote before it"),
        "1001": ("going away", "a server that stops, or a session at its maximum age", "the reason, and the age"),
        "1002": ("protocol error", "a frame that breaks RFC 6455", "a proxy that changes frames; binary sent as text"),
        "1003": ("unsupported data", "binary where text is read, or the reverse", "the kind of the last message sent"),
        "1005": ("no code", "a close frame without a code: nobody says why", "the last message before it"),
        "1006": ("abnormal", "no close frame at all: the connection vanished", "exceptions, restarts, idle timers in between"),
        "1007": ("invalid text", "text that is not UTF-8, or JSON of another shape", "the last message sent"),
        "1008": ("policy violation", "a refusal: key, token, or a model of another surface", "the reason; the token's age"),
        "1009": ("message too big", "often ours: a library's limit of 1 MiB on what it receives", "who closed first"),
        "1011": ("internal error", "often ours: a keepalive whose pong did not come in time", "who closed first; loop lag"),
        "1012": ("service restart", "a deploy on the other side", "the same minute in other calls"),
        "1013": ("try again later", "overload", "whether it passes"),
        "1014": ("bad gateway", "a proxy got no answer", "the proxy's own log"),
        "1015": ("TLS failed", "never sent: a library's word for a failed handshake", "certificate and clock"),
        "3000": ("unauthorized", "OpenAI closes so after an error event; the reason names it", "the error before it"),
    },
    "RFC 6455, 7.4; IANA WebSocket registry; captures of OpenAI's sockets",
    CHECKED,
)  # fmt: skip

PROVIDERS = Fact(
    {
        "invalid_api_key": ("key refused", "the upgrade succeeded all the same", "the key's fingerprint: empty, None, white space"),
        "missing_model": ("no model named", "the URL lacks ?model=", "the URL that was dialled"),
        "invalid_model": ("no such model", "a retired or misspelt name", "the models that the provider's page lists today"),
        "model_not_found": ("no such model for this key", "a name of another surface or project", "the project's models"),
        "beta_api_shape_disabled": ("the retired beta dialect", "a header, an old session shape, old event names", "all three"),
        "missing_required_parameter": ("a field is missing", "often session.type: the old flat shape", "session.update"),
        "unknown_parameter": ("a field that is not known", "the whole update failed, not the field alone", "session.update"),
        "invalid_value": ("a value that is refused", "the whole update failed; at a truncate it is harmless", "what was answered"),
        "insufficient_quota": ("quota or credit used up", "it looks like a model that fails", "billing of the project"),
        "rate_limit_exceeded": ("too much in a minute", "it passes, and comes back under load", "limits of the project"),
        "session_expired": ("the session is too old", "it looks like a crash after a fixed time", "limits.max_call_s"),
        "server_error": ("the provider failed", "the call may go on", "whether it repeats; the provider's status page"),
        "response_cancel_not_active": ("nothing to cancel", "harmless race", "nothing"),
        "conversation_already_has_active_response": ("one response at a time", "a client that asks twice", "create_response"),
        "input_audio_buffer_commit_empty": ("nothing to commit", "a client that commits under server VAD", "turn detection"),
    },
    "openai-python 3.54.0; providers' pages and captures",
    CHECKED,
)  # fmt: skip


class Code(Struct, frozen=True):
    """One code, explained."""

    code: str
    family: str  # "Twilio", "WebSocket close", "provider error"
    name: str
    boundary: str
    meaning: str
    look: str
    liars: str
    source: str
    checked: str


def explain_code(code: str) -> Code | None:
    """What is known of a code; None for one that is not known."""
    if code in CLOSES.value:
        name, meaning, look = CLOSES.value[code]
        liars = "the log names whoever received the close; record who sent it first"
        return Code(code, "WebSocket close", name, "", meaning, look, liars, CLOSES.source, CLOSES.checked)
    if code in PROVIDERS.value:
        name, meaning, look = PROVIDERS.value[code]
        liars = "the carrier sees only how the stream ended, and logs 31921 or nothing"
        return Code(
            code, "provider error", name, "provider-session", meaning, look, liars, PROVIDERS.source, PROVIDERS.checked
        )
    row = TWILIO.value.get(code)
    if row is None and code.isdigit():
        row = next((row for first, last, row in RANGES.value if first <= int(code) <= last), None)
    if row is None:
        return None
    name, boundary, meaning, look, liars = row
    source = f"twilio.com/docs/api/errors/{code}"
    return Code(code, "Twilio", name, boundary, meaning, look, liars, source, TWILIO.checked)


def known_codes() -> list[str]:
    """Every code that stands here by itself."""
    return [*TWILIO.value, *CLOSES.value, *PROVIDERS.value]
