"""
Errors as the API tells them: ``application/problem+json`` (RFC 9457) with what was got, wanted, where, and the fix.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import msgspec
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from sqlalchemy.exc import SQLAlchemyError
from starlette.exceptions import HTTPException

from offhook.api.models import base
from offhook.store.database import reason
from offhook.store.state import StoreError

__all__ = ["MEDIA_TYPE", "Problem", "install", "problem_response"]

MEDIA_TYPE = "application/problem+json"
_PHRASES = {413: "Content Too Large", 422: "Unprocessable Content"}  # RFC 9110's, which Python has from 3.13 on
_PATTERNS = {
    r"^[0-9a-f]{8}$": "eight characters of 0-9 and a-f, as GET /api/tokens lists them",
    r"^[A-Za-z0-9_.-]{0,128}$": "a call's id: at most 128 letters, digits, _, . or -",
    r"^[0-9*#A-DwW]+$": "keys: 0-9, *, #, A-D, and w or W for a pause",
    r"^[0-9*#wW]*$": "keys: 0-9, * and #, and w or W for a pause",
    r"^\+[1-9][0-9]{6,14}$": "a whole number with its country, as +15550100002",
    base.NUMBER: "a whole number with its country, as +15550100002, or sip:name@host",
    base.ID: "an id: 1 to 128 letters, digits, _, . or -",
}
_PREFIXES = (
    "Input should be ",
    "String should have ",
    "Value should have ",
    "List should have ",
    "Dictionary should have ",
)
_SHOWN = 60  # characters of what was got: enough to know it again


class Problem(Exception):
    """One thing that is wrong with a request, or that keeps it from being answered."""

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        kind: str = "",
        field: str = "",
        got: str = "",
        wanted: str = "",
        where: str = "",
        fix: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status, self.detail, self.kind, self.headers = status, detail, kind, headers
        named = {"field": field, "got": got[:_SHOWN], "wanted": wanted, "where": where, "fix": fix}
        self.errors = [named] if any(named.values()) else []


def problem_response(
    status: int,
    detail: str,
    *,
    kind: str = "",
    errors: Sequence[Mapping[str, Any]] = (),
    headers: Mapping[str, str] | None = None,
) -> Response:
    """The answer to a request that cannot be answered otherwise."""
    phrase = _PHRASES.get(status) or HTTPStatus(status).phrase
    body = {
        "type": f"urn:offhook:{kind or phrase.lower().replace(' ', '-')}",
        "title": phrase,
        "status": status,
        "detail": detail,
        "errors": [dict(error) for error in errors],
    }
    return Response(msgspec.json.encode(body), status, dict(headers or {}), MEDIA_TYPE)


def install(app: FastAPI) -> None:
    """Let every error of ``app`` be told this way."""

    @app.exception_handler(Problem)
    async def known(request: Request, error: Problem) -> Response:
        return problem_response(
            error.status, error.detail, kind=error.kind, errors=error.errors, headers=error.headers
        )  # fmt: skip

    @app.exception_handler(StoreError)
    async def store(request: Request, error: StoreError) -> Response:
        fix = "calls go on and are stored later; see store in /api/health"
        return problem_response(503, str(error), kind="store", errors=[_named(wanted="a store that answers", fix=fix)])

    @app.exception_handler(SQLAlchemyError)
    async def database(request: Request, error: SQLAlchemyError) -> Response:
        return await store(request, StoreError(reason(error)))

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        errors = [_invalid(one) for one in error.errors()]
        fields = ", ".join(dict.fromkeys(one["field"] for one in errors if one["field"]))
        return problem_response(422, f"cannot be read: {fields or 'the body'}", kind="invalid", errors=errors)

    @app.exception_handler(HTTPException)
    async def missed(request: Request, error: HTTPException) -> Response:
        fix = "see /api/docs for what is there"
        errors = [_named(got=f"{request.method} {request.url.path}"[:_SHOWN], fix=fix)]
        headers = {"Allow": ", ".join(_methods(request))} if error.status_code == 405 else error.headers
        return problem_response(error.status_code, str(error.detail), errors=errors, headers=headers)


def _methods(request: Request) -> list[str]:
    """What a path takes: each method of it is a route of its own, of which the framework names one."""
    document = request.app.openapi()
    parts = request.scope["path"].split("/")
    found: set[str] = set()
    for path, operations in document["paths"].items():
        own = path.split("/")
        if len(own) == len(parts) and all(a == b or a.startswith("{") for a, b in zip(own, parts, strict=True)):
            found |= {method.upper() for method in operations}
    return sorted(found)


def _named(field: str = "", got: str = "", wanted: str = "", where: str = "", fix: str = "") -> dict[str, str]:
    return {"field": field, "got": got, "wanted": wanted, "where": where, "fix": fix}


def _invalid(error: Mapping[str, Any]) -> dict[str, str]:
    """One complaint of pydantic's in our words."""
    where, *path = (str(part) for part in error.get("loc", ("body",)))
    given = error.get("input")
    got = "nothing" if error.get("type") == "missing" else repr(given) if not isinstance(given, dict) else "an object"
    return _named(
        field=".".join(path),
        got=got[:_SHOWN],
        wanted=_wanted(error),
        where=where,
        fix="correct it" if path else "send what /api/docs describes",
    )


def _wanted(error: Mapping[str, Any]) -> str:
    """What would have been right, in words: nobody reads a regular expression at night."""
    kind, given = str(error.get("type")), error.get("ctx") or {}
    if kind == "string_pattern_mismatch":
        pattern = str(given.get("pattern"))
        return _PATTERNS.get(pattern, pattern)
    if kind in ("missing", "extra_forbidden"):
        return "a value" if kind == "missing" else "no such field"
    text = str(error.get("msg", ""))
    said = next((text.removeprefix(one) for one in _PREFIXES if text.startswith(one)), text)
    return said.replace("'' or ", "").replace("'', ", "")
