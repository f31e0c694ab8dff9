"""
Twilio Media Streams, our side: webhook, TwiML, signature, media stream, REST. The other side is
``_twilio_peer.py``. Knows messages, order and refusals; knows nothing of providers, sockets or time.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal
from urllib.parse import parse_qsl, urlsplit

import msgspec
from msgspec import Struct

from offhook import vocab as v
from offhook.wires._wire import (
    CarrierWay,
    Fact,
    LocalProtocolError,
    Usual,
    Violation,
    clean_text,
    near_miss,
)
from offhook.wires.carriers._twilio_caller import own_parameters as own_parameters
from offhook.wires.carriers._twilio_caller import vouches as vouches
from offhook.wires.carriers._twilio_document import describe as describe
from offhook.wires.carriers._twilio_rest import create_call as create_call
from offhook.wires.carriers._twilio_rest import end_call as end_call
from offhook.wires.carriers._twilio_rest import list_numbers as list_numbers
from offhook.wires.carriers._twilio_rest import point_number as point_number
from offhook.wires.carriers._twilio_rest import show_call as show_call
from offhook.wires.carriers._twilio_rest import transfer as transfer
from offhook.wires.carriers._twilio_twiml import after as after
from offhook.wires.carriers._twilio_twiml import answer as answer
from offhook.wires.carriers._twilio_twiml import not_put_through as not_put_through
from offhook.wires.carriers._twilio_twiml import refuse as refuse
from offhook.wires.carriers._twilio_twiml import reject as reject

NAME = "twilio"

# ------------------------------------------------------------------------------------------------ facts

_MESSAGES = "twilio.com/docs/voice/media-streams/websocket-messages"
_STREAM = "twilio.com/docs/voice/twiml/stream"
_SECURITY = "twilio.com/docs/usage/webhooks/webhooks-security"
_CHECKED = "2026-11-22"

AUDIO = Fact(v.PCMU_8K, _MESSAGES, _CHECKED)
ENCODING = Fact("audio/x-mulaw", _MESSAGES, _CHECKED)
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

MAX_MESSAGE_BYTES = 1024 * 1024
MAX_PARAMETERS_BYTES = 64 * 1024
# File headers that are played as noise when they stand before the audio (same page, garbled audio).
_MAGIC = (b"RIFF", b"fLaC", b"ID3", b"OggS", b".snd")
_MAGIC_B64 = tuple(base64.b64encode(magic)[: len(magic) * 8 // 6] for magic in _MAGIC)
_SECRET_PARAMETERS = ("token", "secret", "password", "key")
_NUMBER = re.compile(r"\+?\d{7,}")
_FIGURES = ("chunk", "timestamp", "sequencenumber")  # texts of digits that are no phone number
_MAX_TEXT = 500  # a custom parameter has at most so many characters, name and value together
_B64 = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=")
_B64_BYTES = bytes(_B64)
FRAME_BYTES = 160  # 20 ms, in every capture
_FRAME_TEXT = 216  # the same as base64, which then ends in "=="
_USUAL_AFTER = 10  # so many of one shape in a row
_HOLES_KEPT = 64  # skipped numbers that are waited for: more than a second of frames
_SEQUENCE_MOST = 2**53  # of a usual message: any JSON reader keeps it exactly
_LOOKED_AT = 3  # frames of ours whose audio is looked at before it is sent


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


def traits(settings: CarrierSettings) -> v.CarrierTraits:
    """The manners of this carrier."""
    rest = settings.rest_credentials is not None
    return v.CarrierTraits(name=NAME, returns_marks=True, clears=True, ends_by_rest=rest)


def media_path(settings: CarrierSettings) -> str:
    """Where the media stream is served: the advertised path, prefix of the public URL included."""
    return urlsplit(settings.public_url).path.rstrip("/") + settings.media_path


def mask_number(number: str) -> str:
    """A phone number, SIP address or client name as it may be shown: its kind and its last two characters."""
    if number.startswith("+") and number[1:].isdigit():
        return number[:2] + "*" * max(0, len(number) - 4) + number[-2:]
    if not number:
        return ""
    kind, colon, rest = number.partition(":")
    return f"{kind}:***{rest[-2:]}" if colon else f"***{number[-2:]}"


# ---------------------------------------------------------------------------------------------- webhook


class Webhook(Struct, frozen=True):
    """One request of the carrier about a call."""

    call_sid: str
    account_sid: str
    from_: str
    to: str
    status: str
    direction: str
    parameters: Mapping[str, str]  # everything that came; Twilio adds names without notice
    own: Mapping[str, str] = {}  # what stands in the webhook's own address

    def __repr__(self) -> str:
        return f"Webhook({self.call_sid}, {self.status}, {sorted(self.parameters)})"


class WebhookError(Exception):
    """A webhook that no call can be made of."""

    def __init__(self, field: str, got: str, wanted: str) -> None:
        super().__init__(field)
        self.field, self.got, self.wanted = field, got, wanted

    def __str__(self) -> str:
        return (
            f"webhook: field {self.field}: got {self.got}, wanted {self.wanted} "
            "(twilio.com/docs/voice/twiml#request-parameters); is this URL the number's voice webhook?"
        )


_SID = re.compile(r"[A-Z]{2}[0-9a-fA-F]{32}\Z")


def parse_webhook(method: str, path_qs: str, headers: Sequence[tuple[str, str]], body: bytes) -> Webhook:
    """Read a webhook, GET or POST alike. Raises WebhookError."""
    pairs = _form(method, path_qs, body)
    got = dict(pairs)
    call_sid = got.get("CallSid", "")
    if not _SID.match(call_sid) or call_sid[:2] != "CA":
        raise WebhookError("CallSid", repr(call_sid[:40]) if call_sid else "nothing", "CA and 32 hex digits")
    return Webhook(
        call_sid=call_sid,
        account_sid=got.get("AccountSid", ""),
        from_=got.get("From", ""),
        to=got.get("To", ""),
        status=got.get("CallStatus", ""),
        direction=got.get("Direction", "inbound"),
        parameters=got,
        own=own_parameters(path_qs),
    )


def _form(method: str, path_qs: str, body: bytes) -> list[tuple[str, str]]:
    query = path_qs.partition("?")[2]
    raw = query if method in ("GET", "HEAD") else body.decode("utf-8", "replace")
    return parse_qsl(raw, keep_blank_values=True)  # blank values count in the signature


# -------------------------------------------------------------------------------------------- signature


class SignatureResult(Struct, frozen=True):
    """Whether a request was the carrier's, and what it was checked against."""

    ok: bool
    why: str
    tried_urls: tuple[str, ...]
    algorithm: str = "sha1"


