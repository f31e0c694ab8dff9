"""Acting on running calls, and placing calls."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import Response

from offhook import vocab as v
from offhook.api.answers import PROBLEMS, Acts, Manages, Places, Reads, answer, the_world
from offhook.api.models import acting as models
from offhook.api.models import base
from offhook.api.problems import Problem
from offhook.api.world import World
from offhook.net.call import Call
from offhook.net.outbound import Placed

__all__ = ["router", "shown"]

router = APIRouter(responses=PROBLEMS)

WAIT_S = 20.0
CallName = Annotated[str, Path(pattern=base.ID, description="the carrier's name for the call, or its record's")]
Wait = Annotated[
    float, Query(ge=0, le=120, description="seconds to wait for how it goes; then outcome is `asked`, status 202")
]


def _running(world: World, name: str) -> Call:
    calls = world.host.calls.running
    call = calls.get(name) or next((one for one in calls.values() if one.journal.path.stem == name), None)
    if call is not None:
        return call
    raise Problem(409, "this call does not run", kind="not-running", field="call", got=name, where="path",
                  wanted="a call that runs now", fix="GET /api/calls?state=running lists them")  # fmt: skip


async def _ask(request: Request, name: str, event: Any, wait_s: float) -> Response:
    """Ask it of the call, and wait a while for its answer; what was asked goes on all the same."""
    world = the_world(request)
    call = _running(world, name)
    asking = asyncio.ensure_future(world.host.calls.ask(call.name, event))
    held: set[Any] = request.app.state.asking
    held.add(asking)
    asking.add_done_callback(held.discard)
    finished, _ = await asyncio.wait({asking}, timeout=wait_s)
    if not finished:
        what = type(event).__name__.removesuffix("Asked").lower()
        return answer({"id": "", "what": what, "outcome": "asked", "detail": "it is under way"}, 202)
    done = asking.result()
    if done.outcome == "refused":
        raise Problem(409, done.detail or "the call refuses it", kind="refused", field="call", got=name,
                      wanted="a call that can do this now", fix=f"see its state in /api/calls/{name}")  # fmt: skip
    return answer({"id": done.id, "what": done.what, "outcome": done.outcome, "detail": done.detail})


_ASKED: dict[int | str, dict[str, Any]] = {202: {"model": models.Done, "description": "It is under way"}}
_act: dict[str, Any] = {"response_model": models.Done, "responses": _ASKED, "tags": ["acting"]}


@router.post("/calls/{call}/hangup", **_act, status_code=202)
async def hang_up(request: Request, call: CallName, who: Acts) -> Response:
    """End the call politely: what is being said is said, a spoken line follows."""
    _running(the_world(request), call).feed(v.EndRequested(why="operator"))
    return answer({"id": "", "what": "hang-up", "outcome": "asked", "detail": "it is under way"}, 202)


@router.post("/calls/{call}/say", **_act)
async def say(request: Request, call: CallName, body: models.Say, who: Acts, wait_s: Wait = WAIT_S) -> Response:
    """Let the agent's voice say a line word for word, once nobody speaks."""
    return await _ask(request, call, v.SayAsked(body.text), wait_s)


@router.post("/calls/{call}/inject", **_act)
async def inject(request: Request, call: CallName, body: models.Inject, who: Acts, wait_s: Wait = WAIT_S) -> Response:
    """Tell the agent something that the caller does not hear."""
    return await _ask(request, call, v.InjectAsked(body.text, body.respond), wait_s)


@router.post("/calls/{call}/mute", **_act)
async def mute(request: Request, call: CallName, body: models.Mute, who: Acts, wait_s: Wait = WAIT_S) -> Response:
    """caller: the agent does not hear them; agent: the caller does not hear it."""
    return await _ask(request, call, v.MuteAsked(body.who, body.on), wait_s)


@router.post("/calls/{call}/hold", **_act)
async def hold(request: Request, call: CallName, body: models.Hold, who: Acts, wait_s: Wait = WAIT_S) -> Response:
    """Put the caller on hold with music, or take them back."""
    return await _ask(request, call, v.HoldAsked(body.on), wait_s)


@router.post("/calls/{call}/dtmf", **_act)
async def dtmf(request: Request, call: CallName, body: models.Dtmf, who: Acts, wait_s: Wait = WAIT_S) -> Response:
    """Press keys towards the other side; w waits half a second, W a whole one."""
    return await _ask(request, call, v.DtmfAsked(body.digits), wait_s)


@router.post("/calls/{call}/transfer", **_act)
async def transfer(
    request: Request, call: CallName, body: models.Transfer, who: Acts, wait_s: Wait = WAIT_S
) -> Response:
    """Give the caller to a number or a SIP URI, after the announcement was heard."""
    return await _ask(request, call, v.TransferAsked(body.target, body.announcement, body.failed), wait_s)


@router.post("/calls/{call}/handover", **_act)
async def hand_over(
    request: Request, call: CallName, body: models.HandOver, who: Acts, wait_s: Wait = WAIT_S
) -> Response:
    """Let another agent take over within the same call."""
    return await _ask(request, call, v.HandOverAsked(body.agent), wait_s)


