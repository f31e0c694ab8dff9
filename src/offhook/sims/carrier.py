"""
A simulated Twilio, the pure part: TwiML it understands, a phone that plays what it is sent, and what was heard.

Knows no sockets and no clock: callers pass ``now`` in seconds.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections import deque
from urllib.parse import urljoin, urlsplit

from msgspec import Struct

from offhook.wires.carriers._twilio_peer import Cleared, Marked, Peer, Played

__all__ = ["Phone", "Segment", "TwimlError", "Verb", "parse_twiml"]

BYTES_PER_S = 8000
MAX_UNPLAYED_BYTES = 600 * BYTES_PER_S

# Verbs and nouns with their attributes, spelled as the vendor's SDK 9.13.0 writes them.
_ATTRIBUTES: dict[str, frozenset[str]] = {
    "Response": frozenset(),
    "Connect": frozenset({"action", "method"}),
    "Start": frozenset({"action", "method"}),
    "Stop": frozenset(),
    "Stream": frozenset(
        {"url", "name", "track", "statusCallback", "statusCallbackMethod", "connectorName", "audioFormat", "sampleRate"}
    ),
    "Parameter": frozenset({"name", "value"}),
    "Say": frozenset({"voice", "language", "loop"}),
    "Play": frozenset({"loop", "digits"}),
    "Pause": frozenset({"length"}),
    "Hangup": frozenset(),
    "Reject": frozenset({"reason"}),
    "Redirect": frozenset({"method"}),
    "Dial": frozenset({"action", "method", "timeout", "timeLimit", "callerId", "answerOnBridge", "record", "referUrl"}),
    "Number": frozenset({"sendDigits", "url", "method", "statusCallback", "statusCallbackEvent"}),
    "Sip": frozenset({"username", "password", "url", "method"}),
}


class TwimlError(Exception):
    """A document that the carrier refuses; ``code`` as its debugger shows it."""

    def __init__(self, code: str, why: str) -> None:
        super().__init__(code, why)
        self.code, self.why = code, why

    def __str__(self) -> str:
        return f"{self.code}: {self.why}"


class Verb(Struct, frozen=True):
    """One verb of a document, as the carrier executes it."""

    name: str
    text: str = ""
    attributes: dict[str, str] = {}
    stream_url: str = ""
    stream_attributes: dict[str, str] = {}
    parameters: dict[str, str] = {}


def parse_twiml(document: bytes, content_type: str, base_url: str, *, plain_ws: bool = False) -> list[Verb]:
    """
    The verbs of an answer, refused as the carrier refuses them.

    ``plain_ws`` admits ``ws://`` streams: only for servers on a loopback address. Raises TwimlError.
    """
    if content_type.partition(";")[0].strip().lower() not in ("text/xml", "application/xml", "text/html"):
        raise TwimlError("12300", f"content type {content_type!r}")
    if len(document) > 64 * 1024:
        raise TwimlError("11750", f"{len(document)} bytes")
    try:
        root = ET.fromstring(document)
    except ET.ParseError as error:
        raise TwimlError("12100", f"not well-formed: {error}") from None
    if root.tag != "Response":
        raise TwimlError("12102", f"root element {root.tag!r}")
    for element in root.iter():
        allowed = _ATTRIBUTES.get(element.tag)
        if allowed is None:
            raise TwimlError("12200", f"unknown element <{element.tag}>")
        strange = sorted(set(element.attrib) - allowed)
        if strange:
            raise TwimlError("12200", f"<{element.tag}> has no attribute {strange[0]!r}")
    return [_verb(element, base_url, plain_ws) for element in root]


def _verb(element: ET.Element, base_url: str, plain_ws: bool) -> Verb:
    if element.tag not in ("Connect", "Start"):
        return Verb(name=element.tag, text=(element.text or "").strip(), attributes=dict(element.attrib))
    streams = element.findall("Stream")
    if len(element) != 1 or len(streams) != 1:
        raise TwimlError("12200", f"<{element.tag}> wants exactly one <Stream>")
    stream = streams[0]
    url = _stream_url(stream.get("url", ""), base_url, plain_ws)
    if element.tag == "Connect" and stream.get("track", "inbound_track") != "inbound_track":
        raise TwimlError("31941", f"track {stream.get('track')!r} under <Connect>")
    parameters = {}
    for parameter in stream.findall("Parameter"):
        name, value = parameter.get("name", ""), parameter.get("value", "")
        if len(name) + len(value) >= 500:
            raise TwimlError("12200", f"<Parameter> {name!r}: name and value have {len(name) + len(value)} characters")
        parameters[name] = value
    return Verb(
        name=element.tag,
        attributes=dict(element.attrib),
        stream_url=url,
        stream_attributes=dict(stream.attrib),
        parameters=parameters,
    )


def _stream_url(given: str, base_url: str, plain_ws: bool) -> str:
    url = urljoin(base_url, given) if given and "://" not in given else given
    parts = urlsplit(url)
    if not parts.hostname:
        raise TwimlError("31923", f"malformed stream URL {given!r}")
    if parts.scheme != "wss" and not (plain_ws and parts.scheme == "ws"):
        raise TwimlError("31922", f"stream URL scheme {parts.scheme!r}")
    return parts._replace(query="", fragment="").geturl()  # the carrier drops a query without a word


class Segment(Struct):
    """Audio that was played without a break."""

    began: float
    audio: bytearray

    @property
    def ended(self) -> float:
        return self.began + len(self.audio) / BYTES_PER_S


class Phone:
    """
    The playout buffer of one stream: real time, in order, marks returned as they are reached.

    ``heard`` is the truth: what was played, and when. ``returns_marks`` and ``lost_marks`` bend it for tests.
    """

    def __init__(self, peer: Peer, *, returns_marks: bool = True, lost_marks: frozenset[str] = frozenset()) -> None:
        self.peer = peer
        self.heard: list[Segment] = []
        self.clears: list[float] = []
        self.marks_returned: list[str] = []
        self._queue: deque[bytes | str] = deque()
        self._clock: float | None = None  # played up to here
        self._waiting = 0
        self._returns_marks = returns_marks
        self._lost = lost_marks
        self._discarding = False

    def receive(self, data: bytes, now: float, *, binary: bool = False) -> list[bytes]:
        """A message of the server; the messages that go back at once."""
        out = self.tick(now)
        happened = self.peer.receive(data, now, binary=binary)
        if isinstance(happened, Played):
            self._append(happened.audio, now)
        elif isinstance(happened, Marked):
            self._queue.append(happened.name)
            out += self.tick(now)
        elif isinstance(happened, Cleared):
            self.clears.append(now)
            names = [entry for entry in self._queue if isinstance(entry, str)]
            self._queue.clear()
            self._waiting = 0
            out += self._return(names)
        return out

    def _append(self, audio: bytes, now: float) -> None:
        if self._waiting + len(audio) > MAX_UNPLAYED_BYTES:
            if not self._discarding:
                self.peer.logged.append("31931")
            self._discarding = True
            return
        if not self._waiting:
            self._clock = now
        self._queue.append(audio)
        self._waiting += len(audio)

    def tick(self, now: float) -> list[bytes]:
        """Play up to ``now``; the marks that were reached."""
        reached: list[str] = []
        while self._queue:
            entry = self._queue[0]
            if isinstance(entry, str):
                self._queue.popleft()
                reached.append(entry)
                continue
            assert self._clock is not None
            n = min(len(entry), int((now - self._clock) * BYTES_PER_S + 1e-6))
            if n <= 0:
                break
            self._play(entry[:n])
            if n < len(entry):
                self._queue[0] = entry[n:]
                break
            self._queue.popleft()
        return self._return(reached)

    def _play(self, audio: bytes) -> None:
        assert self._clock is not None
        last = self.heard[-1] if self.heard else None
        if last is not None and abs(last.ended - self._clock) < 1e-4:
            last.audio += audio
        else:
            self.heard.append(Segment(self._clock, bytearray(audio)))
        self._clock += len(audio) / BYTES_PER_S
        self._waiting -= len(audio)

    def _return(self, names: list[str]) -> list[bytes]:
        given = [name for name in names if self._returns_marks and name not in self._lost]
        self.marks_returned += given
        return [self.peer.mark(name) for name in given]

    def deadline(self) -> float | None:
        """When the next mark is reached."""
        at, any_mark = self._clock or 0.0, False
        for entry in self._queue:
            if isinstance(entry, str):
                any_mark = True
                break
            at += len(entry) / BYTES_PER_S
        return at if any_mark else None

    @property
    def unplayed_ms(self) -> int:
        return self._waiting // 8

    def audio(self) -> bytes:
        """Everything that was heard, without the silences."""
        return b"".join(bytes(segment.audio) for segment in self.heard)