def signed_data(url: str, form: Sequence[tuple[str, str]]) -> bytes:
    """What is signed: the URL, then every name with each of its distinct values, sorted."""
    values: dict[str, set[str]] = {}
    for name, value in form:
        values.setdefault(name, set()).add(value)
    parts = [url] + [name + value for name in sorted(values) for value in sorted(values[name])]
    return "".join(parts).encode()


def sign(secret: str, url: str, form: Sequence[tuple[str, str]] = (), algorithm: str = "sha1") -> str:
    """The signature that the carrier makes."""
    digest = hmac.digest(secret.encode(), signed_data(url, form), algorithm)
    return base64.b64encode(digest).decode()


def check_signature(
    settings: CarrierSettings,
    method: str,
    path_qs: str,
    headers: Sequence[tuple[str, str]],
    body: bytes,
    *,
    upgrade: bool = False,
) -> SignatureResult:
    """
    Whether a request is signed for the configured public URL; what a client sends as Host is not asked.

    The carrier is not consistent about the port, so the URL counts as configured, without port and with the
    scheme's own port.
    """
    urls = _candidates(settings, path_qs, upgrade)
    if settings.auth == "none":
        return SignatureResult(True, "signatures are off", urls)
    found = {name.lower(): value for name, value in headers}
    given = found.get(SIGNATURE_HEADER.value.lower(), "")
    if not given:
        return SignatureResult(False, f"no {SIGNATURE_HEADER.value} header", urls)
    announced = found.get(SETTINGS_HEADER.value.lower())
    secret, algorithm, why = _secret(settings, announced)
    if secret is None:
        return SignatureResult(False, why, urls)
    digest = _query_value(path_qs, "bodySHA256")
    if digest is not None:
        actual = hashlib.sha256(body).hexdigest()
        if not hmac.compare_digest(digest.lower().encode(), actual.encode()):
            return SignatureResult(False, "bodySHA256 is not the hash of this body", urls, algorithm)
        form: list[tuple[str, str]] = []
    else:
        form = _form("POST", path_qs, body) if method == "POST" else []
    matched = False
    for url in urls:  # all of them, whichever matches: no early way out to be timed
        matched |= hmac.compare_digest(sign(secret, url, form, algorithm).encode(), given.encode())
    if not matched:
        return SignatureResult(
            False, "signature does not match: wrong secret, or the public URL is another", urls, algorithm
        )
    return SignatureResult(True, "signed", urls, algorithm)


