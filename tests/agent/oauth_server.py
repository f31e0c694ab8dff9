"""
An MCP server that wants OAuth, and its authorization server, on loopback: by the official SDK's server side.

The SDK's resource side (protected resource metadata, WWW-Authenticate, bearer and audience check) and its metadata are
used as they are. Its token endpoint knows no client credentials, and its ClientAuthenticator (2.0) wants client_id in
the body beside the Basic header, which RFC 6749, 2.3.1 does not; so the grant of 4.4 is answered here by that RFC.
"""

from __future__ import annotations

import base64
import secrets
import threading
import time
from typing import Any

import uvicorn
from mcp.server import MCPServer
from mcp.server.auth.provider import AccessToken
from mcp.server.auth.routes import build_metadata
from mcp.server.auth.settings import AuthSettings, ClientRegistrationOptions, RevocationOptions
from mcp.server.transport_security import TransportSecuritySettings
from pydantic import AnyHttpUrl
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

CLIENT, SECRET, SCOPE = "offhook", "s3cret-of-the-desk", "desk"


class OAuthDesk:
    """Both servers on one port; ``asked`` are the token requests that came."""

    def __init__(self, port: int, host: str) -> None:
        self.url = f"http://{host}:{port}"
        self.asked: list[dict[str, str]] = []
        self.valid: dict[str, AccessToken] = {}
        self.expires_in = 3600
        app = self._app(host, port)
        config = uvicorn.Config(
            app, host="127.0.0.1", port=port, log_level="error", ws="none", timeout_graceful_shutdown=1
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, daemon=True)

    def _app(self, host: str, port: int) -> Any:
        settings = AuthSettings(
            issuer_url=AnyHttpUrl(self.url),
            resource_server_url=AnyHttpUrl(f"{self.url}/mcp"),
            required_scopes=[SCOPE],
            validate_token_resource=True,
        )
        desk = MCPServer("desk", token_verifier=self, auth=settings)

        @desk.tool()
        def book(day: str) -> str:
            """Book a time."""
            return f"booked {day}"

        app = desk.streamable_http_app(transport_security=TransportSecuritySettings(allowed_hosts=[f"{host}:{port}"]))
        app.router.routes += [
            Route("/.well-known/oauth-authorization-server", self._metadata),
            Route("/token", self._token, methods=["POST"]),
        ]
        return app

    def __enter__(self) -> OAuthDesk:
        self._thread.start()
        until = time.monotonic() + 40
        while not self._server.started and time.monotonic() < until:
            time.sleep(0.01)
        assert self._server.started
        return self

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join(40)

    # ---------------------------------------------------------------------------- the authorization server

    async def _metadata(self, request: Request) -> JSONResponse:
        made = build_metadata(AnyHttpUrl(self.url), None, ClientRegistrationOptions(), RevocationOptions())
        made.grant_types_supported = ["client_credentials"]
        return JSONResponse(made.model_dump(mode="json", exclude_none=True))

    async def _token(self, request: Request) -> JSONResponse:
        form = {name: str(value) for name, value in (await request.form()).items()}
        self.asked.append(form)
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        if scheme != "Basic" or base64.b64decode(given).decode() != f"{CLIENT}:{SECRET}":
            error = {"error": "invalid_client", "error_description": "who are you?"}
            return JSONResponse(error, 401, {"WWW-Authenticate": "Basic"})
        wanted = {"grant_type": "client_credentials", "resource": f"{self.url}/mcp"}
        wrong = [name for name, value in wanted.items() if form.get(name) != value]
        if wrong:
            return JSONResponse({"error": "invalid_request", "error_description": ", ".join(wrong)}, 400)
        token = secrets.token_hex(16)
        expires = int(time.time()) + self.expires_in
        self.valid[token] = AccessToken(
            token=token, client_id=CLIENT, scopes=[SCOPE], expires_at=expires, resource=form["resource"]
        )
        return JSONResponse(
            {"access_token": token, "token_type": "Bearer", "expires_in": self.expires_in, "scope": SCOPE}
        )

    # --------------------------------------------------------------------------------- the resource server

    async def verify_token(self, token: str) -> AccessToken | None:
        return self.valid.get(token)
