"""
The receptionist's process: a WebSocket server on a loopback address, one session a call.

It ends when its standard input closes, so that it never outlives the process that started it.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
from typing import Any

from picows import (
    WSFrame,
    WSListener,
    WSMsgType,
    WSTransport,
    WSUpgradeResponse,
    WSUpgradeResponseWithListener,
    ws_create_server,
)

from offhook.loopback.dictated import sample
from offhook.loopback.ear import Ear, Heard, Started
from offhook.loopback.lines import audio
from offhook.loopback.receptionist import (
    Answer,
    answer_result,
    answer_say,
    answer_speech,
    answer_told,
    answer_written,
    greeting,
)  # fmt: skip
from offhook.wires._wire import Out, PeerClose
from offhook.wires.providers._loopback_peer import Peer
from offhook.wires.providers.loopback import SAY

__all__ = ["serve"]

FILLER = "Say only this to the caller, and call no tool:"  # of a bridge that waits for a tool (``bridge/filler.py``)
POOL = 4  # ears kept for the next calls: building one takes 0.3 s


class _Session(WSListener):
    """One call's receptionist."""

    def __init__(self, desk: _Desk, peer: Peer) -> None:
        self._desk = desk
        self._peer = peer
        self._ear = desk.take_ear()
        self._transport: WSTransport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._words = ""
        self._told = ""
        self._results = 0  # of tools, that were spoken of

    def on_ws_connected(self, transport: WSTransport) -> None:
        self._transport = transport
        self._send(self._peer.opened(self._now()))

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._transport = None
        self._desk.give_back(self._ear)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.CLOSE:
            transport.send_close(frame.get_close_code())
            transport.disconnect()
            return
        if frame.msg_type in (WSMsgType.TEXT, WSMsgType.BINARY):
            binary = frame.msg_type == WSMsgType.BINARY
            self._send(self._peer.receive(frame.get_payload_as_bytes(), self._now(), binary=binary))
            self._listen()
            self._answer_asked()
        self._arm()

    def _listen(self) -> None:
        heard = bytes(self._peer.heard)
        if not heard:
            return
        self._peer.heard.clear()
        for found in self._ear.push(heard):
            now = self._now()
            if isinstance(found, Started):
                self._send(self._peer.user_started(found.at_ms, now))
            elif isinstance(found, Heard):
                words = found.words if found.sure else "(not understood)"
                self._send(self._peer.user_stopped(found.at_ms, words, now))
                self._speak(answer_speech(found.words, found.sure, self._peer.schemas))

    def _answer_asked(self) -> None:
        if self._peer.told:
            self._told = self._peer.told[-1]
            self._peer.told.clear()
        while self._peer.asked:
            asked = self._peer.asked.pop(0)
            if not asked and (known := answer_told(self._told)) is not None:
                self._told, self._results = "", len(self._peer.tool_outputs)
                self._speak(known)
                continue
            if self._results < len(self._peer.tool_outputs) and not asked:
                self._results = len(self._peer.tool_outputs)
                self._speak(answer_result(self._peer.tool_outputs[-1][1]))
            elif asked.startswith("greet"):
                self._speak(greeting(asked.removeprefix("greet").strip()))
            elif asked.startswith(FILLER):
                self._speak(answer_say(asked.removeprefix(FILLER).strip()))
            elif asked.startswith(SAY):
                self._speak(answer_say(asked.removeprefix(SAY)))
            elif "still there" in asked:
                self._speak(Answer("there"))
            elif "goodbye" in asked:
                self._speak(Answer("goodbye"))
            else:
                self._speak(answer_written(self._told, self._peer.schemas))

    def _speak(self, answer: Answer) -> None:
        calls = [("hang_up", "{}")] if answer.hang_up and "hang_up" in self._peer.tools else []
        if answer.transfer:
            calls = [("transfer_call", json.dumps(sample(self._peer.schemas["transfer_call"])))]
        if answer.calls:
            self._send(self._peer.speak(b"", "", self._now(), answer.calls))
            return
        pcmu = b"".join(audio(line) for line in answer.lines)
        self._send(self._peer.speak(pcmu, answer.text, self._now(), calls))

    def _arm(self) -> None:
        due = self._peer.deadline()
        if due is None or self._timer is not None or self._transport is None:
            return
        self._timer = asyncio.get_running_loop().call_at(due, self._tick)

    def _tick(self) -> None:
        self._timer = None
        self._send(self._peer.tick(self._now()))
        self._arm()

    def _send(self, out: list[Out]) -> None:
        transport = self._transport
        for message in out:
            if transport is None:
                return
            if isinstance(message, PeerClose):
                transport.send_close(message.code or 1000, message.reason)  # type: ignore[arg-type]
                transport.disconnect()
                return
            transport.send(WSMsgType.TEXT, message)

    def _now(self) -> float:
        return asyncio.get_running_loop().time()


class _Desk:
    """The process: its ears, and who may come in."""

    def __init__(self) -> None:
        self._ears: list[Ear] = [Ear()]
        self._sessions = 0

    def take_ear(self) -> Ear:
        ear = self._ears.pop() if self._ears else Ear()
        ear.reset()
        return ear

    def give_back(self, ear: Ear) -> None:
        if len(self._ears) < POOL:
            self._ears.append(ear)

    def let_in(self, request: Any) -> Any:
        self._sessions += 1
        peer = Peer(first_id=self._sessions * 1000)
        refusal = peer.upgrade(request.path.decode("latin-1"), {})
        if refusal is not None:
            response = WSUpgradeResponse.create_error_response(refusal.status, refusal.body.encode())
            return WSUpgradeResponseWithListener(response, None)
        return _Session(self, peer)


async def serve(port: int = 0, *, until_stdin_closes: bool = True) -> None:
    """Serve on 127.0.0.1; prints the port as the first line."""
    sock = socket.create_server(("127.0.0.1", port))
    desk = _Desk()
    server = await ws_create_server(desk.let_in, sock=sock)
    sys.stdout.write(f"{sock.getsockname()[1]}\n")
    sys.stdout.flush()
    if until_stdin_closes:
        loop = asyncio.get_running_loop()
        closed = loop.create_future()

        def look() -> None:
            if not os.read(sys.stdin.fileno(), 1024):
                loop.remove_reader(sys.stdin)
                closed.set_result(None)

        loop.add_reader(sys.stdin, look)
        await closed
        server.close()
    else:
        await server.serve_forever()
