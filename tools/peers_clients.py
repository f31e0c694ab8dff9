"""
Other people's clients, each in one conversation with a simulated provider: ``python peers_clients.py CLIENT URL``.

Runs where they are installed, not where Offhook is (``tools/peers.py`` sees to that), and prints what they saw as JSON.
Imports of a client stand in its own function: each is heavy, and one that is missing must not stop the others.
"""

import asyncio
import base64
import json
import math
import struct
import sys


def pcm(seconds: float, rate: int, hz: float = 440.0) -> bytes:
    """A loud tone, 16-bit; ``hz`` 0 is silence."""
    n = int(seconds * rate)
    return struct.pack(f"<{n}h", *(int(9000 * math.sin(2 * math.pi * hz * i / rate)) for i in range(n)))


SPEECH_S, QUIET_S = 1.0, 1.2


async def openai_sdk(url: str) -> dict:
    """The openai client; at xAI with a session of xAI's shape, which it passes on as given."""
    from openai import AsyncOpenAI

    xai = "/xai" in url
    url = url.replace("/xai", "")
    given = {"type": "audio/pcm", "rate": 24000}
    audio = {"input": {"format": given}, "output": {"format": given}}
    session = (
        {"voice": "ara", "turn_detection": {"type": "server_vad"}, "audio": audio}
        if xai
        else {"type": "realtime", "audio": {"input": {"format": given}, "output": {"format": given, "voice": "marin"}}}
    )
    key, model = ("xai-test-000000", "grok-voice-latest") if xai else ("sk-test-000000", "gpt-realtime-2.1")
    base = url.replace("ws://", "http://").removesuffix("/realtime")
    kinds, n_bytes = [], 0
    async with AsyncOpenAI(api_key=key, base_url=base) as client, client.realtime.connect(model=model) as connection:
        await connection.session.update(session=session)
        sound = pcm(SPEECH_S, 24000) + pcm(QUIET_S, 24000, 0)
        for at in range(0, len(sound), 960):
            piece = base64.b64encode(sound[at : at + 960]).decode()
            await connection.input_audio_buffer.append(audio=piece)
        async for event in connection:
            kinds.append(event.type)
            if event.type == "response.output_audio.delta":
                n_bytes += len(base64.b64decode(event.delta))
            if event.type == "response.done":
                break
    return {"heard": "input_audio_buffer.speech_started" in kinds, "bytes": n_bytes, "events": len(kinds)}


async def openai_agents(url: str) -> dict:
    from agents.realtime import RealtimeAgent, RealtimeRunner

    runner = RealtimeRunner(RealtimeAgent(name="desk", instructions="Be kind."))
    session = await runner.run(model_config={"url": url + "?model=gpt-realtime", "api_key": "sk-test-000000"})
    kinds, n_bytes = [], 0
    async with session:
        await session.send_audio(pcm(SPEECH_S, 24000) + pcm(QUIET_S, 24000, 0))
        async for event in session:
            kinds.append(event.type)
            if event.type == "audio":
                n_bytes += len(event.audio.data)
            if event.type in ("audio_end", "error"):
                break
    return {"heard": "audio" in kinds, "bytes": n_bytes, "events": len(kinds), "errors": kinds.count("error")}


async def livekit_xai(url: str) -> dict:
    import aiohttp
    from livekit import rtc
    from livekit.plugins import xai

    seen = {"heard": False, "bytes": 0, "final": [], "errors": 0}
    over = asyncio.Event()

    async def play(generation: object) -> None:
        async for message in generation.message_stream:
            async for frame in message.audio_stream:
                seen["bytes"] += len(frame.data) * 2
        over.set()

    tasks = []
    async with aiohttp.ClientSession() as http:
        model = xai.realtime.RealtimeModel(api_key="xai-test-000000", base_url=url, http_session=http)
        session = model.session()
        session.on("input_speech_started", lambda event: seen.update(heard=True))
        session.on("generation_created", lambda event: tasks.append(asyncio.ensure_future(play(event))))
        session.on("error", lambda event: seen.update(errors=seen["errors"] + 1))
        session.on(
            "input_audio_transcription_completed",
            lambda event: seen["final"].append(event.transcript) if event.is_final else None,
        )
        sound = pcm(SPEECH_S, 24000) + pcm(QUIET_S, 24000, 0)
        for at in range(0, len(sound), 4800):
            piece = sound[at : at + 4800]
            session.push_audio(rtc.AudioFrame(piece, 24000, 1, len(piece) // 2))
            await asyncio.sleep(0.01)
        await over.wait()
        await asyncio.sleep(0.2)
        await session.aclose()
    return seen


async def pipecat_xai(url: str) -> dict:
    from pipecat.frames.frames import (
        InputAudioRawFrame,
        LLMContextFrame,
        ProposedUserStartedSpeakingFrame,
        TranscriptionFrame,
        TTSAudioRawFrame,
        TTSStoppedFrame,
    )
    from pipecat.pipeline.pipeline import Pipeline
    from pipecat.pipeline.runner import PipelineRunner
    from pipecat.pipeline.task import PipelineParams, PipelineTask
    from pipecat.processors.aggregators.llm_context import LLMContext
    from pipecat.processors.frame_processor import FrameProcessor
    from pipecat.services.xai.realtime.llm import GrokRealtimeLLMService

    seen = {"heard": False, "bytes": 0, "final": [], "answers": 0}
    answered = asyncio.Event()

    class Look(FrameProcessor):
        async def process_frame(self, frame, direction):
            await super().process_frame(frame, direction)
            if isinstance(frame, TTSAudioRawFrame):
                seen["bytes"] += len(frame.audio)
            elif isinstance(frame, ProposedUserStartedSpeakingFrame):
                seen["heard"] = True
            elif isinstance(frame, TranscriptionFrame):
                seen["final"].append(frame.text)
            elif isinstance(frame, TTSStoppedFrame):
                seen["answers"] += 1
                answered.set()
            await self.push_frame(frame, direction)

    service = GrokRealtimeLLMService(api_key="xai-test-000000", base_url=url)
    pipeline = Pipeline([Look(), service, Look()])
    task = PipelineTask(pipeline, params=PipelineParams(audio_in_sample_rate=16000, audio_out_sample_rate=24000))
    running = asyncio.ensure_future(PipelineRunner(handle_sigint=False).run(task))
    await asyncio.sleep(0.5)
    await task.queue_frame(LLMContextFrame(LLMContext([{"role": "user", "content": "Hello!"}])))
    await answered.wait()
    answered.clear()
    sound = pcm(SPEECH_S, 16000) + pcm(QUIET_S, 16000, 0)
    for at in range(0, len(sound), 640):
        await task.queue_frame(InputAudioRawFrame(sound[at : at + 640], 16000, 1))
        await asyncio.sleep(0.01)
    await answered.wait()
    await asyncio.sleep(0.2)
    await task.cancel()
    await asyncio.gather(running, return_exceptions=True)
    return seen


CLIENTS = {"openai": openai_sdk, "openai-agents": openai_agents, "livekit": livekit_xai, "pipecat": pipecat_xai}


async def main(client: str, url: str) -> None:
    async with asyncio.timeout(40):
        seen = await CLIENTS[client](url)
    sys.stdout.write("\n" + json.dumps(seen) + "\n")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2]))
