"""``offhook check``: the isolated checks."""

from __future__ import annotations

import asyncio
import json
import sys

from offhook.checks import settings as judge
from offhook.evidence.redact import Sieve
from offhook.settings import Settings

__all__ = ["provider", "settings"]


def settings(given: Settings, *, as_json: bool) -> int:
    """Print what cannot work. 0 when all can, 2 otherwise."""
    from msgspec import to_builtins

    sieve = Sieve(*given.secrets())
    found = judge.problems(given)
    if as_json:
        sys.stdout.write(json.dumps({"problems": sieve.clean_data(to_builtins(found))}, indent=1) + "\n")
    elif found:
        for problem in found:
            text = f"x {problem.setting}: got {problem.got}\n    wanted {problem.wanted}\n    fix: {problem.fix}\n"
            sys.stdout.write(sieve.clean(text))
    else:
        name = given["provider.name"]
        sys.stdout.write(
            f"+ settings: {name} [{given.origin('provider.name')}], nothing in the way of `offhook serve`\n"
        )
    return 2 if found else 0


def provider(given: Settings, *, live: bool, as_json: bool) -> int:
    """Prove the provider phase by phase. 0 proven, 1 broken, 2 settings, 3 not proven."""
    from offhook.checks.provider import check

    sieve = Sieve(*given.secrets())
    blocking = [problem for problem in judge.problems(given) if problem.setting.startswith(("provider.", "agent."))]
    if blocking:
        for problem in blocking:
            text = f"x {problem.setting}: got {problem.got}, wanted {problem.wanted}; {problem.fix}\n"
            sys.stderr.write(sieve.clean(text))
        return 2

    def show(name: str, state: str, ms: float | None, detail: str) -> None:
        if not as_json:
            took = f"{ms:7.0f} ms" if ms is not None else " " * 10
            mark = {"proven": "+", "broken": "x", "not proven": "?"}[state]
            sys.stdout.write(sieve.clean(f"{mark} {name:<18} {took}  {detail}\n"))
            sys.stdout.flush()

    result = asyncio.run(check(given, live=live, on_phase=show))
    if as_json:
        sys.stdout.write(json.dumps(sieve.clean_data(result.as_data()), indent=1) + "\n")
    else:
        sys.stdout.write(sieve.clean(f"{result.verdict}: {result.sentence}\n"))
    return {"proven": 0, "broken": 1, "not proven": 3}[result.verdict]
