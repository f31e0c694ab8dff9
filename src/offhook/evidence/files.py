"""
Finding and reading records on disk. Knows no wire and no verdict.
"""

from __future__ import annotations

from pathlib import Path

from offhook.evidence.record import Recording, RecordingError

__all__ = ["find", "read"]


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
    named = [record for record in records if record.stem.partition("-")[2].startswith(call) or record.stem == call]
    if not named:
        raise RecordingError(f"no record of {call!r} in {directory}; wanted a call id, its beginning, or last")
    if len({record.stem.partition("-")[2] for record in named}) > 1:
        raise RecordingError(f"{len(named)} records begin with {call!r}: give more of the call id")
    return named[-1]


def read(path: Path) -> Recording:
    """Raises RecordingError."""
    try:
        return Recording.parse(path.read_bytes().splitlines())
    except OSError as error:
        raise RecordingError(f"{path}: cannot be read: {error.strerror}") from None
    except RecordingError as error:
        raise RecordingError(f"{path}: {error}") from None
