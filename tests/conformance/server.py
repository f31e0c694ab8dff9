"""
A real server process for the conformance tests: ``python -m tests.conformance.server JSON``.

The one difference to ``offhook serve``: its clock may run faster, its bridge deadlines may be set, and the
carrier's REST address may be a stub's, so that what takes minutes takes seconds and nothing leaves the machine.
"""

import asyncio
import gc
import json
import signal
import sys

from msgspec import structs

from offhook.cli.process import new_loop
from offhook.cli.serve import Serving
from offhook.settings import load


async def main(given: dict) -> None:
    settings = load(given.get("flags", {}))
    serving = Serving(
        settings,
        live="json",
        clock_rate=given.get("rate", 1.0),
        bridge=lambda bridge: structs.replace(bridge, **given.get("bridge", {})),
        carrier=lambda carrier: structs.replace(carrier, **given.get("carrier", {})),
    )
    await serving.start()
    assert serving.server is not None and serving.live is not None
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    serving.live.say("listening", port=serving.server.port)
    await stop.wait()
    await serving.stop()
    left = [task.get_name() for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    timers = [
        str(timer) for timer in gc.get_objects() if type(timer).__name__ == "TimerHandle" and not timer.cancelled()
    ]
    serving.live.say(
        "left", tasks=left, timers=timers, calls=len(serving.host.calls), sockets=serving.server.open_sockets
    )


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(main(json.loads(sys.argv[1])))
