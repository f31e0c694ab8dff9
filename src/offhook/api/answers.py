"""How routes answer: ready bytes, made on the thread that made the data, so that the calls' loop only sends them."""

from __future__ import annotations

import math
from typing import Annotated, Any

import msgspec
from fastapi import Depends, Request
from fastapi.responses import Response

from offhook.api.access import SCOPES, Who
from offhook.api.models import base
from offhook.api.problems import MEDIA_TYPE, Problem
from offhook.api.world import World

__all__ = ["PROBLEMS", "Acts", "Hears", "Manages", "Places", "Reads", "Talks", "answer", "the_world"]


def answer(data: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(msgspec.json.encode(finite(data)), status, headers, "application/json")


def finite(node: Any) -> Any:
    """``node`` without what JSON has no number for."""
    if isinstance(node, float):
        return node if math.isfinite(node) else None
    if isinstance(node, dict):
        return {name: finite(part) for name, part in node.items()}
    if isinstance(node, (list, tuple)):
        return [finite(part) for part in node]
    return node


def the_world(request: Request) -> World:
    world: World = request.app.state.world
    return world


def _who(request: Request) -> Who:
    who: Who = request.state.who
    return who


def needs(scope: str) -> Any:
    """The one who asks; who may not is told which scope is wanted."""
    assert scope in SCOPES

    def asker(who: Annotated[Who, Depends(_who)]) -> Who:
        if not who.may(scope):
            raise Problem(
                403, f"this needs the scope {scope}", kind="scope", field="Authorization", where="header",
                got=" ".join(sorted(who.scopes)) or "no scope", wanted=f"{scope}: {SCOPES[scope]}",
                fix=f"offhook token create NAME --scope {scope}",
            )  # fmt: skip
        return who

    asker.__name__ = f"needs_{scope}"
    return Depends(asker)


Reads = Annotated[Who, needs("read")]
Hears = Annotated[Who, needs("audio")]
Acts = Annotated[Who, needs("control")]
Places = Annotated[Who, needs("place")]
Talks = Places  # whoever may place calls may speak with an agent
Manages = Annotated[Who, needs("admin")]


def _problem(text: str) -> dict[str, Any]:
    return {"description": text, "model": base.ProblemAnswer, "content": {MEDIA_TYPE: {}}}


PROBLEMS: dict[int | str, dict[str, Any]] = {
    400: _problem("It cannot be read"),
    401: _problem("No token, or none that is good"),
    403: _problem("The token's scopes do not have this"),
    404: _problem("There is no such thing"),
    409: _problem("It cannot be done now"),
    421: _problem("Asked under a name that is not this server's"),
    422: _problem("Something in it is not as wanted"),
    429: _problem("Too many failed tries"),
    503: _problem("The store, or the server, cannot answer now"),
}