@router.post("/calls/{call}/pause-recording", **_act)
async def pause_recording(
    request: Request, call: CallName, body: models.PauseRecording, who: Acts, wait_s: Wait = WAIT_S
) -> Response:
    """Pause the recording, for a card number, say, or go on with it."""
    return await _ask(request, call, v.RecordingAsked(not body.on, body.why), wait_s)


# ---------------------------------------------------------------------------------------------- outbound


@router.get("/numbers", response_model=models.NumberList, tags=["placing"])
async def list_numbers(request: Request, who: Reads) -> Response:
    """The carrier account's numbers, and where they point."""
    try:
        return answer({"numbers": await the_world(request).numbers()})
    except LookupError as error:
        raise Problem(409, str(error.args[0]), kind="no-rest", field="carrier", got="no answer to list",
                      wanted="the carrier's REST interface", fix="see offhook check account") from None  # fmt: skip


@router.post("/numbers/point", response_model=models.Pointed, tags=["placing"])
async def point_number(request: Request, body: models.WhichNumber, who: Manages) -> Response:
    """Let a number's calls come to this server; where it pointed before is remembered."""
    return await _pointed(body.number, the_world(request).point(body.number))


@router.post("/numbers/restore", response_model=models.Pointed, tags=["placing"])
async def restore_number(request: Request, body: models.WhichNumber, who: Manages) -> Response:
    """Let a number point again at what it did before it was pointed from here."""
    return await _pointed(body.number, the_world(request).restore(body.number))


async def _pointed(number: str, work: Awaitable[str]) -> Response:
    try:
        return answer({"number": number, "detail": await work})
    except LookupError as error:
        raise Problem(409, str(error.args[0]), kind="no-rest", field="number", got="not pointed", where="body",
                      wanted="a number of the account", fix="GET /api/numbers lists them") from None  # fmt: skip


@router.post("/calls", response_model=models.Placed, status_code=201, tags=["placing"])
async def place(request: Request, body: models.Place, who: Places) -> Response:
    """Place a call. Returns when the carrier has taken it; how it goes is told by the live stream and by GET."""
    given = body.model_dump(exclude={"to"}, exclude_none=True)
    if "ring_s" in given:
        given["ring_s"] = round(given["ring_s"])  # the carrier takes whole seconds
    options = the_world(request).options(given)
    placed = await the_world(request).host.outbound.place(body.to, options)
    if placed.status == "refused":
        asked = placed.http is not None  # the carrier, and it said no
        raise Problem(409, f"not placed: {placed.detail}", kind="refused", field="to" if asked else "",
                      got=f"code {placed.code}" if placed.code else "",
                      wanted="a call that the carrier takes" if asked else "a call that this server can ask for",
                      fix=f"GET /api/codes/{placed.code}" if placed.code else "see detail")  # fmt: skip
    return answer(shown(placed), 201, {"Location": f"/api/outbound/{placed.id}"})


@router.get("/outbound", response_model=models.PlacedList, tags=["placing"])
async def list_placed(request: Request, who: Reads) -> Response:
    """Calls that this server placed, the newest first."""
    placed = list(the_world(request).host.outbound.placed.values())
    return answer({"outbound": [_masked(the_world(request), one) for one in reversed(placed)]})


PlacedId = Annotated[str, Path(pattern=base.ID)]


@router.get("/outbound/{placed}", response_model=models.Placed, tags=["placing"])
async def show_placed(request: Request, placed: PlacedId, who: Reads) -> Response:
    """One call that was placed."""
    return answer(_masked(the_world(request), _one(request, placed)))


@router.delete("/outbound/{placed}", response_model=models.Placed, tags=["placing"])
async def cancel_placed(request: Request, placed: PlacedId, who: Places) -> Response:
    """Take a call back that nobody has answered yet."""
    one = _one(request, placed)
    if one.status not in ("queued", "initiated", "ringing"):
        raise Problem(409, f"it cannot be taken back: {one.status}", kind="refused", field="placed", got=placed,
                      wanted="a call that rings", fix="hang it up, if it runs")  # fmt: skip
    await the_world(request).host.outbound.cancel(one)
    return answer(_masked(the_world(request), one))


def _one(request: Request, id_: str) -> Placed:
    found = the_world(request).host.outbound.placed.get(id_)
    if found is None:
        raise Problem(404, "no such call was placed", kind="no-call", field="placed", got=id_, where="path",
                      wanted="an id that POST /api/calls gave", fix="GET /api/outbound lists them")  # fmt: skip
    return found


def shown(placed: Placed) -> dict[str, Any]:
    """A placed call as data, its numbers as they are."""
    return {
        "id": placed.id, "call": placed.sid, "to": placed.to, "from": placed.options.from_,
        "agent": placed.options.agent, "status": placed.status, "code": placed.code, "http": placed.http,
        "detail": placed.detail, "answered_by": placed.answered_by, "seconds": placed.seconds, "sip": placed.sip,
        "over": placed.over, "history": [{"at_s": at_s, "status": status} for at_s, status in placed.history],
    }  # fmt: skip


def _masked(world: World, placed: Placed) -> dict[str, Any]:
    mask = world.host.carrier.wire.mask_number
    return {**shown(placed), "to": mask(placed.to), "from": mask(placed.options.from_)}
