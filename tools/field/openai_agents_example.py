"""
The Twilio example of openai-agents as it stands, pointed at a fake.

    python openai_agents_example.py PORT DIRECTORY      DIRECTORY: a checkout's examples/realtime/twilio

The example knows no address but OpenAI's; only that is changed, where the session is opened.
"""

import os
import sys

import uvicorn
from agents.realtime import RealtimeRunner

PORT, DIRECTORY = int(sys.argv[1]), sys.argv[2]
run = RealtimeRunner.run


async def run_at_the_fake(self, *, context=None, model_config=None):
    url = os.environ["OPENAI_REALTIME_URL"] + "?model=gpt-realtime"
    return await run(self, context=context, model_config={**(model_config or {}), "url": url})


RealtimeRunner.run = run_at_the_fake
sys.path.insert(0, DIRECTORY)
from server import app  # noqa: E402 (the example's own module)

uvicorn.run(app, host="127.0.0.1", port=PORT, log_level="warning")