def _secret(settings: CarrierSettings, announced: str | None) -> tuple[str | None, str, str]:
    """Secret and algorithm that a request announces; without an announcement the Auth Token and SHA-1."""
    if announced is None:
        return settings.auth_token, "sha1", ""
    values = dict(part.strip().split("=", 1) for part in announced.split(",") if "=" in part)
    algorithm = values.get("algorithm")
    if algorithm is None:
        return settings.auth_token, "sha1", ""
    if algorithm != "HMAC_SHA256":
        return None, "", f"unknown signature algorithm {algorithm[:40]!r}, wanted HMAC_SHA256"
    key = values.get("key", "")
    if key not in settings.shared_keys:
        return None, "", f"signed with shared key {key[:40]!r}, which is not among carrier.shared_keys"
    return settings.shared_keys[key], "sha256", ""


def _candidates(settings: CarrierSettings, path_qs: str, upgrade: bool) -> tuple[str, ...]:
    parts = urlsplit(settings.public_url)
    scheme = parts.scheme
    if upgrade:
        scheme = {"https": "wss", "http": "ws"}[scheme]
    host = parts.hostname or ""
    if ":" in host:
        host = f"[{host}]"
    own = {"https": 443, "wss": 443, "http": 80, "ws": 80}[scheme]
    named = [f":{parts.port}"] if parts.port else []
    # another port than the scheme's own is part of the name; only the own one may be left out or added
    ports = named if parts.port and parts.port != own else ["", f":{own}"]
    return tuple(dict.fromkeys(f"{scheme}://{host}{port}{path_qs}" for port in [*named, *ports, ""]))


def _query_value(path_qs: str, name: str) -> str | None:
    return dict(parse_qsl(path_qs.partition("?")[2], keep_blank_values=True)).get(name)


# --------------------------------------------------------------------------------------------- messages


class MediaFormat(Struct):
    encoding: str = ""
    sampleRate: int | str = 0
    channels: int | str = 0


class StartBody(Struct):
    callSid: str = ""
    accountSid: str = ""
    streamSid: str = ""
    tracks: list[str] = []
    mediaFormat: MediaFormat | None = None
    customParameters: dict[str, Any] | None = None


class MediaBody(Struct, gc=False):
    payload: str
    track: str = "inbound"
    timestamp: str | int | None = None
    chunk: str | int | None = None


class MarkBody(Struct):
    name: str


class DtmfBody(Struct):
    digit: str
    track: str = ""


class Connected(Struct, tag_field="event", tag="connected"):
    protocol: str = ""
    version: str = ""


class Start(Struct, tag_field="event", tag="start"):
    start: StartBody
    streamSid: str = ""
    sequenceNumber: str | int | None = None


class Media(Struct, tag_field="event", tag="media", gc=False):
    media: MediaBody
    streamSid: str
    sequenceNumber: str | int | None = None


class Mark(Struct, tag_field="event", tag="mark"):
    mark: MarkBody
    streamSid: str
    sequenceNumber: str | int | None = None


class Dtmf(Struct, tag_field="event", tag="dtmf"):
    dtmf: DtmfBody
    streamSid: str
    sequenceNumber: str | int | None = None


class Stop(Struct, tag_field="event", tag="stop"):
    streamSid: str
    sequenceNumber: str | int | None = None


FromCarrier = Connected | Start | Media | Mark | Dtmf | Stop
KNOWN_EVENTS = ("connected", "start", "media", "mark", "dtmf", "stop")
_decode = msgspec.json.Decoder(FromCarrier).decode
_json = msgspec.json.Encoder()
# Where the exact spelling of a field is looked for when a message does not fit: event -> names on each level.
_FIELDS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "start": (("streamSid", "start"), ("callSid", "streamSid", "mediaFormat", "customParameters")),
    "media": (("streamSid", "media"), ("payload",)),
    "mark": (("streamSid", "mark"), ("name",)),
    "dtmf": (("streamSid", "dtmf"), ("digit",)),
    "stop": (("streamSid",), ()),
}


