"""The server itself: health, settings, agents, checks, and the manual of faults and codes."""

from __future__ import annotations

import asyncio
from functools import cache
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import Response

from offhook.api.answers import PROBLEMS, Manages, Reads, Talks, answer, the_world
from offhook.api.checking import Busy, Checking
from offhook.api.models import base
from offhook.api.models import server as models
from offhook.api.problems import Problem
from offhook.checks.registry import NAMES, checks
from offhook.diagnosis.codes import explain_code, known_codes
from offhook.diagnosis.engine import rule_modules
from offhook.diagnosis.manual import page
from offhook.settings import SPECS
from offhook.sims.faults.catalogue import examples, playable

__all__ = ["router"]

router = APIRouter(responses=PROBLEMS)


@router.get("/health", response_model=models.Health, tags=["server"])
async def health(request: Request, who: Reads) -> Response:
    """How the server is: what it takes on, what it is loaded with, its store, agents and boundaries."""
    world = the_world(request)
    calls, settings = world.host.calls, world.settings()
    detail = world.detail()
    return answer(
        {
            "version": world.version, "began_at": world.began_at, "ready": not calls.draining,
            "draining": calls.draining, "public_url": world.public_url(),
            "webhook": world.public_url() + world.host.carrier.settings.webhook_path, "running": len(calls),
            "limits": {name: float(settings[f"limits.{name}"])
                       for name in ("max_calls", "dials_per_minute", "max_call_s", "idle_s")},
            "load": {"dials_last_minute": float(calls.dials_of_last_minute()), **world.metrics.load()},
            "records": dict(detail.get("records", {})), "hooks": detail.get("hooks"),
            "store": dict(detail.get("store", {})), "agents": dict(detail.get("agents", {})),
            "watched": world.hub.watched, "boundaries": _checking(request).boundaries(),
        }
    )  # fmt: skip


@router.get("/settings", response_model=models.SettingList, tags=["server"])
def list_settings(request: Request, who: Reads) -> Response:
    """Every setting with its value and where it came from; secrets as fingerprints."""
    settings = the_world(request).settings()
    helps = {spec.name: spec.help for spec in SPECS}
    rows = [{"name": name, "value": value, "origin": origin, "help": helps.get(name, "")}
            for name, value, origin in settings.table()]  # fmt: skip
    file = str(settings.file) if settings.file is not None else None
    return answer({"file": file, "settings": the_world(request).clean(rows)})


# ------------------------------------------------------------------------------------------------ agents


@router.get("/agents", response_model=models.AgentList, tags=["agents"])
def list_agents(request: Request, who: Reads) -> Response:
    """Every agent and route of the settings as they are now, and what is wrong with them."""
    return answer(the_world(request).agents())


@router.get("/agents/{name}", response_model=models.AgentDetail, tags=["agents"])
def show_agent(
    request: Request,
    name: Annotated[str, Path(max_length=128)],
    who: Reads,
    outbound: Annotated[bool, Query(description="as in a call that we place")] = False,
    verified: Annotated[bool, Query(description="as in a call whose number the carrier vouches for")] = False,
) -> Response:
    """An agent's values with their origins, and the whole of what it is told, part by part."""
    world = the_world(request)
    try:
        return answer(world.agent(name, {"outbound": outbound, "verified": verified}))
    except LookupError as error:
        raise Problem(404, str(error.args[0]), kind="no-agent", field="name", got=name, where="path",
                      wanted="an agent that can answer", fix="GET /api/agents lists them") from None  # fmt: skip


# ------------------------------------------------------------------------------------------------ checks


def _checking(request: Request) -> Checking:
    made: Checking = request.app.state.checking
    return made


@router.get("/checks", response_model=models.CheckList, tags=["checks"])
def list_checks(request: Request, who: Reads) -> Response:
    """The isolated checks of the boundaries, and those runs that are remembered."""
    settings = the_world(request).settings()
    rows = [{"name": one.name, "boundary": one.boundary, "proves": one.proves, "cannot": one.cannot,
             "costs": one.costs(settings)} for one in checks()]  # fmt: skip
    return answer({"checks": rows, "runs": [run.view() for run in _checking(request).runs()]})


@router.post("/checks", response_model=models.CheckRun, status_code=202, tags=["checks"])
async def run_checks(request: Request, body: models.RunChecks, who: Manages) -> Response:
    """Run checks in a process of their own; watch their steps on the live stream, or ask for the run."""
    strange = [name for name in body.names if name not in NAMES]
    if strange:
        raise Problem(422, f"there is no check {strange[0]!r}", kind="no-check", field="names", got=strange[0],
                      where="body", wanted=", ".join(NAMES), fix="choose among these, or none for all")  # fmt: skip
    try:
        run = _checking(request).begin(body.names or list(NAMES), live=body.live, full=body.full)
    except Busy:
        raise Problem(409, "checks are running already", kind="busy", wanted="one run at a time",
                      fix="wait for it: GET /api/checks shows it") from None  # fmt: skip
    return answer(run.view(), 202, {"Location": f"/api/checks/{run.id}"})


