"""
Our own server in the virtual world: the real host, application, call, bridge, legs and journal, with nothing replaced
but the clock, the sockets and the two ways out (the provider's dial, the carrier's REST).
"""

from __future__ import annotations

import asyncio
import base64
import importlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from offhook.bridge import BridgeSettings
from offhook.evidence.journal import Journal, JournalDir
from offhook.evidence.record import Recording
from offhook.media.lines import spoken_lines
from offhook.net.answerer import Answerer, AnswerFor, Declined, always
from offhook.net.app import Paths, make_app
from offhook.net.calls import Limits
from offhook.net.client import DialError
from offhook.net.host import Host
from offhook.net.metrics import Metrics
from offhook.net.outbound import Options
from offhook.net.rest import RestResult
from offhook.net.server import UpgradeRequest
from offhook.net.spending import Caps, Spending
from offhook.sims.boot import boot_facts
from offhook.sims.rest import Account, CallRow, NumberRow
from offhook.sims.twiml import Complaint, Verb
from offhook.sims.virtual import Ear, End, Process, World
from offhook.sims.virtual_carrier import ACCOUNT, Line
from offhook.sims.virtual_dial import Person, Ringing
from offhook.sims.virtual_http import Reply, Request
from offhook.sims.virtual_provider import DialFailure, Net
from offhook.vocab import ToolSpec
from offhook.wires._wire import ConnectRequest, Refusal, RestRequest
from offhook.wires.carriers import twilio

__all__ = ["HANG_UP", "TOKEN", "Declined", "Journals", "Options", "OurServer"]

TOKEN = "t" * 32
HANG_UP = ToolSpec(
    name="hang_up",
    description="End the phone call.",
    parameters={"type": "object", "properties": {}, "additionalProperties": False},
)
UNIX_S = 1_795_520_000.0  # 2026-11-24: where the simulated providers' clock stands as well
RestAnswer = tuple[int, int | None]  # HTTP status, the carrier's own code


class Journals(JournalDir):
    """Records that are never written to a disk."""

    def __init__(self) -> None:
        super().__init__(Path("in-memory"))
        self.made: list[Journal] = []

    def open(self, *args: Any, **kwargs: Any) -> Journal:
        journal = super().open(*args, **kwargs)
        self.made.append(journal)
        return journal

    def recordings(self) -> list[Recording]:
        """Every call's record, as a reader of the file would see it."""
        return [Recording.parse(journal.scribe.lines(journal.take())) for journal in self.made]


