"""
``offhook fake twilio``: an account with numbers, people whom it can call, and people who call, all on this machine.

What Twilio's REST refuses is refused with its code. Everything else is as in a real call: signed webhooks, TwiML, the
stream in real time, callbacks. So `call`, `numbers`, `queue`, transfers and voicemail can be tried without an account.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import signal
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from offhook.cli.fake import FakeError, Screen
from offhook.cli.fake_people import CALLED, CALLERS, telephone
from offhook.sims.rest import CallRow
from offhook.sims.run_account import ACCOUNT, SimAccount
from offhook.sims.run_carrier import PhoneCall
from offhook.sims.run_webhook import Route

__all__ = ["run", "town_list"]

TOKEN = "fake-twilio-auth-token-000000000"
NUMBER = "+15550100002"
CALLER = "+15550100001"
PUBLIC = "https://voice.example.com"
# Who lives here when nobody was named: a number for each behaviour.
PEOPLE = {f"+155501000{n}": kind for n, kind in enumerate(CALLED, 11)}
BLOCKED = "+15550100099"
_TARGET = re.compile(r"\+[1-9]\d{6,14}|sips?:\S+")


def town_list() -> str:
    """Who can be called, and who calls."""
    can = [f"{number}  {kind:<10} {CALLED[kind].does}" for number, kind in PEOPLE.items()]
    call = [f"--ring {kind:<9} {each.does}" for kind, each in CALLERS.items()]
    return "\n".join((
        "Who can be called (--person NUMBER=WHAT makes another one; a SIP address will do for a transfer):", *can,
        f"{BLOCKED}  refused    21216, as a number that the account may not call", "", "Who calls:", *call,
    ))  # fmt: skip


def run(
    *, host: str, port: int, numbers: Sequence[str], people: Sequence[str], ring: Sequence[str], server: str,
    token: str, once: bool, as_json: bool,
) -> int:  # fmt: skip
    """Serve until Ctrl-C, or until one call is over. 0; 1 where the carrier's debugger would show something."""
    town = {**{number: telephone(CALLED[kind]) for number, kind in PEOPLE.items()}, **dict(map(_person, people))}
    for kind in ring:
        if kind not in CALLERS:
            raise FakeError(f"--ring {kind!r}: wanted one of {', '.join(CALLERS)}")
    screen = Screen(as_json)
    desk = _Desk(screen, once)
    account = SimAccount(
        token or TOKEN, tuple(numbers) or (NUMBER,), town, route=_route(server), host=host, port=port, watch=desk.watch,
        blocked=frozenset({BLOCKED}),
    )  # fmt: skip
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(desk.serve(account, ring, server, token or TOKEN))
    return 1 if account.alerts else 0


def _person(given: str) -> tuple[str, Any]:
    number, _, kind = given.rpartition("=")
    if not _TARGET.fullmatch(number) or kind not in CALLED:
        raise FakeError(f"--person {given!r}: wanted +NUMBER=WHAT or sip:ADDRESS=WHAT, of {', '.join(CALLED)}")
    return number, telephone(CALLED[kind])


def _route(server: str) -> Route:
    """Every public name is this server, without TLS; empty: names are what they are."""
    if not server:
        return Route()
    parts = urlsplit(f"//{server}")
    try:
        where = parts.hostname, parts.port
    except ValueError:
        where = None, None
    if where[0] is None or where[1] is None:
        raise FakeError(f"--server {server!r}: wanted HOST:PORT")
    return Route(connect=(where[0], where[1]))


