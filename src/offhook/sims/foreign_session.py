"""
The naive bridge's provider side: dialling, the session it asks for, what it makes of events, keepalive, reconnects.
"""

from __future__ import annotations

import base64
import json
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import msgspec

from offhook.sims.foreign_audio import Downlink
from offhook.sims.virtual import By, Ear, End
from offhook.sims.virtual_provider import DialFailure
from offhook.vocab import ToolSpec
from offhook.wires._wire import ConnectRequest
from offhook.wires.providers import openai, xai

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode

if TYPE_CHECKING:
    from offhook.sims.foreign_call import ForeignCall

__all__ = ["ForeignSession"]

_DELTA = {"ga": "response.output_audio.delta", "beta": "response.audio.delta"}
_WIRES: dict[str, Any] = {"openai": openai, "xai": xai}


class ForeignSession:
    """The provider's side of one call."""

    def __init__(self, call: ForeignCall) -> None:
        self.call = call
        self.knobs = call.knobs
        self.bridge = call.bridge
        self.socket: End | None = None
        self.dials = 0
        self.last_activity = call.now()
        self._down = Downlink(self.knobs)
        self._early: deque[bytes] = deque()
        self._open = self.knobs.gate is None
        self._configured = False
        self._deaf = False  # the reader has died
        self._cut: str | None = None
        self._greeted = False
        self._accept: Callable[[Ear], End] | None = None
        self._refuse: Callable[[int, str], None] | None = None

    def caller_audio(self, payload: bytes) -> None:
        """A frame of the caller, already in the session's format; kept or dropped until the gate is open."""
        if self._open and self.socket is not None:
            self._append(payload)
        elif not self.knobs.gate_drops or self.knobs.rotates_at_s is not None:
            self._early.append(payload)

    def _append(self, payload: bytes) -> None:
        self.send({"type": "input_audio_buffer.append", "audio": base64.b64encode(payload).decode()})

    def dial_first(self, accept: Callable[[Ear], End], refuse: Callable[[int, str], None]) -> None:
        """Provider first, then the carrier's 101."""
        self._accept, self._refuse = accept, refuse
        self.dial()

    def settings(self) -> Any:
        k = self.knobs
        wire = _WIRES[k.provider]
        key = {"openai": "sk-foreign-1", "xai": "xai-foreign-1"}[k.provider] if k.key == "right" else (k.key or "")
        told = "" if k.identity_from_query else "".join(f" {n}: {v}." for n, v in self.call.heard_at_start.items())
        given: dict[str, Any] = {"api_key": key, "instructions": "You answer the phone." + told}
        given["tools"] = tuple(
            ToolSpec(name=name, description=name, parameters={"type": "object", "properties": {}})
            for name, tool in k.tools.items()
            if tool.registered
        )
        for name in ("model", "voice"):
            if getattr(k, name):
                given[name] = getattr(k, name)
        return wire.SessionSettings(**given)

    def request(self) -> ConnectRequest:
        k = self.knobs
        settings = self.settings()
        url = k.url or settings.url
        if k.query_model and "?" not in url:
            url += f"?model={quote(settings.model, safe='')}"
        key = settings.api_key if k.key is not None else "None"
        return ConnectRequest(url=url, headers=(("Authorization", f"Bearer {key}"), *k.headers))

    def session(self) -> dict[str, Any]:
        """The session that is asked for."""
        k = self.knobs
        settings = self.settings()
        session: dict[str, Any] = json.loads(json.dumps(_WIRES[k.provider].session_object(settings)))
        if k.audio == "pcm":
            for side in ("input", "output"):
                session["audio"][side]["format"] = {"type": "audio/pcm", "rate": 24000}
        if k.dialect == "beta":
            law = {"pcmu": "g711_ulaw", "pcm": "pcm16"}[k.audio]
            session = {
                "modalities": ["text", "audio"], "voice": settings.voice, "instructions": settings.instructions,
                "input_audio_format": law, "output_audio_format": law, "turn_detection": {"type": "server_vad"},
            }  # fmt: skip
        return k.session(session) if k.session is not None else session

    def dial(self) -> None:
        k = self.knobs
        if k.key is None or k.dial_raises:
            kind, where = (
                ("KeyError", f"dial:30 os.environ[{k.key_env!r}]") if k.key is None else (k.dial_raises, "dial:33")
            )
            self.call.fail("dial", kind, where)
            if self._refuse is not None:
                self._refuse(500, "")
            return
        self.dials += 1
        request = self.request()
        if "\n" in request.headers[0][1]:
            self.call.fail("dial", "InvalidHeaderValue", "dial:33")
            return
        if self.call.observer is not None:
            self.call.observer.dial(request, self.call.now(), k.proxy)
        began = self.call.now()

        def on_phase(phase: str, ms: float) -> None:
            self.call.note("dial.phase", phase=phase, ms=round(ms, 1))

        def failed(why: DialFailure) -> None:
            self.call.note("dial.failed", phase=why.phase, cause=why.cause, status=why.status, body=why.body[:200],
                      via_proxy=k.proxy, ms=round((self.call.now() - began) * 1000))  # fmt: skip
            self._dial_failed()

        ear = _ProviderEar(self)

        def opened(socket: End) -> None:
            ear.socket = socket
            self.opened(socket)

        self.bridge.net.dial(
            self.bridge.process, request, ear, opened=opened, failed=failed, on_phase=on_phase,
            timeout_s=k.dial_timeout_s, proxy=k.proxy, observer=self.call.observer,
        )  # fmt: skip

    def _dial_failed(self) -> None:
        k = self.knobs
        if self._refuse is not None and self.call.end is None:
            self.call.note("exception", task="handler", type="ConnectionError", where="accept:20", after_end=False)
            self.call.over = True
            self._refuse(500, "")
            return
        if k.on_provider_close == "reconnect" and self.dials <= k.max_reconnects:
            self.bridge.process.after(0.5, self.dial)
        elif k.on_provider_close != "leave open":
            self.call.hang_up(1011, "dial failed")

    def opened(self, socket: End) -> None:
        if self.call.over:
            socket.close(1000, "")
            return
        old, self.socket = self.socket, socket
        if old is not None:  # the planned exchange: what comes meanwhile is kept
            old.close(1000, "")
            self._configured = self._open = False
        if self._accept is not None:
            accept, self._accept = self._accept, None
            self.call.accepted(accept)
        if not self.knobs.waits_for_server:
            self._configure()
        if self.knobs.ping_s is not None:
            self._ping()
        if self.knobs.rotates_at_s is not None and self.dials == 1:
            self.bridge.process.after(self.knobs.rotates_at_s, self.dial)
        if self.knobs.second_update is not None:
            self.bridge.process.after(self.knobs.second_update_s, self._second_update)

    def _configure(self) -> None:
        if not self._configured:
            self._configured = True
            self.send({"type": "session.update", "session": self.session()})

    def _second_update(self) -> None:
        assert self.knobs.second_update is not None
        self.send({"type": "session.update", "session": self.knobs.second_update(self.session())})
        if self.knobs.creates_after_update:
            self.bridge.process.after(0.3, self.create)

    def _ping(self) -> None:
        """The library's keepalive: a ping every so often, the end when its pong is late."""
        socket = self.socket
        if socket is None or socket.by is not None:
            return
        state = {"back": False}

        def pong() -> None:
            """As asyncio has it: whoever waits is woken one round later, behind the timers that are due."""
            self.bridge.process.after(0.0, lambda: state.update(back=True))

        socket.ping(pong)

        def look() -> None:
            if not state["back"] and socket is self.socket and socket.by is None:
                socket.close(1011, "keepalive ping timeout")
            elif state["back"]:
                assert self.knobs.ping_s is not None
                self.bridge.process.after(self.knobs.ping_s, self._ping)

        self.bridge.process.after(self.knobs.pong_s, look)

    def send(self, message: dict[str, Any]) -> None:
        if self.socket is not None:
            self.socket.send(_encode(message))

    def create(self) -> None:
        self.send({"type": "response.create"})

    def receive(self, data: bytes) -> None:
        k = self.knobs
        if self._deaf:
            return
        if len(data) > k.max_message and self.socket is not None:
            self.socket.close(1009, "message too big")
            return
        message = _decode(data)
        kind = message["type"]
        self.last_activity = self.call.now()
        if k.forwards_raw and kind == "response.created":
            self.call.writer.raw(data)
        if k.gate is not None and kind in k.gate and not self._open:
            self._open_gate()
        if (
            k.strict
            and kind == "response.done"
            and not isinstance(message["response"].get("status_details"), dict | None)
        ):
            where = "events.py:210 status_details"
            self.call.note("exception", task="provider_reader", type="ValidationError", where=where, after_end=False)
            self.call.note("task.exit", name="provider_reader", why="ValidationError")
            self._deaf = True
            return
        self._handle(kind, message)

    def _handle(self, kind: str, message: dict[str, Any]) -> None:
        k = self.knobs
        if kind in ("session.created", "conversation.created"):
            self._configure()
        elif kind == "session.updated" and k.greeting and not self._greeted:
            self._greeted = True
            self.create()
        elif kind == "response.created":
            self.last_activity = self.call.now()
        elif kind == _DELTA[k.hears or k.dialect]:
            self._audio(message)
        elif kind == "input_audio_buffer.speech_started":
            self._barge_in()
        elif kind == "input_audio_buffer.speech_stopped":
            if k.store_stalls_s and k.store_stalls_at == "answer":
                self.call.stall()
            self._speech_stopped()
        elif kind == "response.done":
            self.call.tools.response_done(message["response"])
        elif kind == "response.function_call_arguments.done":
            self.call.tools.called(message)
        elif kind == "error":
            self._error(message["error"])

    def _open_gate(self) -> None:
        self._open = True
        while self._early:
            self._append(self._early.popleft())

    def _audio(self, message: dict[str, Any]) -> None:
        response = message["response_id"]
        if response == self._cut and self.knobs.drops_late:
            return
        audio = base64.b64decode(message["delta"])
        self.call.writer.item = (message["item_id"], message.get("content_index", 0), response)
        self.call.writer.play(self._down.convert(audio))

    def _barge_in(self) -> None:
        k = self.knobs
        self.call.tools.barge_in()
        if not self.call.writer.playing() or k.full_duplex:
            return
        response = self.call.writer.item[2] if self.call.writer.item else None
        self._cut = response
        heard = self.call.writer.heard_ms()
        if k.clears:
            self.call.writer.clear()
        if k.truncates != "no" and self.call.writer.item is not None:
            item, index, _ = self.call.writer.item
            ms = heard if k.truncates == "played" else self.call.writer.wall_ms()
            self.send({"type": "conversation.item.truncate", "item_id": item, "content_index": index,
                              "audio_end_ms": ms})  # fmt: skip

    def _speech_stopped(self) -> None:
        k = self.knobs
        if k.commits_on_stop:
            self.bridge.process.after(0.02, lambda: self.send({"type": "input_audio_buffer.commit"}))
        if k.creates_on_stop:
            self.bridge.process.after(0.02, self.create)

    def _error(self, error: dict[str, Any]) -> None:
        if self.knobs.on_error == "dies":
            self.call.note("task.exit", name="provider_reader", why=f"error {error.get('code')}")
            self._deaf = True

    def closed(self, socket: End | None, code: int | None, reason: str, by: By) -> None:
        if socket is not self.socket:
            return
        self.socket = None
        k = self.knobs
        if self.call.over or self.call.ending or self._deaf:
            return
        if k.on_provider_close == "end":
            self.call.hang_up(1011, "provider closed")
        elif k.on_provider_close == "reconnect" and self.dials <= k.max_reconnects:
            self._configured = False
            self._open = k.gate is None
            self.bridge.process.after(0.5, self.dial)

    def close(self) -> None:
        if self.socket is not None:
            self.socket.close(1000, "")
            self.socket = None


class _ProviderEar:
    def __init__(self, session: ForeignSession) -> None:
        self._session = session
        self.socket: End | None = None

    def opened(self, socket: End) -> None: ...

    def text(self, data: bytes) -> None:
        if self.socket is self._session.socket:
            self._session.receive(data)

    def binary(self, data: bytes) -> None: ...

    def closed(self, code: int | None, reason: str, by: By) -> None:
        self._session.closed(self.socket, code, reason, by)

    def paused(self, n_bytes: int) -> None: ...

    def resumed(self) -> None: ...
