"""
One call of the naive bridge: carrier socket, provider socket, and everything that can be done wrong between them.
"""

from __future__ import annotations

import base64
import json
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from offhook.sims.foreign_audio import Downlink, uplink
from offhook.sims.foreign_tools import Tools
from offhook.sims.foreign_writer import Writer
from offhook.sims.observer import Observer
from offhook.sims.virtual import By, Ear, End
from offhook.sims.virtual_provider import DialFailure
from offhook.vocab import ToolSpec
from offhook.wires._wire import ConnectRequest
from offhook.wires.providers import openai, xai

if TYPE_CHECKING:
    from offhook.sims.foreign import Foreign

__all__ = ["ForeignCall"]

_DELTA = {"ga": "response.output_audio.delta", "beta": "response.audio.delta"}
_WIRES: dict[str, Any] = {"openai": openai, "xai": xai}


class ForeignCall:
    """One call; the process is ``bridge``."""

    def __init__(self, bridge: Foreign, call_sid: str) -> None:
        self.bridge = bridge
        self.knobs = bridge.knobs
        self.call_sid = call_sid
        self.end: End | None = None  # the carrier's socket
        self.provider: End | None = None
        self.sid: str | None = None
        self.over = False
        self.heard_at_start: dict[str, str] = {}
        self.writer = Writer(self)
        self.tools = Tools(self)
        self._down = Downlink(self.knobs)
        self._frames = 0
        self._early: deque[bytes] = deque()
        self._open = self.knobs.gate is None
        self._configured = False
        self._deaf = False  # the provider's reader has died
        self._response: str | None = None
        self._cut: str | None = None
        self._greeted = False
        self._dials = 0
        self._quiet_frames = 0
        self._spoke = False
        self._last_activity = bridge.world.now()
        self._up_accept: Callable[[Ear], End] | None = None
        self._refuse: Callable[[int, str], None] | None = None
        self._ending = False
        self._response_ms: dict[str, float] = {}
        self._gap_timer: Any = None

    # --------------------------------------------------------------------------------------- its record

    @property
    def observer(self) -> Observer | None:
        return self.bridge.observer(self.call_sid)

    def now(self) -> float:
        return self.bridge.world.now()

    def note(self, kind: str, **data: Any) -> None:
        if self.observer is not None:
            self.observer.note(kind, self.now(), **data)

    def fail(self, task: str, kind: str, where: str) -> None:
        """An exception that nobody catches: the handler ends, TCP is dropped without a close."""
        self.note("exception", task=task, type=kind, where=where, after_end=self._ending)
        self.note("task.exit", name=task, why=kind)
        if self.end is not None:
            self.end.abort(None, "")
        self.close_provider()

    # -------------------------------------------------------------------------------- the carrier's side

    def accepted(self, accept: Callable[[Ear], End]) -> None:
        self.end = accept(_CarrierEar(self))
        k = self.knobs
        if k.global_session:
            old, self.bridge.shared_call = self.bridge.shared_call, self
            if old is not None and not old.over:
                old.hang_up(1000)
        if k.before_start:
            self.dial()
        if k.idle_s is not None:
            self.bridge.process.after(k.idle_s, self._look_idle)

    def dial_first(self, accept: Callable[[Ear], End], refuse: Callable[[int, str], None]) -> None:
        """Provider first, then the carrier's 101."""
        self._up_accept, self._refuse = accept, refuse
        self.dial()

    def from_carrier(self, data: bytes, binary: bool = False) -> None:
        k = self.knobs
        message = json.loads(data)
        event = message["event"]
        if k.reads == "start first" and self._frames == 0 and self.sid is None and event != "start":
            self.fail("carrier_reader", "KeyError", "on_start:41 message['start']")
            return
        if event == "connected":
            if k.echoes_connected:
                self.writer.raw(data)
        elif event == "start":
            self._start(message)
        elif event == "media":
            self._media(message["media"])
        elif event == "mark":
            self.writer.mark_back(message["mark"]["name"])
        elif event == "dtmf":
            self._key(message["dtmf"]["digit"])
        elif event == "stop":
            self._stop()

    def _start(self, message: dict[str, Any]) -> None:
        k = self.knobs
        start = message["start"]
        if k.reads == "stream_sid":
            self.note("exception", task="carrier_reader", type="KeyError", where="on_start:52 start['stream_sid']",
                      after_end=False)  # fmt: skip
        self.sid = message["streamSid"]
        self.heard_at_start = dict(start.get("customParameters") or {})
        self.call_sid = self.call_sid or start["callSid"]
        if self.bridge.shared_sid is None or k.sid != "other call":
            self.bridge.shared_sid = self.sid
        if k.other_worker:
            self.note("worker", what="stream", id=2)
            self.note("call.unknown", call_sid=start["callSid"], worker=2)
            self.hang_up(1008)
            return
        if k.killed_at_s is not None:
            self.bridge.world.after(k.killed_at_s, self._killed)
        if k.wants_token == "parameter" and self.heard_at_start.get("token") != k.token:
            self.hang_up(1008)
            return
        if self.provider is None and self._dials == 0:
            self.dial()

    def _killed(self) -> None:
        """A deploy ends the process without letting its calls finish."""
        if not self.bridge.process.dead:
            for observer in set(self.bridge.observers.values()):
                observer.note("process", self.now(), event="signal", signal="SIGTERM", calls=self.bridge.active())
                self.bridge.world.after(1.2, partial(self._started_again, observer))
            self.bridge.process.kill()

    def _started_again(self, observer: Observer) -> None:
        observer.note("process", self.now(), event="start")

    def _media(self, media: dict[str, Any]) -> None:
        k = self.knobs
        self._frames += 1
        if k.raises_at_frame == self._frames:
            self.fail("carrier_reader", k.raises, "resampler.py:88")
            return
        if k.returns_at_frame == self._frames:
            self.note("task.exit", name="carrier_reader", why="returned")
            if self.end is not None:
                self.end.abort(None, "")
            return
        if not k.has_g711:
            self.fail("carrier_reader", "ModuleNotFoundError", "codec.py:1 import audioop")
            return
        if k.reads == "stream_sid":
            return  # media["data"] is not there: nothing was understood
        if media.get("track") == "outbound" and not k.all_tracks:
            return
        payload = uplink(k, base64.b64decode(media["payload"]))
        if k.gap_ends_turn:
            self._wait_for_gap()
        if self._open and self.provider is not None:
            self.append(payload)
        elif not k.gate_drops or k.rotates_at_s is not None:
            self._early.append(payload)

    def append(self, payload: bytes) -> None:
        self.to_provider({"type": "input_audio_buffer.append", "audio": base64.b64encode(payload).decode()})

    def _wait_for_gap(self) -> None:
        """Silence is when no packets come: on a phone they always come."""
        if self._gap_timer is not None:
            self._gap_timer.cancel()
        self._gap_timer = self.bridge.process.after(0.5, self._gap)

    def _gap(self) -> None:
        self.to_provider({"type": "input_audio_buffer.commit"})
        self.create()

    def _key(self, digit: str) -> None:
        text = {"type": "input_text", "text": f"The caller pressed {digit}."}
        item = {"type": "message", "role": "user", "content": [text]}
        self.to_provider({"type": "conversation.item.create", "item": item})
        self.create()

    def _stop(self) -> None:
        k = self.knobs
        self._ending = True
        if k.store_stalls_s and k.store_stalls_at == "end":
            self._stall()
        if k.noise_at_end:
            self.note("exception", task="provider_reader", type=k.noise_at_end, where="reader:12", after_end=True)
        if k.job:
            self.note("job", id="summary", state="queued")
            self._job()
        if k.teardown_raises:
            self.fail("teardown", k.teardown_raises, "finish:120")
            self.over = True
            return
        if k.stop_ends:
            self.bridge.process.after(k.stop_ends_after_s, self._all_over)

    def _stall(self) -> None:
        """Somebody else holds the database."""
        seconds = self.knobs.store_stalls_s
        self.note("store.stall", ms=round(seconds * 1000), error="SQLITE_BUSY")
        self.note("bridge.loop-lag", ms=round(seconds * 1000), task="store write")
        self.bridge.process.block(seconds)

    def _job(self) -> None:
        if self.knobs.job == "done":
            self.note("job", id="summary", state="done")
        else:  # the process is started anew before its turn comes
            self.note("process", event="signal", signal="SIGTERM", calls=0)
            self.note("process", event="start")

    def _all_over(self) -> None:
        self.over = True
        self.close_provider()
        if self.end is not None:
            self.end.close(1000, "")

    def carrier_closed(self, code: int | None, by: By) -> None:
        self.end = None
        if self.knobs.stop_ends:
            self.over = True
            self.close_provider()

    def hang_up(self, code: int | None = 1000, why: str = "hang up") -> None:
        """End the call by closing the stream."""
        self._ending = True
        if self.observer is not None:
            unplayed = round(self.writer.ahead_s() * 1000)
            self.note("ending", who="us", why=why, wanted=code in (1000, None), unplayed_ms=unplayed,
                      marks_open=self.writer.marks_open)  # fmt: skip
        if self.end is not None:
            if code is None:
                self.end.abort(None, "")
            else:
                self.end.close(code, "")
        self.close_provider()
        self.over = True

    # ------------------------------------------------------------------------------- the provider's side

    def settings(self) -> Any:
        k = self.knobs
        wire = _WIRES[k.provider]
        key = {"openai": "sk-foreign-1", "xai": "xai-foreign-1"}[k.provider] if k.key == "right" else (k.key or "")
        told = "" if k.identity_from_query else "".join(f" {n}: {v}." for n, v in self.heard_at_start.items())
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
            self.fail("dial", kind, where)
            if self._refuse is not None:
                self._refuse(500, "")
            return
        self._dials += 1
        request = self.request()
        if "\n" in request.headers[0][1]:
            self.fail("dial", "InvalidHeaderValue", "dial:33")
            return
        if self.observer is not None:
            self.observer.dial(request, self.now(), k.proxy)
        began = self.now()

        def on_phase(phase: str, ms: float) -> None:
            self.note("dial.phase", phase=phase, ms=round(ms, 1))

        def failed(why: DialFailure) -> None:
            self.note("dial.failed", phase=why.phase, cause=why.cause, status=why.status, body=why.body[:200],
                      via_proxy=k.proxy, ms=round((self.now() - began) * 1000))  # fmt: skip
            self._dial_failed()

        ear = _ProviderEar(self)

        def opened(socket: End) -> None:
            ear.socket = socket
            self.opened(socket)

        self.bridge.net.dial(
            self.bridge.process, request, ear, opened=opened, failed=failed, on_phase=on_phase,
            timeout_s=k.dial_timeout_s, proxy=k.proxy, observer=self.observer,
        )  # fmt: skip

    def _dial_failed(self) -> None:
        k = self.knobs
        if self._refuse is not None and self.end is None:
            self.note("exception", task="handler", type="ConnectionError", where="accept:20", after_end=False)
            self.over = True
            self._refuse(500, "")
            return
        if k.on_provider_close == "reconnect" and self._dials <= k.max_reconnects:
            self.bridge.process.after(0.5, self.dial)
        elif k.on_provider_close != "leave open":
            self.hang_up(1011, "dial failed")

    def opened(self, socket: End) -> None:
        if self.over:
            socket.close(1000, "")
            return
        old, self.provider = self.provider, socket
        if old is not None:  # the planned exchange: what comes meanwhile is kept
            old.close(1000, "")
            self._configured = self._open = False
        if self._up_accept is not None:
            accept, self._up_accept = self._up_accept, None
            self.accepted(accept)
        if not self.knobs.waits_for_server:
            self._configure()
        if self.knobs.ping_s is not None:
            self._ping()
        if self.knobs.rotates_at_s is not None and self._dials == 1:
            self.bridge.process.after(self.knobs.rotates_at_s, self.dial)
        if self.knobs.second_update is not None:
            self.bridge.process.after(self.knobs.second_update_s, self._second_update)

    def _configure(self) -> None:
        if not self._configured:
            self._configured = True
            self.to_provider({"type": "session.update", "session": self.session()})

    def _second_update(self) -> None:
        assert self.knobs.second_update is not None
        self.to_provider({"type": "session.update", "session": self.knobs.second_update(self.session())})
        if self.knobs.creates_after_update:
            self.bridge.process.after(0.3, self.create)

    def _ping(self) -> None:
        """The library's keepalive: a ping every so often, the end when its pong is late."""
        socket = self.provider
        if socket is None or socket.by is not None:
            return
        state = {"back": False}
        socket.ping(lambda: state.update(back=True))

        def look() -> None:
            if not state["back"] and socket is self.provider and socket.by is None:
                socket.close(1011, "keepalive ping timeout")
            elif state["back"]:
                assert self.knobs.ping_s is not None
                self.bridge.process.after(self.knobs.ping_s, self._ping)

        self.bridge.process.after(self.knobs.pong_s, look)

    def to_provider(self, message: dict[str, Any]) -> None:
        if self.provider is not None:
            self.provider.send(json.dumps(message).encode())

    def create(self) -> None:
        self.to_provider({"type": "response.create"})

    def from_provider(self, data: bytes) -> None:
        k = self.knobs
        if self._deaf:
            return
        if len(data) > k.max_message and self.provider is not None:
            self.provider.close(1009, "message too big")
            return
        message = json.loads(data)
        kind = message["type"]
        self._last_activity = self.now()
        if k.forwards_raw and kind == "response.created":
            self.writer.raw(data)
        if k.gate is not None and kind in k.gate and not self._open:
            self._open_gate()
        if (
            k.strict
            and kind == "response.done"
            and not isinstance(message["response"].get("status_details"), dict | None)
        ):
            self.note("exception", task="provider_reader", type="ValidationError", where="events.py:210 status_details",
                      after_end=False)  # fmt: skip
            self.note("task.exit", name="provider_reader", why="ValidationError")
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
            self._response = message["response"]["id"]
        elif kind == _DELTA[k.hears or k.dialect]:
            self._audio(message)
        elif kind == "input_audio_buffer.speech_started":
            self._barge_in()
        elif kind == "input_audio_buffer.speech_stopped":
            if k.store_stalls_s and k.store_stalls_at == "answer":
                self._stall()
            self._speech_stopped()
        elif kind == "response.done":
            self.tools.response_done(message["response"])
        elif kind == "response.function_call_arguments.done":
            self.tools.called(message)
        elif kind == "error":
            self._error(message["error"])

    def _open_gate(self) -> None:
        self._open = True
        while self._early:
            self.append(self._early.popleft())

    def _audio(self, message: dict[str, Any]) -> None:
        response = message["response_id"]
        if response == self._cut and self.knobs.drops_late:
            return
        self._response = response
        audio = base64.b64decode(message["delta"])
        per_ms = 48 if self.knobs.audio == "pcm" else 8
        self._response_ms[response] = self._response_ms.get(response, 0) + len(audio) / per_ms
        self.writer.item = (message["item_id"], message.get("content_index", 0), response)
        self.writer.play(self._down.convert(audio))

    def _barge_in(self) -> None:
        k = self.knobs
        self.tools.barge_in()
        if not self.writer.playing() or k.full_duplex:
            return
        response = self.writer.item[2] if self.writer.item else None
        self._cut = response
        heard = self.writer.heard_ms()
        if k.clears:
            self.writer.clear()
        if k.truncates != "no" and self.writer.item is not None:
            item, index, _ = self.writer.item
            ms = heard if k.truncates == "played" else self.writer.wall_ms()
            self.to_provider({"type": "conversation.item.truncate", "item_id": item, "content_index": index,
                              "audio_end_ms": ms})  # fmt: skip

    def _speech_stopped(self) -> None:
        k = self.knobs
        if k.commits_on_stop:
            self.bridge.process.after(0.02, lambda: self.to_provider({"type": "input_audio_buffer.commit"}))
        if k.creates_on_stop:
            self.bridge.process.after(0.02, self.create)

    def _error(self, error: dict[str, Any]) -> None:
        if self.knobs.on_error == "dies":
            self.note("task.exit", name="provider_reader", why=f"error {error.get('code')}")
            self._deaf = True

    def provider_closed(self, socket: End | None, code: int | None, reason: str, by: By) -> None:
        if socket is not self.provider:
            return
        self.provider = None
        k = self.knobs
        if self.over or self._ending or self._deaf:
            return
        if k.on_provider_close == "end":
            self.hang_up(1011, "provider closed")
        elif k.on_provider_close == "reconnect" and self._dials <= k.max_reconnects:
            self._configured = False
            self._open = k.gate is None
            self.bridge.process.after(0.5, self.dial)

    def close_provider(self) -> None:
        if self.provider is not None:
            self.provider.close(1000, "")
            self.provider = None

    def _look_idle(self) -> None:
        """A watchdog on messages of the provider; a right one counts what still plays."""
        k = self.knobs
        assert k.idle_s is not None
        quiet_since = self._last_activity
        if k.idle_counts_playback:
            quiet_since = max(quiet_since, self.writer.plays_until)
        if self.over:
            return
        if self.now() - quiet_since >= k.idle_s:
            pending = self.writer.playing() or bool(self.tools.running)
            self.note(
                "idle.fired", after_s=k.idle_s, agent_audio_pending=self.writer.playing(), pending=pending,
                ahead_ms=round(self.writer.ahead_s() * 1000), tools=len(self.tools.running),
            )  # fmt: skip
            self.hang_up(1000)
        else:
            self.bridge.process.after(max(0.05, quiet_since + k.idle_s - self.now()), self._look_idle)


class _CarrierEar:
    def __init__(self, call: ForeignCall) -> None:
        self._call = call

    def opened(self, socket: End) -> None: ...

    def text(self, data: bytes) -> None:
        self._call.from_carrier(data)

    def binary(self, data: bytes) -> None:
        self._call.from_carrier(data, True)

    def closed(self, code: int | None, reason: str, by: By) -> None:
        self._call.carrier_closed(code, by)

    def paused(self, n_bytes: int) -> None: ...

    def resumed(self) -> None: ...


class _ProviderEar:
    def __init__(self, call: ForeignCall) -> None:
        self._call = call
        self.socket: End | None = None

    def opened(self, socket: End) -> None: ...

    def text(self, data: bytes) -> None:
        if self.socket is self._call.provider:
            self._call.from_provider(data)

    def binary(self, data: bytes) -> None: ...

    def closed(self, code: int | None, reason: str, by: By) -> None:
        self._call.provider_closed(self.socket, code, reason, by)

    def paused(self, n_bytes: int) -> None: ...

    def resumed(self) -> None: ...
