"""Calls over time: how many became what, and how long their answers took."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from offhook.api.answers import PROBLEMS, Reads, answer, the_world
from offhook.api.models import calls as models
from offhook.api.problems import Problem
from offhook.diagnosis.boundaries import BOUNDARIES
from offhook.diagnosis.engine import rule_modules
from offhook.store.state import CallFilter

__all__ = ["figures", "router"]

router = APIRouter(tags=["calls"], responses=PROBLEMS)

MAX_MS = 2**53
MOST = 20_000  # calls that are looked at: half a second of a thread
# Stretches that people think in; the first that makes few enough of them is taken.
STRETCHES_MS = tuple(
    round(minutes * 60_000)
    for minutes in (1, 5, 10, 30, 60, 180, 360, 1440, 2 * 1440, 7 * 1440, 28 * 1440, 84 * 1440, 365 * 1440)
)


@router.get("/figures", response_model=models.Figures)
def show_figures(
    request: Request,
    who: Reads,
    agent: Annotated[str, Query(max_length=128)] = "",
    since: Annotated[int | None, Query(ge=0, le=MAX_MS, description="milliseconds since 1970")] = None,
    until: Annotated[int | None, Query(ge=0, le=MAX_MS)] = None,
    buckets: Annotated[int, Query(ge=2, le=400, description="at most so many stretches of time")] = 60,
) -> Response:
    """Verdicts and the percentiles of answers over time, of the calls that the store has whole."""
    reader = the_world(request).reader()
    if reader is None:
        raise Problem(503, "figures are made of the store, which is not there", kind="store", field="store.url",
                      wanted="a store", fix="leave store.url empty for a file beside the records")  # fmt: skip
    wanted = CallFilter(agent=agent, since_at=since, until_at=until, limit=MOST)
    return answer(figures(*reader.moments(wanted, "reply"), buckets))


@router.get("/findings", response_model=models.FoundList)
def list_findings(request: Request, who: Reads) -> Response:
    """What was found in the calls of the store, the most frequent first; none where there is no store."""
    reader = the_world(request).reader()
    titles = {module.RULE.id: module.RULE.title for module in rule_modules()}
    titles |= {f"{one}/unexplained": "The boundary is known, the cause is not" for one in BOUNDARIES}
    found = reader.found() if reader is not None else []
    return answer({"findings": [{"rule": rule, "title": titles.get(rule, ""), "calls": n} for rule, n in found]})


def figures(calls: Sequence[tuple[int, str]], replies: Sequence[tuple[int, float]], most: int) -> dict[str, Any]:
    """In at most ``most`` stretches, each of the length that the whole asks for, begun at round times of UTC."""
    span = calls[-1][0] - calls[0][0] if calls else 0
    stretch = next((one for one in STRETCHES_MS if span // one + 2 <= most), max(STRETCHES_MS[-1], span + 1))
    verdicts: dict[int, Counter[str]] = {}
    times: dict[int, list[float]] = {}
    for at, verdict in calls:
        verdicts.setdefault(at // stretch, Counter())[verdict or "running"] += 1
    for at, ms in replies:
        times.setdefault(at // stretch, []).append(ms)
    rows = []
    for n in sorted(verdicts):
        took = sorted(times.get(n, ()))
        rows.append(
            {"at": n * stretch, "verdicts": dict(verdicts[n]), "replies": len(took), "p50_ms": percentile(took, 0.5),
             "p95_ms": percentile(took, 0.95), "max_ms": took[-1] if took else None}
        )  # fmt: skip
    return {"bucket_ms": stretch, "calls": len(calls), "partial": len(calls) >= MOST, "buckets": rows}


def percentile(ordered: Sequence[float], share: float) -> float | None:
    """The least value that is not below ``share`` of them."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else None
