"""
HTTP endpoints as tools: arguments into the URL, the query or a JSON body; the answer's body to the model.

The connection goes to an address that the guard has judged. A redirect is followed only within the same origin, and
only for what reads. Knows no settings file.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import quote, urljoin, urlsplit

import msgspec

from offhook.agent.tools.context import CallContext
from offhook.agent.tools.schema import Arguments
from offhook.agent.tools.spec import Limits, Tool, ToolError
from offhook.outward import Forbidden, OutwardError, ask, split

__all__ = ["Endpoint", "http_tool"]

MAX_BYTES = 1024 * 1024
ERROR_CHARS = 500
REDIRECTS = 3
_PLACE = re.compile(r"\{([\w.-]+)\}")
_PARAMETER = "call.parameter."
_READS = ("GET", "HEAD")


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """Where a request goes. ``{name}`` in the URL is an argument; ``{call.id}`` and the like are facts of the call."""

    url: str
    method: str
    headers: Mapping[str, str] = {}
    allow: Sequence[str] = ()
    proxy: Callable[[str], str | None] = lambda url: None  # which one an address goes through
    max_bytes: int = MAX_BYTES

    @property
    def arguments(self) -> list[str]:
        """The names that the URL wants."""
        return [name for name in _PLACE.findall(self.url) if not name.startswith("call.")]


def http_tool(
    name: str, endpoint: Endpoint, arguments: Arguments, *, description: str, limits: Limits, where: str = ""
) -> Tool:
    """A tool of an endpoint."""

    async def run(given: Mapping[str, Any], call: CallContext) -> Any:
        return await fetch(endpoint, given, call)

    return Tool(
        name=name, description=description, parameters=arguments.schema, read=arguments.read, run=run, kind="http",
        source=f"{endpoint.method} {endpoint.url}", where=where, limits=limits,
    )  # fmt: skip


async def fetch(endpoint: Endpoint, given: Mapping[str, Any], call: CallContext) -> Any:
    """Send one request, and what its answer is to the model. Raises ToolError for an answer that is none."""
    given = {key: value for key, value in msgspec.to_builtins(given).items() if value is not None}
    url = _filled(endpoint.url, given, call)
    rest = {key: value for key, value in given.items() if key not in endpoint.arguments}
    headers = {"Accept": "application/json, text/plain;q=0.9", "User-Agent": "offhook", **endpoint.headers}
    headers = {key: _facts(value, call) for key, value in headers.items()}
    body = None
    if endpoint.method in (*_READS, "DELETE"):
        url = _with_query(url, rest)
    else:
        body = msgspec.json.encode(rest)
        headers.setdefault("Content-Type", "application/json")
    for _ in range(REDIRECTS + 1):
        status, kind, moved, data, whole = await _send(endpoint, url, headers, body)
        if 300 <= status < 400 and moved:
            url = _moved(endpoint, url, moved)
            continue
        return _answer(status, kind, data, whole)
    raise ToolError(f"{urlsplit(url).hostname} redirects without end")


async def _send(
    endpoint: Endpoint, url: str, headers: Mapping[str, str], body: bytes | None
) -> tuple[int, str, str, bytes, bool]:
    """Status, content type, location, body, and whether that is all of it."""
    try:  # the deadline is the tool's
        answer = await ask(
            endpoint.method, url, headers=headers, body=body, allow=endpoint.allow, timeout_s=None,
            proxy=endpoint.proxy(url), most_bytes=endpoint.max_bytes,
        )  # fmt: skip
    except Forbidden as error:
        raise ToolError(error.why) from None
    except OutwardError as error:
        raise ConnectionError(error.why) from None
    head = answer.headers
    return answer.status, head.get("content-type", ""), head.get("location", ""), answer.body, answer.whole


def _answer(status: int, kind: str, data: bytes, whole: bool) -> Any:
    text = data.decode("utf-8", "replace")
    if status >= 500:  # theirs to mend: may be tried again
        raise ConnectionError(f"HTTP {status}: {text[:ERROR_CHARS]}")
    if status >= 300:
        raise ToolError(f"the service answered {status}: {text[:ERROR_CHARS]}")
    if not whole:
        return f"{text}\n(cut: the answer is larger than {len(data)} bytes)"
    if "json" in kind:
        try:
            return msgspec.json.decode(data)
        except msgspec.DecodeError:
            return text
    return text or {"ok": True, "status": status}


def _filled(url: str, given: Mapping[str, Any], call: CallContext) -> str:
    def value(match: re.Match[str]) -> str:
        if match[1].startswith("call."):
            return quote(_fact(match[1], call), safe="")
        text = str(given.get(match[1], ""))
        if not text.strip("."):  # "..", or nothing: another path than the one that was declared
            raise ToolError(f"{match[1]}: got {text!r}, wanted a name")
        return quote(text, safe="")

    return _PLACE.sub(value, url)


def _facts(text: str, call: CallContext) -> str:
    """Facts of the call in a header; what the model gave never gets there."""
    made = _PLACE.sub(lambda match: _fact(match[1], call) if match[1].startswith("call.") else match[0], text)
    return "".join(ch if ch.isprintable() else " " for ch in made)


def _fact(name: str, call: CallContext) -> str:
    if name.startswith(_PARAMETER):
        return call.parameters.get(name.removeprefix(_PARAMETER), "")
    known = {"call.id": call.call_id, "call.caller": call.caller, "call.called": call.called, "call.agent": call.agent}
    return known.get(name, "")


def _with_query(url: str, given: Mapping[str, Any]) -> str:
    if not given:
        return url
    pairs: list[str] = []
    for key, value in given.items():
        for one in value if isinstance(value, list) else [value]:
            text = str(one).lower() if isinstance(one, bool) else str(one)
            pairs.append(f"{quote(key, safe='')}={quote(text, safe='')}")
    return url + ("&" if "?" in url else "?") + "&".join(pairs)


def _moved(endpoint: Endpoint, url: str, location: str) -> str:
    """Where a redirect leads, if that is still the place that was declared."""
    target = urljoin(url, location)
    try:
        same = split(target) == split(url)
    except ValueError:
        same = False
    if not same or endpoint.method not in _READS:
        raise ToolError(f"the service redirects to {urlsplit(target).hostname or 'elsewhere'}, which is not followed")
    return target
