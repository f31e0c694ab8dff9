"""
Who is calling: a file of people, an address, or a function, asked before the first word.

Each runs beside the calls (``aside.py``) and under a deadline; what it says is data about a number, never an
instruction, and never proof of who speaks.
"""

from __future__ import annotations

import asyncio
import csv
import importlib
import importlib.util
import inspect
import io
import json
import tomllib
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from msgspec import Struct

from offhook.agent.aside import Aside
from offhook.agent.numbers import normal
from offhook.agent.profile import LookUp, Profile
from offhook.agent.prompt import CallFacts
from offhook.outward import OutwardError, ask, url_problem, warm
from offhook.proxies import choose_proxy

__all__ = ["Ask", "Found", "Lookup", "LookupProblem", "lookup_of", "read_people"]

MOST_FIELDS = 40
MOST_CHARS = 500
GIVEN_UP_S = 1.0  # after lookup_s, when the call has long gone on: so that nothing is asked for ever
_NUMBER_FIELDS = ("number", "numbers", "phone", "tel")


class LookupProblem(Exception):
    """A lookup that is not set up as it should be; ``field`` is the setting."""

    def __init__(self, field: str, got: str, wanted: str, fix: str) -> None:
        super().__init__(field, got, wanted, fix)
        self.field, self.got, self.wanted, self.fix = field, got, wanted, fix

    def __str__(self) -> str:
        return f"{self.field}: got {self.got}, wanted {self.wanted}; {self.fix}"


class Found(Struct, frozen=True):
    """What came of asking: the fields of a person, none where nobody knows the number."""

    fields: Mapping[str, str]
    why: str = ""  # it failed


Ask = Callable[[CallFacts], Awaitable[Found]]


class Lookup(Struct, frozen=True):
    """One agent's lookup: where it asks, and the asking, which is awaited on the media loop and works elsewhere."""

    source: str
    ask: Ask
    files: tuple[Path, ...] = ()


def lookup_of(profile: Profile, aside: Aside, environment: Mapping[str, str]) -> Lookup | None:
    """The lookup that an agent has, or None; ``environment`` may name a proxy. Raises LookupProblem."""
    path, url, name = profile.path("lookup_file"), profile["lookup_url"], profile["lookup_function"]
    if sum(map(bool, (path, url, name))) > 1:
        got = "more than one of lookup_file, lookup_url and lookup_function"
        raise LookupProblem("lookup_file", got, "one of them", "remove the others")
    if path is not None:
        return _from_file(path)
    if url:
        return _from_url(profile, aside, environment)
    if name:
        function = profile.lookup or _function(profile, name)
        return Lookup(f"function {name}", _in_time(profile, lambda facts: _call(function, facts, aside), aside))
    return None


# ------------------------------------------------------------------------------------------------- a file


def _from_file(path: Path) -> Lookup:
    try:
        people = read_people(path)
    except (OSError, ValueError, csv.Error) as error:
        why = getattr(error, "strerror", None) or " ".join(str(error).split())[:160]
        raise LookupProblem(
            "lookup_file", f"{path}: {why}", "people by number in JSON, TOML or CSV", "mend it"
        ) from None

    async def ask(facts: CallFacts) -> Found:
        return Found(people.get(normal(facts.party_number), {}))

    return Lookup(f"file {path.name}", ask, (path,))


def read_people(path: Path) -> dict[str, dict[str, str]]:
    """People by number. Raises OSError, or ValueError with what is wrong."""
    text = path.read_text(encoding="utf-8-sig")
    kind = path.suffix.lower()
    if kind == ".csv":
        return _people([dict(row) for row in csv.DictReader(io.StringIO(text))])
    if kind not in (".json", ".toml"):
        raise ValueError(f"{kind or 'no'} suffix, wanted .json, .toml or .csv")
    data = json.loads(text) if kind == ".json" else tomllib.loads(text)
    if isinstance(data, dict) and set(data) <= {"people"}:
        data = data.get("people", [])
    if isinstance(data, dict):
        data = [{"number": number, **one} if isinstance(one, dict) else {"number": number, "name": one}
                for number, one in data.items()]  # fmt: skip
    if not isinstance(data, list) or not all(isinstance(one, dict) for one in data):
        raise ValueError("wanted a list of people, or people by number")
    return _people(data)


def _people(rows: list[dict[str, Any]]) -> dict[str, dict[str, str]]:
    people: dict[str, dict[str, str]] = {}
    for at, row in enumerate(rows, 1):
        given = next((row[name] for name in _NUMBER_FIELDS if row.get(name)), None)
        numbers = given if isinstance(given, list) else [given]
        fields = _fields({name: value for name, value in row.items() if name not in _NUMBER_FIELDS})
        for number in numbers:
            if not isinstance(number, str) or not normal(number).startswith(("+", "client:", "sip:")):
                raise ValueError(f"person {at}: number: got {str(number)[:3]!r}…, wanted a number with +")
            if normal(number) in people:
                raise ValueError(f"person {at}: a number that stands there twice")
            people[normal(number)] = fields
    return people


