"""
Who may what: bearer tokens with scopes, sessions of browsers, and programs of this machine where the settings say so.

Knows no framework: is given a request's headers and address. Tokens are read from the store beside the loop and held
for a moment, so that no request waits for a database and a revoked token is refused within seconds.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import ipaddress
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Literal
from urllib.parse import urlsplit

from msgspec import Struct

from offhook.store.state import StoreError
from offhook.store.tokens import Token, proves

__all__ = [
    "COOKIE", "CSRF_HEADER", "SCOPES", "Access", "Asked", "Denied", "Who", "host_allowed",
]  # fmt: skip

SCOPES: Mapping[str, str] = {
    "read": "see calls, transcripts, verdicts, agents and settings, and watch",
    "audio": "hear recordings",
    "control": "act on running calls",
    "place": "place calls, keep their lists, and speak with agents from a screen",
    "numbers": "see phone numbers in full, where the store keeps them",
    "admin": "all of these, point numbers, run checks, and manage tokens and sessions",
}
COOKIE = "offhook_session"
CSRF_HEADER = "x-offhook-csrf"

FRESH_S = 2.0  # so long a reading of the tokens holds
UNKNOWN_S = 0.25  # but for a token that it does not have
STALE_S = 300.0  # and so long where the store cannot be read
CODE_S = 600.0
SESSION_S = 12 * 3600.0
MOST_SESSIONS = 256
TRIES, TRIES_S = 10, 60.0  # failed ones of one address
MOST_ADDRESSES = 4096
_FORWARDED = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "cf-connecting-ip", "true-client-ip")
_SAFE = ("GET", "HEAD", "OPTIONS")


class Who(Struct, frozen=True):
    """Who asks, and what they may."""

    name: str
    scopes: frozenset[str]
    how: Literal["token", "session", "loopback"]
    csrf: str = ""  # of a session

    def may(self, scope: str) -> bool:
        return scope in self.scopes or "admin" in self.scopes


class Denied(Exception):
    """Why somebody is not let in."""

    def __init__(self, status: int, why: str, fix: str, retry_s: int | None = None) -> None:
        super().__init__(why)
        self.status, self.why, self.fix, self.retry_s = status, why, fix, retry_s


class Asked(Struct, frozen=True):
    """What of a request says who asks. Header names in small letters."""

    method: str
    client: str
    headers: Mapping[str, str]


class _Session(Struct, frozen=True):
    who: Who
    until: float
    token: str  # id of the token that opened it, or empty


class Access:
    """
    ``load`` reads all tokens from the store, on a thread; raises StoreError. ``open_to_loopback``: programs of this
    machine need no token. ``now`` is monotonic, in seconds.
    """

    def __init__(
        self,
        load: Callable[[], Sequence[Token]],
        *,
        open_to_loopback: bool = False,
        now: Callable[[], float] = time.monotonic,
        unix: Callable[[], float] = time.time,
    ) -> None:
        self._load = load
        self._open = open_to_loopback
        self._now = now
        self._unix = unix
        self._known: dict[str, Token] = {}
        self._read_at = float("-inf")
        self._why = ""  # the store cannot be read
        self._reading: asyncio.Task[None] | None = None
        self._own = ""
        self._fresh_s = FRESH_S
        self._failed: dict[str, list[float]] = {}
        self._codes: dict[str, tuple[float, frozenset[str]]] = {}
        self._sessions: dict[str, _Session] = {}

    def own_token(self) -> str:
        """A token of this process alone, for commands of whoever started it; good until the process ends."""
        self._own = secrets.token_urlsafe(32)
        return self._own

    # ------------------------------------------------------------------------------------------ asking

    async def who(self, asked: Asked) -> Who:
        """Raises Denied."""
        given = asked.headers.get("authorization", "")
        if given:
            return await self._by_token(asked, given)
        cookie = _cookie(asked.headers.get("cookie", ""))
        if cookie:
            return await self._by_session(asked, cookie)
        if self._open and _is_local(asked):
            _same_origin(asked)
            return Who("loopback", frozenset(SCOPES), "loopback")
        fix = "send Authorization: Bearer TOKEN; offhook token create NAME --scope read makes one"
        raise Denied(401, "no token", fix)

    async def _by_token(self, asked: Asked, given: str) -> Who:
        scheme, _, text = given.partition(" ")
        if scheme.lower() != "bearer":
            raise self._fails(asked, f"Authorization of the kind {scheme[:20]!r}, wanted Bearer")
        if self._own and hmac.compare_digest(_digest(text.strip()), _digest(self._own)):
            return Who("this machine's command line", frozenset(SCOPES), "token")
        token = await self.token(text.strip())
        if token is None:
            raise self._fails(asked, "no such token, or it was revoked, or it has run out")
        return Who(token.name, frozenset(token.scopes), "token")

    async def token(self, text: str) -> Token | None:
        """The good token that ``text`` is. Raises Denied where the store cannot be read at all."""
        await self._refresh()
        if self._read_at == float("-inf"):
            raise Denied(503, f"tokens cannot be read: {self._why}", "see store in offhook calls and /readyz")
        token = proves(text, self._known)
        if token is None:  # it may have been made a moment ago
            await self._refresh(UNKNOWN_S)
            token = proves(text, self._known)
        return token if token is not None and token.good(round(self._unix() * 1000)) else None

    async def _by_session(self, asked: Asked, cookie: str) -> Who:
        key = _digest(cookie)
        session = self._sessions.get(key)
        if session is None or session.until <= self._now():
            self._sessions.pop(key, None)
            raise self._fails(asked, "the session is over")
        if session.token and not await self._still_good(session.token):
            del self._sessions[key]
            raise Denied(401, "the session's token was revoked", "log in with another one")
        _same_origin(asked)
        if asked.method not in _SAFE:
            told = asked.headers.get(CSRF_HEADER, "")
            if not hmac.compare_digest(told.encode("latin-1", "replace"), session.who.csrf.encode()):
                fix = f"send {CSRF_HEADER} as /api/session gives it"
                raise Denied(403, f"a session's request without its {CSRF_HEADER}", fix)
        return session.who

    async def _still_good(self, id_: str) -> bool:
        await self._refresh()
        token = self._known.get(id_)
        return token is not None and token.good(round(self._unix() * 1000))

    def _fails(self, asked: Asked, why: str) -> Denied:
        """A failed try: counted, and after some of them answered without a look."""
        now = self._now()
        if asked.client not in self._failed and len(self._failed) >= MOST_ADDRESSES:
            self._failed.pop(next(iter(self._failed)))
        tries = [at for at in self._failed.get(asked.client, []) if at > now - TRIES_S]
        if len(tries) >= TRIES:
            self._failed[asked.client] = tries
            wait = max(1, round(tries[0] + TRIES_S - now))
            return Denied(429, f"{TRIES} failed tries within {TRIES_S:.0f} s", "wait, then use a good token", wait)
        self._failed[asked.client] = [*tries, now]
        return Denied(401, why, "offhook token list shows those that are good; offhook token create NAME makes one")

    def changed(self) -> None:
        """Tokens were made or taken back here: they are read again before the next is looked at."""
        self._fresh_s = 0.0

    async def _refresh(self, fresh_s: float = FRESH_S) -> None:
        if self._now() - self._read_at < min(fresh_s, self._fresh_s):
            return
        self._fresh_s = FRESH_S
        if self._reading is None:
            self._reading = asyncio.create_task(self._read())
            self._reading.add_done_callback(self._done_reading)
        await asyncio.shield(self._reading)

    def _done_reading(self, task: asyncio.Task[None]) -> None:
        self._reading = None

    async def _read(self) -> None:
        try:
            tokens = await asyncio.to_thread(self._load)
        except StoreError as error:
            self._why = str(error)
            if self._now() - self._read_at > STALE_S:
                self._known, self._read_at = {}, float("-inf")
            return
        self._known = {token.id: token for token in tokens}
        self._read_at, self._why = self._now(), ""

    # ---------------------------------------------------------------------------------------- sessions

    def code(self, scopes: Sequence[str] = tuple(SCOPES)) -> str:
        """A login code, good for one use within ten minutes."""
        now = self._now()
        self._codes = {key: kept for key, kept in self._codes.items() if kept[0] > now}
        code = secrets.token_urlsafe(18)
        self._codes[_digest(code)] = (now + CODE_S, frozenset(scopes))
        return code

    async def login(self, asked: Asked, *, code: str = "", token: str = "") -> tuple[str, Who]:
        """Open a session: the cookie's value, and who it is. Raises Denied."""
        if code:
            until, scopes = self._codes.pop(_digest(code), (0.0, frozenset()))
            if until <= self._now():
                raise self._fails(asked, "no such login code, or it was spent, or it has run out")
            return self._begin(Who("login code", scopes, "session"), "")
        found = await self.token(token)
        if found is None:
            raise self._fails(asked, "no such token, or it was revoked, or it has run out")
        return self._begin(Who(found.name, frozenset(found.scopes), "session"), found.id)

    def _begin(self, who: Who, token: str) -> tuple[str, Who]:
        value = secrets.token_urlsafe(32)
        own = Who(who.name, who.scopes, "session", secrets.token_urlsafe(18))
        self._sessions[_digest(value)] = _Session(own, self._now() + SESSION_S, token)
        if len(self._sessions) > MOST_SESSIONS:
            del self._sessions[next(iter(self._sessions))]
        return value, own

    def logout(self, asked: Asked) -> None:
        self._sessions.pop(_digest(_cookie(asked.headers.get("cookie", ""))), None)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _cookie(header: str) -> str:
    for part in header.split(";"):
        name, _, value = part.strip().partition("=")
        if name == COOKIE:
            return value
    return ""


