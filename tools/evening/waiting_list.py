"""Calls that the server places from its queue during the evening, and numbers that nobody may call."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from house import House
from msgspec import Struct
from parts import PERSON

from offhook.sims.run_account import SimAccount, Telephone

__all__ = ["WaitingList"]


class Wanted(Struct):
    """A call on the list: who is there, and how it must end."""

    number: str
    person: Telephone
    state: str
    tries: int
    id: str = ""


class WaitingList:
    """``fill`` it while the server runs; ``untrue`` says afterwards what of it was not as it should be."""

    def __init__(self, house: House, account: SimAccount) -> None:
        self._house, self._account = house, account
        self.wanted: list[Wanted] = []

    async def fill(self) -> None:
        """Put five calls on the list, one of them to a number that is never called."""
        base = 8000 + 10 * len(self.wanted)
        busy, away = Telephone(how="busy"), Telephone(how="no-answer")
        fresh = [
            Wanted(f"+1555020{base}", PERSON, "done", 1),
            Wanted(f"+1555020{base + 1}", busy, "given up", 2),
            Wanted(f"+1555020{base + 2}", away, "given up", 2),
            Wanted(f"+1555020{base + 3}", PERSON, "blocked", 0),
            Wanted(f"+1555020{base + 4}", PERSON, "waiting", 0),
        ]
        await self._house.command("queue", "never", fresh[3].number, "--why", "asked not to")
        for one in fresh:
            self._account.people[one.number] = one.person
            when = ("--at", "2099-01-01T09:00") if one.state == "waiting" else ()
            said = await self._house.command("queue", "add", one.number, "--agent", "default", *when, ok=(0, 1))
            found = re.search(r"\bq[0-9a-f]{8}\b", said)
            one.id = found[0] if found else ""
        self.wanted += fresh

    async def rows(self) -> dict[str, dict[str, Any]]:
        return {row["id"]: row for row in json.loads(await self._house.command("queue", "--all", "--json"))}

    async def settled(self) -> bool:
        """Whether all that was due is over."""
        rows = await self.rows()
        return all(rows[one.id]["state"] == one.state for one in self.wanted if one.id)

    def calls(self, one: Wanted) -> list[str]:
        """Ids of the calls that the carrier was really asked for."""
        return [row.sid for row in self._account.account.calls.values() if row.to == one.number]

    async def untrue(self, listed: dict[str, Any]) -> Iterator[str]:
        return iter(list(self._untrue(await self.rows(), listed)))

    def _untrue(self, rows: dict[str, dict[str, Any]], listed: dict[str, Any]) -> Iterator[str]:
        for one in self.wanted:
            row, made = rows.get(one.id, {}), self.calls(one)
            name = f"queue {one.number[-4:]}"
            if one.state != "blocked" and row.get("state") != one.state:
                yield f"{name}: {row}, wanted {one.state}"
            if len(made) != one.tries:
                yield f"{name}: the carrier was asked {len(made)} times, wanted {one.tries}"
            yield from (f"{name}: the call {sid[:8]} is not on the list" for sid in made if sid not in listed)
            if one.number in json.dumps(row) and one.state != "waiting":
                yield f"{name}: it is over, and its number stands there in full"