def _fields(given: Mapping[str, Any], head: str = "") -> dict[str, str]:
    """What may be told of a person: texts and figures, one level deep, bounded."""
    fields: dict[str, str] = {}
    for name, value in given.items():
        if isinstance(value, Mapping) and not head:
            fields |= _fields(value, f"{name}.")
        elif isinstance(value, (list, tuple)):
            fields[f"{head}{name}"] = ", ".join(str(part) for part in value)
        elif value is not None and value != "":
            fields[f"{head}{name}"] = str(value).lower() if isinstance(value, bool) else str(value)
    return {name: " ".join(text.split())[:MOST_CHARS] for name, text in list(fields.items())[:MOST_FIELDS]}


# ---------------------------------------------------------------------------------------------- an address


def _from_url(profile: Profile, aside: Aside, environment: Mapping[str, str]) -> Lookup:
    url, private = profile["lookup_url"], profile["lookup_private"]
    why = url_problem(url.replace("{number}", "1"), private=private)
    if why is not None:
        fix = "use https:// and a public name; lookup_private = true allows a private network"
        raise LookupProblem("lookup_url", f"{url[:80]!r}: {why}", "an https:// address", fix)
    warm()
    token = profile["lookup_token"].reveal()
    headers = {"Accept": "application/json", **({"Authorization": f"Bearer {token}"} if token else {})}
    timeout_s = profile["lookup_s"]

    async def get(facts: CallFacts) -> Found:
        asked = url.replace("{number}", quote(facts.party_number, safe=""))
        try:
            proxy = choose_proxy(asked, environment)
            answer = await ask("GET", asked, headers=headers, private=private, proxy=proxy, timeout_s=timeout_s)
        except OutwardError as error:
            return Found({}, error.why)
        if not answer.whole:
            return Found({}, f"answered with more than {len(answer.body)} bytes")
        status, body = answer.status, answer.body
        if status in (204, 404):
            return Found({})
        if status != 200:
            return Found({}, f"answered HTTP {status}, wanted 200 or 404")
        try:
            data = json.loads(body or b"null")
        except ValueError:
            return Found({}, f"answered with {len(body)} bytes that are not JSON")
        return _as_found(data)

    host = url.partition("://")[2].partition("/")[0]
    return Lookup(f"address {host}", _in_time(profile, get, aside))


def _as_found(data: Any) -> Found:
    if data is None:
        return Found({})
    if not isinstance(data, Mapping):
        return Found({}, f"answered with {type(data).__name__}, wanted an object or nothing")
    return Found(_fields(data))


# ---------------------------------------------------------------------------------------------- a function


def _function(profile: Profile, name: str) -> LookUp:
    """``FILE.py:NAME`` or ``MODULE:NAME``."""
    wanted = "FILE.py:NAME or MODULE:NAME"
    where, colon, attribute = name.rpartition(":")
    if not colon:
        raise LookupProblem("lookup_function", repr(name), wanted, "correct it")
    try:
        if where.endswith(".py"):
            path = profile.absolute(where)
            spec = importlib.util.spec_from_file_location(f"offhook_lookup_{path.stem}", path)
            assert spec is not None and spec.loader is not None
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
        else:
            module = importlib.import_module(where)
        function = getattr(module, attribute)
    except Exception as error:  # the user's own code: whatever it raises is told
        got = f"{name!r}: {type(error).__name__}: {str(error)[:120]}"
        raise LookupProblem("lookup_function", got, wanted, "mend it") from None
    if not callable(function):
        raise LookupProblem("lookup_function", f"{name!r}, which is no function", wanted, "correct it")
    return function  # type: ignore[no-any-return]


async def _call(function: LookUp, facts: CallFacts, aside: Aside) -> Found:
    try:
        if inspect.iscoroutinefunction(function):
            data = await function(facts)
        else:
            data = await aside.plain(function, facts)
            if inspect.isawaitable(data):
                data = await data
    except Exception as error:  # the user's own code: its failure is an outcome
        return Found({}, f"{type(error).__name__}: {' '.join(str(error).split())[:160]}")
    return _as_found(data)


def _in_time(profile: Profile, ask: Callable[[CallFacts], Any], aside: Aside) -> Ask:
    """``ask`` beside the calls. What is not there in time is given up: nobody waits for it any more."""
    most_s = profile["lookup_s"]

    async def asked(facts: CallFacts) -> Found:
        async def work() -> Found:
            async with asyncio.timeout(most_s + GIVEN_UP_S):  # the call itself goes on after most_s
                found: Found = await ask(facts)
                return found

        try:
            return await asyncio.wrap_future(aside.submit(work))
        except TimeoutError:
            return Found({}, f"no answer within {most_s:g} s (lookup_s), nor soon after")

    return asked
