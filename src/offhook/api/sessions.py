"""Logging in and out, and the tokens."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Request
from fastapi.responses import Response

from offhook.api.access import COOKIE, SESSION_S, Asked, Denied, Who
from offhook.api.answers import PROBLEMS, Manages, Reads, answer, the_world
from offhook.api.models import server as models
from offhook.api.problems import Problem
from offhook.store.tokens import Token, Tokens

__all__ = ["router"]

router = APIRouter(tags=["access"], responses=PROBLEMS)


def denied(error: Denied) -> Problem:
    """Somebody is not let in, as a problem."""
    headers = {"WWW-Authenticate": 'Bearer realm="offhook"'} if error.status == 401 else {}
    if error.retry_s is not None:
        headers["Retry-After"] = str(error.retry_s)
    return Problem(error.status, error.why, kind="access", field="Authorization", where="header",
                   wanted="Bearer TOKEN", fix=error.fix, headers=headers)  # fmt: skip


def _session(who: Who) -> dict[str, Any]:
    return {"name": who.name, "scopes": sorted(who.scopes), "how": who.how, "csrf": who.csrf}


@router.post("/login", response_model=models.Session)
async def login(request: Request, body: models.LoginByCode | models.LoginByToken) -> Response:
    """Open a session for a browser with a one-time code, or with a token: an HttpOnly cookie and its CSRF word."""
    asked: Asked = request.state.asked
    try:
        value, who = await the_world(request).access.login(asked, **body.model_dump())
    except Denied as error:
        raise denied(error) from None
    made = answer(_session(who), headers={"Cache-Control": "no-store"})
    local = asked.headers.get("host", "").partition(":")[0] in ("localhost", "127.0.0.1", "[")
    # No path: the browser then sends it to /api of this server alone, whatever prefix a proxy has put before that.
    made.set_cookie(
        COOKIE, value, max_age=int(SESSION_S), httponly=True, samesite="strict", secure=not local, path=None
    )
    return made


@router.post("/logout", status_code=204, response_class=Response)
async def logout(request: Request, who: Reads) -> Response:
    """End the session."""
    the_world(request).access.logout(request.state.asked)
    made = Response(status_code=204)
    made.set_cookie(COOKIE, "", max_age=0, httponly=True, samesite="strict", path=None)
    return made


@router.get("/session", response_model=models.Session)
async def session(request: Request, who: Reads) -> Response:
    """Who asks, and what they may."""
    return answer(_session(who), headers={"Cache-Control": "no-store"})


def _row(token: Token) -> dict[str, Any]:
    import time

    return {
        "id": token.id, "name": token.name, "scopes": list(token.scopes), "made_at": token.made_at,
        "until_at": token.until_at, "revoked_at": token.revoked_at, "good": token.good(round(time.time() * 1000)),
    }  # fmt: skip


def _tokens(request: Request) -> Tokens:
    tokens: Tokens | None = the_world(request).tokens()
    if tokens is None:
        raise Problem(409, "there is no store for tokens", kind="store", field="store.url", got="off",
                      wanted="a store", fix="leave store.url empty for a file beside the records")  # fmt: skip
    return tokens


@router.get("/tokens", response_model=models.TokenList)
def list_tokens(request: Request, who: Manages) -> Response:
    """Every token there ever was, without its secret."""
    return answer({"tokens": [_row(token) for token in _tokens(request).all()]})


@router.post("/tokens", response_model=models.MadeToken, status_code=201)
def make_token(request: Request, body: models.NewToken, who: Manages) -> Response:
    """A new token; its text is shown this once."""
    token, text = _tokens(request).make(body.name, list(dict.fromkeys(body.scopes)), days=body.days)
    the_world(request).access.changed()
    return answer({**_row(token), "token": text}, 201, {"Cache-Control": "no-store"})


@router.delete("/tokens/{token}", response_model=models.TokenList)
def revoke_token(request: Request, token: Annotated[str, Path(pattern=r"^[0-9a-f]{8}$")], who: Manages) -> Response:
    """Take a token back; it is refused from then on."""
    gone = _tokens(request).revoke(token)
    the_world(request).access.changed()
    if not gone:
        raise Problem(404, "no such token, or it was revoked", kind="no-token", field="token", got=token, where="path",
                      wanted="the id of a good token", fix="GET /api/tokens lists them")  # fmt: skip
    return answer({"tokens": [_row(one) for one in _tokens(request).all() if one.id == token]})
