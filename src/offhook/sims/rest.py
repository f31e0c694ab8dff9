"""
A simulated account's REST, the pure part: what is asked, what is refused and with which code, what the calls are.

Strict where the carrier is, with its codes (twilio/twilio-oai twilio_api_v2010.yaml; twilio.com/docs/api/errors),
and where it only ignores: a parameter that it does not know is refused here, for it is a mistake whoever made it.
What a request does to a call is told to ``Doing``. Knows no sockets and no clock.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from typing import Any, Protocol
from urllib.parse import parse_qsl, urlsplit

from msgspec import Struct

from offhook.sims.twiml import Complaint, Verb, read_twiml

__all__ = ["Account", "Answer", "CallRow", "Doing", "NumberRow"]

Answer = tuple[int, dict[str, Any]]

_E164 = re.compile(r"\+[1-9]\d{6,14}\Z")
_LIVE = ("queued", "ringing", "in-progress")
_CREATE = frozenset({
    "To", "From", "Url", "Method", "Twiml", "ApplicationSid", "FallbackUrl", "FallbackMethod", "StatusCallback",
    "StatusCallbackMethod", "StatusCallbackEvent", "Timeout", "TimeLimit", "SendDigits", "MachineDetection",
    "MachineDetectionTimeout", "MachineDetectionSpeechThreshold", "MachineDetectionSpeechEndThreshold",
    "MachineDetectionSilenceTimeout", "AsyncAmd", "AsyncAmdStatusCallback", "AsyncAmdStatusCallbackMethod", "Record",
    "RecordingChannels", "RecordingStatusCallback", "Trim", "CallerId", "CallToken", "CallReason", "SipAuthUsername",
    "SipAuthPassword", "Byoc",
})  # fmt: skip
_UPDATE = frozenset({
    "Status", "Url", "Method", "Twiml", "FallbackUrl", "FallbackMethod", "StatusCallback", "StatusCallbackMethod",
    "TimeLimit",
})  # fmt: skip
_NUMBER = frozenset({
    "VoiceUrl", "VoiceMethod", "VoiceFallbackUrl", "VoiceFallbackMethod", "VoiceApplicationSid", "TrunkSid",
    "StatusCallback", "StatusCallbackMethod", "FriendlyName", "VoiceCallerIdLookup",
})  # fmt: skip
_EVENTS = frozenset({"initiated", "ringing", "answered", "completed"})
_DIGITS = re.compile(r"[0-9A-D#*wW]{1,32}\Z")
TWIML_CHARS = 4000


class Refused(Exception):
    """What the carrier refuses, with its code."""

    def __init__(self, status: int, code: int, message: str) -> None:
        super().__init__(code, message)
        self.status, self.code, self.message = status, code, message

    def answer(self) -> Answer:
        more = f"https://www.twilio.com/docs/errors/{self.code}"
        return self.status, {"code": self.code, "message": self.message, "more_info": more, "status": self.status}


class CallRow(Struct):
    """A call of the account."""

    sid: str
    to: str
    from_: str
    status: str = "queued"
    direction: str = "outbound-api"
    form: dict[str, str] = {}  # as it was asked for
    events: tuple[str, ...] = ("completed",)
    answered_by: str | None = None

    @property
    def data(self) -> dict[str, Any]:
        return {"sid": self.sid, "to": self.to, "from": self.from_, "status": self.status,
                "direction": self.direction, "answered_by": self.answered_by}  # fmt: skip


class NumberRow(Struct):
    """A number that the account owns."""

    sid: str
    phone_number: str
    voice_url: str = ""
    voice_method: str = "POST"
    voice_application_sid: str = ""
    trunk_sid: str = ""
    voice_fallback_url: str = ""
    status_callback: str = ""
    friendly_name: str = ""


class Doing(Protocol):
    """Who makes calls happen."""

    def place(self, row: CallRow) -> None: ...
    def end(self, row: CallRow, status: str) -> None: ...
    def redirect(self, row: CallRow, verbs: Sequence[Verb], url: str, status_callback: str) -> None: ...
    def alert(self, row: CallRow, complaint: Complaint) -> None: ...


class Account:
    """
    An account: its numbers, its calls, and who may ask.

    ``verified`` are numbers that a trial account may call; None: it is no trial. ``refuse_all`` is a code with which
    every request for a call is refused, as an account without balance or permission gets it.
    """

    def __init__(
        self,
        sid: str,
        token: str,
        doing: Doing,
        numbers: Sequence[NumberRow] = (),
        *,
        sids: Any,
        verified: frozenset[str] | None = None,
        blocked: frozenset[str] = frozenset(),
        closed_countries: tuple[str, ...] = (),
        refuse_all: tuple[int, int, str] | None = None,
        max_calls: int | None = None,
    ) -> None:
        self.sid = sid
        self.calls: dict[str, CallRow] = {}
        self.numbers = {row.sid: row for row in numbers}
        self.asked: list[tuple[str, str, dict[str, str]]] = []
        self.refuse_all = refuse_all
        self._token = token
        self._doing = doing
        self._sids = sids  # gives the next call's id
        self._verified, self._blocked, self._closed = verified, blocked, closed_countries
        self._max_calls = max_calls

    def known(self, authorization: str) -> bool:
        """Whether an Authorization header is this account's."""
        wanted = base64.b64encode(f"{self.sid}:{self._token}".encode()).decode()
        return authorization.partition(" ")[2] == wanted

    def answer(self, method: str, path_qs: str, authorization: str, body: bytes) -> Answer:
        """One request; ``path_qs`` begins with the version. Never raises."""
        parts = urlsplit(path_qs)
        pairs = parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True)
        form: dict[str, str] = dict(pairs)
        self.asked.append((method, parts.path, form))
        try:
            if not self.known(authorization):
                raise Refused(401, 20003, "Authenticate")
            prefix = f"/2010-04-01/Accounts/{self.sid}/"
            if not parts.path.startswith(prefix) or not parts.path.endswith(".json"):
                raise _not_found(parts.path)
            what, _, sid = parts.path.removeprefix(prefix).removesuffix(".json").partition("/")
            events = tuple(value for name, value in pairs if name == "StatusCallbackEvent")
            return self._do(method, what, sid, form, events, dict(parse_qsl(parts.query)))
        except Refused as refused:
            return refused.answer()

    def _do(
        self, method: str, what: str, sid: str, form: dict[str, str], events: tuple[str, ...], query: dict[str, str]
    ) -> Answer:
        match method, what, bool(sid):
            case "POST", "Calls", False:
                return self._create(form, events)
            case "POST", "Calls", True:
                return self._update(self._call(sid), form)
            case "GET", "Calls", True:
                return 200, self._call(sid).data
            case "GET", "IncomingPhoneNumbers", False:
                wanted = query.get("PhoneNumber", "")
                rows = [row for row in self.numbers.values() if not wanted or row.phone_number == wanted]
                return 200, {"incoming_phone_numbers": [_number(row) for row in rows]}
            case "POST", "IncomingPhoneNumbers", True:
                return self._point(sid, form)
        raise _not_found(what)

    def _call(self, sid: str) -> CallRow:
        row = self.calls.get(sid)
        if row is None:
            raise _not_found(f"Calls/{sid}")
        return row

    # ----------------------------------------------------------------------------------------- placing

    def _create(self, form: dict[str, str], events: tuple[str, ...]) -> Answer:
        _only(form, _CREATE)
        to, from_ = form.get("To", ""), form.get("From", "")
        self._may_call(to, from_)
        _where(form)
        strange = sorted(set(events) - _EVENTS)
        if strange:
            raise Refused(
                400, 21626, f"StatusCallbackEvent {strange[0]}: wanted initiated, ringing, answered, completed"
            )
        _seconds(form, "Timeout", 1, 600)
        _detection(form)
        if form.get("SendDigits") and not _DIGITS.match(form["SendDigits"]):
            raise Refused(400, 21400, "SendDigits: wanted up to 32 of 0-9 A-D # * w W")
        row = CallRow(self._sids(), to, from_, form=dict(form), events=events or ("completed",))
        self.calls[row.sid] = row
        self._doing.place(row)
        return 201, row.data

    def _may_call(self, to: str, from_: str) -> None:
        if self.refuse_all is not None:
            raise Refused(*self.refuse_all)
        if not to:
            raise Refused(400, 21201, "No 'To' number is specified")
        if not from_:
            raise Refused(400, 21213, "No 'From' number is specified")
        if not to.startswith(("sip:", "client:")) and not _E164.match(to):
            raise Refused(400, 21211, f"The phone number you are attempting to call, {to}, is not valid.")
        if not _E164.match(from_):
            raise Refused(400, 21212, f"The source phone number provided, {from_}, is not valid.")
        if from_ not in {row.phone_number for row in self.numbers.values()}:
            raise Refused(400, 21210, "The source phone number provided is not yet verified for your account.")
        if to.startswith(self._closed):
            raise Refused(400, 21215, "Account not authorized to call this number: check geographic permissions.")
        if to in self._blocked:
            raise Refused(400, 21216, "Account not allowed to call this number.")
        if self._verified is not None and to not in self._verified:
            raise Refused(400, 21219, "The number is unverified. Trial accounts may only call verified numbers.")
        live = sum(row.status in _LIVE for row in self.calls.values())
        if self._max_calls is not None and live >= self._max_calls:
            raise Refused(429, 10004, "Call concurrency limit exceeded")

    # ---------------------------------------------------------------------------------------- changing

    def _update(self, row: CallRow, form: dict[str, str]) -> Answer:
        _only(form, _UPDATE)
        if row.status not in _LIVE:
            raise Refused(400, 21220, "Call is not in-progress. Cannot redirect.")
        if "Status" in form:
            status = form["Status"]
            if status not in ("completed", "canceled"):
                raise Refused(400, 21218, f"Status {status}: wanted completed or canceled")
            if status == "canceled" and row.status == "in-progress":
                raise Refused(400, 21220, "canceled is for calls that are queued or ringing")
            row.status = status
            self._doing.end(row, status)
            return 200, row.data
        if row.status != "in-progress":
            raise Refused(400, 21220, "Call is not in-progress. Cannot redirect.")
        if "Twiml" not in form and "Url" not in form:
            raise Refused(400, 21218, "nothing to change: wanted Status, Url or Twiml")
        _where(form)
        callback = form.get("StatusCallback", "")
        if "Url" in form:
            self._doing.redirect(row, (), form["Url"], callback)
            return 200, row.data
        document = read_twiml(form["Twiml"].encode(), "text/xml", "")
        for complaint in document.complaints:
            self._doing.alert(row, complaint)
        # a document that is refused ends the call, as one that a webhook answers
        self._doing.redirect(row, () if document.refused else document.verbs, "", callback)
        return 200, row.data

    def _point(self, sid: str, form: dict[str, str]) -> Answer:
        _only(form, _NUMBER)
        row = self.numbers.get(sid)
        if row is None:
            raise _not_found(f"IncomingPhoneNumbers/{sid}")
        if form.get("VoiceUrl"):
            _absolute(form["VoiceUrl"])
        for name, value in form.items():
            field = re.sub(r"(?<!^)([A-Z])", r"_\1", name).lower()
            if hasattr(row, field):
                setattr(row, field, value)
        return 200, _number(row)


