"""
Tokens of the API: made once, shown once, kept as a hash, until they are revoked or run out.

A token reads ``ofk_ID_SECRET``: by the id it is found, by the hash of the secret it is proven. Raises StoreError.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import sqlalchemy as sa
from msgspec import Struct
from sqlalchemy.exc import SQLAlchemyError

from offhook.store import schema
from offhook.store.database import check, engine, make_room, migrate, reason, shown
from offhook.store.state import StoreError

__all__ = ["PREFIX", "Token", "Tokens", "proves"]

PREFIX = "ofk_"


class Token(Struct, frozen=True):
    """A token without its secret. Times are milliseconds since 1970."""

    id: str
    name: str
    hash: str
    scopes: tuple[str, ...]
    made_at: int
    until_at: int | None = None
    revoked_at: int | None = None

    def good(self, at: int) -> bool:
        return self.revoked_at is None and (self.until_at is None or at < self.until_at)


def proves(text: str, known: Mapping[str, Token]) -> Token | None:
    """The token that ``text`` is, whether or not it is still good; None where it is none of ours."""
    id_, _, secret = text.removeprefix(PREFIX).partition("_")
    token = known.get(id_) if text.startswith(PREFIX) else None
    wanted = token.hash if token is not None else "0" * 64  # an unknown id takes as long as a known one
    same = hmac.compare_digest(_hash(secret), wanted)
    return token if same else None


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


class Tokens:
    """Tokens of the store at ``url``; ``make`` and ``revoke`` bring its schema up to date first."""

    def __init__(self, url: str) -> None:
        self._url = url

    @contextmanager
    def _open(self, *, write: bool) -> Iterator[sa.Connection]:
        try:
            if write:
                make_room(self._url)
            target = engine(self._url, write=write)
            try:
                if write:
                    migrate(target)
                with target.begin() as connection:
                    check(connection)
                    yield connection
            finally:
                target.dispose()
        except (SQLAlchemyError, OSError) as error:
            raise StoreError(f"{shown(self._url)}: {reason(error)}") from error

    def make(self, name: str, scopes: Sequence[str], *, days: float = 0) -> tuple[Token, str]:
        """A new token, and its text, which nothing can show again."""
        now = round(time.time() * 1000)
        secret = secrets.token_urlsafe(32)
        until = now + round(days * 86_400_000) if days else None
        token = Token(secrets.token_hex(4), name, _hash(secret), tuple(scopes), now, until)
        row = {"id": token.id, "name": name, "hash": token.hash, "scopes": " ".join(scopes), "made_at": now,
               "until_at": until}  # fmt: skip
        with self._open(write=True) as connection:
            connection.execute(sa.insert(schema.tokens).values(**row))
        return token, f"{PREFIX}{token.id}_{secret}"

    def all(self) -> list[Token]:
        """Every token there ever was, the oldest first."""
        with self._open(write=False) as connection:
            rows = connection.execute(sa.select(schema.tokens).order_by(schema.tokens.c.made_at)).mappings().all()
        return [Token(**{**row, "scopes": tuple(row["scopes"].split())}) for row in rows]

    def revoke(self, which: str) -> list[Token]:
        """Take back the token of this id, or all of this name; those that were good until now."""
        now = round(time.time() * 1000)
        t = schema.tokens.c
        found = [token for token in self.all() if which in (token.id, token.name) and token.revoked_at is None]
        with self._open(write=True) as connection:
            ids = [token.id for token in found]
            connection.execute(sa.update(schema.tokens).where(t.id.in_(ids)).values(revoked_at=now))
        return found
