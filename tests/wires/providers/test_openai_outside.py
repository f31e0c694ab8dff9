"""
The simulated OpenAI before clients that nobody here wrote: the openai SDK and an openai-agents session.

The sockets are those of ``websockets``, so that nothing of ours stands between the peer and them.
"""

import asyncio
import base64
import contextlib
from collections.abc import AsyncIterator, Callable

import pytest
from openai import AsyncOpenAI
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosedError
from websockets.http11 import Request, Response

from offhook.sims.provider import tone
from offhook.wires._wire import Out, PeerClose
from offhook.wires.providers._openai_peer import Peer

Script = Callable[[Peer, float], list[Out]]


class Desk:
    """A server on a loopback port; each connection is one Peer, whose conversation ``script`` decides."""

    def __init__(self, script: Script | None = None, **knobs) -> None:
        self.peers: list[Peer] = []
        self.paths: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.base_url = ""
        self._script = script
        self._knobs = {"keys": frozenset({"sk-good"}), "speedup": 1000.0, **knobs}

    def _upgrade(self, socket: ServerConnection, request: Request) -> Response | None:
        peer = Peer(**self._knobs)
        headers = dict(request.headers.raw_items())
        self.paths.append(request.path)
        self.headers.append({name.lower(): value for name, value in headers.items()})
        refusal = peer.upgrade(request.path, headers)
        if refusal is not None:
            return socket.respond(refusal.status, refusal.body)
        self.peers.append(peer)
        socket.peer = peer
        return None

    async def _talk(self, socket: ServerConnection) -> None:
        loop, peer = asyncio.get_running_loop(), socket.peer
        await self._send(socket, peer.opened(loop.time()))
        reading = asyncio.create_task(socket.recv())
        while True:
            due = peer.deadline()
            wait = None if due is None else max(0.0, due - loop.time())
            done, _ = await asyncio.wait({reading}, timeout=wait)
            if not done:
                await self._send(socket, peer.tick(loop.time()))
                continue
            data = reading.result()
            binary = isinstance(data, bytes)
            out = peer.receive(data if binary else data.encode(), loop.time(), binary=binary)
            if self._script is not None:
                out += self._script(peer, loop.time())
            await self._send(socket, out)
            reading = asyncio.create_task(socket.recv())

    async def _send(self, socket: ServerConnection, out: list[Out]) -> None:
        for message in out:
            if isinstance(message, PeerClose):
                if message.code is None:
                    socket.transport.abort()
                else:
                    await socket.close(message.code, message.reason)
                return
            await socket.send(message.decode(), text=True)

    async def _handle(self, socket: ServerConnection) -> None:
        with contextlib.suppress(Exception):  # the client has gone: the test looks at what it saw
            await self._talk(socket)

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator["Desk"]:
        async with serve(self._handle, "127.0.0.1", 0, process_request=self._upgrade) as server:
            self.base_url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
            yield self


@contextlib.asynccontextmanager
async def connected(desk: Desk, *, key: str = "sk-good", model: str = "gpt-realtime", **more):
    async with AsyncOpenAI(api_key=key, base_url=desk.base_url) as client:
        async with client.realtime.connect(model=model, **more) as connection:
            yield connection


PHONE = {
    "type": "realtime", "output_modalities": ["audio"],
    "audio": {
        "input": {"format": {"type": "audio/pcmu"}}, "output": {"format": {"type": "audio/pcmu"}, "voice": "cedar"},
    },
}  # fmt: skip


def answers_when_asked(peer: Peer, now: float) -> list[Out]:
    if not peer.asked or peer.response is not None:
        return []
    peer.asked.clear()
    return peer.speak(tone(300), "Good morning.", now)


def test_the_sdk_opens_configures_and_hears_a_response():
    async def run():
        desk = Desk(answers_when_asked)
        async with desk.open(), connected(desk) as c:
            await c.session.update(session=PHONE)
            seen, audio = [], b""
            async for event in c:
                seen.append(event.type)
                if event.type == "session.updated":
                    assert event.session.audio.output.voice == "cedar"
                    assert event.session.audio.output.format.type == "audio/pcmu"
                    await c.response.create()
                if event.type == "response.output_audio.delta":
                    audio += base64.b64decode(event.delta)
                if event.type == "response.done":
                    assert event.response.status == "completed" and event.response.usage.total_tokens == 120
                    break
            assert audio == tone(300)
        return desk, seen

    desk, seen = asyncio.run(run())
    assert seen[:2] == ["session.created", "session.updated"] and seen[-1] == "response.done"
    assert desk.paths == ["/v1/realtime?model=gpt-realtime"]
    assert desk.headers[0]["authorization"] == "Bearer sk-good" and "openai-beta" not in desk.headers[0]


