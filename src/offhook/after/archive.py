"""
A call as gptme-voice archived it: one JSON file, with its names and its file name, for programs that read those.

Source: gptme-contrib, packages/gptme-voice, realtime/server.py, _record_payload and _call_record_path (read
2026-11-25). It has the words that were heard, and no tool timings: the subagents there were its own.
"""

from __future__ import annotations

import calendar
import json
import os
import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["caller_of", "remove", "remove_older", "write"]

_NAME = "{ended}-{ms:03d}-{source}-{sid}.json"
_FORM = re.compile(r"\d{8}T\d{6}Z-\d{3}-[a-z]+-([\w-]+)\.json")


def caller_of(data: Mapping[str, Any]) -> str:
    """The other party's number."""
    return str((data["called"] if data["direction"] == "outbound" else data["caller"]) or "")


def write(directory: Path, document: Mapping[str, Any]) -> Path:
    """Write the archive file, the same one at every try. Raises OSError."""
    data = document["data"]
    ended_s = _epoch(data["ended"] or data["began"])
    turns = [
        {"role": "user" if turn["who"] == "caller" else "assistant", "text": text}
        for turn in data["transcript"]
        if turn["who"] in ("caller", "agent") and (text := turn["text"].removesuffix(turn["struck"]).strip())
    ]
    metadata = {"call_sid": data["call"], "provider": data["provider"], "model": data["model"]}
    made = {
        "caller_id": caller_of(data), "source": data["carrier"], "ended_at": ended_s, "transcript": turns,
        "metadata": {name: value for name, value in metadata.items() if value},
    }  # fmt: skip
    sid = "".join(char for char in data["call"] if char.isalnum() or char in "-_") or "call"
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(ended_s))
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = directory / _NAME.format(ended=stamp, ms=0, source=data["carrier"], sid=sid)
    fresh = path.with_suffix(".new")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        json.dump(made, file, indent=2, sort_keys=True)
    os.replace(fresh, path)
    return path


def remove(directory: Path, calls: set[str]) -> list[Path]:
    """Remove the files of these calls. What was removed. Raises OSError."""
    found = [path for path in _files(directory) if (match := _FORM.fullmatch(path.name)) and match[1] in calls]
    for path in found:
        path.unlink(missing_ok=True)
    return found


def remove_older(directory: Path, before_s: float) -> int:
    """Remove what was archived before; how many."""
    old = [path for path in _files(directory) if _FORM.fullmatch(path.name) and path.stat().st_mtime < before_s]
    for path in old:
        path.unlink(missing_ok=True)
    return len(old)


def _files(directory: Path) -> list[Path]:
    return sorted(directory.glob("*.json")) if directory.is_dir() else []


def _epoch(stamp: str) -> float:
    return float(calendar.timegm(time.strptime(stamp, "%Y-%m-%dT%H:%M:%SZ")))
