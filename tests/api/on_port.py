"""The API's test server on a port of its own, for those who ask as others do: from outside and not asynchronously."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import requests
from starlette.applications import Starlette
from tests.api.kit import RUNNING, Api

from offhook.net.app import with_api
from offhook.net.server import Server

__all__ = ["Running"]


class Running:
    """The application on a port, on a loop of its own thread: who asks here is not asynchronous."""

    def __init__(self, folder: Path, *scopes: str, **settings: Any) -> None:
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        self.server = Api(folder, **settings)
        self.token = self.server.token(*(scopes or ("admin",)))
        self.headers = {"authorization": f"Bearer {self.token}"}
        self.do(self._begin())
        self.url = f"http://127.0.0.1:{self.port.port}"
        self.session = requests.Session()

    def do(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(40)

    async def _begin(self) -> None:
        self.server.begin()

        async def app() -> Any:
            return self.server.app

        self.port = Server(with_api(Starlette(), app), self.server.app.upgrade)
        await self.port.start()

    async def ring(self, *, anew: bool = False) -> None:
        """A call runs; ``anew``: one that has just got its stream and its provider."""
        running = self.server.host.calls.running
        if anew and RUNNING in running:
            running[RUNNING].abandon("over")
        if RUNNING not in running:
            self.server.ring(written=not anew)
        if anew:
            self.server.connect()

    def stop(self) -> None:
        async def end() -> None:
            for call in list(self.server.host.calls.running.values()):
                call.abandon("over")
            await self.server.app.stop()
            await self.port.stop()
            rest = asyncio.all_tasks() - {asyncio.current_task()}
            for task in rest:
                task.cancel()
            await asyncio.gather(*rest, return_exceptions=True)
            await self.loop.shutdown_default_executor()

        self.session.close()
        self.do(end())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(40)
        self.loop.close()
