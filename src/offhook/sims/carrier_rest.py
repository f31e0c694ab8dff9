"""
The carrier's REST interface as far as a running call is concerned: what a strict Twilio answers to the request that
ends a call, and what goes wrong with it. Knows no sockets and no clock.

Source: twilio.com/docs/voice/api/call-resource and docs/usage/twilios-response, checked 2026-11-22.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Sequence
from typing import Any
from urllib.parse import parse_qsl

from msgspec import Struct

from offhook.sims.carrier_faults import Fault

__all__ = ["BASE", "RestAnswer", "answer"]

BASE = "/2010-04-01"
_CALL = re.compile(rf"{BASE}/Accounts/(?P<account>AC[0-9a-fA-F]{{32}})/Calls/(?P<call>CA[0-9a-fA-F]{{32}})\.json")
MAX_TWIML = 4000  # characters of the Twiml parameter
MORE = "https://www.twilio.com/docs/errors/"


class RestAnswer(Struct, frozen=True):
    """``status`` 0: no answer ever comes. ``ends``: the call is over by it. ``wrong``: what was asked wrongly."""

    status: int
    body: str
    code: int | None = None
    ends: bool = False
    wrong: str = ""
    statement: str = ""  # of the conformance list, that ``wrong`` breaks
    call: str = ""
    kind: str = "application/json"


def answer(
    method: str,
    path: str,
    authorization: str,
    body: bytes,
    *,
    calls: Sequence[str],
    faults: Sequence[Fault] = (),
    token: str = "",
) -> RestAnswer:
    """
    What the carrier answers. ``calls`` are those that are running; with ``token`` that is the account's password.

    A dialled fault answers in its place, once the request names a call that runs.
    """
    found = _CALL.fullmatch(path)
    credentials = _basic(authorization)
    if credentials is None or (token and credentials[0].startswith("AC") and credentials[1] != token):
        return _refused(401, 20003, "Authenticate", wrong="no credentials that the account has")
    if found is None:
        return _refused(404, 20404, f"The requested resource {path} was not found", wrong=f"the path {path[:100]}")
    call = found["call"]
    if method != "POST":
        return _refused(405, 20004, "Method not allowed", wrong=f"the method {method}", call=call)
    if call not in calls:
        return _refused(404, 20404, f"The requested resource {path} was not found", wrong="a call that is not running")
    fault = next((fault for fault in faults if fault.kind.where == "rest"), None)
    if fault is not None:
        return _faulty(fault, path, call)
    return _update(dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True)), call, found["account"])


def _update(form: dict[str, str], call: str, account: str) -> RestAnswer:
    """A strict reading of an update of a call."""
    status, document, url = form.get("Status"), form.get("Twiml"), form.get("Url")
    if status is None and document is None and url is None:
        wrong = f"none of Status, Twiml and Url, but {', '.join(form)[:60] or 'nothing'}"
        return _refused(400, 20001, "No valid parameter was given", wrong=wrong, call=call)
    if status is not None and status not in ("completed", "canceled"):
        wrong = f"Status {status[:20]!r}, wanted completed"
        return _refused(400, 21218, "Invalid status", wrong=wrong, call=call)
    if document is not None and len(document) > MAX_TWIML:
        wrong = f"a Twiml of {len(document)} characters, wanted at most {MAX_TWIML}"
        return _refused(400, 21241, "TwiML is too long", wrong=wrong, statement="L11", call=call)
    if url is not None and not url.startswith(("http://", "https://")):
        return _refused(400, 21205, "Url is not a valid URL", wrong=f"Url {url[:60]!r}", statement="L10", call=call)
    now = {"sid": call, "account_sid": account, "status": status or "in-progress"}
    return RestAnswer(200, json.dumps(now), ends=status is not None, call=call)


def _faulty(fault: Fault, path: str, call: str) -> RestAnswer:
    if fault.name == "rest-hangs":
        return RestAnswer(0, "", call=call)
    if fault.name == "rest-fails":
        return RestAnswer(int(fault.figure), "<html><body>Service Unavailable</body></html>", call=call,
                          kind="text/html")  # fmt: skip
    if fault.name == "rest-gone":  # it ends in the moment in which it is asked for
        return _refused(404, 20404, f"The requested resource {path} was not found", call=call, ends=True)
    if fault.name == "rest-limited":
        return _refused(429, 20429, "Too Many Requests", call=call)
    if fault.name == "rest-refuses":
        return _refused(400, int(fault.figure), "Unable to update record", call=call)
    return _refused(401, 20003, "Authenticate", call=call)


def _refused(status: int, code: int, message: str, **more: Any) -> RestAnswer:
    body = {"code": code, "message": message, "more_info": f"{MORE}{code}", "status": status}
    return RestAnswer(status, json.dumps(body), code=code, **more)


def _basic(header: str) -> tuple[str, str] | None:
    """User and password, where both are there."""
    scheme, _, given = header.partition(" ")
    try:
        user, colon, password = base64.b64decode(given, validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        return None
    return (user, password) if scheme.lower() == "basic" and colon and user and password else None