# A frame and a mark's receipt as every capture has them; what differs in anything is read by ``_decode``.
_USUAL_MEDIA = (
    Usual("event", "is", "media"), Usual("sequenceNumber", "next"), Usual("media.track", "is", "inbound"),
    Usual("media.chunk", "any", optional=True), Usual("media.timestamp", "any", optional=True),
    Usual("media.payload", "audio"), Usual("streamSid", "own"),
)  # fmt: skip
_USUAL_MARK = (
    Usual("event", "is", "mark"), Usual("sequenceNumber", "next"), Usual("streamSid", "own"),
    Usual("mark.name", "numbered"),
)  # fmt: skip

# -------------------------------------------------------------------------------------------------- leg


class Leg:
    """Our side of one media stream."""

    usual_bytes = FRAME_BYTES

    __slots__ = (
        "_bidirectional", "_counts", "_frames", "_handlers", "_holes", "_mark_head", "_media_head", "_next_sequence",
        "_next_text", "_sent_frames", "_stopped", "_usual_run", "call_id", "stream_id", "violations",
    )  # fmt: skip

    def __init__(self, settings: CarrierSettings, *, bidirectional: bool = True) -> None:
        self.violations: list[Violation] = []
        self.stream_id: str | None = None
        self.call_id: str | None = None
        self._bidirectional = bidirectional  # what our own TwiML asked for; ``tracks`` does not tell
        self._stopped = False
        self._next_sequence = 0  # 0: none seen yet
        self._next_text = ""
        self._frames = 0
        self._usual_run = 0  # frames of the usual shape since the last one of another
        self._holes: list[int] = []  # numbers that were skipped and may still come
        self._counts = dict.fromkeys(("lost", "reordered", "outbound_track", "other_stream"), 0)
        self._media_head = self._mark_head = b""
        self._sent_frames = 0
        self._handlers: dict[type, Callable[[Any], v.Event]] = {
            Connected: lambda message: v.StreamConnected(),
            Start: self._on_start,
            Mark: lambda message: v.MarkReturned(name=message.mark.name),
            Dtmf: self._on_dtmf,
            Stop: self._on_stop,
        }

    def counters(self) -> dict[str, int]:
        """What was counted on this stream."""
        return {**self._counts, "frames": self._frames}

    # ----------------------------------------------------------------------------------------- receive

    def receive(self, data: bytes, now: float, *, binary: bool = False) -> v.Event:
        """The event that a message stands for. Never raises."""
        if binary:
            return self._broken("frame", None, "a binary frame", "JSON in a text frame")
        try:
            message = _decode(data)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            return self._strange(data, error)
        if type(message) is Media and message.streamSid == self.stream_id:
            return self._on_media(message)
        if type(message) is Mark and message.streamSid == self.stream_id:
            if message.sequenceNumber is not None:
                self._count(message.sequenceNumber)
            return v.MarkReturned(message.mark.name)
        if len(data) > MAX_MESSAGE_BYTES:
            return self._broken("frame", None, f"{len(data)} bytes", f"at most {MAX_MESSAGE_BYTES}")
        return self._take(message)

    def usual(self, data: bytes) -> bytes | None:
        """
        The payload of a frame that is like those before it: next in sequence, 20 ms, the caller's; counted.

        None for everything else: ``receive`` has to read it, and nothing has changed.
        """
        try:
            message = _decode(data)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return None
        if (
            type(message) is Media
            and message.sequenceNumber == self._next_text
            and message.streamSid == self.stream_id
            and self._usual_run > _USUAL_AFTER
        ):
            media = message.media
            payload = media.payload.encode()
            if (
                len(payload) == _FRAME_TEXT
                and payload[-2] == 61
                and not payload.translate(None, _B64_BYTES)
                and media.track == "inbound"
            ):
                self._frames += 1
                self._next_sequence = n = self._next_sequence + 1
                self._next_text = str(n)
                return payload
        return None

    def way(self) -> CarrierWay | None:
        """What usual messages of this stream look like; None while nothing may be sent."""
        if self.stream_id is None or self._stopped or not self._bidirectional:
            return None
        media, mark = (self._media_head, b'"}}'), (self._mark_head + b'"', b'"}}')
        return CarrierWay(_USUAL_MEDIA, _USUAL_MARK, self.stream_id, _FRAME_TEXT, FRAME_BYTES, media, mark)

    def expects(self) -> int:
        """The sequence number of the next usual message; 0 while frames are not usual."""
        usual = self._usual_run > _USUAL_AFTER and self._next_text
        return self._next_sequence if usual and 0 < self._next_sequence < _SEQUENCE_MOST else 0

    def came(self, frames: int, marks: int) -> None:
        """Usual messages went by unread, next in sequence."""
        self._frames += frames
        self._next_sequence = n = self._next_sequence + frames + marks
        self._next_text = str(n)

    def plays_unread(self) -> bool:
        """Whether audio may be sent without a look at it, as ``play`` does after the first frames."""
        return self._sent_frames >= _LOOKED_AT and not self._stopped

    def played(self, frames: int) -> None:
        """Frames were sent so."""
        self._sent_frames += frames

    def _take(self, message: FromCarrier) -> v.Event:
        sid = getattr(message, "streamSid", None)
        if self.stream_id is not None and sid is not None and sid != self.stream_id:
            if type(message) is Start:
                return self._broken("start", None, "a second start", "one start a stream")
            self._counts["other_stream"] += 1
            return self._broken(_tag(message), "streamSid", f"{sid[:40]!r}", f"{self.stream_id!r}, as in start")
        if type(message) is Media:
            if self.stream_id is None:
                return self._broken("media", None, "media before start", "start first")
            return self._on_media(message)
        number = getattr(message, "sequenceNumber", None)
        if number is not None:
            self._count(number)
        return self._handlers[type(message)](message)

    def _count(self, number: str | int) -> None:
        try:
            n = int(number)
        except ValueError:
            self._broken("message", "sequenceNumber", repr(number)[:40], "an integer")
            return
        wanted = self._next_sequence
        if wanted and n != wanted:
            if n < wanted:
                self._counts["reordered"] += 1
                if n in self._holes:  # it is late, not lost
                    self._holes.remove(n)
                    self._counts["lost"] -= 1
                return
            self._counts["lost"] += n - wanted
            self._holes += range(max(wanted, n - _HOLES_KEPT), n)
            del self._holes[:-_HOLES_KEPT]
        self._next_sequence = n + 1
        self._next_text = str(n + 1)

    def _on_media(self, message: Media) -> v.Event:
        number = message.sequenceNumber
        if number is not None:
            self._count(number)
        media = message.media
        if media.track != "inbound":
            self._counts["outbound_track"] += 1
            return v.Harmless(leg=v.Leg.CARRIER, tag=f"media:{media.track[:20]}")
        payload = media.payload.encode()
        n_text = len(payload)
        self._frames += 1
        if n_text & 3 or not n_text or payload.translate(None, _B64_BYTES):
            self._usual_run = 0
            return self._bad_payload(n_text)
        n_bytes = n_text // 4 * 3
        if payload[-1] == 61:
            n_bytes -= 2 if payload[-2] == 61 else 1
        self._usual_run = self._usual_run + 1 if n_bytes == FRAME_BYTES else 0
        return v.CallerAudio(payload, n_bytes)

    def _bad_payload(self, n_text: int) -> v.Event:
        if n_text == 0:
            return self._broken("media", "media.payload", "nothing", "at least one byte")
        return self._broken("media", "media.payload", "text that is not base64", "padded base64")

    def _on_start(self, message: Start) -> v.Event:
        body = message.start
        sid = message.streamSid or body.streamSid
        if self.stream_id is not None:
            return self._broken("start", None, "a second start", "one start a stream")
        if not sid:
            return self._broken("start", "streamSid", "nothing", "the stream's id")
        parameters = {name: str(value) for name, value in (body.customParameters or {}).items()}
        if sum(len(name) + len(value) for name, value in parameters.items()) > MAX_PARAMETERS_BYTES:
            return self._broken(
                "start", "start.customParameters", "too much", f"at most {MAX_PARAMETERS_BYTES} characters"
            )
        audio = self._audio(body.mediaFormat)
        if audio is None:
            return v.Malformed(leg=v.Leg.CARRIER, why=str(self.violations[-1]))
        self.stream_id, self.call_id = sid, body.callSid
        quoted = _json.encode(sid)
        self._media_head = b'{"event":"media","streamSid":%b,"media":{"payload":"' % quoted
        self._mark_head = b'{"event":"mark","streamSid":%b,"mark":{"name":' % quoted
        return v.StreamStarted(stream_id=sid, call_id=body.callSid, audio=audio, parameters=parameters)

    def _audio(self, given: MediaFormat | None) -> v.AudioFormat | None:
        if given is None:
            return AUDIO.value  # undocumented, but one look-alike leaves it out
        try:
            shape = (given.encoding.lower(), int(given.sampleRate), int(given.channels))
        except ValueError:
            shape = (given.encoding, -1, -1)
        if shape == (ENCODING.value, 8000, 1):
            return AUDIO.value
        self._broken(
            "start", "start.mediaFormat",
            f"{given.encoding[:40]} {given.sampleRate} Hz, {given.channels} channel(s)",
            f"{ENCODING.value} 8000 Hz, 1 channel",
        )  # fmt: skip
        return None

    def _on_dtmf(self, message: Dtmf) -> v.Event:
        digit = message.dtmf.digit
        if len(digit) != 1 or digit not in "0123456789*#ABCD":
            return self._broken("dtmf", "dtmf.digit", f"a text of {len(digit)} characters", "one of 0-9 * #")
        return v.KeyPressed(digit=digit)

    def _on_stop(self, message: Stop) -> v.Event:
        self._stopped = True
        return v.StreamStopped()

    def _strange(self, data: bytes, error: Exception) -> v.Event:
        """A message that does not fit its type: unknown, a near miss that can be read, or broken."""
        try:
            decoded = msgspec.json.decode(data)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return self._broken("frame", None, f"{len(data)} bytes that are not JSON", "one JSON object")
        if not isinstance(decoded, dict):
            return self._broken("frame", None, f"a JSON {type(decoded).__name__}", "one JSON object")
        event = decoded.get("event")
        if not isinstance(event, str):
            return self._broken("message", "event", repr(event)[:40], "the name of an event")
        if event not in KNOWN_EVENTS:
            return v.Unknown(leg=v.Leg.CARRIER, tag=event[:60])
        seen = len(self.violations)
        mended = self._mend(event, decoded)
        if len(self.violations) > seen:
            try:
                return self._take(msgspec.convert(mended, FromCarrier, strict=False))
            except (msgspec.MsgspecError, RecursionError) as again:
                error = again
        where = re.search(r"`\$\.?([^`]*)`", str(error))
        return self._broken(event, where[1] or None if where else None, str(error)[:120], "the documented shape")

    def _mend(self, event: str, decoded: dict[str, Any]) -> dict[str, Any]:
        """Rename near misses of documented fields, each recorded as the violation it is."""
        outer, inner = _FIELDS.get(event, ((), ()))
        mended = self._rename(event, "", outer, decoded)
        body = mended.get(event)
        if isinstance(body, dict):
            mended[event] = self._rename(event, f"{event}.", inner, body)
        return mended

    def _rename(self, event: str, prefix: str, wanted: Sequence[str], given: dict[str, Any]) -> dict[str, Any]:
        renamed = dict(given)
        for name in wanted:
            if name in renamed:
                continue
            miss = near_miss(name, [key for key in renamed if key not in wanted])
            if miss is not None:
                renamed[name] = renamed.pop(miss)
                self.violations.append(
                    _violation(event, prefix + name, f"'{miss}'", f"'{name}'", by="peer", accepted=True)
                )
        return renamed

    def _broken(self, message: str, field: str | None, got: str, wanted: str) -> v.Event:
        violation = _violation(message, field, got, wanted, by="peer")
        self.violations.append(violation)
        return v.Malformed(leg=v.Leg.CARRIER, why=str(violation))

    # -------------------------------------------------------------------------------------------- send

    def send(self, command: v.Command) -> list[bytes]:
        """The messages of ``command``, exactly as documented. Raises LocalProtocolError."""
        if type(command) is v.PlayAudio:
            return [self.play(command.payload)]
        if type(command) is v.SetMark:
            return [self.mark(command.name)]
        if type(command) is v.ClearPlayback:
            self._check_order("clear")
            return [_json.encode(_ClearOut(self._sid()))]
        raise TypeError(f"no message of this wire carries {type(command).__name__}")

    def play(self, payload: bytes) -> bytes:
        """The message that carries a piece of the agent's speech (base64 text). Raises LocalProtocolError."""
        if self._sent_frames < _LOOKED_AT or not payload:
            self._check_payload(payload)
        if self._stopped or not self._media_head:
            self._check_order("media")
        self._sent_frames += 1
        return self._media_head + payload + b'"}}'

    def mark(self, name: str) -> bytes:
        """The message that asks for a receipt. Raises LocalProtocolError."""
        if self._stopped or not self._mark_head or not self._bidirectional:
            self._check_order("mark")
        if not name:
            raise self._local("mark", "mark.name", "''", "a name")
        return self._mark_head + _json.encode(name) + b"}}"

    def _sid(self) -> str:
        assert self.stream_id is not None  # _check_order saw to it
        return self.stream_id

    def _check_order(self, message: str) -> None:
        if self.stream_id is None:
            raise self._local(message, "streamSid", "no stream yet", "start first", "31951")
        if self._stopped:
            raise self._local(message, None, "a message after stop", "nothing after stop")
        if not self._bidirectional:
            raise self._local(message, None, "a message on a <Start> stream", "a <Connect> stream", "31924")

    def _check_payload(self, payload: bytes) -> None:
        self._check_order("media")
        if not payload:
            raise self._local("media", "media.payload", "nothing", "audio")
        if len(payload) % 4 or payload.translate(None, _B64_BYTES):
            raise self._local("media", "media.payload", "text that is not padded base64", "base64", "31951")
        if payload.startswith(_MAGIC_B64):
            raise self._local("media", "media.payload", "a file header", "raw PCMU")

    def _local(
        self, message: str, field: str | None, got: str, wanted: str, code: str | None = None
    ) -> LocalProtocolError:
        return LocalProtocolError(_violation(message, field, got, wanted, by="us", code=code))

    # ------------------------------------------------------------------------------------------ redact

    def redact(self, data: bytes, *, binary: bool = False, digits: bool = False) -> dict[str, Any]:
        """A message of either direction as it may be written down: no audio, no secrets, no numbers, no keys."""
        return redact(data, binary=binary, digits=digits)


