"""
MCP servers: their tools fetched at start, called through the official SDK, and the server kept alive.

A server that dies is named, and started again after a pause that grows; calls meanwhile are answered at once. Over
stdio the SDK starts and ends the program; its standard error is kept for the record. Belongs to one loop; the SDK
(extra ``mcp``) is loaded when a server is declared.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from msgspec import Struct

from offhook.agent.tools.context import CallContext
from offhook.agent.tools.mcp_oauth import client_credentials, oauth_refusal
from offhook.agent.tools.spec import BadArguments, Limits, Tool, ToolError, spell
from offhook.outward import OutwardError, judged, pinned, split

__all__ = ["McpServer", "Server"]

log = logging.getLogger("offhook")

CONNECT_S = 15.0
PAUSES_S = (0.5, 1, 2, 5, 10, 30)
ALIVE_S = 10.0  # a look whether the server still answers
STEADY_S = 60.0  # it lived so long: the next pause is a short one again
STDERR_CHARS = 4000


class Server(Struct, frozen=True, kw_only=True):
    """Where an MCP server is: ``url`` or ``argv``."""

    url: str = ""
    argv: Sequence[str] = ()
    env: Mapping[str, str] = {}
    cwd: str | None = None
    headers: Mapping[str, str] = {}
    allow: Sequence[str] = ()
    proxy: Callable[[str], str | None] = lambda url: None
    only: Sequence[str] = ()
    oauth_client_id: str = ""
    oauth_secret: str = ""
    oauth_issuer: str = ""
    oauth_scope: str = ""

    @property
    def source(self) -> str:
        return self.url or " ".join(self.argv)


class McpServer:
    """One server, and the tools that it has now."""

    def __init__(
        self,
        name: str,
        server: Server,
        limits: Limits,
        where: str = "",
        ready: Callable[[Tool], Tool] = lambda tool: tool,
    ) -> None:
        """``ready`` makes of a tool what is offered: itself, or a job."""
        self.name = name
        self._ready = ready
        self.tools: Sequence[Tool] = ()
        self.state = "not started"  # in words, for people: why it is not there
        self._server = server
        self._limits = limits
        self._where = where
        self._client: Any = None
        self._stopping = asyncio.Event()
        self._gone = asyncio.Event()
        self._known = asyncio.Event()  # its first tools, or the first failure
        self._keeper: asyncio.Task[None] | None = None
        self._stderr = _Tail()
        self.restarts = 0
        self.refused = ""  # the last answer over HTTP, if it was a refusal

    # --------------------------------------------------------------------------------------------- its life

    @property
    def source(self) -> str:
        return self._server.source

    async def start(self) -> None:
        """Returns when its tools are known, or it is known that they are not."""
        self._keeper = asyncio.ensure_future(self._keep())
        await self._known.wait()

    async def stop(self) -> None:
        self._stopping.set()
        self._gone.set()
        if self._keeper is not None:
            await asyncio.wait({self._keeper}, timeout=10)

    async def _keep(self) -> None:
        """Connected, or waiting to try again, until it is stopped."""
        failed = 0
        while not self._stopping.is_set():
            began = time.monotonic()
            try:
                async with self._connected() as client:
                    await self._fetch(client)
                    self._client = client
                    self.state = "connected"
                    self._known.set()
                    await self._watched(client)
            except (Exception, BaseExceptionGroup) as error:  # the SDK's tasks fail in groups
                first = _first(error)
                said = oauth_refusal(first, self._server.oauth_client_id)
                self.state = (said or f"{self.refused or type(first).__name__}: {first}")[:200]
                self.state += await self._last_words()
            self._client = None
            self._known.set()
            if self._stopping.is_set():
                return
            failed = 0 if time.monotonic() - began > STEADY_S else failed  # one that dies at once is no steady one
            await self._pause(PAUSES_S[min(failed, len(PAUSES_S) - 1)])
            failed += 1

    async def _last_words(self) -> str:
        """What a program said last on its standard error: it knows better than the SDK why it ended."""
        await asyncio.to_thread(self._stderr.wait)
        lines = [line for line in self._stderr.text.splitlines() if line.strip()]
        return f"; it said: {lines[-1].strip()[:200]}" if lines else ""

    async def _pause(self, seconds: float) -> None:
        self.restarts += 1
        log.warning("an MCP server is gone; trying again", extra={
            "tool": self.name, "server": self._server.source, "why": self.state, "in_s": seconds,
            "stderr": self._stderr.text[-300:],
        })  # fmt: skip
        await _within(seconds, self._stopping)

    async def _watched(self, client: Any) -> None:
        """Until it is gone: a call that failed says so, or a look every few seconds."""
        self._gone.clear()
        while not self._stopping.is_set() and not await _within(ALIVE_S, self._gone):
            async with asyncio.timeout(CONNECT_S):
                await self._fetch(client)  # also what was added or taken away meanwhile
        if not self._stopping.is_set():
            self.state = "the connection ended"

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[Any]:
        try:
            from mcp.client import Client
        except ModuleNotFoundError:
            raise RuntimeError("the MCP SDK is not installed: pip install 'offhook[mcp]'") from None
        async with AsyncExitStack() as stack:
            transport = await self._transport(stack)
            async with asyncio.timeout(CONNECT_S):
                client = await stack.enter_async_context(Client(transport, cache=None))
            yield client

    async def _transport(self, stack: AsyncExitStack) -> Any:
        server = self._server
        if not server.url:
            from mcp.client.stdio import StdioServerParameters, stdio_client

            parameters = StdioServerParameters(
                command=server.argv[0], args=list(server.argv[1:]), env=dict(server.env), cwd=server.cwd
            )
            return stdio_client(parameters, errlog=self._stderr.file(stack))
        from mcp.client.streamable_http import streamable_http_client

        client = await stack.enter_async_context(self._http())
        return streamable_http_client(server.url, http_client=client)

    def _http(self) -> Any:
        """A client whose every request is judged by the guard; OAuth where it is declared."""
        import httpx2

        server, told = self._server, self

        class Guarded(httpx2.AsyncBaseTransport):
            def __init__(self) -> None:
                self.ways: dict[str | None, httpx2.AsyncHTTPTransport] = {}  # by proxy

            async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
                url, host = request.url, request.url.host
                proxy = server.proxy(str(url))
                _, _, port = split(str(url))
                try:
                    if proxy is None:
                        url = url.copy_with(host=await pinned(host, port, server.allow))
                    else:
                        await judged(host, port, server.allow)
                except OutwardError as error:
                    raise ToolError(error.why) from None
                # Another request: OAuth sends this one again, by its name. The Host header stays as it was.
                sent = httpx2.Request(
                    request.method, url, headers=request.headers, stream=request.stream,
                    extensions={**request.extensions, "sni_hostname": host},
                )  # fmt: skip
                if proxy not in self.ways:
                    self.ways[proxy] = httpx2.AsyncHTTPTransport(proxy=proxy)
                response = await self.ways[proxy].handle_async_request(sent)
                told.refused = f"HTTP {response.status_code} from {host}" if response.status_code >= 400 else ""
                return response

            async def aclose(self) -> None:
                for way in self.ways.values():
                    await way.aclose()

        return httpx2.AsyncClient(
            transport=Guarded(),
            headers=dict(server.headers),
            auth=client_credentials(server),
            timeout=httpx2.Timeout(30, read=300),
        )

    # --------------------------------------------------------------------------------------------- its tools

    async def _fetch(self, client: Any) -> None:
        found: list[Any] = []
        cursor: str | None = None
        while True:
            page = await client.list_tools(cursor=cursor)
            found += page.tools
            cursor = page.next_cursor
            if not cursor or len(found) > 500:
                break
        self.tools = tuple(
            self._tool(each) for each in found if not self._server.only or each.name in self._server.only
        )

    def _tool(self, given: Any) -> Tool:
        hints = given.annotations
        reads = bool(hints is not None and hints.read_only_hint)
        again = bool(hints is not None and hints.idempotent_hint)
        limits = _with(self._limits, changes=self._limits.changes and not reads,
                       idempotent=self._limits.idempotent or again)  # fmt: skip

        async def run(arguments: Mapping[str, Any], call: CallContext) -> Any:
            return await self._call(given.name, arguments)

        schema = dict(given.input_schema)
        return self._ready(Tool(
            name=spell(given.name), description=(given.description or given.title or given.name)[:1000],
            parameters=schema, read=_checked(schema), run=run, kind="mcp",
            source=f"{self.name}: {self._server.source}", where=self._where, limits=limits,
        ))  # fmt: skip

    async def _call(self, name: str, arguments: Mapping[str, Any]) -> Any:
        client = self._client
        if client is None:
            raise ToolError(f"the service behind this tool ({self.name}) cannot be reached right now")
        try:
            result = await client.call_tool(name, dict(arguments))
        except asyncio.CancelledError:
            raise
        except Exception as error:
            cause = _first(error)
            if type(cause).__name__ in ("ClosedResourceError", "BrokenResourceError", "EndOfStream") or (
                "closed" in str(cause).lower()
            ):
                self._gone.set()
            raise ConnectionError(f"{self.name}: {type(cause).__name__}: {cause}"[:300]) from None
        text = "\n".join(block.text if block.type == "text" else f"({block.type})" for block in result.content)
        if result.is_error:
            raise ToolError(text or "it did not work")
        return text or result.structured_content

    @property
    def busy(self) -> bool:
        return False  # its runs are the box's

    def call_ended(self, call_id: str) -> None:
        """A server belongs to no call."""


class _Tail:
    """The last words of a program's standard error, read by a thread: the SDK wants a real file."""

    def __init__(self) -> None:
        self.text = ""
        self._reader: threading.Thread | None = None

    def wait(self) -> None:
        """Until all that was said is read, where the program has ended; a child of it may hold the pipe open."""
        if self._reader is not None:
            self._reader.join(0.5)

    def file(self, stack: AsyncExitStack) -> Any:
        reading, writing = os.pipe()
        out = os.fdopen(writing, "w")
        stack.callback(out.close)
        self.text = ""  # of the program that runs now
        self._reader = threading.Thread(target=self._read, args=(reading,), name="mcp stderr", daemon=True)
        self._reader.start()
        return out

    def _read(self, reading: int) -> None:
        with os.fdopen(reading, "r", errors="replace") as stream:
            for line in stream:
                self.text = (self.text + line)[-STDERR_CHARS:]


def _checked(schema: Mapping[str, Any]) -> Any:
    """The schema is the server's, and so is its check; here only what is missing or unknown is said in words."""
    required = [str(name) for name in schema.get("required", ())]
    known = set(schema.get("properties", {}))
    closed = schema.get("additionalProperties") is False

    def read(given: Mapping[str, Any]) -> Mapping[str, Any]:
        missing = [name for name in required if name not in given]
        strange = sorted(set(given) - known) if closed else []
        if missing or strange:
            said = [f"missing: {', '.join(missing)}"] if missing else []
            said += [f"unknown: {', '.join(strange)}"] if strange else []
            raise BadArguments(f"{'; '.join(said)}; it takes {', '.join(sorted(known)) or 'no arguments'}")
        return given

    return read


def _with(limits: Limits, **changed: Any) -> Limits:
    from msgspec import structs

    return structs.replace(limits, **changed)


async def _within(seconds: float, event: asyncio.Event) -> bool:
    """Whether ``event`` comes in time."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True


def _first(error: BaseException) -> BaseException:
    """What is at the bottom of a group of exceptions."""
    while isinstance(error, BaseExceptionGroup) and error.exceptions:
        error = error.exceptions[0]
    return error
