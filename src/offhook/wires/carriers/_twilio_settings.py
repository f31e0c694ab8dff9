"""What Twilio's wire must be told, and the dated facts of it. Knows no message."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct

from offhook import vocab as v
from offhook.wires._wire import Fact

__all__ = [
    "AUDIO", "DOCUMENT_BYTES", "ENCODING", "MAX_UNPLAYED_S", "MESSAGES", "NAME", "REST_BASE", "SETTINGS_HEADER",
    "SIGNATURE_HEADER", "WITHHELD", "CarrierSettings", "mask_number",
]  # fmt: skip

NAME = "twilio"

MESSAGES = "twilio.com/docs/voice/media-streams/websocket-messages"
_STREAM = "twilio.com/docs/voice/twiml/stream"
_SECURITY = "twilio.com/docs/usage/webhooks/webhooks-security"
_CHECKED = "2026-11-22"

AUDIO = Fact(v.PCMU_8K, MESSAGES, _CHECKED)
ENCODING = Fact("audio/x-mulaw", MESSAGES, _CHECKED)
REST_BASE = Fact("https://api.twilio.com/2010-04-01", "twilio/twilio-oai twilio_api_v2010.yaml", _CHECKED)
DOCUMENT_BYTES = Fact(64 * 1024, "twilio.com/docs/api/errors/11750", _CHECKED)
MAX_UNPLAYED_S = Fact(600, "twilio.com/docs/api/errors/31931", _CHECKED)
SIGNATURE_HEADER = Fact("X-Twilio-Signature", _SECURITY, _CHECKED)
SETTINGS_HEADER = Fact("X-Twilio-Webhooks-Signature-Settings", "twilio 9.13.0 request_validator.py", _CHECKED)
# Withheld caller numbers arrive as these; nobody can call them back.
WITHHELD = Fact(
    ("+266696687", "+7378742833", "+2562533", "+8656696", "+86282452253"),
    "public reports; no page of the vendor was found", _CHECKED, assumed=True,
)  # fmt: skip


class CarrierSettings(Struct, frozen=True):
    """What this wire must be told. Secrets are plain here and never leave in a repr."""

    public_url: str  # https://host[:port][/prefix], no slash at the end
    auth: Literal["signature", "none"] = "signature"
    auth_token: str = ""
    shared_keys: Mapping[str, str] = {}  # key id -> secret, for SHA-256 signatures
    account_sid: str = ""
    api_key_sid: str = ""
    api_key_secret: str = ""
    webhook_path: str = "/twilio/voice"
    media_path: str = "/twilio/media"
    status_path: str = "/twilio/status"
    after_path: str = "/twilio/after"
    call_path: str = "/twilio/call"  # what becomes of a call beside its stream: status, machine, transfer, leg
    fallback_say: str = "We are sorry, the assistant cannot be reached. Please call again later."
    busy_say: str = "All lines are busy. Please call again in a few minutes."
    not_put_through_say: str = "We are sorry, nobody could be reached there. Please call again later."
    draining_say: str = "This line is being restarted. Please call again in a minute."
    rest_base: str = REST_BASE.value

    def __repr__(self) -> str:
        return f"CarrierSettings(public_url={self.public_url!r}, auth={self.auth!r})"

    @property
    def stream_url(self) -> str:
        """The URL the carrier dials, and signs, for the media stream."""
        scheme, _, rest = self.public_url.partition("://")
        return {"https": "wss", "http": "ws"}[scheme] + "://" + rest + self.media_path

    @property
    def rest_credentials(self) -> tuple[str, str] | None:
        """User and password for REST, or None when it cannot be used."""
        if self.account_sid and self.api_key_sid and self.api_key_secret:
            return self.api_key_sid, self.api_key_secret
        if self.account_sid and self.auth_token:
            return self.account_sid, self.auth_token
        return None


def mask_number(number: str) -> str:
    """A phone number, SIP address or client name as it may be shown: its kind and its last two characters."""
    if number.startswith("+") and number[1:].isdigit():
        return number[:2] + "*" * max(0, len(number) - 4) + number[-2:]
    if not number:
        return ""
    kind, colon, rest = number.partition(":")
    return f"{kind}:***{rest[-2:]}" if colon else f"***{number[-2:]}"
