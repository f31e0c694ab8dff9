"""The list of calls to place, at a time, again when nobody took them; and the list of those whom nobody calls."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import Response

from offhook.api.answers import PROBLEMS, Places, Reads, answer, the_world
from offhook.api.models import acting as models
from offhook.api.models import base
from offhook.api.problems import Problem
from offhook.store.queue import QueueRow, QueueTable

__all__ = ["router"]

router = APIRouter(tags=["placing"], responses=PROBLEMS)

_APART = {"to", "agent", "due_at", "tries"}  # what the list itself keeps; the rest is how the call is placed


def _table(request: Request) -> QueueTable:
    table: QueueTable | None = the_world(request).queue()
    if table is None:
        raise Problem(409, "there is no store for the list", kind="store", field="store.url", got="off",
                      wanted="a store", fix="leave store.url empty for a file beside the records")  # fmt: skip
    return table


def _told(row: QueueRow) -> dict[str, Any]:
    names = ("id", "called", "agent", "state", "tries", "most_tries", "due_at", "call", "status", "detail")
    return {name: getattr(row, name) for name in names}


@router.get("/queue", response_model=models.QueueList)
def list_queue(
    request: Request, who: Reads, everything: Annotated[bool, Query(description="what is over as well")] = False
) -> Response:
    """Calls that are to be placed, the next first."""
    return answer({"queue": [_told(row) for row in _table(request).rows(everything=everything)]})


@router.post("/queue", response_model=models.Queued, status_code=201)
def enqueue(request: Request, body: models.Enqueue, who: Places) -> Response:
    """Put a call on the list; the server places it when it is due."""
    table, settings = _table(request), the_world(request).settings()
    if table.never(body.to):
        raise Problem(409, "this number is on the do-not-call list", kind="do-not-call", field="to", where="body",
                      wanted="a number that may be called", fix="offhook queue allow takes it off")  # fmt: skip
    given = body.model_dump(exclude=_APART, exclude_none=True)
    if "ring_s" in given:
        given["ring_s"] = round(given["ring_s"])
    due = body.due_at if body.due_at is not None else round(time.time() * 1000)
    id_ = table.add(body.to, body.agent or "", due, body.tries or settings["outbound.tries"], given)
    row = next(row for row in table.rows(everything=True) if row.id == id_)
    return answer(_told(row), 201)


@router.delete("/queue/{entry}", status_code=204, response_class=Response)
def take_off(request: Request, entry: Annotated[str, Path(pattern=base.ID)], who: Places) -> Response:
    """Take a call off the list that is not being placed."""
    if not _table(request).cancel(entry):
        raise Problem(404, "no such call waits", kind="no-call", field="entry", got=entry, where="path",
                      wanted="the id of one that waits", fix="GET /api/queue lists them")  # fmt: skip
    return Response(status_code=204)


# ----------------------------------------------------------------------------------- whom nobody calls


def _shown(row: Mapping[str, Any]) -> dict[str, Any]:
    return {"id": row["number_id"], "number": row["number_masked"], "why": row["why"], "added_at": row["added_at"]}


@router.get("/do-not-call", response_model=models.RefusedList)
def list_refused(
    request: Request,
    who: Reads,
    number: Annotated[str, Query(max_length=40, description="in full: is it on the list?")] = "",
    limit: Annotated[int, Query(ge=1, le=1000)] = 200,
    after: Annotated[str, Query(max_length=128, description="as `next` of the page before")] = "",
) -> Response:
    """Numbers that are never called, masked: by the queue, the API or offhook call."""
    rows = _table(request).refused(number=number, after=after, limit=limit + 1)
    page = rows[:limit]
    more = page[-1]["number_id"] if len(rows) > limit else None
    return answer({"numbers": [_shown(row) for row in page], "next": more})


@router.post("/do-not-call", response_model=models.Refused, status_code=201)
def refuse(request: Request, body: models.Refuse, who: Places) -> Response:
    """From now on nobody is called under this number."""
    return answer(_shown(_table(request).refuse(body.number, body.why)), 201)


@router.delete("/do-not-call/{entry}", status_code=204, response_class=Response)
def allow(request: Request, entry: Annotated[str, Path(pattern=base.ID)], who: Places) -> Response:
    """Take a number off the list; it may be called again."""
    if not _table(request).allow_id(entry):
        raise Problem(404, "no such number is on the list", kind="no-number", field="entry", got=entry, where="path",
                      wanted="the id of one that is", fix="GET /api/do-not-call?number= finds it")  # fmt: skip
    return Response(status_code=204)
