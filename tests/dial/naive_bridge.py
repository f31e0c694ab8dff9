"""
A naive bridge to OpenAI Realtime, as a foreign server: ``python -m tests.dial.naive_bridge PORT pcmu|pcm``.

With ``pcm`` it takes the provider's 24 kHz audio, turns it into µ-law and forgets to resample: a well-known fault.
"""

import asyncio
import base64
import json
import os
import sys

import numpy as np
import websockets

from offhook.media import g711

FORMATS = {"pcmu": {"type": "audio/pcmu"}, "pcm": {"type": "audio/pcm", "rate": 24000}}


def session(output: str) -> dict:
    audio = {
        "input": {"format": FORMATS["pcmu"], "turn_detection": {"type": "server_vad"}},
        "output": {"format": FORMATS[output]},
    }
    return {"type": "session.update", "session": {"type": "realtime", "audio": audio}}


def for_the_phone(delta: str, output: str) -> str:
    if output == "pcmu":
        return delta
    samples = np.frombuffer(base64.b64decode(delta), "<i2")
    return base64.b64encode(g711.encode(samples)).decode()


async def bridge(phone, output: str) -> None:
    url, key = os.environ["OPENAI_REALTIME_URL"] + "?model=gpt-realtime", os.environ["OPENAI_API_KEY"]
    async with websockets.connect(url, additional_headers={"Authorization": f"Bearer {key}"}) as provider:
        await provider.send(json.dumps(session(output)))
        sid = ""

        async def down() -> None:
            async for text in provider:
                event = json.loads(text)
                if event["type"] == "response.output_audio.delta":
                    media = {"payload": for_the_phone(event["delta"], output)}
                    await phone.send(json.dumps({"event": "media", "streamSid": sid, "media": media}))

        task = None
        async for text in phone:
            message = json.loads(text)
            if message["event"] == "start":
                sid = message["streamSid"]
                task = asyncio.create_task(down())
            elif message["event"] == "media":
                audio = message["media"]["payload"]
                await provider.send(json.dumps({"type": "input_audio_buffer.append", "audio": audio}))
            elif message["event"] == "stop":
                break
        if task is not None:
            task.cancel()


async def main(port: int, output: str) -> None:
    async with websockets.serve(lambda phone: bridge(phone, output), "127.0.0.1", port):
        await asyncio.Future()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2]))
