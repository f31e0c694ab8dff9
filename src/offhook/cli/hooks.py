"""``offhook hooks``: what is to happen after calls and what has not, and another try of what was given up."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from offhook.after.plan import planned
from offhook.after.queue import Queue
from offhook.cli.places import data_dir
from offhook.cli.screen import fitted
from offhook.cli.stored import OFF, store_url
from offhook.settings import Settings
from offhook.store.database import check, engine, reason, shown
from offhook.store.state import StoreError

__all__ = ["HooksError", "listing", "retry"]


class HooksError(Exception):
    """What was asked cannot be done."""


def listing(settings: Settings, *, everything: bool, as_json: bool) -> int:
    """0: nothing was given up; 1: something was; 2: a hook cannot work. Raises StoreError."""
    plan, problems = planned(settings, data_dir(settings))
    queue = _queue(settings)
    rows = queue.listed(everything=everything) if queue is not None else []
    if as_json:
        hooks = [
            {"name": hook.name.lstrip(":"), "kind": hook.kind, "to": hook.where, "events": list(hook.events)}
            for hook in plan.hooks.values()
        ]
        data = {"hooks": hooks, "problems": [str(problem) for problem in problems], "outbox": rows}
        sys.stdout.write(json.dumps(data, indent=1) + "\n")
    else:
        lines = [
            f"{hook.name.lstrip(':'):<16} {hook.kind:<10} {hook.where}  on {', '.join(hook.events)}"
            for hook in plan.hooks.values()
        ]
        lines += [f"cannot be: {problem}" for problem in problems]
        lines = lines or ["nothing happens after calls: write [hooks.NAME] into offhook.toml (docs/hooks.md)"]
        lines += ["", *map(_line, rows)] if rows else ["", "nothing waits, and nothing was given up"]
        sys.stdout.write("\n".join(lines) + "\n")
    return 2 if problems else 1 if any(row["state"] == "given up" for row in rows) else 0


def _line(row: Mapping[str, Any]) -> str:
    at = time.strftime("%m-%d %H:%M:%S", time.gmtime(row["queued_at"] / 1000))
    head = f"{row['id']:>6}  {at}  {row['call'][:12]:<12}  {row['hook'].lstrip(':'):<14} {row['state']:<9}"
    what = f"try {row['tries']}" if row["tries"] else ""
    if row["state"] == "queued" and row["tries"]:
        what += f", the next in {max(0, round(row['due_at'] / 1000 - time.time()))} s"
    return fitted(head + (f"{what}: " if row["error"] else what), row["error"])


def retry(settings: Settings, which: str) -> int:
    """Queue anew what was given up; a running server does it within seconds. Raises StoreError, HooksError."""
    queue = _queue(settings)
    n = queue.retry(which) if queue is not None else 0
    if not n:
        raise HooksError(f"{which!r}: got nothing that was given up, wanted a number of `offhook hooks`, a hook or all")
    sys.stdout.write(f"{n} queued; a server that runs takes it within 15 s\n")
    return 0


def _queue(settings: Settings) -> Queue | None:
    url = store_url(settings, data_dir(settings))
    if url == OFF or (url.startswith("sqlite:///") and not Path(url.removeprefix("sqlite:///")).exists()):
        return None
    target = engine(url, write=True)
    try:
        with target.connect() as connection:
            check(connection)
    except SQLAlchemyError as error:
        raise StoreError(f"{shown(url)}: {reason(error)}") from error
    return Queue(target, "")
