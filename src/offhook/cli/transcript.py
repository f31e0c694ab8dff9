"""``offhook transcript``: what was said in a call, for people, for programs, or as subtitles to its recording."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Literal

import msgspec

from offhook.evidence.files import find, read
from offhook.evidence.patterns import Patterns
from offhook.evidence.transcript import Turn, plain, transcript

__all__ = ["How", "transcript_of"]

How = Literal["text", "json", "srt"]
_SHORTEST_MS = 700.0  # of a subtitle whose end nobody knows


def transcript_of(call: str, directory: Path, how: How, patterns: Patterns) -> int:
    """Print a call's transcript, personal data redacted. Raises RecordingError."""
    turns = transcript(read(find(call, directory)))
    if how == "json":
        data = [{**msgspec.to_builtins(turn), "plain": plain(turn)} for turn in turns]
        text = json.dumps(patterns.data(data), indent=1, ensure_ascii=False)
    elif how == "srt":
        text = patterns.text(_srt([turn for turn in turns if turn.who in ("caller", "agent") and turn.heard]))
    else:
        text = "\n".join(f"{turn.at_ms / 1000:8.2f}  {turn.who:<7} {patterns.text(plain(turn))}" for turn in turns)
    sys.stdout.write(text + "\n")
    return 0


def _srt(turns: list[Turn]) -> str:
    """Only what was heard, for the recording has no more."""
    cues = []
    for n, turn in enumerate(turns, 1):
        end = max(turn.end_ms or 0.0, turn.at_ms + _SHORTEST_MS)
        cues.append(f"{n}\n{_stamp(turn.at_ms)} --> {_stamp(end)}\n{turn.who}: {' '.join(turn.heard.split())}\n")
    return "\n".join(cues)


def _stamp(ms: float) -> str:
    whole = max(0, round(ms))
    return f"{whole // 3_600_000:02}:{whole // 60_000 % 60:02}:{whole // 1000 % 60:02},{whole % 1000:03}"
