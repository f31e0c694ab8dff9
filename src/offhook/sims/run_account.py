"""
A simulated account on a loopback address that really calls: its REST, its telephones, and what it tells a server.

``async with SimAccount(...) as account``: ``account.url`` stands for ``https://api.twilio.com/2010-04-01``. Whom the
server calls are ``people`` by number: each picks up as they do, on real sockets, with the webhook, the stream and every
callback of the carrier. What is refused stands in ``rest.py``.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Literal

from msgspec import Struct

from offhook.net.server import Server
from offhook.sims.rest import Account, CallRow, NumberRow
from offhook.sims.run_carrier import ACCOUNT, CallFailed, PhoneCall
from offhook.sims.run_webhook import Route, Webhooks
from offhook.sims.twiml import Complaint, Verb
from offhook.sims.webhook import Signer
from offhook.wires._wire import Refusal

__all__ = ["ACCOUNT", "SimAccount", "Telephone"]

MAX_BODY = 64 * 1024


class Telephone(Struct, frozen=True):
    """Somebody whom the carrier can call; ``talks`` is what they do once their stream has begun."""

    answers_s: float = 0.5
    how: Literal["completed", "busy", "no-answer", "failed"] = "completed"
    talks: Callable[[PhoneCall], Awaitable[None]] | None = None
    answered_by: str = "human"
    detected_s: float = 2.0


class SimAccount:
    """One account, its numbers and its telephones."""

    def __init__(
        self,
        token: str,
        numbers: Sequence[str] = ("+15550100002",),
        people: Mapping[str, Telephone] | None = None,
        *,
        sid: str = ACCOUNT,
        route: Route | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        watch: Callable[[str, CallRow | None, Mapping[str, Any]], None] = lambda kind, row, data: None,
        **account: Any,
    ) -> None:
        self._watch = watch  # hears of requests, of what becomes of calls, and of what the debugger would show
        self.people = dict(people or {})
        self.calls: dict[str, PhoneCall] = {}
        self.alerts: list[tuple[str, str]] = []
        self._alerted: set[tuple[str, str, str]] = set()
        self.told: list[dict[str, str]] = []  # callbacks, as they were sent
        rows = tuple(NumberRow(f"PN{n:032x}", number) for n, number in enumerate(numbers))
        self.account = Account(sid, token, self, rows, sids=lambda: f"CA{secrets.token_hex(16)}", **account)
        self._token = token
        self._route = route or Route(insecure=True)
        self._webhooks = Webhooks(self._route, Signer(token))
        self._tasks: set[asyncio.Task[None]] = set()
        self._server = Server(self._app, lambda request: Refusal(404, "not found\n", "path"), host=host, port=port)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.port}/2010-04-01"

    async def __aenter__(self) -> SimAccount:
        await self._server.start()
        return self

    async def __aexit__(self, *exc: object) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._webhooks.close()
        await self._server.stop()

    async def _app(self, scope: dict[str, Any], receive: Callable[..., Any], send: Callable[..., Any]) -> None:
        if scope["type"] != "http":
            return
        body = b""
        while len(body) <= MAX_BODY:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        query = scope["query_string"].decode("latin-1")
        path = scope["path"] + (f"?{query}" if query else "")
        status, data = self.account.answer(scope["method"], path, headers.get("authorization", ""), body)
        told = {"method": scope["method"], "path": path, "status": status, "form": self.account.asked[-1][2]}
        self._watch("rest", self.account.calls.get(str(data.get("sid"))), {**told, "answer": data})
        kind = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": status, "headers": kind})
        await send({"type": "http.response.body", "body": json.dumps(data).encode()})

    # ------------------------------------------------------------------------ what REST does to calls

    def place(self, row: CallRow) -> None:
        self._begin(self._call(row))

    def end(self, row: CallRow, status: str) -> None:
        call = self.calls.get(row.sid)
        if call is not None:
            call.ended_by_rest()
        else:
            self._begin(self._tell(row, "completed", status))

    def redirect(self, row: CallRow, verbs: Sequence[Verb], url: str, status_callback: str) -> None:
        call = self.calls[row.sid]
        if status_callback:
            row.form["StatusCallback"] = status_callback
        call.redirect(list(verbs), url)

    def alert(self, row: CallRow, complaint: Complaint) -> None:
        self._alert(row, complaint.code or "", complaint.why)

    def _alert(self, row: CallRow, code: str, why: str) -> None:
        if (row.sid, code, why) in self._alerted:  # once a call, as a call's own debugger has it
            return
        self._alerted.add((row.sid, code, why))
        self.alerts.append((code, why))
        self._watch("alert", row, {"code": code, "why": why})

    async def call_in(self, caller: str, number: NumberRow, talks: Callable[[PhoneCall], Awaitable[None]]) -> CallRow:
        """Somebody calls one of the account's numbers; returns when the call is over."""
        form = {"Url": number.voice_url}
        row = CallRow(f"CA{secrets.token_hex(16)}", number.phone_number, caller, "in-progress", "inbound", form)
        self.account.calls[row.sid] = row
        self._watch("call", row, {"status": "ringing"})
        await self._talk(row, Telephone(talks=talks))
        return row

    def _begin(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _tell(self, row: CallRow, event: str, status: str, **more: str) -> None:
        row.status = {"initiated": "queued", "answered": "in-progress"}.get(event, status)
        self._watch("call", row, {"status": status})
        if event in row.events and row.form.get("StatusCallback"):
            await self._post(row, row.form["StatusCallback"], CallStatus=status, **more)

    async def _post(self, row: CallRow, url: str, **fields: str) -> None:
        form = {**self._form(row), **fields}
        self.told.append(form)
        await self._webhooks.post(url, form)

    def _form(self, row: CallRow) -> dict[str, str]:
        return {"CallSid": row.sid, "AccountSid": self.account.sid, "From": row.from_, "To": row.to,
                "Direction": row.direction, "ApiVersion": "2010-04-01", "CallStatus": row.status}  # fmt: skip

    async def _call(self, row: CallRow) -> None:
        """One call, from the queue to its end."""
        person = self.people.get(row.to, Telephone(how="failed"))
        await self._tell(row, "initiated", "initiated")
        await self._tell(row, "ringing", "ringing")
        ring_s = float(row.form.get("Timeout", "60"))
        taken = person.how == "completed" and person.answers_s <= ring_s
        await asyncio.sleep(person.answers_s if taken else min(ring_s, 1.0))
        if row.status == "canceled":
            return
        if not taken:
            await self._tell(row, "completed", "no-answer" if person.how == "completed" else person.how)
            return
        await self._tell(row, "answered", "in-progress")
        await self._talk(row, person)

    async def _talk(self, row: CallRow, person: Telephone) -> None:
        began = asyncio.get_running_loop().time()
        call = PhoneCall(
            row.form["Url"], auth_token=self._token, route=self._route, caller=row.from_, called=row.to,
            call_sid=row.sid, people=self.people,
            form={**self._form(row), "CallStatus": "ringing" if row.direction == "inbound" else "in-progress"},
        )  # fmt: skip
        self.calls[row.sid] = call
        if row.form.get("MachineDetection") and row.form.get("AsyncAmdStatusCallback"):
            self._begin(self._detect(row, person))
        try:
            async with call:
                over = asyncio.ensure_future(call.ended())
                talk = asyncio.ensure_future(person.talks(call) if person.talks is not None else call.ended())
                await asyncio.wait((over, talk), return_when=asyncio.FIRST_COMPLETED)  # a line may go dead meanwhile
                if talk.done():
                    await talk  # what a test's person raises is the test's
                    await over
                talk.cancel()
        except CallFailed as error:
            self._alert(row, error.code, error.why)
        for code, why in call.alerts:
            self._alert(row, code, why)
        self._watch("line", row, {"call": call})
        seconds = round(asyncio.get_running_loop().time() - began)
        await self._tell(row, "completed", "completed", CallDuration=str(seconds))

    async def _detect(self, row: CallRow, person: Telephone) -> None:
        await asyncio.sleep(person.detected_s)
        if row.status == "in-progress":
            fields = {
                "AnsweredBy": person.answered_by,
                "MachineDetectionDuration": str(round(person.detected_s * 1000)),
            }
            await self._post(row, row.form["AsyncAmdStatusCallback"], **fields)
