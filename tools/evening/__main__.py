"""
A scripted evening at a real ``offhook serve``: ``make evening``. Heavy; the suite plays a short one.

Two hundred simulated calls with everything that an agent can do. Meanwhile the store is killed and comes back, and the
server is killed with -9 and started again. Afterwards ``checker.py`` compares what every record, transcript and list
says with what really happened, which the world around the server knows (``town.py``). Prints figures and what is
untrue, call by call; exit code 1 when anything is.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from caller import Caller, Left
from checker import check
from house import PUBLIC, House
from parts import PEOPLE, evening
from town import TOKEN, Part, Town
from waiting_list import WaitingList

from offhook.sims.rest import CallRow
from offhook.sims.run_carrier import CallFailed, PhoneCall

sys.path.insert(0, str(Path(__file__).parent.parent.parent / "tests" / "store"))
from kit import Postgres, postgres_binaries

TOO_LONG_S = 75.0
STORE_DOWN_S = 6.0


class Evening:
    """Plays the parts, kills what is to be killed, and keeps what it saw."""

    def __init__(self, folder: Path, parts: list[Part], at_once: int, *, postgres: bool) -> None:
        self.folder = folder
        self.parts = parts
        self.at_once = at_once
        self.notes: list[str] = []
        self.figures: dict[str, object] = {}
        self.killed_at = 0.0
        self._done = 0
        self._running: dict[str, Part] = {}
        self._placing: Part | None = None
        self._store_is_there = asyncio.Event()
        self._store_is_there.set()
        self._open = asyncio.Event()
        self._open.set()
        self._began = time.monotonic()
        binaries = postgres_binaries() if postgres else None
        self.database = Postgres(binaries, folder / "postgres") if binaries else None

    def say(self, text: str) -> None:
        sys.stdout.write(f"{time.monotonic() - self._began:7.1f}s {text}\n")
        sys.stdout.flush()

    async def run(self) -> list[str]:
        """The whole evening; what was untrue."""
        if self.database is not None:
            await asyncio.to_thread(self.database.start)
        try:
            async with Town(self.folder) as town:
                self.town = town
                self.house = House(self.folder, town, store_url=self.database.url if self.database else "")
                town.parts.update({part.theirs: part for part in self.parts})
                async with town.account(self.house.port, PEOPLE) as account:
                    self.account = account
                    return await self._play()
        finally:
            with contextlib.suppress(subprocess.CalledProcessError):
                if self.database is not None:
                    self.database.stop()

    async def _play(self) -> list[str]:
        house = self.house
        house.write_settings(self.account.url)
        try:
            await house.start()
            store = "Postgres" if self.database else "SQLite"
            self.queue = WaitingList(house, self.account)
            self.say(f"server on port {house.port}, store {store}, {len(self.parts)} calls, {self.at_once} at once")
            await self._all_parts()
            await self._settle()
            self.figures["at the end"] = str(house.holds())
            code = await house.stop()
            if code != 0:
                self.notes.append(f"the server ended with exit code {code} after SIGTERM")
            await asyncio.sleep(0.5)
            self.notes += [f"a process is left: {one}" for one in house.left()]
            self.say("the server has stopped; looking at what it says of the evening")
            return [*self.notes, *await check(self)]
        finally:
            house.close()

    async def _all_parts(self) -> None:
        waiting = [part for part in self.parts if not part.outbound]
        calling = [part for part in self.parts if part.outbound]
        lanes = [asyncio.create_task(self._lane(waiting)) for _ in range(self.at_once)]
        lanes += [asyncio.create_task(self._outbound(calling))] if calling else []
        await self.queue.fill()
        accidents = asyncio.create_task(self._accidents(len(self.parts)))
        await asyncio.gather(*lanes)
        await accidents

    async def _lane(self, waiting: list[Part]) -> None:
        while waiting:
            part = waiting.pop(0)
            await self._open.wait()
            await self._inbound(part)
            self._over(part)

    def _over(self, part: Part) -> None:
        self._done += 1
        part.seen.ended = time.time()
        if self._done % 20 == 0 or part.seen.trouble:
            self.say(f"{self._done} of {len(self.parts)} calls; {part.key} {part.kind} {part.seen.trouble}".rstrip())

    async def _inbound(self, part: Part) -> None:
        seen = part.seen
        seen.began = time.time()
        call = PhoneCall(
            f"{PUBLIC}/twilio/voice", auth_token=TOKEN, connect_to=("127.0.0.1", self.house.port), caller=part.theirs,
            called=part.ours, people=part.people,
        )  # fmt: skip
        seen.call_sid = call.call_sid
        row = CallRow(call.call_sid, part.ours, part.theirs, status="in-progress", direction="inbound")
        self.account.account.calls[call.call_sid], self.account.calls[call.call_sid] = row, call
        self._running[part.key] = part
        try:
            async with asyncio.timeout(TOO_LONG_S), call:
                caller = Caller(call, part, self.house)
                with contextlib.suppress(Left):
                    await part.plays(caller)
        except CallFailed as error:
            seen.trouble = f"the call did not come about: {error}"
        except TimeoutError:
            seen.trouble = f"not over within {TOO_LONG_S:g} s"
        row.status = "completed"
        del self._running[part.key]
        seen.alerts, seen.legs = list(call.alerts), list(call.legs)
        seen.heard_ms = sum(len(s.audio) for stream in call.streams for s in stream.carrier.phone.heard) / 8
        seen.outputs = [pair for session in seen.sessions for pair in session.peer.tool_outputs]

    async def _outbound(self, calling: list[Part]) -> None:
        """One after the other, by the API of the server and by ``offhook call``, which asks it."""
        for part in calling:
            await self._open.wait()
            await self._store_is_there.wait()
            part.seen.began = time.time()
            self._placing = part
            if "person" in part.outbound:
                self.account.people[part.theirs] = part.outbound["person"]
            if part.outbound["by"] == "api":
                await self._by_the_api(part)
            else:
                await self._by_command(part)
            self._placing = None
            self._over(part)

    async def _by_the_api(self, part: Part) -> None:
        house = self.house
        placed = await house.ask("POST", "/calls", {"to": part.theirs, "agent": "default"})
        if placed["status"] == 409:  # refused: what became of it stands with the others
            placed = (await house.ask("GET", "/outbound"))["outbound"][0]
        until = time.monotonic() + TOO_LONG_S
        while placed.get("id") and not placed.get("over") and time.monotonic() < until and not part.seen.cut_by:
            part.seen.call_sid = placed.get("call") or placed["id"]
            await asyncio.sleep(0.3)
            placed = await house.ask("GET", f"/outbound/{placed['id']}")
        if not part.seen.cut_by:
            part.seen.call_sid = placed.get("call") or placed.get("id", "")
            part.seen.placed, part.seen.printed = placed.get("status", ""), str(placed)

    async def _by_command(self, part: Part) -> None:
        made = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "offhook", "call", part.theirs, cwd=self.folder, env=self.house.environment,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        out, _ = await made.communicate()
        part.seen.placed, part.seen.printed = made.returncode, out.decode()
        rows = [row for row in self.account.account.calls.values() if row.to == part.theirs]
        part.seen.call_sid = rows[-1].sid if rows else ""

    # ------------------------------------------------------------------------------------ what goes wrong

    async def _accidents(self, calls: int) -> None:
        await self._until_done(calls * 0.2)
        self.figures["after a fifth"] = str(self.house.holds())
        if self.database is not None:
            await self._store_dies()
        await self._until_done(calls * 0.5)
        await self._server_dies()

    async def _until_done(self, n: float) -> None:
        while self._done < n:  # noqa: ASYNC110
            await asyncio.sleep(0.05)

    async def _store_dies(self) -> None:
        assert self.database is not None
        before = self._done
        self._store_is_there.clear()
        while self._placing is not None:  # noqa: ASYNC110
            await asyncio.sleep(0.1)
        await asyncio.to_thread(self.database.stop)
        self.say("the store is killed")
        await asyncio.sleep(STORE_DOWN_S)
        while self._done - before < 3:  # noqa: ASYNC110
            await asyncio.sleep(0.1)
        refused = await self.house.ask("POST", "/calls", {"to": "+15550207777", "agent": "default"})
        if refused["status"] != 409 or "do-not-call" not in refused["detail"]:
            self.notes.append(f"without its do-not-call list the server was asked to call, and answered {refused}")
        state = (await self.house.ready())["store"]
        if state["state"] != "behind":
            self.notes.append(f"the store was killed and /readyz says {state}")
        await asyncio.to_thread(self.database.start)
        self._store_is_there.set()
        self.say(f"the store is back; meanwhile {self._done - before} calls ended; /readyz said: {state['why'][:70]}")

    async def _server_dies(self) -> None:
        self._open.clear()
        while len(self._running) < min(4, self.at_once):
            if not self._running:
                self._open.set()
            await asyncio.sleep(0.05)
        self.killed_at = time.time()
        self.house.kill()
        placing = self._placing
        for part in [*self._running.values(), *([placing] if placing is not None else [])]:
            part.seen.cut_by = "kill"
        self.say(f"the server is killed with -9, in {len(self._running)} calls")
        while self._running:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        await asyncio.sleep(1.0)
        self.figures["left by the killed server, after a second"] = ", ".join(self.house.left()) or "nothing"
        await self.house.start()
        self.say("it is started again")
        await self.queue.fill()
        self._open.set()

    async def _settle(self) -> None:
        """Nothing runs any more; the store has all of it."""
        async with asyncio.timeout(60):
            while not await self.queue.settled():  # noqa: ASYNC110
                await asyncio.sleep(1.0)
            while True:
                store = (await self.house.ready())["store"]
                running = (await self.house.metrics()).get("offhook_calls_active", 0.0)
                late = any("delegate" in part.kind for part in self.parts)
                if store["state"] == "ok" and not store.get("waiting") and not running:
                    break
                await asyncio.sleep(0.3)
        if late:
            await asyncio.sleep(14.0)  # the longest delegate that outlives its call


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=200)
    parser.add_argument("--outbound", type=int, default=-1, help="of these, placed by us")
    parser.add_argument("--at-once", type=int, default=10)
    parser.add_argument("--sqlite", action="store_true", help="also where a Postgres server is installed")
    parser.add_argument("--keep", type=Path, help="a folder for settings, records, log and ledger; kept")
    given = parser.parse_args()
    outbound = given.calls // 14 if given.outbound < 0 else given.outbound
    parts = list(evening(given.calls, outbound))
    folder = given.keep or Path(tempfile.mkdtemp(prefix="offhook-evening-"))
    folder.mkdir(parents=True, exist_ok=True)
    logging.getLogger().addHandler(logging.NullHandler())  # sockets to a server that was just killed complain
    os.chmod(folder, 0o755)  # Postgres runs as another user
    made = Evening(folder, parts, given.at_once, postgres=not given.sqlite)
    untrue = asyncio.run(made.run())
    for name, figure in made.figures.items():
        made.say(f"{name:<42} {figure}")
    for text in untrue:
        made.say(f"UNTRUE {text}")
    made.say(f"{len(parts)} calls, {len(untrue)} untruths; {folder}")
    return 1 if untrue else 0


if __name__ == "__main__":
    sys.exit(main())
