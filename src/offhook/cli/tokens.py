"""``offhook token``: who may use the API."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence

from msgspec import to_builtins

from offhook.api.access import SCOPES
from offhook.cli.api import tokens_of
from offhook.settings import Settings
from offhook.store.state import StoreError
from offhook.store.tokens import Token, Tokens

__all__ = ["TokenError", "create", "listed", "revoke"]


class TokenError(Exception):
    """What keeps a token from being made, and what to do."""


def create(settings: Settings, name: str, scopes: Sequence[str], days: float, *, as_json: bool = False) -> int:
    """Make a token and show it. Raises TokenError."""
    strange = [scope for scope in scopes if scope not in SCOPES]
    if strange:
        raise TokenError(f"--scope {strange[0]}: wanted one of {', '.join(SCOPES)}")
    if not name.strip() or len(name) > 100:
        raise TokenError("NAME: wanted 1 to 100 characters that say what it is for")
    token, text = _tokens(settings).make(name, list(dict.fromkeys(scopes)), days=days)
    if as_json:
        sys.stdout.write(json.dumps({**_data(token), "token": text}) + "\n")
        return 0
    sys.stdout.write(text + "\n")
    until = f", good until {_day(token.until_at)}" if token.until_at else ""
    sys.stderr.write(f"{token.name} ({token.id}) may {', '.join(token.scopes)}{until}. It is not shown again.\n")
    return 0


def listed(settings: Settings, *, as_json: bool = False) -> int:
    """Every token, without what would let anybody in."""
    try:
        tokens = _tokens(settings).all()
    except StoreError as error:
        if "no store yet" not in str(error):
            raise
        tokens = []
    if as_json:
        sys.stdout.write(json.dumps([_data(token) for token in tokens], indent=1) + "\n")
        return 0
    now = round(time.time() * 1000)
    for token in tokens:
        state = "good" if token.good(now) else f"revoked {_day(token.revoked_at)}" if token.revoked_at else "run out"
        until = f" until {_day(token.until_at)}" if token.until_at and token.good(now) else ""
        sys.stdout.write(f"{token.id}  {state}{until:<18}  {' '.join(token.scopes):<24}  {token.name}\n")
    if not tokens:
        sys.stdout.write("there are no tokens: offhook token create NAME --scope read\n")
    return 0


def revoke(settings: Settings, which: str) -> int:
    """Take back. Raises TokenError."""
    gone = _tokens(settings).revoke(which)
    if not gone:
        raise TokenError(f"{which!r}: no good token has this id or name; offhook token list shows them")
    for token in gone:
        sys.stdout.write(f"revoked {token.id} ({token.name})\n")
    return 0


def _tokens(settings: Settings) -> Tokens:
    tokens = tokens_of(settings)
    if tokens is None:
        raise TokenError("store.url is off: tokens are kept in the store; leave it empty for a file beside the records")
    return tokens


def _data(token: Token) -> dict[str, object]:
    data: dict[str, object] = to_builtins(token)
    del data["hash"]
    return data


def _day(at: int | None) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime((at or 0) / 1000))
