"""
Sending a described REST request, once, and reading what came of it. Credentials never leave the request.
"""

import httpx2
from msgspec import Struct

from offhook.wires._wire import RestRequest

__all__ = ["RestResult", "send"]


class RestResult(Struct, frozen=True):
    """What came of a REST request."""

    done: bool  # what was asked is so, also when it had been so before
    status: int | None  # None: no HTTP answer
    code: int | None  # the carrier's own error code
    detail: str


async def send(
    request: RestRequest, *, timeout_s: float = 5.0, transport: httpx2.AsyncBaseTransport | None = None
) -> RestResult:
    """Carry out ``request``. Never raises for what the network or the carrier does."""
    try:
        async with httpx2.AsyncClient(timeout=timeout_s, follow_redirects=False, transport=transport) as client:
            answer = await client.request(
                request.method,
                request.url,
                data=dict(request.form),
                auth=(request.username, request.password),
            )
    except httpx2.TimeoutException:
        return RestResult(False, None, None, f"no answer within {timeout_s:g} s")
    except httpx2.HTTPError as error:
        return RestResult(False, None, None, f"{type(error).__name__}: {str(error)[:120]}")
    code, message = _error(answer)
    if answer.is_success:
        return RestResult(True, answer.status_code, None, "done")
    if (answer.status_code, code) in request.done_when:
        return RestResult(True, answer.status_code, code, "already so")
    return RestResult(False, answer.status_code, code, message or f"HTTP {answer.status_code}")


def _error(answer: httpx2.Response) -> tuple[int | None, str]:
    try:
        body = answer.json()
    except ValueError:
        return None, ""
    if not isinstance(body, dict):
        return None, ""
    code = body.get("code")
    return code if isinstance(code, int) else None, str(body.get("message", ""))[:200]
