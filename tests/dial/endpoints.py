"""
Tiny media-stream servers on the ``websockets`` library, each with one defect: what a foreign server may be like.

Also a program: ``python -m tests.dial.endpoints DEFECT PORT``, for whoever starts servers by a command.
"""

import asyncio
import base64
import contextlib
import json
import sys
from pathlib import Path

import numpy as np
import websockets

from offhook.loopback.lines import audio
from offhook.media import g711
from offhook.media.resample import resample

SPEECH = audio("hello")
STEP = 1600


def spoken(defect: str) -> bytes:
    samples = g711.decode(SPEECH)
    if defect == "pcm16":
        return samples.tobytes()
    if defect == "a-law":
        return a_law(samples)
    if defect == "24k":
        wide = np.clip(resample(samples.astype(float), 8000, 24000), -32768, 32767)
        return g711.encode(wide.astype(np.int16))
    if defect == "faint":
        return g711.encode((samples * 0.004).astype(np.int16))
    return b"\xff" * len(SPEECH) if defect == "silence" else SPEECH


def a_law(samples: np.ndarray) -> bytes:
    """ITU-T G.711, table 1a."""
    value = np.abs(samples.astype(np.int32)) >> 4
    exponent = np.maximum(np.floor(np.log2(np.maximum(value, 1))).astype(int) - 4, 0)
    mantissa = np.where(value < 32, value >> 1, (value >> exponent) & 15)
    segment = np.where(value < 32, value >> 5, exponent + 0)
    code = (np.where(value < 32, 0, segment) << 4) | (mantissa & 15)
    return (np.where(samples >= 0, code | 0x80, code) ^ 0x55).astype(np.uint8).tobytes()


class Endpoint:
    """Says hello at the start, and again each time the caller has said something."""

    def __init__(self, defect: str) -> None:
        self.defect = defect
        self.audio = spoken(defect)
        self.calls = 0

    async def serve(self, ws) -> None:
        with contextlib.suppress(websockets.ConnectionClosedError):  # a caller whose TCP breaks
            await self.converse(ws)

    async def converse(self, ws) -> None:
        self.calls += 1
        sid, loud = "", 0
        async for text in ws:
            try:
                message = json.loads(text)
            except ValueError:
                continue  # a peer's nonsense ends no call
            kind = message.get("event") if isinstance(message, dict) else None
            if kind == "connected" and self.defect == "eager":
                await ws.send(json.dumps({"event": "clear", "streamSid": None}))
            if kind == "start":
                sid = message["start"]["streamSid"]
                await self.speak(ws, sid)
            elif kind == "media" and message.get("streamSid") == sid:
                peak = np.abs(g711.decode(base64.b64decode(message["media"]["payload"]))).max()
                loud = loud + 1 if peak > 2000 else max(0, loud - 1) if loud < 20 else loud - 1
                if peak <= 2000 and loud > 8:
                    loud = 0
                    await self.speak(ws, sid)
            elif kind == "stop" and self.defect != "deaf":
                if self.defect == "talks on":
                    await asyncio.sleep(0.1)  # it has had the time to read our ping
                    await self.speak(ws, sid)
                await ws.close()
                return

    async def speak(self, ws, sid: str) -> None:
        if self.defect == "mute":
            return
        if self.defect == "event":
            await ws.send(json.dumps({"event": "ready", "streamSid": sid}))
        for at in range(0, len(self.audio), STEP):
            await ws.send(self.media(self.audio[at : at + STEP], sid))
        if self.defect == "empty":
            await ws.send(self.media(b"", sid))
        name = "" if self.defect == "nameless" else f"end-{self.calls}-{id(ws)}-{asyncio.get_running_loop().time()}"
        if self.defect not in ("snake", "extra"):
            await ws.send(json.dumps({"event": "mark", "streamSid": sid, "mark": {"name": name}}))
        if self.defect == "cut":
            await ws.close()

    def media(self, audio: bytes, sid: str) -> str | bytes:
        payload = base64.b64encode(audio).decode()
        if self.defect == "twice":
            payload = base64.b64encode(payload.encode()).decode()
        message = {"event": "media", "streamSid": sid, "media": {"payload": payload}}
        if self.defect == "snake":
            message["stream_sid"] = message.pop("streamSid")
        if self.defect == "other":
            message["streamSid"] = "MZ0"
        if self.defect == "extra":
            message |= {"sequenceNumber": "1"}
            message["media"] |= {"track": "outbound"}
        text = json.dumps(message)
        return text.encode() if self.defect == "binary" else text


@contextlib.asynccontextmanager
async def endpoint(defect: str):
    """The URL of a running endpoint."""
    made = Endpoint(defect)
    async with websockets.serve(made.serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        yield f"ws://127.0.0.1:{port}/media"


async def main(defect: str, port: int) -> None:
    async with websockets.serve(Endpoint(defect).serve, "127.0.0.1", port):
        await asyncio.Future()


ROOT = Path(__file__).parent.parent.parent
if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
