"""A small media-stream server of nobody's: one stream, one session, frames both ways. ``stream_sid`` breaks it."""

import asyncio
import json
import os
import sys

from websockets.asyncio.client import connect
from websockets.asyncio.server import serve

FIELD = sys.argv[2] if len(sys.argv) > 2 else "streamSid"
PCMU = {"type": "audio/pcmu"}
SESSION = {"type": "realtime", "audio": {"input": {"format": PCMU}, "output": {"format": PCMU}}}


async def talk(carrier):
    async for text in carrier:
        message = json.loads(text)
        if message["event"] == "start":
            break
    sid = message["streamSid"]
    key = {"Authorization": f"Bearer {os.environ['OPENAI_API_KEY']}"}
    url = os.environ["OPENAI_REALTIME_URL"] + "?model=gpt-realtime"
    async with connect(url, additional_headers=key, proxy=None) as provider:
        await provider.send(json.dumps({"type": "session.update", "session": SESSION}))

        async def down():
            async for text in provider:
                event = json.loads(text)
                if event["type"] == "response.output_audio.delta":
                    message = {"event": "media", FIELD: sid, "media": {"payload": event["delta"]}}
                    await carrier.send(json.dumps(message))

        speaking = asyncio.create_task(down())
        async for text in carrier:
            message = json.loads(text)
            if message["event"] == "media":
                payload = message["media"]["payload"]
                await provider.send(json.dumps({"type": "input_audio_buffer.append", "audio": payload}))
        speaking.cancel()


async def main():
    async with serve(talk, "127.0.0.1", int(sys.argv[1])) as server:
        await server.serve_forever()


asyncio.run(main())