class _ClearOut(Struct, tag_field="event", tag="clear"):
    streamSid: str


def redact(data: bytes, *, binary: bool = False, digits: bool = False) -> dict[str, Any]:
    """A message as it may be written down; pressed keys only where ``digits`` says so."""
    if binary:
        return {"binary_bytes": len(data)}
    try:
        message = msgspec.json.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return {"not_json_bytes": len(data)}
    if not isinstance(message, dict):
        return {"not_an_object": type(message).__name__}
    return {name: _masked(name, value, digits) for name, value in message.items()}


def _masked(name: str, value: object, digits: bool) -> Any:
    """A field, however deep: a misspelt message must not let out what the right one hides."""
    lower = name.lower()
    if isinstance(value, dict):
        return {inner: _masked(inner, part, digits) for inner, part in value.items()}
    if isinstance(value, list):
        return [_masked(name, part, digits) for part in value]
    if lower == "payload" or (isinstance(value, str) and len(value) > _MAX_TEXT):
        return f"<{len(str(value))} characters>"
    if any(word in lower for word in _SECRET_PARAMETERS):
        return "***"
    if lower in ("digit", "digits") and not digits:
        return v.MASKED
    if isinstance(value, str):
        return mask_number(value) if lower not in _FIGURES and _NUMBER.fullmatch(value) else clean_text(value)
    return value


def _tag(message: FromCarrier) -> str:
    return str(type(message).__struct_config__.tag)


def _violation(
    message: str,
    field: str | None,
    got: str,
    wanted: str,
    *,
    by: Literal["us", "peer"],
    code: str | None = None,
    accepted: bool = False,
) -> Violation:
    return Violation(
        wire=NAME, message=message, field=field, got=got, wanted=wanted, source=_MESSAGES, by=by,
        code=code, accepted=accepted,
    )  # fmt: skip
