"""
OAuth for MCP servers: client credentials by the official SDK, and what a refusal is called.

Source: RFC 6749, 4.4 and 5.2; MCP specification, "Authorization" (checked 2026-11-25). Tokens live as long as the
process.
"""

from __future__ import annotations

import json
import logging
import re
from typing import Any, Protocol

__all__ = ["client_credentials", "oauth_refusal"]

_REFUSED = re.compile(r"Token \w+ failed \((\d+)\)[^{]*(\{.*\})?", re.DOTALL)


class Credentials(Protocol):
    """What of a server's settings is needed."""

    @property
    def url(self) -> str: ...
    @property
    def oauth_client_id(self) -> str: ...
    @property
    def oauth_secret(self) -> str: ...
    @property
    def oauth_issuer(self) -> str: ...
    @property
    def oauth_scope(self) -> str: ...


def client_credentials(server: Credentials) -> Any:
    """What fetches a token for ``server`` and sends it along; None where no client is declared."""
    if not server.oauth_client_id:
        return None
    from mcp.client.auth.extensions.client_credentials import ClientCredentialsOAuthProvider

    logging.getLogger("mcp.client.auth.oauth2").addFilter(_without_traceback)
    return ClientCredentialsOAuthProvider(
        server_url=server.url, storage=_Tokens(), client_id=server.oauth_client_id,
        client_secret=server.oauth_secret, scope=server.oauth_scope or None, issuer=server.oauth_issuer or None,
    )  # fmt: skip


def oauth_refusal(error: BaseException, client_id: str) -> str:
    """In words, what of OAuth did not work; empty where ``error`` is none of OAuth's."""
    text = " ".join(str(error).split())
    if not client_id or not type(error).__name__.startswith("OAuth"):
        return ""
    refused = _REFUSED.match(text)
    if refused is None:
        return f"OAuth, oauth_issuer and oauth_client_id: {text}"
    try:
        said = json.loads(refused[2] or "{}")
    except ValueError:
        said = {}
    names = [str(said[name])[:80] for name in ("error", "error_description") if isinstance(said.get(name), str)]
    return f"the token endpoint refused client {client_id!r}: HTTP {refused[1]} {': '.join(names)}".rstrip()


def _without_traceback(record: logging.LogRecord) -> bool:
    """The SDK writes one of each refusal; ``oauth_refusal`` says it in words."""
    return record.exc_info is None


class _Tokens:
    """OAuth tokens of one process."""

    def __init__(self) -> None:
        self._tokens: Any = None
        self._client: Any = None

    async def get_tokens(self) -> Any:
        return self._tokens

    async def set_tokens(self, tokens: Any) -> None:
        self._tokens = tokens

    async def get_client_info(self) -> Any:
        return self._client

    async def set_client_info(self, client_info: Any) -> None:
        self._client = client_info
