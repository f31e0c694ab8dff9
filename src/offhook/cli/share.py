"""``offhook share``: a call as one file for somebody else."""

from __future__ import annotations

import sys
from pathlib import Path
from urllib.parse import urlsplit

from offhook.api.share import file_name, page
from offhook.cli.places import data_dir
from offhook.diagnosis.report import judge
from offhook.evidence.files import find
from offhook.evidence.record import RecordingError
from offhook.evidence.redact import Sieve
from offhook.settings import Settings

__all__ = ["run"]


def run(settings: Settings, call: str, out: Path | None, *, audio: bool) -> int:
    """Write the page. The exit code."""
    try:
        path = find(call, data_dir(settings))
        report = judge(path)
        host = urlsplit(settings["server.public_url"]).hostname or ""
        recording = path.with_suffix(".wav")
        text = page(
            report, recording if recording.is_file() else None, Sieve(*settings.secrets()).clean_data,
            audio=audio, server=host,
        )  # fmt: skip
    except (RecordingError, ValueError) as error:
        sys.stderr.write(f"offhook share: {error}\n")
        return 2
    target = out or Path(file_name(path.stem))
    try:
        target.write_text(text, encoding="utf-8")
    except OSError as error:
        sys.stderr.write(f"offhook share: {target}: {error.strerror}\n")
        return 2
    sys.stdout.write(f"{target}: {len(text.encode()) // 1024 + 1} kB, {report.verdict}; ")
    sys.stdout.write("secrets, numbers and addresses are out; read it before you send it\n")
    return 0
