"""
Many calls at once, with the quality of the measurement stated: a generator that was late proves nothing.

Only this machine's servers are dialled in numbers, unless whoever asks says that the server is theirs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Literal

import msgspec
from msgspec import Struct

from offhook.dial.call import Result, place
from offhook.dial.judge import Finding
from offhook.dial.plan import Plan

__all__ = ["MAX_CALLS", "Load", "LoadError", "check", "run", "text"]

FOREIGN_CALLS = 5  # to a server elsewhere that nobody vouched for
MAX_CALLS = 500  # of one process: more are a matter of several machines
# Our own frames left later than this at p99: what was measured is the generator, not the server.
GEN_LATE_MS = 20.0
MIN_FOR_P95 = 20  # below that a p95 is one call's accident, and is withheld
MAX_DURATION_S = 3600.0


class LoadError(Exception):
    """A load that is not begun."""


class Load(Struct, frozen=True):
    """What many calls came to."""

    calls: int
    verdict: Literal["healthy", "broken", "not proven"]
    because: str
    healthy: int
    broken: int
    not_proven: int
    gen_late_p99_ms: float | None
    valid: bool  # the generator kept its own time
    percentiles: dict[str, dict[str, float | None]]
    findings: tuple[Finding, ...]  # each once, with how many calls had it
    seconds: float


def check(plan: Plan, calls: int, own: bool) -> None:
    """Raises LoadError for more calls than may be placed at this target."""
    if not 1 <= calls <= MAX_CALLS:
        raise LoadError(f"--calls {calls}: wanted 1 to {MAX_CALLS}")
    if calls > FOREIGN_CALLS and not plan.local and not own:
        raise LoadError(
            f"--calls {calls}: this server is not on this machine; more than {FOREIGN_CALLS} calls at once need "
            "--i-own-this-server"
        )


async def run(
    plan: Plan,
    calls: int,
    *,
    ramp_s: float = 0.0,
    duration_s: float | None = None,
    on_progress: Callable[[str], None] = lambda text: None,
) -> Load:
    """
    ``calls`` callers, begun over ``ramp_s``. With ``duration_s`` each calls again as soon as it is done, until then.
    """
    if duration_s is not None and not 0 < duration_s <= MAX_DURATION_S:
        raise LoadError(f"--duration {duration_s:g}: wanted more than 0 and at most {MAX_DURATION_S:g} s")
    loop = asyncio.get_running_loop()
    began = loop.time()
    results: list[Result] = []

    async def caller(number: int) -> None:
        await asyncio.sleep(ramp_s * number / calls)
        while True:
            results.append(await place(msgspec.structs.replace(plan, seed=plan.seed + len(results))))
            on_progress(f"{len(results)} calls over, {loop.time() - began:.0f} s")
            if duration_s is None or loop.time() - began >= duration_s:
                return

    async with asyncio.TaskGroup() as group:
        for number in range(calls):
            group.create_task(caller(number))
    return summed(results, loop.time() - began)


def summed(results: Sequence[Result], seconds: float) -> Load:
    """The calls' figures together. Pure."""
    late = [r.figures.gen_late_p99_ms for r in results if r.figures.gen_late_p99_ms is not None]
    worst = max(late) if late else None
    valid = worst is None or worst <= GEN_LATE_MS
    counts = {v: sum(r.verdict == v for r in results) for v in ("healthy", "broken", "not proven")}
    findings = _together(results)
    verdict: Literal["healthy", "broken", "not proven"] = "healthy"
    because = f"{len(results)} calls, all healthy"
    if not valid:
        verdict = "not proven"
        because = (
            f"our own frames left up to {worst:.0f} ms late (p99): this machine is too busy to measure; fewer calls"
        )
    elif counts["broken"] or counts["not proven"]:
        verdict = "broken" if counts["broken"] else "not proven"
        first = next((f.sentence for f in findings if f.severity != "note"), "")
        because = f"{counts['broken'] + counts['not proven']} of {len(results)} calls: {first}"
    return Load(
        calls=len(results), verdict=verdict, because=because, healthy=counts["healthy"], broken=counts["broken"],
        not_proven=counts["not proven"], gen_late_p99_ms=worst, valid=valid, findings=findings,
        seconds=round(seconds, 1),
        percentiles={
            "webhook_ms": _spread([r.figures.webhook_ms for r in results]),
            "upgrade_ms": _spread([r.figures.upgrade_ms for r in results]),
            "first_audible_ms": _spread([r.figures.first_audible_ms for r in results]),
            "answer_ms": _spread([ms for r in results for ms in r.figures.latencies_ms]),
            "clear_ms": _spread([ms for r in results for ms in r.figures.clear_ms]),
        },
    )  # fmt: skip


def _spread(values: Sequence[float | None]) -> dict[str, float | None]:
    given = sorted(value for value in values if value is not None)
    if not given:
        return {"p50": None, "p95": None, "max": None}
    p95 = given[int(len(given) * 0.95)] if len(given) >= MIN_FOR_P95 else None
    return {"p50": given[len(given) // 2], "p95": p95, "max": given[-1]}


def _together(results: Sequence[Result]) -> tuple[Finding, ...]:
    found: dict[tuple[str, str], Finding] = {}
    for one in results:
        for finding in one.findings:
            key = (finding.statement, finding.sentence)
            count = found[key].count + 1 if key in found else 1
            found[key] = msgspec.structs.replace(finding, count=count)
    return tuple(sorted(found.values(), key=lambda f: ("fault", "suspicion", "note").index(f.severity)))


def text(made: Load) -> list[str]:
    """For people."""
    lines = [f"{made.calls} calls in {made.seconds:.1f} s: {made.healthy} healthy, {made.broken} broken, "
             f"{made.not_proven} not proven"]  # fmt: skip
    for name, row in made.percentiles.items():
        if row["p50"] is not None:
            p95 = f"{row['p95']:.0f}" if row["p95"] is not None else f"withheld below {MIN_FOR_P95} samples"
            lines.append(
                f"  {name.removesuffix('_ms'):<14} p50 {row['p50']:.0f} ms, p95 {p95}, max {row['max']:.0f} ms"
            )
    if made.gen_late_p99_ms is not None:
        judged = "good" if made.valid else f"BAD: more than {GEN_LATE_MS:g} ms, the run is void"
        lines.append(f"  our own timing: frames up to {made.gen_late_p99_ms:.1f} ms late (worst call's p99): {judged}")
    lines += [f"  {f.count} calls: {f.statement + '  ' if f.statement else ''}{f.sentence}" for f in made.findings]
    return lines