class _Desk:
    """Tells what is asked and what becomes of it."""

    def __init__(self, screen: Screen, once: bool) -> None:
        self._screen = screen
        self._once = once
        self._over = asyncio.Event()
        self._asked_of = asyncio.Event()

    async def serve(self, account: SimAccount, ring: Sequence[str], server: str, token: str) -> None:
        loop = asyncio.get_running_loop()
        for name in (signal.SIGINT, signal.SIGTERM):
            with contextlib.suppress(NotImplementedError):  # not on this system: KeyboardInterrupt ends it
                loop.add_signal_handler(name, self._over.set)
        try:
            async with account:
                self._listening(account, server, token)
                callers = loop.create_task(self._ring(account, ring))
                over = loop.create_task(self._over.wait())
                await asyncio.wait({callers, over}, return_when=asyncio.FIRST_COMPLETED)
                if callers.done():
                    await callers
                await over
                callers.cancel()
        except OSError as error:
            raise FakeError(f"{error.strerror or error}: another port is --port N, any free one --port 0") from None

    def _listening(self, account: SimAccount, server: str, token: str) -> None:
        numbers = [row.phone_number for row in account.account.numbers.values()]
        env = {
            "TWILIO_ACCOUNT_SID": ACCOUNT, "TWILIO_AUTH_TOKEN": token, "OFFHOOK_CARRIER_REST_URL": account.url,
            **({"OFFHOOK_SERVER_PUBLIC_URL": PUBLIC} if server else {}),
        }  # fmt: skip
        lines = [
            f"fake twilio: an account at {account.url}",
            f"  numbers   {', '.join(numbers)}",
            f"  people    {min(PEOPLE)} to {max(PEOPLE)[-2:]} can be called, and do as --list-people says",
            f"  server    {f'every public name is {server}, without TLS' if server else 'public names are dialled'}",
            *(f"  export    {name}={value}" for name, value in env.items()),
            "Ctrl-C ends it.",
        ]
        self._screen.tell("listening", "\n".join(lines), url=account.url, numbers=numbers, environment=env)

    async def _ring(self, account: SimAccount, ring: Sequence[str]) -> None:
        """One caller after another, as soon as a number is pointed at a server."""
        for n, kind in enumerate(ring):
            number = _pointed(account)
            if number is None:
                first = next(iter(account.account.numbers.values())).phone_number
                text = f"   waiting: no number has a webhook; offhook numbers point {first}"
                self._screen.tell("waiting", text)
            while (number := _pointed(account)) is None:
                self._asked_of.clear()
                await self._asked_of.wait()
            talks = CALLERS[kind].talks
            assert talks is not None
            await account.call_in(f"{CALLER[:-2]}{n + 1:02d}", number, talks)

    def watch(self, kind: str, row: CallRow | None, data: Mapping[str, Any]) -> None:
        if kind == "rest":
            self._asked_of.set()
            self._asked(row, data)
        elif kind == "alert":
            self._say(row, "alert", f"debugger: {data['code']} {data['why']}", **data)
        elif kind == "line":
            self._line(row, data["call"])
        else:
            way = "calls us" if row is not None and row.direction == "inbound" else "is called"
            who = "" if row is None else _masked(row.from_ if row.direction == "inbound" else row.to)
            self._say(row, "call", f"{who} {way}: {data['status']}", **data)
            if self._once and data["status"] in ("completed", "busy", "no-answer", "failed", "canceled"):
                self._over.set()

    def _asked(self, row: CallRow | None, data: Mapping[str, Any]) -> None:
        what = data["path"].partition(f"/{ACCOUNT}")[2] or data["path"]
        given = ", ".join(sorted(data["form"]))
        code = data["answer"].get("code")
        refused = f" {code}: {data['answer'].get('message')}" if code else ""
        text = f"{data['method']} {what.partition('?')[0]} ({given or 'nothing'}): {data['status']}{refused}"
        self._say(row, "rest", text, method=data["method"], path=what, fields=sorted(data["form"]),
                  status=data["status"], code=code)  # fmt: skip

    def _line(self, row: CallRow | None, call: PhoneCall) -> None:
        """What the other side would tell of the call."""
        heard = sum(len(segment.audio) for stream in call.streams for segment in stream.carrier.phone.heard) / 8000
        legs = [{"to": _masked(to), "how": how} for to, how in call.legs]
        went = "".join(f"; put through to {leg['to']}: {leg['how']}" for leg in legs)
        by = "the server, by REST" if call.by_rest else "the line"
        self._say(row, "line", f"heard {heard:.1f} s of voice{went}; ended by {by}", heard_s=round(heard, 2),
                  legs=legs, by_rest=call.by_rest)  # fmt: skip

    def _say(self, row: CallRow | None, event: str, text: str, **data: Any) -> None:
        sid = "" if row is None else row.sid
        self._screen.tell(event, f"{sid[:8]:<8} {text}", call=sid, **data)


def _pointed(account: SimAccount) -> Any:
    return next((row for row in account.account.numbers.values() if row.voice_url), None)


def _masked(number: str) -> str:
    return f"{number[:2]}***{number[-2:]}" if number.startswith("+") else number.partition("@")[0][:6] + "***"
