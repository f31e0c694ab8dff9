"""
What a wire file must offer, and the few functions that wires share.

A wire file describes one peer completely: dated facts, messages in the peer's spelling, our leg,
and the peer itself for simulators. Knows no carrier, no provider, no socket and no clock.
"""

import difflib
import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Generic, Literal, Protocol, TypeVar

import msgspec
from msgspec import Struct, structs

from offhook.vocab import MASKED, Command, ConfigureSession, Event

T = TypeVar("T")
S = TypeVar("S", bound=Struct)

# Messages of the realtime dialect that repeat in pieces, or around the edges, what others say whole.
ROUTINE = frozenset((
    "conversation.item.added", "conversation.item.created", "conversation.item.done",
    "conversation.item.input_audio_transcription.delta", "conversation.item.input_audio_transcription.updated",
    "input_audio_buffer.committed", "rate_limits.updated", "ping",
    "response.content_part.added", "response.content_part.done", "response.function_call_arguments.delta",
    "response.output_audio.done", "response.output_audio_transcript.delta", "response.output_item.added",
    "response.output_item.done", "response.output_text.delta",
))  # fmt: skip

__all__ = [
    "CarrierWay",
    "ConnectRequest",
    "Ending",
    "Fact",
    "LocalProtocolError",
    "Out",
    "PeerClose",
    "Price",
    "ProviderLeg",
    "ProviderWay",
    "ROUTINE",
    "Refusal",
    "RestRequest",
    "SettingProblem",
    "Usual",
    "Violation",
    "briefed",
    "clean",
    "clean_text",
    "flat_figures",
    "mask_keys",
    "near_miss",
    "redact_json",
]


class Fact(Struct, Generic[T], frozen=True):
    """A value that a peer decides, with where and when we learned it."""

    value: T
    source: str
    checked: str  # YYYY-MM-DD
    until: str | None = None  # set when it stopped being true
    assumed: bool = False  # nobody could observe it; said wherever it is shown


class Price(Struct, frozen=True):
    """
    What a peer takes for one thing that it counts: ``usd`` for ``per`` of them.

    ``what`` is a figure of its usage, ``transcription.…`` one of those of writing down the caller's words, ``minutes``
    of an open session, ``texts`` sent into it. ``source`` and ``checked`` where they are not the whole list's.
    """

    what: str
    usd: float
    per: int = 1
    less: str = ""  # a figure that is part of this one and has a price of its own
    source: str = ""
    checked: str = ""


class Violation(Struct, frozen=True):
    """One broken rule of a wire's contract. Who sent it is the blame."""

    wire: str
    message: str  # the event name, or "frame", "upgrade"
    field: str | None
    got: str
    wanted: str
    source: str
    by: Literal["us", "peer"]
    code: str | None = None  # what the real peer logs for it; None: it logs nothing
    accepted: bool = False  # read all the same (a near miss), or dropped

    def __str__(self) -> str:
        who = "we sent" if self.by == "us" else "the peer sent"
        where = f" with field '{self.field}'" if self.field else ""
        code = f" [{self.code}]" if self.code else ""
        return f"{self.wire}: {who} {self.message}{where}: got {self.got}, wanted {self.wanted}{code} ({self.source})"


class LocalProtocolError(Exception):
    """We were about to send what breaks the contract. Nothing was sent."""

    def __init__(self, violation: Violation) -> None:
        super().__init__(violation)
        self.violation = violation

    def __str__(self) -> str:
        return str(self.violation)


class ConnectRequest(Struct, frozen=True):
    """Everything needed to open a WebSocket to a peer; made without touching the network."""

    url: str
    headers: tuple[tuple[str, str], ...]
    subprotocols: tuple[str, ...] = ()

    def __repr__(self) -> str:  # header values are secrets
        return f"ConnectRequest(url={self.url!r}, headers={[name for name, _ in self.headers]})"


class RestRequest(Struct, frozen=True):
    """A REST call described, not sent."""

    method: str
    url: str
    form: tuple[tuple[str, str], ...]
    username: str
    password: str
    done_when: tuple[tuple[int, int | None], ...]  # (HTTP status, error code) that also mean "done"

    def __repr__(self) -> str:
        return f"RestRequest({self.method} {self.url} {[name for name, _ in self.form]})"


class Refusal(Struct, frozen=True):
    """An HTTP answer other than 101 to an upgrade."""

    status: int
    body: str
    why: str
    location: str | None = None  # of a redirect


class PeerClose(Struct, frozen=True):
    """A simulated peer ends the connection; ``code`` None drops TCP without a close frame."""

    code: int | None
    reason: str = ""


Out = bytes | PeerClose  # what a simulated peer does: a text message, or the end


class SettingProblem(Struct, frozen=True):
    """A setting that cannot work with this wire, and what to do."""

    setting: str
    got: str
    wanted: str
    fix: str
    source: str


class Ending(Struct, frozen=True):
    """Part of a session that ends on a known day (``fact.until``), and what happens ``then``."""

    what: str
    fact: Fact[str]
    then: str


