"""
TwiML as the carrier reads it: what it executes, what it refuses, what it warns of and then leaves out.

Knows no sockets and no time. A document is read once; each complaint carries the carrier's code, or none where the
carrier says nothing and the caller suffers.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from urllib.parse import urljoin, urlsplit

from msgspec import Struct

from offhook.wires._wire import near_miss

__all__ = ["Complaint", "Document", "TwimlError", "Verb", "parse_twiml", "read_twiml"]

MAX_BYTES = 64 * 1024
PARAMETER_CHARS = 500
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
    "Number": frozenset({"sendDigits", "url", "method", "statusCallback", "statusCallbackEvent",
                         "statusCallbackMethod", "byoc"}),
    "Sip": frozenset({"username", "password", "url", "method", "statusCallback", "statusCallbackEvent",
                      "statusCallbackMethod"}),
    "Gather": frozenset({"input", "action", "method", "timeout", "numDigits", "finishOnKey", "language", "hints",
                         "speechTimeout", "speechModel", "actionOnEmptyResult"}),
    "Record": frozenset({"action", "method", "timeout", "maxLength", "playBeep", "finishOnKey", "trim",
                         "recordingStatusCallback", "recordingStatusCallbackMethod", "recordingStatusCallbackEvent"}),
}  # fmt: skip
_NUMBER = re.compile(r"\+?[1-9]\d{6,14}\Z")
_LEG_EVENTS = frozenset({"initiated", "ringing", "answered", "completed"})
VERBS = ("Connect", "Start", "Stop", "Say", "Play", "Pause", "Hangup", "Reject", "Redirect", "Dial", "Gather", "Record")


class Complaint(Struct, frozen=True):
    """One thing about a document; ``statement`` is the conformance list's."""

    code: str | None
    statement: str
    why: str
    fatal: bool = False  # nothing of the document is executed


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
    nouns: tuple[Verb, ...] = ()  # whom a <Dial> calls


class Document(Struct, frozen=True):
    """What came, as the carrier takes it."""

    verbs: tuple[Verb, ...]
    complaints: tuple[Complaint, ...]
    unknown: tuple[str, ...] = ()  # elements and attributes that were left out

    @property
    def refused(self) -> Complaint | None:
        """What keeps the carrier from executing any of it."""
        return next((complaint for complaint in self.complaints if complaint.fatal), None)

    @property
    def stream(self) -> Verb | None:
        return next((verb for verb in self.verbs if verb.name in ("Connect", "Start")), None)


def parse_twiml(document: bytes, content_type: str, base_url: str, *, plain_ws: bool = False) -> list[Verb]:
    """The verbs of a document that the carrier takes without a word. Raises TwimlError."""
    read = read_twiml(document, content_type, base_url, plain_ws=plain_ws)
    for complaint in read.complaints:
        if complaint.code is not None:
            raise TwimlError(complaint.code, complaint.why)
    return list(read.verbs)


def read_twiml(document: bytes, content_type: str, base_url: str, *, plain_ws: bool = False) -> Document:
    """
    A document with everything there is to say about it. Never raises.

    ``plain_ws`` admits ``ws://`` streams: only for servers on a loopback address.
    """
    reader = _Reader(base_url, plain_ws)
    verbs = reader.document(document, content_type)
    return Document(tuple(verbs), tuple(reader.complaints), tuple(reader.unknown))


