"""``offhook ctl``: the calls of the server that runs here, through its API."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx2

from offhook.cli.api import state_file
from offhook.settings import Settings

__all__ = ["QUIET_S", "CtlError", "act", "reached", "running", "told", "watch"]


QUIET_S = 50.0  # a server that lives says something on its live stream every fifteen seconds (api/streams.py)


class CtlError(Exception):
    """Why the server could not be asked, or what it said; ``nobody``: none runs here."""

    def __init__(self, text: str, *, nobody: bool = False) -> None:
        super().__init__(text)
        self.nobody = nobody


def _server(settings: Settings) -> tuple[str, str]:
    """Where it is and how one is let in. Raises CtlError."""
    path = state_file(settings)
    try:
        data = json.loads(path.read_text("utf-8"))
        return str(data["url"]), str(data["token"])
    except (OSError, ValueError, KeyError):
        raise CtlError(
            f"no server of yours runs with these records ({path.parent}): offhook serve starts one",
            nobody=True,
        ) from None


@asynccontextmanager
async def reached(settings: Settings) -> AsyncIterator[httpx2.AsyncClient]:
    url, token = _server(settings)
    headers = {"Authorization": f"Bearer {token}"}
    async with httpx2.AsyncClient(base_url=url, headers=headers, timeout=150, trust_env=False) as client:
        try:
            yield client
        except httpx2.ConnectError:
            raise CtlError(
                f"nothing answers at {url}: the server has ended; offhook serve starts one", nobody=True
            ) from None
        except httpx2.ReadTimeout:
            raise CtlError(f"{url} says nothing any more: the server hangs; end it, offhook serve starts one") from None
        except httpx2.HTTPError as error:
            raise CtlError(f"{url}: {type(error).__name__}: {error}") from None


async def _get(client: httpx2.AsyncClient, path: str) -> Any:
    return told(await client.get(path))


def told(answer: httpx2.Response) -> Any:
    """An answer's data. Raises CtlError with the problem that it is."""
    if answer.is_success:
        return answer.json()
    try:
        problem = answer.json()
        wrong: dict[str, str] = next((error for error in problem.get("errors", ()) if error.get("fix")), {})
        got = f": got {wrong['got']}, wanted {wrong['wanted']}" if problem.get("status") == 422 and wrong else ""
        raise CtlError(f"{problem['detail']}{got}" + (f"; {wrong['fix']}" if wrong else ""))
    except (ValueError, KeyError, TypeError, AttributeError):
        raise CtlError(f"the server answered {answer.status_code}") from None


async def _named(client: httpx2.AsyncClient, call: str) -> str:
    """The running call that is meant. Raises CtlError."""
    rows = [row for row in (await _get(client, "/api/calls?state=running&limit=200"))["calls"] if row.get("live")]
    if not rows:
        raise CtlError("no call runs now")
    if call == "last":
        return str(rows[0]["call"])
    found = [row["call"] for row in rows if row["call"].startswith(call) or row["id"] == call]
    if len(found) != 1:
        there = ", ".join(row["call"] for row in rows[:5])
        raise CtlError(
            f"{call!r}: {'several running calls begin so' if found else 'no such call runs'}; there are {there}"
        )
    return str(found[0])


def act(settings: Settings, call: str, what: str, body: Mapping[str, Any]) -> int:
    """Ask it of a call, and wait for how it went; 1 where it did not go well."""

    async def run() -> int:
        async with reached(settings) as client:
            name = await _named(client, call)
            if what == "hangup":
                done = told(await client.post(f"/api/calls/{name}/hangup"))
            else:
                done = told(await client.post(f"/api/calls/{name}/{what}?wait_s=120", json=dict(body)))
            detail = f": {done['detail']}" if done["detail"] else ""
            sys.stdout.write(f"{done['what']} {done['outcome']}{detail}\n")
            return 1 if done["outcome"] in ("failed", "ended", "refused") else 0

    return asyncio.run(run())


def running(settings: Settings, *, as_json: bool = False) -> int:
    """The calls that run now."""

    async def run() -> int:
        async with reached(settings) as client:
            rows = (await _get(client, "/api/calls?state=running&limit=200"))["calls"]
        if as_json:
            sys.stdout.write(json.dumps(rows, indent=1) + "\n")
            return 0
        for row in rows:
            live = row.get("live") or {}
            said = live["turns"][-1]["text"] if live.get("turns") else ""
            sys.stdout.write(
                f"{row['call']}  {live.get('state', ''):<11} {row['caller']:<14} {row['agent']:<12} {said[:60]}\n"
            )
        if not rows:
            sys.stdout.write("no call runs now\n")
        return 0

    return asyncio.run(run())


def watch(settings: Settings, call: str, levels: int) -> int:
    """Print the live stream until it ends, or Ctrl-C."""

    async def run() -> int:
        async with reached(settings) as client:
            name = await _named(client, call) if call else ""
            query = {"levels": str(levels), **({"call": name} if name else {})}
            async with client.stream("GET", "/api/live", params=query, timeout=QUIET_S) as answer:
                if not answer.is_success:
                    await answer.aread()
                    told(answer)
                async for line in answer.aiter_lines():
                    if line.startswith("data: "):
                        sys.stdout.write(line.removeprefix("data: ") + "\n")
                        sys.stdout.flush()
        return 0

    try:
        return asyncio.run(run())
    except KeyboardInterrupt:
        return 130