class Usual(Struct, frozen=True):
    """
    One field of a message that is like those before it, for a reader that takes nothing else.

    ``name`` may have one dot. ``rule``: "is" this ``value``; "own", the call's own text number ``own``, "own-figure"
    the same for an integer; "next" in sequence; "any" plain text or figure; "audio", base64; "numbered", a name of
    ours that ends in a number. All fields must be there, except where ``optional``; and no others.
    """

    name: str
    rule: Literal["is", "own", "own-figure", "next", "any", "audio", "numbered"]
    value: str = ""
    own: int = 0
    optional: bool = False


class CarrierWay(Struct, frozen=True):
    """What a carrier's usual messages look like on one stream: media and mark from it, and what they are put into."""

    media: tuple[Usual, ...]  # own 0: ``stream_id``
    mark: tuple[Usual, ...]
    stream_id: str
    n_text: int  # of a usual frame's base64
    n_bytes: int
    media_out: tuple[bytes, bytes]  # around the audio
    mark_out: tuple[bytes, bytes]  # around the name


class ProviderWay(Struct, frozen=True):
    """The same of a provider."""

    delta: tuple[Usual, ...]  # own 0, 1 and 2: response, item, content index
    append_out: tuple[bytes, bytes]
    # types of messages that ``receive`` makes ``Harmless`` of and keeps nothing of
    asides: frozenset[bytes] = frozenset()


class ProviderLeg(Protocol):
    """
    Our side of a provider's wire.

    ``receive`` never raises, whatever arrives. ``send`` raises LocalProtocolError rather than
    produce what the provider refuses. ``violations`` grows as they are seen; the caller empties it.
    """

    violations: list[Violation]

    def receive(self, data: bytes, now: float, *, binary: bool = False) -> Event: ...

    def send(self, command: Command) -> Sequence[bytes]:
        """The text messages that carry out ``command``, in order (often one)."""
        ...

    def append(self, payload: bytes) -> bytes:
        """The one message of an AppendAudio: for the way of every frame, without the command around it."""
        ...

    def way(self) -> ProviderWay | None:
        """What is usual on this wire; None where nothing is."""
        ...

    def passed(self, item_id: str, n_bytes: int) -> None:
        """A usual piece of an item, of which there were others before, went by unread."""
        ...

    def redact(self, data: bytes, *, binary: bool = False, digits: bool = False) -> Mapping[str, Any]:
        """
        The message as it may be written to disk: audio as sizes, no secrets, numbers masked.

        Pressed keys are masked too, unless ``digits`` says that they may be kept.
        """
        ...


def briefed(settings: S, command: ConfigureSession) -> S:
    """A provider's settings with what was learnt of the caller while it was dialled."""
    given = {"instructions": command.instructions, "language": command.language}
    return structs.replace(settings, **{name: value for name, value in given.items() if value is not None})


def near_miss(wanted: str, present: Iterable[str]) -> str | None:
    """
    The one field name in ``present`` that was probably meant to be ``wanted``, or None.

    Other case, other separators or one typing error; ambiguous means None.
    """
    flat = wanted.replace("_", "").replace("-", "").lower()
    names = [name for name in present if name != wanted]
    same = [name for name in names if name.replace("_", "").replace("-", "").lower() == flat]
    if len(same) == 1:
        return same[0]
    if same:
        return None
    close = difflib.get_close_matches(wanted, names, n=2, cutoff=0.8)
    return close[0] if len(close) == 1 else None


_KEY = re.compile(r"\b(?:sk|xai|ek)-[\w*-]{4,}|\bek_\w{4,}")
_NUMBER = re.compile(r"(\+|%2[Bb])(\d)(\d{4,12})(\d{2})(?!\d)")  # E.164, as a carrier gives it, in URLs too
# A number as somebody says it and a provider writes it down: seven digits or more, blanks and the like between them;
# up to nineteen, as a card has.
_SAID_NUMBER = re.compile(r"(?<![\w.-])\(?\d(?:[\s().-]{0,2}\d){6,18}(?![\w])")
_SAID = frozenset(("transcript", "text", "heard_text", "delta", "message"))  # fields that hold what was said
_KEY_TOLD = re.compile(r"(pressed (?:key|these keys:))(?: [0-9*#A-D])+")  # how the bridge tells the agent of a key


def clean_text(text: str) -> str:
    """``text`` without API keys and with phone numbers masked to their first and last characters."""
    # Nearly every text has neither, and to look for what both begin with costs a tenth of trying to match.
    if "k-" in text or "ai-" in text or "ek_" in text:
        text = _KEY.sub("***", text)
    if "+" in text or "%" in text:
        text = _NUMBER.sub(lambda m: m[1] + m[2] + "*" * len(m[3]) + m[4], text)
    return text


def clean(node: Any) -> Any:
    """JSON data with every text in it cleaned; of what was said, numbers without a plus are masked too."""
    if isinstance(node, str):
        return clean_text(node)
    if isinstance(node, (list, tuple)):
        return [clean(part) for part in node]
    if isinstance(node, (dict, Mapping)):  # a dict by its type: the other question is a slow one
        return {clean_text(str(name)): _clean_field(name, part) for name, part in node.items()}
    return node


