"""``offhook config``: the effective settings and where each came from."""

from __future__ import annotations

import json
import sys

from offhook.settings import Settings

__all__ = ["run"]


def run(settings: Settings, *, as_json: bool) -> int:
    """Print every setting; secrets as fingerprints."""
    table = settings.table()
    if as_json:
        data = {name: {"value": value, "origin": origin} for name, value, origin in table}
        sys.stdout.write(json.dumps(data, indent=1) + "\n")
        return 0
    sys.stdout.write(f"file  {settings.file or 'none (offhook init writes one)'}\n")
    width = max(len(name) for name, _, _ in table)
    for name, value, origin in table:
        shown = value.replace("\n", "\\n")
        shown = shown if len(shown) <= 60 else shown[:57] + "…"
        sys.stdout.write(f"{name:<{width}}  {shown or '(empty)':<40}  [{origin}]\n")
    return 0
