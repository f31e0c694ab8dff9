"""
Sending a described REST request, once, and reading what came of it. Credentials never leave the request.
"""

from collections.abc import Mapping
from typing import Any

import httpx2
from msgspec import Struct

from offhook.net.client import default_tls
from offhook.wires._wire import RestRequest

__all__ = ["RestResult", "send"]


class RestResult(Struct, frozen=True):
    """What came of a REST request."""

    done: bool  # what was asked is so, also when it had been so before
    status: int | None  # None: no HTTP answer
    code: int | None  # the carrier's own error code
    detail: str
    data: Mapping[str, Any] = {}  # what it answered


async def send(
    request: RestRequest,
    *,
    timeout_s: float = 5.0,
    proxy: str | None = None,
    transport: httpx2.AsyncBaseTransport | None = None,
) -> RestResult:
    """
    Carry out ``request``. Never raises for what the network or the carrier does.

    The environment is not asked for a proxy: ``proxy`` is the one, or none.
    """
    try:
        async with httpx2.AsyncClient(
            timeout=timeout_s,
            follow_redirects=False,
            transport=transport,
            verify=default_tls(),  # a context of its own would take 10 ms of everybody's audio
            trust_env=False,
            proxy=proxy,
        ) as client:
            answer = await client.request(
                request.method,
                request.url,
                data=_fields(request.form),
                auth=(request.username, request.password),
            )
    except httpx2.TimeoutException:
        return RestResult(False, None, None, f"no answer within {timeout_s:g} s")
    except (httpx2.HTTPError, httpx2.InvalidURL, ValueError) as error:
        return RestResult(False, None, None, f"{type(error).__name__}: {_clean(str(error), request)}")
    code, message = _error(answer)
    status = answer.status_code
    if answer.is_success:
        return RestResult(True, status, None, "done", _body(answer))
    if (status, code) in request.done_when:
        return RestResult(True, status, code, "already so")
    what = "credentials refused" if status == 401 else f"HTTP {status}"
    number = f" (code {code})" if code is not None else ""
    said = f": {_clean(message, request)}" if message else ""
    return RestResult(False, status, code, f"{what}{number}{said}")


def _fields(form: tuple[tuple[str, str], ...]) -> dict[str, list[str]]:
    """A form, in which a field may come more than once."""
    fields: dict[str, list[str]] = {}
    for name, value in form:
        fields.setdefault(name, []).append(value)
    return fields


def _clean(text: str, request: RestRequest) -> str:
    """``text`` in one line, without the password should it be echoed."""
    if request.password:
        text = text.replace(request.password, "***")
    return " ".join(text.split())[:200]


def _error(answer: httpx2.Response) -> tuple[int | None, str]:
    """The carrier's error code and sentence, where its answer has them."""
    body = _body(answer)
    code = body.get("code")
    return code if isinstance(code, int) else None, str(body.get("message", ""))


def _body(answer: httpx2.Response) -> dict[str, Any]:
    """The JSON object that was answered; empty where it was none."""
    try:
        body = answer.json()
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}
