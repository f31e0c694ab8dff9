"""Where things are on this machine: light, so that a command that only reads records starts at once."""

from __future__ import annotations

import os
from pathlib import Path

from offhook.settings import Settings

__all__ = ["RESUMES", "data_dir"]

RESUMES = ".resumes"  # beside the records: ends of calls that were cut off


def data_dir(settings: Settings) -> Path:
    """Where records go."""
    chosen = settings.path("record.dir")
    if chosen is not None:
        return chosen
    base = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    return Path(base) / "offhook" / "calls"