class OurServer:
    """One process of ours. ``rest`` is what the carrier's REST answers, after ``rest_s``."""

    def __init__(
        self,
        world: World,
        net: Net,
        provider: str,
        *,
        greeting: str | None = None,
        carrier: Mapping[str, Any] | None = None,
        session: Mapping[str, Any] | None = None,
        bridge: Mapping[str, Any] | None = None,
        limits: Mapping[str, Any] | None = None,
        boot: Mapping[str, Any] | None = None,
        with_rest: bool = True,
        rest: RestAnswer | None = None,
        rest_s: float = 0.1,
        account: Mapping[str, Any] | None = None,
        proxy: str | None = None,
        answer_for: AnswerFor | None = None,
        tools: Any = None,  # a box of agent/tools
        caps: Caps | None = None,
        more_numbers: Sequence[str] = (),
    ) -> None:
        self.world = world
        self.process = Process(world)
        self.lines: dict[str, Line] = {}
        self.people: dict[str, Person] = {}  # with telephones, by number
        self.called: list[Line] = []  # whom the carrier called for us
        self._auth_token = TOKEN
        self.account = Account(
            ACCOUNT, TOKEN, self,
            [NumberRow(f"PN{n:032x}", number) for n, number in enumerate(("+15550100002", *more_numbers))],
            sids=lambda: f"CA{world.random.getrandbits(128):032x}", **(account or {}),
        )  # fmt: skip
        self.journals = Journals()
        self._net = net
        self._rest, self._rest_s, self._proxy = rest, rest_s, proxy
        module = importlib.import_module(f"offhook.wires.providers.{provider}")
        key = {"openai": "sk-test-0001", "xai": "xai-test-0001"}.get(provider, "")
        given = {"api_key": key, "instructions": "You answer the phone.", "tools": (HANG_UP,), **(session or {})}
        if provider == "loopback":
            given.setdefault("url", "ws://loopback/v1/realtime")
        made = module.SessionSettings(**given)
        own = {"account_sid": ACCOUNT} if with_rest else {}
        settings = twilio.CarrierSettings(
            **{"public_url": "https://voice.example.com", "auth_token": TOKEN, **own, **(carrier or {})}
        )
        self.journals.boot = boot_facts(module, made, settings, **(boot or {}))
        self.host = Host(
            carrier=twilio,
            carrier_settings=settings,
            answer_for=answer_for
            or always(
                Answerer(module, made, BridgeSettings(**{"greeting": greeting, **(bridge or {})}), spoken_lines())
            ),
            journals=self.journals,
            clock=self.process,
            limits=Limits(**(limits or {})),
            token_secret=b"s" * 32,
            metrics=Metrics(),
            dial_options={},
            dialler=self._dial,
            send_rest=self._send_rest,
            unix=lambda: UNIX_S + world.now(),
            tools=tools,
            spending=self._spending(caps, world) if caps else None,
        )
        paths = Paths(settings.webhook_path, settings.media_path, settings.status_path, settings.after_path)
        self._app: Any = make_app(self.host, paths)

    def _spending(self, caps: Caps, world: World) -> Spending:
        def prices_of(who: Answerer) -> Any:
            return who.provider.price_list(who.session.model)

        return Spending(caps, prices_of, self.process, unix=lambda: UNIX_S + world.now())

    # ------------------------------------------------------------------------- what the carrier asks for

    def http(self, request: Request, reply: Callable[[Reply], None]) -> None:
        task = self.world.loop.create_task(self._serve(request, reply))
        task.add_done_callback(lambda done: done.result() if not done.cancelled() else None)

    async def _serve(self, request: Request, reply: Callable[[Reply], None]) -> None:
        """One request through the real application."""
        path, _, query = request.path_qs.partition("?")
        scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": request.method,
            "scheme": "http", "path": path, "raw_path": path.encode(), "query_string": query.encode(),
            "root_path": "", "client": ("10.0.0.1", 1), "server": ("10.0.0.2", 8080),
            "headers": [(name.lower().encode(), value.encode()) for name, value in request.headers],
        }  # fmt: skip
        sent: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": request.body, "more_body": False}

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        await self._app(scope, receive, send)
        headers = {name.decode().lower(): value.decode() for name, value in sent[0]["headers"]}
        body = b"".join(message.get("body", b"") for message in sent[1:])
        reply(Reply(sent[0]["status"], body, headers.get("content-type", ""), headers.get("location", "")))

    def upgrade(self, request: Request, accept: Callable[[Ear], End], refuse: Callable[[int, str], None]) -> None:
        path = urlsplit(request.url).path
        names = {name.lower() for name, _ in request.headers}
        if "upgrade" not in names:  # whoever stands between took it away: an ordinary GET arrives
            self.http(Request("GET", request.url, request.headers), lambda reply: refuse(reply.status, "no upgrade"))
            return
        asked = UpgradeRequest(path=path, path_qs=request.path_qs, headers=request.headers, client="10.0.0.1")
        answer = self.host.streams.upgrade(asked)
        if isinstance(answer, Refusal):
            refuse(answer.status, answer.why)
            return
        end = accept(answer)
        answer.opened(end)  # type: ignore[arg-type]  # an End has the manners of a Socket

    # ------------------------------------------------------------------- what the carrier's REST does to calls

    def came_in(self, line: Line) -> None:
        """A call that the carrier knows, so that its REST does."""
        self.lines[line.call_sid] = line
        row = CallRow(line.call_sid, line.form["To"], line.form["From"], "in-progress", "inbound")
        self.account.calls[line.call_sid] = row
        line.on_over = lambda status: setattr(row, "status", status)

    def place(self, row: CallRow) -> None:
        """The carrier calls somebody for us."""
        person = self.people.get(row.to, Person(how="failed"))
        form = {"To": row.to, "From": row.from_}
        line = Line(
            self.world, self, row.form["Url"], auth_token=self._auth_token, direction="outbound-api", form=form,
            call_sid=row.sid, people=self.people, status_url=row.form.get("StatusCallback", ""),
        )  # fmt: skip
        self.lines[row.sid] = line
        self.called.append(line)
        Ringing(line, row, person)

    def end(self, row: CallRow, status: str) -> None:
        if status == "canceled":
            self.lines[row.sid].finish("canceled")
        else:
            self.lines[row.sid].ended_by_rest()

    def redirect(self, row: CallRow, verbs: Sequence[Verb], url: str, status_callback: str) -> None:
        self.lines[row.sid].redirect(verbs, url, status_callback)

    def alert(self, row: CallRow, complaint: Complaint) -> None:
        self.lines[row.sid].alert(complaint.code or "", complaint.why)

    # ------------------------------------------------------------------------------------ the ways out

    async def _dial(
        self, request: ConnectRequest, listener: Any, *, on_phase: Callable[[str, float], None], **options: Any
    ) -> Any:
        loop = asyncio.get_running_loop()
        done: asyncio.Future[End] = loop.create_future()

        def opened(end: End) -> None:
            if not done.done():
                listener.opened(end)
                done.set_result(end)

        def failed(why: DialFailure) -> None:
            if not done.done():
                retry = why.status is None or why.status >= 500 or why.status == 429
                done.set_exception(DialError(why.phase, why.cause, status=why.status, body=why.body, retryable=retry))

        stop = self._net.dial(
            self.process, request, listener, opened=opened, failed=failed, on_phase=on_phase, proxy=self._proxy
        )
        try:
            return await done
        except asyncio.CancelledError:
            stop()
            raise

    async def _send_rest(self, request: RestRequest, **options: Any) -> RestResult:
        """The carrier's REST: what was asked is done unless another answer was planned."""
        await asyncio.sleep(self._rest_s)
        if self._rest is not None:
            status, code = self._rest
            done = status < 300 or (status, code) in request.done_when
            return RestResult(done=done, status=status, code=code, detail=f"HTTP {status}")
        parts = urlsplit(request.url)
        signed = base64.b64encode(f"{request.username}:{request.password}".encode()).decode()
        path = parts.path + (f"?{parts.query}" if parts.query else "")
        status, data = self.account.answer(request.method, path, f"Basic {signed}", urlencode(request.form).encode())
        code = data.get("code") if status >= 400 else None
        done = status < 300 or (status, code) in request.done_when
        return RestResult(done=done, status=status, code=code, detail=str(data.get("message", "done")), data=data)

    def recordings(self) -> list[Recording]:
        return self.journals.recordings()
