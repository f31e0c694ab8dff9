"""
Records on disk: finding one, reading one, and keeping their directory under its size. Knows no wire and no verdict.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from msgspec import structs

from offhook.evidence.outbox import is_written
from offhook.evidence.record import Recording, RecordingError

FETCHED = "fetched"  # recordings that were brought back from a bucket, to be heard
PLAYGROUND = "playground"  # a folder beside the records of real calls, so that no list or figure has what is played

__all__ = ["FETCHED", "PLAYGROUND", "call_of", "find", "read", "remove_call", "remove_oldest"]

# What the journal names its files; nothing else in the directory is ours to remove.
_OURS = re.compile(r"\d{8}T\d{6}Z-(?P<call>.+?)(?P<by>-(?:dial|tap|fake|replay))?(?P<again>-\d+)?\.jsonl")


def call_of(path: Path) -> str:
    """The call id in a record's file name."""
    match = _OURS.fullmatch(path.name)
    return match["call"] if match else path.stem.partition("-")[2]


def _newest(path: Path) -> tuple[bool, str, int]:
    """Of one call's records the bridge's own come last, for it sees both wires; then by time."""
    match = _OURS.fullmatch(path.name)
    if match is None:
        return True, path.name, 0
    return not match["by"], path.name.partition("-")[0], -int(match["again"] or 0)


def find(call: str, directory: Path) -> Path:
    """
    The record that ``call`` names: a path, ``last``, or the beginning of a call id.

    Raises RecordingError.
    """
    path = Path(call).expanduser()
    if path.is_file():
        return path
    records = sorted(directory.glob("*.jsonl"))
    if not records:
        raise RecordingError(f"no records in {directory}; record.dir names where they are")
    if call == "last":
        return max(records, key=lambda record: (record.stat().st_mtime_ns, record.name))
    named = [record for record in records if call_of(record).startswith(call) or record.stem == call]
    if not named or not call:
        raise RecordingError(f"no record of {call!r} in {directory}; wanted a call id, its beginning, or last")
    if len({call_of(record) for record in named}) > 1:
        raise RecordingError(f"{len(named)} records begin with {call!r}: give more of the call id")
    return max(named, key=_newest)


def read(path: Path) -> Recording:
    """Raises RecordingError."""
    try:
        made = Recording.parse(path.read_bytes().split(b"\n"))
        return structs.replace(made, live=True) if made.end is None and is_written(path) else made
    except OSError as error:
        raise RecordingError(f"{path}: cannot be read: {error.strerror}") from None
    except RecordingError as error:
        raise RecordingError(f"{path}: {error}") from None


def remove_oldest(directory: Path, max_bytes: int, live: Iterable[Path]) -> int:
    """
    Remove the oldest finished calls, each with its recording, until what is ours is under ``max_bytes``.

    Files that the journal did not make are neither counted nor touched. The calls removed. Raises OSError when
    the directory cannot be listed; a file that cannot be removed is passed over.
    """
    kept = {path.name for path in live}
    busy = {match["call"] for name in kept if (match := _OURS.fullmatch(name))}
    sizes = {path.name: path.stat().st_size for path in directory.iterdir() if path.suffix in (".jsonl", ".wav")}
    records = sorted(name for name in sizes if _OURS.fullmatch(name))
    groups = {name: _group(name, sizes) for name in records}
    total = sum(sizes[name] for name in {part for group in groups.values() for part in group})
    removed = 0
    for name in records:
        if total <= max_bytes:
            break
        match = _OURS.fullmatch(name)
        if name in kept or match is None:
            continue
        for part in groups[name]:
            if part.endswith(".wav") and match["call"] in busy:
                continue
            try:
                (directory / part).unlink()
            except OSError:
                continue
            total -= sizes.pop(part, 0)
        removed += 1
    return removed


def _group(record: str, present: Iterable[str]) -> list[str]:
    """A record and the recording of the same call."""
    match = _OURS.fullmatch(record)
    call = match["call"] if match else ""
    return [name for name in (record, f"{call}.wav", record[:-6] + ".wav") if name in present]


def remove_call(directory: Path, record: str) -> list[Path]:
    """Remove a record, by its file's name without ending, and its recording. What was removed. Raises OSError."""
    match = _OURS.fullmatch(f"{record}.jsonl")
    names = [f"{record}.jsonl", f"{record}.wav", *([f"{match['call']}.wav"] if match else []),
             f"{FETCHED}/{record}.wav"]  # fmt: skip
    found = [directory / name for name in names if (directory / name).exists()]
    for path in found:
        path.unlink(missing_ok=True)
    return found
