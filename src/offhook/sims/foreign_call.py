"""
One call of the naive bridge: the carrier's socket, and everything that can be done wrong with it.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from offhook.sims.foreign_audio import uplink
from offhook.sims.foreign_session import ForeignSession
from offhook.sims.foreign_tools import Tools
from offhook.sims.foreign_writer import Writer
from offhook.sims.observer import Observer
from offhook.sims.virtual import By, Ear, End

_decode = msgspec.json.Decoder().decode

if TYPE_CHECKING:
    from offhook.sims.foreign import Foreign

__all__ = ["ForeignCall"]


class ForeignCall:
    """One call; the process is ``bridge``."""

    def __init__(self, bridge: Foreign, call_sid: str) -> None:
        self.bridge = bridge
        self.knobs = bridge.knobs
        self.call_sid = call_sid
        self.end: End | None = None  # the carrier's socket
        self.sid: str | None = None
        self.over = False
        self.heard_at_start: dict[str, str] = {}
        self.writer = Writer(self)
        self.tools = Tools(self)
        self.session = ForeignSession(self)
        self._frames = 0
        self.ending = False
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
        self.note("exception", task=task, type=kind, where=where, after_end=self.ending)
        self.note("task.exit", name=task, why=kind)
        if self.end is not None:
            self.end.abort(None, "")
        self.session.close()

    # -------------------------------------------------------------------------------- the carrier's side

    def accepted(self, accept: Callable[[Ear], End]) -> None:
        self.end = accept(_CarrierEar(self))
        k = self.knobs
        if k.global_session:
            old, self.bridge.shared_call = self.bridge.shared_call, self
            if old is not None and not old.over:
                old.hang_up(1000)
        if k.before_start:
            self.session.dial()
        if k.idle_s is not None:
            self.bridge.process.after(k.idle_s, self._look_idle)

    def from_carrier(self, data: bytes, binary: bool = False) -> None:
        k = self.knobs
        message = _decode(data)
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
        if not self.session.dials:
            self.session.dial()

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
        self.session.caller_audio(payload)

    def _wait_for_gap(self) -> None:
        """Silence is when no packets come: on a phone they always come."""
        if self._gap_timer is not None:
            self._gap_timer.cancel()
        self._gap_timer = self.bridge.process.after(0.5, self._gap)

    def _gap(self) -> None:
        self.session.send({"type": "input_audio_buffer.commit"})
        self.session.create()

    def _key(self, digit: str) -> None:
        text = {"type": "input_text", "text": f"The caller pressed {digit}."}
        item = {"type": "message", "role": "user", "content": [text]}
        self.session.send({"type": "conversation.item.create", "item": item})
        self.session.create()

    def _stop(self) -> None:
        k = self.knobs
        self.ending = True
        if k.store_stalls_s and k.store_stalls_at == "end":
            self.stall()
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

    def stall(self) -> None:
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
        self.session.close()
        if self.end is not None:
            self.end.close(1000, "")

    def carrier_closed(self, code: int | None, by: By) -> None:
        self.end = None
        if self.knobs.stop_ends:
            self.over = True
            self.session.close()

    def hang_up(self, code: int | None = 1000, why: str = "hang up") -> None:
        """End the call by closing the stream."""
        self.ending = True
        if self.observer is not None:
            unplayed = round(self.writer.ahead_s() * 1000)
            self.note("ending", who="us", why=why, wanted=code in (1000, None), unplayed_ms=unplayed,
                      marks_open=self.writer.marks_open)  # fmt: skip
        if self.end is not None:
            if code is None:
                self.end.abort(None, "")
            else:
                self.end.close(code, "")
        self.session.close()
        self.over = True

    def _look_idle(self) -> None:
        """A watchdog on messages of the provider; a right one counts what still plays."""
        k = self.knobs
        assert k.idle_s is not None
        quiet_since = self.session.last_activity
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