def host_allowed(host: str, names: Sequence[str]) -> bool:
    """Whether a Host header names this server: a page elsewhere that resolves to us names its own."""
    name = _bare(host)
    return bool(name) and (_is_loopback(name) or name in {_bare(one) for one in names if one})


def _bare(host: str) -> str:
    """A host's name without port and brackets; empty where it is none."""
    try:
        return (urlsplit(f"//{host.strip()}").hostname or "").rstrip(".").lower()
    except ValueError:
        return ""


def _is_loopback(name: str) -> bool:
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(name.partition("%")[0])
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback


def _is_local(asked: Asked) -> bool:
    """A program of this machine itself; a tunnel or proxy that runs here brings others."""
    headers = asked.headers
    return (
        _is_loopback(asked.client)
        and _is_loopback(_bare(headers.get("host", "")))
        and not any(name in headers for name in _FORWARDED)
    )


def _same_origin(asked: Asked) -> None:
    """A page of another origin may not use what this browser, or this machine, is let in by."""
    origin = asked.headers.get("origin")
    site = asked.headers.get("sec-fetch-site", "same-origin")
    if origin is not None and urlsplit(origin).netloc.lower() != asked.headers.get("host", "").lower():
        fix = "use the console of this server, or a token; a proxy between must pass the Host header on as it came"
        raise Denied(403, f"asked by a page of {origin[:80]}, and this is {asked.headers.get('host', '')[:80]}", fix)
    if origin is None and site not in ("same-origin", "none"):
        raise Denied(403, f"asked by a page of another site ({site[:20]})", "use the console of this server")