@pytest.mark.parametrize(
    ("more", "code", "close"),
    [
        ({"key": "sk-bad"}, "invalid_api_key", 3000), ({"model": "gpt-nope"}, "invalid_model", 4000),
        ({"model": ""}, "missing_model", 4000),
        ({"extra_headers": {"OpenAI-Beta": "realtime=v1"}}, "beta_api_shape_disabled", 4000),
    ],
)  # fmt: skip
def test_what_the_sdk_sees_of_a_refusal_after_the_upgrade(more, code, close):
    async def run():
        desk = Desk()
        async with desk.open(), connected(desk, **more) as c:
            error = await c.recv()
            with pytest.raises(ConnectionClosedError) as caught:
                await c.recv()
            return error, caught.value.rcvd

    error, received = asyncio.run(run())
    assert error.type == "error" and error.error.code == code
    assert (received.code, received.reason) == (close, f"invalid_request_error.{code}")


def test_the_end_of_a_session_looks_to_the_sdk_like_a_clean_one():
    """1001 ends its iteration without an exception: the code has to be asked for."""

    async def run():
        desk = Desk(expires_s=0.05)
        async with desk.open(), connected(desk) as c:
            seen = [event async for event in c]
            socket = c._connection
            return seen, socket.close_code, socket.close_reason

    seen, code, reason = asyncio.run(run())
    assert seen[-1].error.code == "session_expired"
    assert code == 1001 and reason.startswith("Your session hit the maximum duration")


def test_a_dropped_connection_is_an_error_to_the_sdk():
    async def run():
        def drops(peer: Peer, now: float) -> list[Out]:
            return [*answers_when_asked(peer, now), PeerClose(None)] if peer.asked else []

        desk = Desk(drops)
        async with desk.open(), connected(desk) as c:
            await c.response.create()
            with pytest.raises(ConnectionClosedError) as caught:
                async for _ in c:
                    pass
            return str(caught.value)

    assert asyncio.run(run()) == "no close frame received or sent"


def test_the_sdk_lives_on_after_a_rejected_update_a_binary_frame_and_no_json():
    async def run():
        desk = Desk()
        async with desk.open(), connected(desk) as c:
            await c.recv()
            await c.send({"type": "session.update", "session": {"type": "realtime", "input_audio_format": "g711_ulaw"}})
            await c._connection.send(b"\x00\x01")
            await c._connection.send("hello")
            await c.send({"type": "no.such"})
            errors = [(await c.recv()).error for _ in range(4)]
            await c.input_audio_buffer.clear()
            return errors, (await c.recv()).type

    errors, last = asyncio.run(run())
    assert [e.code for e in errors] == ["unknown_parameter", "invalid_event", "invalid_json", "invalid_value"]
    assert errors[0].param == "session.input_audio_format" and last == "input_audio_buffer.cleared"


def test_an_agents_session_calls_a_tool_answers_and_is_interrupted():
    from agents import function_tool
    from agents.realtime import RealtimeAgent, RealtimeRunner

    @function_tool
    def opening_hours(day: str) -> str:
        """When we are open on a day."""
        return f"nine to five on {day}"

    truncated = asyncio.Event()

    def script(peer: Peer, now: float) -> list[Out]:
        """A question in words is answered by a tool call, its result by a long speech that the caller breaks into."""
        if peer.truncated:
            truncated.set()
        if peer.asked and peer.response is None:
            peer.asked.clear()
            if not peer.tool_outputs:
                return peer.speak(b"", "", now, [("opening_hours", '{"day":"Monday"}')])
            said = peer.speak(tone(2000), "We are open.", now)
            return [*said, *peer.tick(now + 0.5), *peer.user_started(700, now + 0.5)]
        return []

    async def run():
        desk = Desk(script, speedup=1.0)
        async with desk.open():
            agent = RealtimeAgent(name="desk", instructions="Be kind.", tools=[opening_hours])
            url = desk.base_url.replace("http", "ws") + "/realtime?model=gpt-realtime"
            session = await RealtimeRunner(agent).run(model_config={"url": url, "api_key": "sk-good"})
            seen = []
            async with session:
                await session.send_message("When are you open on Monday?")
                async with asyncio.timeout(40):
                    async for event in session:
                        seen.append(event.type)
                        if event.type == "audio_interrupted":
                            break
                async with asyncio.timeout(40):
                    await truncated.wait()
            return desk.peers[0], seen

    peer, seen = asyncio.run(run())
    assert peer.updates >= 1 and peer.tools == ["opening_hours"]
    assert [output for _, output in peer.tool_outputs] == ["nine to five on Monday"]
    assert {"tool_start", "tool_end", "audio", "audio_interrupted"} <= set(seen) and "error" not in seen
    ((_, heard_ms),) = peer.truncated
    assert 0 <= heard_ms <= 600
