"""
A small voice server that is not Offhook: Twilio Media Streams in, a realtime model behind, three faults stacked.

It is the system of examples/seed/README.md, written anew: healthy code whose configuration breaks it. Needs the
``websockets`` library and nothing else.

    python server.py [--port 8000] [--provider grok]
"""

import argparse
import asyncio
import json
import os
import sys

from websockets.asyncio.client import connect
from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed, InvalidStatus

PCMU = {"format": {"type": "audio/pcmu"}}
VAD = {"type": "server_vad"}
# The name of the stream's id in what we send. Python spells it so everywhere else.
STREAM_FIELD = os.environ.get("VOICE_STREAM_FIELD", "stream_sid")


def log(text):
    sys.stderr.write(text + "\n")


class OpenAIClient:
    """A session with OpenAI Realtime."""

    key_name = "OPENAI_API_KEY"
    url = os.environ.get("OPENAI_REALTIME_URL", "wss://api.openai.com/v1/realtime")
    model = "gpt-realtime"

    def __init__(self):
        self.key = os.environ.get(self.key_name)
        if not self.key:
            raise RuntimeError(f"{self.key_name} is not set")

    def ws_url(self):
        return f"{self.url}?model={self.model}"

    def session(self):
        audio = {"input": {**PCMU, "turn_detection": VAD}, "output": {**PCMU, "voice": "marin"}}
        return {"type": "realtime", "instructions": "You answer the phone. Be brief.", "audio": audio}

    async def dial(self):
        headers = {"Authorization": f"Bearer {self.key}"}
        return await connect(self.ws_url(), additional_headers=headers, max_size=2**24)


class GrokClient(OpenAIClient):
    """xAI speaks nearly the same; the URL, with its ?model=, is inherited."""

    key_name = "XAI_API_KEY"
    url = os.environ.get("XAI_REALTIME_URL", "wss://api.x.ai/v1/realtime")
    model = os.environ.get("VOICE_MODEL", "grok-2-realtime")

    def session(self):
        return {"instructions": "You answer the phone. Be brief.", "voice": "eve", "turn_detection": VAD,
                "audio": {"input": PCMU, "output": PCMU}}  # fmt: skip


CLIENTS = {"openai": OpenAIClient, "grok": GrokClient, "xai": GrokClient}


class Call:
    """One phone call: the carrier's socket and the provider's."""

    def __init__(self, carrier, provider_name):
        self.carrier = carrier
        self.provider_name = provider_name
        self.provider = None
        self.stream = None
        self.tasks = []

    async def run(self):
        try:
            async for text in self.carrier:
                message = json.loads(text)
                if message["event"] == "start":
                    self.stream = message["start"]["streamSid"]
                    self.tasks.append(asyncio.create_task(self.talk()))
                elif message["event"] == "media" and self.provider is not None:
                    audio = message["media"]["payload"]
                    await self.provider.send(json.dumps({"type": "input_audio_buffer.append", "audio": audio}))
                elif message["event"] == "stop":
                    break
        except ConnectionClosed:
            pass  # the caller's line, or the provider, is gone: the call is over
        finally:
            for task in self.tasks:
                task.cancel()
            await asyncio.gather(*self.tasks, return_exceptions=True)
            if self.provider is not None:
                await self.provider.close()

    async def talk(self):
        """Dial the provider and play what it says."""
        try:
            client = CLIENTS[self.provider_name]()
            provider = await client.dial()
        except (RuntimeError, InvalidStatus, OSError) as error:
            body = error.response.body.decode() if isinstance(error, InvalidStatus) else ""
            log(f"session aborted: {error} {body}".rstrip())
            # The browser client shows this. A phone call comes through the same handler.
            await self.carrier.send(json.dumps({"type": "error", "message": "session aborted"}))
            return
        await provider.send(json.dumps({"type": "session.update", "session": client.session()}))
        await self.ready(provider)
        self.provider = provider
        await provider.send(json.dumps({"type": "response.create"}))
        async for text in provider:
            message = json.loads(text)
            kind = message["type"]
            if kind == "response.output_audio.delta":
                await self.tell("media", media={"payload": message["delta"]})
            elif kind == "response.output_audio.done":
                await self.tell("mark", mark={"name": message["item_id"]})
            elif kind == "input_audio_buffer.speech_started":
                await self.tell("clear")
            elif kind == "error":
                log(f"provider: {message['error'].get('message')}")

    async def ready(self, provider):
        async for text in provider:
            if json.loads(text)["type"] == "session.updated":
                return

    async def tell(self, event, **body):
        await self.carrier.send(json.dumps({"event": event, STREAM_FIELD: self.stream, **body}))


async def main():
    words = argparse.ArgumentParser()
    words.add_argument("--port", type=int, default=int(os.environ.get("PORT", "8000")))
    words.add_argument("--provider", choices=sorted(CLIENTS), default=os.environ.get("VOICE_PROVIDER", "openai"))
    given = words.parse_args()
    async with serve(lambda carrier: Call(carrier, given.provider).run(), "127.0.0.1", given.port) as server:
        log(f"listening on {given.port}")
        await server.serve_forever()


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except KeyboardInterrupt:
        sys.exit(0)