class _Reader:
    def __init__(self, base_url: str, plain_ws: bool) -> None:
        self.complaints: list[Complaint] = []
        self.unknown: list[str] = []
        self._base_url = base_url
        self._plain_ws = plain_ws

    def _say(self, code: str | None, statement: str, why: str, *, fatal: bool = False) -> None:
        self.complaints.append(Complaint(code, statement, why, fatal))

    def document(self, document: bytes, content_type: str) -> list[Verb]:
        kind = content_type.partition(";")[0].strip().lower()
        if kind not in ("text/xml", "application/xml", "text/html"):
            self._say("12300", "W02", f"content type {content_type!r}", fatal=True)
            return []
        if len(document) > MAX_BYTES:
            self._say("11750", "W04", f"{len(document)} bytes", fatal=True)
            return []
        if not document.strip():
            self._say("11770", "W15", "an empty body", fatal=True)
            return []
        try:
            root = ET.fromstring(document)
        except ET.ParseError as error:
            statement = "W05" if b"&" in document and "token" in str(error) else "W03"
            self._say("12100", statement, f"not well-formed: {error}", fatal=True)
            return []
        if root.tag != "Response":
            self._say("12102", "W03", f"root element {root.tag!r}", fatal=True)
            return []
        verbs = [verb for element in root if (verb := self._verb(element)) is not None]
        self._look_at_order(verbs)
        return verbs

    def _look_at_order(self, verbs: list[Verb]) -> None:
        streams = [verb for verb in verbs if verb.name == "Connect"]
        if len(streams) > 1:
            self._say(None, "W10", f"{len(streams)} <Connect>: the second runs when the first stream has ended")
        if streams:
            last = verbs[-1] is streams[-1]
            if last and not streams[-1].attributes.get("action"):
                self._say(None, "W12", "nothing follows <Connect> and it has no action: a broken stream is a hang-up")

    def _known(self, element: ET.Element, allowed_tags: tuple[str, ...]) -> bool:
        """Whether the carrier knows an element here; unknown attributes are dropped from it."""
        allowed = _ATTRIBUTES.get(element.tag)
        if allowed is None or element.tag not in allowed_tags:
            meant = near_miss(element.tag, allowed_tags) or ""
            hint = f", meant <{meant}>?" if meant else ""
            self._say("12200", "W06", f"unknown element <{element.tag}>{hint}: it is left out")
            self.unknown.append(f"<{element.tag}>")
            return False
        for name in sorted(set(element.attrib) - allowed):
            meant = near_miss(name, allowed) or ""
            hint = f", meant {meant!r}?" if meant else ""
            self._say("12200", "W06", f"<{element.tag}> has no attribute {name!r}{hint}: it is left out")
            self.unknown.append(f"{element.tag}.{name}")
        return True

    def _kept(self, element: ET.Element) -> dict[str, str]:
        return {name: value for name, value in element.attrib.items() if name in _ATTRIBUTES[element.tag]}

    def _verb(self, element: ET.Element) -> Verb | None:
        if not self._known(element, VERBS):
            return None
        if element.tag not in ("Connect", "Start"):
            inside = [
                child for child in element if self._known(child, ("Number", "Sip", "Stream", "Say", "Play", "Pause"))
            ]
            nouns = tuple(
                Verb(name=child.tag, text=(child.text or "").strip(), attributes=self._kept(child)) for child in inside
            )
            verb = Verb(
                name=element.tag, text=(element.text or "").strip(), attributes=self._kept(element), nouns=nouns
            )
            if verb.name == "Dial":
                self._dial(verb)
            return verb
        streams = [child for child in element if self._known(child, ("Stream",))]
        if len(streams) != 1:
            self._say("12200", "W10", f"<{element.tag}> wants exactly one <Stream>, has {len(streams)}")
            if not streams:
                return None
        return self._stream(element, streams[0])

    def _dial(self, verb: Verb) -> None:
        """What the carrier refuses of a <Dial>: numbers that cannot be called, callbacks that it cannot find."""
        for noun in verb.nouns:
            if noun.name == "Number" and not _NUMBER.match(noun.text):
                self._say("13223", "W06", f"<Number> {noun.text[:20]!r} is no number")
            if noun.name == "Sip" and not noun.text.startswith(("sip:", "sips:")):
                self._say("13243", "W06", f"<Sip> {noun.text[:40]!r} is no SIP URI")
            unknown = set(noun.attributes.get("statusCallbackEvent", "completed").split()) - _LEG_EVENTS
            if unknown:
                self._say("12200", "W06", f"<{noun.name}> statusCallbackEvent {sorted(unknown)[0]!r}: it is left out")
        relative = [url for url in _callbacks(verb) if "://" not in url]
        if relative and not self._base_url:
            self._say(
                "15004", "W06", f"{relative[0]!r}: TwiML given by REST has no address to be relative to", fatal=True
            )
        timeout = verb.attributes.get("timeout", "30")
        if not timeout.isdigit() or not 5 <= int(timeout) <= 600:
            self._say("13212", "W06", f"<Dial> timeout {timeout!r}: wanted 5 to 600 s")

    def _stream(self, element: ET.Element, stream: ET.Element) -> Verb:
        given = self._kept(stream)
        track = given.get("track", "inbound_track")
        if element.tag == "Connect" and track != "inbound_track":
            self._say("31941", "W09", f"track {track!r} under <Connect>", fatal=True)
        parameters: dict[str, str] = {}
        for child in stream:
            if not self._known(child, ("Parameter",)):
                continue
            name, value = child.get("name", ""), child.get("value", "")
            if len(name) + len(value) >= PARAMETER_CHARS:
                why = f"<Parameter> {name!r}: name and value have {len(name) + len(value)} characters"
                self._say("12200", "W11", why)
                continue
            parameters[name] = value
        return Verb(
            name=element.tag,
            attributes=self._kept(element),
            stream_url=self._url(given.get("url", "")),
            stream_attributes=given,
            parameters=parameters,
        )

    def _url(self, given: str) -> str:
        url = urljoin(self._base_url, given) if given and "://" not in given else given
        try:
            parts = urlsplit(url)
            host, _ = parts.hostname, parts.port
        except ValueError:
            host, parts = None, urlsplit("")
        if not host:
            self._say("31923", "W07", f"malformed stream URL {given!r}", fatal=True)
            return ""
        if parts.scheme != "wss" and not (self._plain_ws and parts.scheme == "ws"):
            self._say("31922", "W07", f"stream URL scheme {parts.scheme!r}", fatal=True)
        if parts.query:
            names = sorted({pair.partition("=")[0] for pair in parts.query.split("&")})
            why = f"a query in the stream URL ({', '.join(names)}): the carrier drops it without a word"
            self._say(None, "W08", why)
        return parts._replace(query="", fragment="").geturl()


def _callbacks(verb: Verb) -> list[str]:
    """Every address in a <Dial> that the carrier will ask."""
    found = [verb.attributes.get("action", ""), *(noun.attributes.get("statusCallback", "") for noun in verb.nouns)]
    return [url for url in found if url]