@router.get("/checks/{run}", response_model=models.CheckRun, tags=["checks"])
async def show_run(request: Request, run: Annotated[str, Path(pattern=base.ID)], who: Reads) -> Response:
    """One run, with the steps it has made so far."""
    found = next((one for one in _checking(request).runs() if one.id == run), None)
    if found is None:
        raise Problem(404, "no such run", kind="no-run", field="run", got=run, where="path",
                      wanted="an id that POST /api/checks gave", fix="GET /api/checks lists them")  # fmt: skip
    return answer(found.view())


# ------------------------------------------------------------------------------------------------ manual


def _module(id_: str) -> Any:
    """The rule of a fault. Raises Problem."""
    module = next((one for one in rule_modules() if one.RULE.id == id_), None)
    if module is None:
        raise Problem(404, "no such fault", kind="no-fault", field="name", got=id_, where="path",
                      wanted="BOUNDARY/NAME of a finding", fix="GET /api/faults lists them")  # fmt: skip
    return module


@cache
def _plays() -> dict[str, list[dict[str, str]]]:
    """What shows each rule: rows of the catalogue, else a worked example."""
    rows = playable()
    found = {
        module.RULE.id: [
            {"id": row.id, "title": row.title, "by_hand": ""} for row in rows if row.id in module.RULE.decides
        ]
        for module in rule_modules()
    }
    for one in examples():
        found[one.rule].append({"id": one.id, "title": one.title, "by_hand": one.by_hand})
    return found


def _shown(id_: str) -> str:
    plays = _plays()[id_]
    return "by hand" if all(one["by_hand"] for one in plays) else "played"


def _fault(module: Any) -> dict[str, Any]:
    rule = module.RULE
    return {"id": rule.id, "title": rule.title, "boundary": rule.boundary, "decides": list(rule.decides),
            "explains": list(rule.explains), "since": rule.since, "shown": _shown(rule.id)}  # fmt: skip


@router.get("/faults", response_model=models.FaultList, tags=["manual"])
def list_faults(request: Request, who: Reads) -> Response:
    """Every fault that has a name here."""
    return answer({"faults": [_fault(module) for module in rule_modules()]})


@router.get("/faults/{boundary}/{name}", response_model=models.FaultPage, tags=["manual"])
def show_fault(
    request: Request,
    boundary: Annotated[str, Path(max_length=64)],
    name: Annotated[str, Path(max_length=128)],
    who: Reads,
) -> Response:
    """A fault's page of the manual: what the caller notices, who lies, why, proof, fix."""
    id_ = f"{boundary}/{name}"
    module = _module(id_)
    rule = module.RULE
    return answer({**_fault(module), "source": rule.source, "lies": rule.lies, "page": page(module),
                   "plays": _plays()[rule.id]})  # fmt: skip


_playing = asyncio.Semaphore(1)


@router.post("/faults/{boundary}/{name}/play", response_model=models.PlayedFault, tags=["manual"])
async def play_fault(
    request: Request,
    boundary: Annotated[str, Path(max_length=64)],
    name: Annotated[str, Path(max_length=128)],
    who: Talks,
    row: Annotated[str, Query(max_length=40, description="of the fault's plays; empty: the first")] = "",
) -> Response:
    """Break a simulated call in this way, in a process of its own, and judge what it left. No real call is touched."""
    plays = [one["id"] for one in _plays()[_module(f"{boundary}/{name}").RULE.id]]
    if row and row not in plays:
        raise Problem(409, "this fault cannot be played here", kind="not-played", field="row", got=row,
                      where="query", wanted=", ".join(plays),
                      fix="GET /api/faults/{boundary}/{name} lists its rows under plays")  # fmt: skip
    if _playing.locked():
        raise Problem(409, "a fault is being played already", kind="busy", wanted="one at a time",
                      fix="try again in a second")  # fmt: skip
    async with _playing:
        return answer(await the_world(request).play(row or plays[0]))


@router.get("/codes", response_model=models.CodeList, tags=["manual"])
def list_codes(request: Request, who: Reads) -> Response:
    """Codes of carriers, WebSockets and providers that are explained by themselves."""
    return answer({"codes": known_codes()})


@router.get("/codes/{code}", response_model=models.Code, tags=["manual"])
def show_code(request: Request, code: Annotated[str, Path(max_length=80)], who: Reads) -> Response:
    """What a code means, what it hides, and what to look at."""
    found = explain_code(code)
    if found is None:
        raise Problem(404, "nothing is known of this code", kind="no-code", field="code", got=code, where="path",
                      wanted="a code of a carrier, provider or close", fix="GET /api/codes lists them")  # fmt: skip
    explain = [module.RULE.id for module in rule_modules() if f"carrier:{code}" in module.RULE.explains]
    return answer({**msgspec.to_builtins(found), "faults": explain})
