"""
Asking a webhook as the carrier asks: time and size limits, one retry, redirects, a fallback URL.

Knows sockets; what is asked and what an answer means stands in ``webhook.py`` and ``twiml.py``.
"""

from __future__ import annotations

import asyncio
import secrets
import ssl
from collections.abc import Callable, Mapping, Sequence
from urllib.parse import urlsplit

import httpx2

from offhook.net.client import default_tls
from offhook.sims.carrier_faults import Fault, named
from offhook.sims.twiml import Document, read_twiml
from offhook.sims.webhook import (
    CONNECT_S,
    MAX_BYTES,
    MAX_REDIRECTS,
    TOTAL_S,
    Answer,
    Request,
    Signer,
    follow,
    webhook_request,
)  # fmt: skip

__all__ = ["Asked", "Route", "Webhooks"]

Asked = Callable[[Answer, bool, int], None]  # answer, retried, how many redirects led to it
_TLS_CODES = {
    "expired": "11236",
    "hostname mismatch": "11235",
    "doesn't match": "11235",
    "ip address mismatch": "11235",
}


class Route:
    """
    How public names are reached: ``connect`` is the address that stands for the origin ``public`` (host, port).

    The way to ``connect`` is plain TCP unless ``tls`` is given; every other name is dialled as it is. ``insecure``
    leaves TLS out everywhere, for a server on this machine that names itself by ``wss`` without having it.
    """

    def __init__(
        self,
        public: tuple[str, int] | None = None,
        connect: tuple[str, int] | None = None,
        tls: ssl.SSLContext | None = None,
        *,
        insecure: bool = False,
    ) -> None:
        self.public, self.connect, self.tls, self.insecure = public, connect, tls, insecure

    def address(self, url: str) -> tuple[str, int] | None:
        """The address that is dialled for ``url``; None for its own."""
        parts = urlsplit(url)
        port = parts.port or {"https": 443, "wss": 443}.get(parts.scheme, 80)
        ours = self.public is None or self.public == (parts.hostname, port)
        return self.connect if self.connect is not None and ours else None

    def plain(self, url: str) -> bool:
        """Whether ``url`` is reached without TLS though its name says otherwise."""
        return self.tls is None and (self.insecure or self.address(url) is not None)


