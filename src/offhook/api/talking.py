"""Calls from a screen, and listening in: tickets for both. Their WebSockets are the host's own (``net/talks.py``)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Annotated

from fastapi import APIRouter, Path, Request
from fastapi.responses import Response

from offhook.api.answers import PROBLEMS, Hears, Talks, answer, the_world
from offhook.api.models import base
from offhook.api.models import talk as models
from offhook.api.problems import Problem
from offhook.api.world import World
from offhook.net.talks import TICKET_S

__all__ = ["router"]

router = APIRouter(tags=["talk"], responses=PROBLEMS)


@router.post("/talk", response_model=models.Ticket, status_code=201)
async def talk(request: Request, body: models.NewTalk, who: Talks) -> Response:
    """
    A ticket for one call to an agent from a microphone or a keyboard.

    Show it as the first message of the WebSocket at `path`, within `expires_s`; docs/talk.md has the messages.
    """
    world = the_world(request)
    talks = world.host.talks
    if talks is None:
        raise Problem(409, "this server takes no calls from screens", kind="refused", field="agent",
                      wanted="a server with them", fix="start it with offhook serve")  # fmt: skip
    if body.agent and body.agent not in await asyncio.to_thread(_names, world):
        raise Problem(404, "no such agent", kind="no-agent", field="agent", got=body.agent, where="body",
                      wanted="an agent of the settings", fix="GET /api/agents lists them")  # fmt: skip
    made = talks.ticket(body.agent)
    return answer({"call": made.call, "ticket": made.ticket, "path": made.path, "agent": body.agent,
                   "expires_s": made.expires_s}, 201)  # fmt: skip


@router.post("/calls/{call}/listen", response_model=models.Ticket, status_code=201)
async def listen(request: Request, call: Annotated[str, Path(pattern=base.ID)], who: Hears) -> Response:
    """
    A ticket to hear a call that runs, as it goes by: the first message of the WebSocket at `path`.

    Then come `media` (who, audio: PCMU as base64), `clear` where the caller took the word, `private` while nothing
    may be overheard, and `lost` for what was not taken in time. The agent's audio is ahead of real time.
    """
    host = the_world(request).host
    running = host.calls.find(call)
    if running is None:
        raise Problem(409, "this call does not run", kind="not-running", field="call", got=call, where="path",
                      wanted="a call that runs now", fix="GET /api/calls?state=running lists them")  # fmt: skip
    return answer({"call": running.name, "ticket": host.listening.ticket(running.name), "agent": "",
                   "path": f"/api/calls/{running.name}/listen", "expires_s": TICKET_S}, 201)  # fmt: skip


def _names(world: World) -> Iterable[str]:
    """On a thread."""
    return {str(one["name"]) for one in world.agents()["agents"]}
