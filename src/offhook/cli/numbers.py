"""
``offhook numbers``: the account's numbers and where they point; one pointed at this server, and put back.

What a number pointed at before is remembered in ``numbers.json`` beside the records, written before the carrier is
asked, and forgotten when it has been put back.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from offhook.cli.carrier_rest import NoRest, carrier_of, numbers, send
from offhook.cli.places import data_dir
from offhook.settings import Settings
from offhook.wires.carriers import twilio

__all__ = ["listed", "point", "pointing", "point_number", "restore", "restore_number"]

FILE = "numbers.json"
# What decides where a number's calls go: Twilio's names in an answer, and in a request.
FIELDS = {
    "voice_url": "VoiceUrl", "voice_method": "VoiceMethod", "voice_application_sid": "VoiceApplicationSid",
    "trunk_sid": "TrunkSid",
}  # fmt: skip


class Memory:
    """Where numbers pointed before we changed them."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / FILE

    def read(self) -> dict[str, dict[str, str]]:
        try:
            data = json.loads(self._path.read_text("utf-8"))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            raise NoRest(f"{self._path}: cannot be read: {error}; move it away to begin anew") from None
        return data if isinstance(data, dict) else {}

    def write(self, data: Mapping[str, Mapping[str, str]]) -> None:
        """All of it at once: a crash leaves the old file or the new one."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        beside = self._path.with_suffix(".new")
        with open(beside, "w", encoding="utf-8") as file:
            os.fchmod(file.fileno(), 0o600)  # it holds numbers and addresses
            json.dump(data, file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(self._path)


async def _one(settings: Settings, number: str) -> dict[str, Any]:
    found = await numbers(settings, number)
    if len(found) != 1:
        raise NoRest(f"NUMBER: the account has no {twilio.mask_number(number)}; `offhook numbers` lists what it has")
    return found[0]


async def point_number(settings: Settings, number: str, public_url: str) -> str:
    """Point a number at ``public_url``; what was done, as a sentence. Raises NoRest."""
    carrier = carrier_of(settings)
    row = await _one(settings, number)
    ours = public_url.rstrip("/") + carrier.webhook_path
    before = {name: str(row.get(name) or "") for name in FIELDS}
    if before["voice_url"] == ours and not before["voice_application_sid"] and not before["trunk_sid"]:
        return f"{number} points at {ours} already"
    memory = Memory(data_dir(settings))
    known = memory.read()
    if number not in known:  # pointed twice without a restore: the first is what it shall go back to
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        memory.write({**known, number: {**before, "sid": str(row["sid"]), "changed": stamp}})
    # an application or a trunk would be asked instead of the URL (twilio-oai twilio_api_v2010.yaml, VoiceUrl)
    wanted = {"VoiceUrl": ours, "VoiceMethod": "POST", "VoiceApplicationSid": "", "TrunkSid": ""}
    await send(settings, twilio.point_number(carrier, str(row["sid"]), wanted))
    return f"{number} points at {ours} now; before: {_where(before)}"


async def restore_number(settings: Settings, number: str) -> str:
    """Put back what a number pointed at before. Raises NoRest."""
    memory = Memory(data_dir(settings))
    known = memory.read()
    before = known.get(number)
    if before is None:
        raise NoRest(f"NUMBER: nothing is remembered of {twilio.mask_number(number)}; it was not pointed from here")
    wanted = {FIELDS[name]: before.get(name, "") for name in FIELDS}
    await send(settings, twilio.point_number(carrier_of(settings), before["sid"], wanted))
    memory.write({other: data for other, data in known.items() if other != number})
    return f"{number} points at {_where(before)} again"


def _where(row: Mapping[str, Any]) -> str:
    """Where a number's calls go: what counts, for the carrier asks only one of the three."""
    if row.get("trunk_sid"):
        return f"trunk {row['trunk_sid']}"
    if row.get("voice_application_sid"):
        return f"application {row['voice_application_sid']}"
    return str(row.get("voice_url") or "nothing")


async def pointing(settings: Settings) -> list[dict[str, Any]]:
    """The numbers and where they point, as data. Raises NoRest."""
    carrier = carrier_of(settings)
    ours = settings["server.public_url"].rstrip("/") + carrier.webhook_path
    known = Memory(data_dir(settings)).read()
    return [
        {"number": row.get("phone_number"), "points_at": _where(row), "here": _where(row) == ours,
         "before": _where(known[row["phone_number"]]) if row.get("phone_number") in known else ""}
        for row in await numbers(settings)
    ]  # fmt: skip


def listed(settings: Settings, *, as_json: bool = False) -> int:
    """The numbers and where they point."""

    async def work() -> str:
        rows = await pointing(settings)
        if as_json:
            return json.dumps(rows, indent=1)
        lines = [
            f"{row['number']:<16} {row['points_at']}{'  (this server)' if row['here'] else ''}"
            + (f"\n{'':<16} before: {row['before']}" if row["before"] else "")
            for row in rows
        ]
        return "\n".join(lines or ["the account has no numbers"])

    return _run(work())


def point(settings: Settings, number: str) -> int:
    """Point a number at this server's public URL."""
    public = settings["server.public_url"]
    if not public:
        sys.stderr.write("offhook numbers: server.public_url is not set; the number would point nowhere\n")
        return 2
    return _run(point_number(settings, number, public))


def restore(settings: Settings, number: str) -> int:
    """Put a number's old webhook back."""
    return _run(restore_number(settings, number))


def _run(work: Any) -> int:
    try:
        sys.stdout.write(f"{asyncio.run(work)}\n")
    except NoRest as error:
        sys.stderr.write(f"offhook numbers: {error}\n")
        return 1
    return 0