class Webhooks:
    """One call's requests. ``on_answer`` hears of every one of them."""

    def __init__(
        self,
        route: Route,
        signer: Signer,
        *,
        faults: Sequence[Fault] = (),
        fallback_url: str = "",
        total_s: float = TOTAL_S.value,
        on_answer: Asked = lambda answer, retried, redirects: None,
    ) -> None:
        self._route = route
        self._signer = signer
        self._faults = tuple(faults)
        self._fallback = fallback_url
        self._total_s = total_s
        self._on_answer = on_answer
        verify = route.tls or default_tls()  # shared: loading the certificates blocks the loop, and every call would
        timeout = httpx2.Timeout(total_s, connect=CONNECT_S.value)
        self._http = httpx2.AsyncClient(timeout=timeout, follow_redirects=False, trust_env=False, verify=verify)

    async def close(self) -> None:
        await self._http.aclose()

    async def document(
        self, url: str, form: Mapping[str, str], *, first: bool = False, method: str = "POST"
    ) -> tuple[Document | None, Answer]:
        """
        What ``url`` tells the carrier to do; from the fallback URL when the first fails or gives what it refuses.

        None, with the answer that says why, when there is nothing to execute.
        """
        document, answer = await self._ask(url, form, self._faults if first else (), method)
        if self._fallback and (document is None or document.refused):
            failed = {"ErrorCode": answer.code or "11200", "ErrorUrl": url}
            second, other = await self._ask(self._fallback, {**form, **failed}, (), method)
            if second is not None and not second.refused:
                return second, other
        return document, answer

    async def twice(self, url: str, form: Mapping[str, str]) -> None:
        """The same request once more, as after an answer that came too late; its answer is not used."""
        await self._ask(url, form, self._faults, "POST")

    async def post(self, url: str, form: Mapping[str, str]) -> Answer:
        """A callback: its answer is not executed."""
        return await self._send(webhook_request(url, form, self._signer), asyncio.get_running_loop().time())

    async def _ask(
        self, url: str, form: Mapping[str, str], faults: Sequence[Fault], method: str
    ) -> tuple[Document | None, Answer]:
        token = secrets.token_hex(16)
        began = asyncio.get_running_loop().time()
        request = webhook_request(url, form, self._signer, faults=faults, retry_token=token, method=method)
        answer = await self._answered(request, began, bool(named(faults, "unreachable")))
        redirects = 0
        while (onward := follow(answer, self._signer)) is not None:
            self._on_answer(answer, False, redirects)
            redirects += 1
            if redirects > MAX_REDIRECTS.value:
                answer = Answer(onward, code="11215", why=f"more than {MAX_REDIRECTS.value} redirects")
                break
            answer = await self._answered(onward, began, False)
        if answer.code is None and answer.status != 200:
            answer = _failed(answer, "11200", f"HTTP {answer.status}")
        if answer.code is not None:
            self._on_answer(answer, False, redirects)
            return None, answer
        plain_ws = self._route.insecure or urlsplit(answer.request.url).scheme == "http"
        document = read_twiml(answer.body, answer.content_type, answer.request.url, plain_ws=plain_ws)
        if document.refused is not None:
            answer = _failed(answer, document.refused.code, document.refused.why)
        self._on_answer(answer, False, redirects)
        return document, answer

    async def _answered(self, request: Request, began: float, unreachable: bool) -> Answer:
        if unreachable:
            return Answer(request, code="11210", why="the carrier's resolver does not find the name (dialled fault)")
        answer = await self._send(request, began)
        if answer.code in ("11201", "11202", "11205"):  # the connection is tried once more, nothing else is
            self._on_answer(answer, False, 0)
            answer = await self._send(request, began)
        return answer

    async def _send(self, request: Request, began: float) -> Answer:
        loop = asyncio.get_running_loop()
        sent = loop.time()
        try:
            async with asyncio.timeout_at(began + self._total_s):
                return await self._exchange(request, sent)
        except TimeoutError:
            return Answer(request, code="11203", why=f"no whole answer within {self._total_s:g} s", ms=_ms(sent))
        except httpx2.ConnectTimeout:
            return Answer(request, code="11201", why=f"TCP: no answer within {CONNECT_S.value:g} s", ms=_ms(sent))
        except httpx2.TimeoutException:
            return Answer(request, code="11203", why=f"no answer within {self._total_s:g} s", ms=_ms(sent))
        except httpx2.ConnectError as error:
            return Answer(request, code=_connect_code(error), why=f"no connection: {error}", ms=_ms(sent))
        except httpx2.RemoteProtocolError as error:
            return Answer(request, code="11206", why=f"HTTP: {error}", ms=_ms(sent))
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            return Answer(request, code="11205", why=f"{type(error).__name__}: {error}", ms=_ms(sent))

    async def _exchange(self, request: Request, sent: float) -> Answer:
        url, headers, extensions = request.url, list(request.headers), {}
        address = self._route.address(url)
        if address is not None:
            parts = urlsplit(url)
            headers.append(("Host", parts.netloc))
            scheme = "http" if self._route.plain(url) else "https"
            url = parts._replace(scheme=scheme, netloc=f"{address[0]}:{address[1]}").geturl()
            extensions = {"sni_hostname": parts.hostname or ""}
        call = self._http.build_request(
            request.method, url, headers=headers, content=request.body or None, extensions=extensions
        )
        answer = await self._http.send(call, stream=True)
        try:
            body = b""
            async for piece in answer.aiter_bytes():
                body += piece
                if len(body) > MAX_BYTES.value:
                    break
        finally:
            await answer.aclose()
        got = answer.headers
        made = Answer(
            request, status=answer.status_code, ms=_ms(sent), content_type=got.get("content-type", ""),
            location=got.get("location", ""), body=body,
        )  # fmt: skip
        if len(body) > MAX_BYTES.value:
            return _failed(made, "11750", f"more than {MAX_BYTES.value} bytes")
        return made


def _failed(answer: Answer, code: str | None, why: str) -> Answer:
    import msgspec

    return msgspec.structs.replace(answer, code=code, why=why)


def _ms(sent: float) -> float:
    return round((asyncio.get_running_loop().time() - sent) * 1000, 1)


def _connect_code(error: BaseException) -> str:
    """The carrier's code for a connection that did not come about, by what the layers below say."""
    chain: BaseException | None = error
    while chain is not None:
        text = str(chain).lower()
        if isinstance(chain, ssl.SSLCertVerificationError):
            return next((code for part, code in _TLS_CODES.items() if part in text), "11237")
        if isinstance(chain, ssl.SSLError) or "ssl" in text:
            return "11220"
        if isinstance(chain, ConnectionRefusedError):
            return "11202"
        if type(chain).__name__ == "gaierror" or "name or service" in text or "name resolution" in text:
            return "11210"
        chain = chain.__cause__ or chain.__context__
    return "11205"