def _not_found(path: str) -> Refused:
    return Refused(404, 20404, f"The requested resource {path} was not found")


def _number(row: NumberRow) -> dict[str, Any]:
    return {name: getattr(row, name) or None for name in row.__struct_fields__}


def _only(form: Mapping[str, str], known: frozenset[str]) -> None:
    strange = sorted(set(form) - known)
    if strange:
        raise Refused(400, 20001, f"unknown parameter {strange[0]!r} (the carrier would ignore it)")


def _absolute(url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise Refused(400, 21205, f"Url is not a valid URL: {url}")


def _where(form: Mapping[str, str]) -> None:
    """What the call is to execute: one of three ways, and addresses that can be asked."""
    if not any(form.get(name) for name in ("Url", "Twiml", "ApplicationSid")):
        raise Refused(400, 21205, "Url parameter is required.")
    if len(form.get("Twiml", "")) > TWIML_CHARS:
        raise Refused(400, 32018, f"Twiml has {len(form['Twiml'])} characters, at most {TWIML_CHARS}")
    for name in ("Url", "StatusCallback", "AsyncAmdStatusCallback", "FallbackUrl"):
        if form.get(name):
            _absolute(form[name])


def _seconds(form: Mapping[str, str], name: str, least: int, most: int) -> None:
    value = form.get(name)
    if value is not None and not (value.isdigit() and least <= int(value) <= most):
        raise Refused(400, 21218 if name == "Timeout" else 21263, f"{name} {value}: wanted {least} to {most}")


def _detection(form: Mapping[str, str]) -> None:
    kind = form.get("MachineDetection")
    if kind is not None and kind not in ("Enable", "DetectMessageEnd"):
        raise Refused(400, 21262, f"MachineDetection {kind}: wanted Enable or DetectMessageEnd")
    _seconds(form, "MachineDetectionTimeout", 3, 59)
    if form.get("AsyncAmd") == "true" and not kind:
        raise Refused(400, 21262, "AsyncAmd without MachineDetection")
