"""
pipecat's documented Twilio shape as a server: FastAPI WebSocket transport, Twilio serializer, a realtime service.

    python pipecat_server.py PORT openai|xai|echo [--plain]

Reads OPENAI_REALTIME_URL or XAI_REALTIME_URL; --plain leaves out the context aggregators of pipecat's own example.
"""

import os
import sys

import uvicorn
from fastapi import FastAPI, WebSocket
from loguru import logger
from pipecat.frames.frames import InputAudioRawFrame, LLMRunFrame, OutputAudioRawFrame
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import LLMContextAggregatorPair
from pipecat.processors.frame_processor import FrameProcessor
from pipecat.runner.utils import parse_telephony_websocket
from pipecat.serializers.twilio import TwilioFrameSerializer
from pipecat.transports.websocket.fastapi import FastAPIWebsocketParams, FastAPIWebsocketTransport
from pipecat.workers.runner import WorkerRunner

logger.remove()
logger.add(sys.stderr, level="WARNING")
PORT, KIND, PLAIN = int(sys.argv[1]), sys.argv[2], "--plain" in sys.argv
WORDS = "You answer the phone. Greet the caller."
app = FastAPI()


class Echo(FrameProcessor):
    """The caller hears itself."""

    async def process_frame(self, frame, direction):
        await super().process_frame(frame, direction)
        if isinstance(frame, InputAudioRawFrame):
            frame = OutputAudioRawFrame(frame.audio, frame.sample_rate, frame.num_channels)
        await self.push_frame(frame, direction)


def service():
    if KIND == "echo":
        return Echo()
    if KIND == "xai":
        from pipecat.services.xai.realtime.llm import GrokRealtimeLLMService

        return GrokRealtimeLLMService(api_key=os.environ["XAI_API_KEY"], base_url=os.environ["XAI_REALTIME_URL"])
    from pipecat.services.openai.realtime.events import (
        AudioConfiguration,
        AudioInput,
        SemanticTurnDetection,
        SessionProperties,
    )
    from pipecat.services.openai.realtime.llm import OpenAIRealtimeLLMService

    audio = AudioConfiguration(input=AudioInput(turn_detection=SemanticTurnDetection()))
    settings = OpenAIRealtimeLLMService.Settings(session_properties=SessionProperties(instructions=WORDS, audio=audio))
    return OpenAIRealtimeLLMService(
        api_key=os.environ["OPENAI_API_KEY"], base_url=os.environ["OPENAI_REALTIME_URL"], settings=settings
    )


@app.websocket("/media")
async def media(ws: WebSocket):
    await ws.accept()
    _, call = await parse_telephony_websocket(ws)
    serializer = TwilioFrameSerializer(
        stream_sid=call["stream_id"], call_sid=call["call_id"],
        params=TwilioFrameSerializer.InputParams(auto_hang_up=False),
    )  # fmt: skip
    transport = FastAPIWebsocketTransport(
        ws,
        FastAPIWebsocketParams(
            audio_in_enabled=True, audio_out_enabled=True, add_wav_header=False, serializer=serializer
        ),
    )
    parts = [transport.input(), service(), transport.output()]
    if KIND != "echo" and not PLAIN:
        user, agent = LLMContextAggregatorPair(LLMContext([{"role": "developer", "content": WORDS}]))
        parts = [parts[0], user, parts[1], parts[2], agent]
    worker = PipelineWorker(
        Pipeline(parts), params=PipelineParams(audio_in_sample_rate=8000, audio_out_sample_rate=8000)
    )
    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(worker)

    @transport.event_handler("on_client_connected")
    async def greet(transport, client):
        if KIND != "echo" and not PLAIN:
            await worker.queue_frames([LLMRunFrame()])

    @transport.event_handler("on_client_disconnected")
    async def gone(transport, client):
        await runner.cancel()

    await runner.run()


uvicorn.run(app, host="127.0.0.1", port=PORT, log_level="warning")