def _clean_field(name: Any, value: Any) -> Any:
    cleaned = clean(value)
    return _SAID_NUMBER.sub(_all_but_two, cleaned) if name in _SAID and isinstance(cleaned, str) else cleaned


def _all_but_two(found: re.Match[str]) -> str:
    return "*" * (len(found[0]) - 2) + found[0][-2:]


def mask_keys(node: Any) -> Any:
    """JSON data without the digits of the keys that the bridge told the agent of."""
    if isinstance(node, str):
        return _KEY_TOLD.sub(rf"\1 {MASKED}", node) if "pressed " in node else node
    if isinstance(node, list):
        return [mask_keys(part) for part in node]
    if isinstance(node, dict):
        return {name: mask_keys(part) for name, part in node.items()}
    return node


def redact_json(
    data: bytes, audio_in: Mapping[str, str], *, binary: bool = False, digits: bool = False
) -> Mapping[str, Any]:
    """
    A JSON message as it may be written down: audio as its size, padding left out, every text cleaned, sessions and
    responses in brief.

    ``audio_in`` names the field that is audio, by event type. Pieces of a text have their digits masked: a number
    may be cut anywhere. Never raises.
    """
    if binary:
        return {"binary_bytes": len(data)}
    try:
        message = msgspec.json.decode(data)
        if not isinstance(message, dict):
            return {"not_an_object": type(message).__name__}
        kind = message.get("type")
        name = audio_in.get(kind) if isinstance(kind, str) else None
        if name is not None and isinstance(message.get(name), str):
            message[name] = f"<{len(message[name])} characters>"
        elif isinstance(message.get("delta"), str):
            message["delta"] = re.sub(r"\d", MASKED, message["delta"])
        _size_said(message)
        message.pop("obfuscation", None)
        return _brief(clean(message if digits else mask_keys(message)))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return {"not_json_bytes": len(data)}


def _size_said(message: dict[str, Any]) -> None:
    """The same for sound that is part of an item."""
    item = message.get("item")
    parts = item.get("content") if isinstance(item, dict) else None
    for part in parts if isinstance(parts, list) else ():
        if isinstance(part, dict) and isinstance(part.get("audio"), str):
            part["audio"] = f"<{len(part['audio'])} characters>"


_ASIDE = ("event_id", "previous_item_id", "output_index", "usage", "logprobs")  # usage: the call's total is kept


def _brief(message: dict[str, Any]) -> dict[str, Any]:
    """
    The same message without what a record has elsewhere or nobody asks for: a call of ten minutes has hundreds.

    Of a session what it greets with, by its plain fields; what was asked and applied whole, but texts by their
    beginning, length and hash, tools by name. Of a response its state and its parts; what was said stands in the
    transcripts.
    """
    kind = message.get("type")
    if kind != "error":
        for name in _ASIDE:
            message.pop(name, None)
    session, response = message.get("session"), message.get("response")
    if isinstance(session, dict):
        plain = {name: value for name, value in session.items() if kind != "session.created" or not _parts(value)}
        message["session"] = {name: _brief_field(name, value) for name, value in plain.items() if value is not None}
    if isinstance(response, dict) and kind in ("response.created", "response.done"):
        usage = response.get("usage")
        message["response"] = {
            **{name: response[name] for name in ("id", "status", "status_details") if response.get(name) is not None},
            **({"total_tokens": usage.get("total_tokens")} if isinstance(usage, dict) else {}),
            **(
                {"output": [_brief_item(item) for item in response["output"]]} if _parts(response.get("output")) else {}
            ),
        }
    return message


def _parts(value: Any) -> bool:
    return isinstance(value, (dict, list)) and bool(value)


def _brief_item(item: Any) -> Any:
    if not isinstance(item, dict):
        return type(item).__name__
    wanted = ("type", "name", "call_id") if item.get("status") == "completed" else ("type", "name", "call_id", "status")
    return {name: item[name] for name in wanted if name in item}


def _brief_field(name: str, value: Any) -> Any:
    if name == "tools" and isinstance(value, list):
        return [
            tool.get("name") or tool.get("type") if isinstance(tool, dict) else type(tool).__name__ for tool in value
        ]
    if name == "instructions" and isinstance(value, str) and len(value) > 80:
        digest = hashlib.sha256(value.encode("utf-8", "replace")).hexdigest()[:8]
        return f"{value[:60]}… <{len(value)} characters, sha256 {digest}>"
    return value


def flat_figures(given: Any) -> dict[str, int] | None:
    """Usage figures of a provider, flattened to ``input_token_details.audio_tokens`` and the like."""
    if not isinstance(given, dict):
        return None
    flat: dict[str, int] = {}
    for name, value in given.items():
        if isinstance(value, int) and not isinstance(value, bool):
            flat[name] = value
        elif isinstance(value, dict):
            flat.update({f"{name}.{inner}": n for inner, n in (flat_figures(value) or {}).items()})
    return flat
