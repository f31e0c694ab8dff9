"""
Lets the real gptme, from the package index, work for a call: ``make gptme``. Not part of ``make test``: heavy.

It is installed into an environment of its own (``.gptme``). Its model is a strict, tiny OpenAI-compatible server on
loopback, which answers the task with a tool call that writes the result file, and then with a last word. Prints one
line a step; the exit code is 0 when all of them hold.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
import threading
import time
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from offhook.agent.tools.context import CallContext, Turn
from offhook.agent.tools.delegate import Delegate, _Work, gptme

ROOT = Path(__file__).parent.parent
HOME = ROOT / ".gptme"
PYTHON = HOME / "bin" / "python"
ANSWER = "The library opens at nine and closes at six."


def install() -> str:
    if not PYTHON.exists():
        venv.create(HOME, with_pip=True)
    command = [str(PYTHON), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--upgrade", "gptme"]
    subprocess.run(command, check=True)
    code = "import importlib.metadata as m; print(m.version('gptme'))"
    return subprocess.run([str(PYTHON), "-c", code], capture_output=True, text=True, check=True).stdout.strip()


class Model(BaseHTTPRequestHandler):
    """``/v1/chat/completions`` as OpenAI's is: streams when asked to, refuses what it does not know."""

    asked: list[dict[str, Any]]
    refused: list[str]
    hangs = False

    def log_message(self, *arguments: Any) -> None:
        return None

    def _refuse(self, status: int, why: str) -> None:
        self.refused.append(why)
        body = json.dumps({"error": {"message": why, "type": "invalid_request_error"}}).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        self._refuse(404, f"GET {self.path}")

    def do_POST(self) -> None:
        given = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if self.path != "/v1/chat/completions" or self.headers.get("authorization") != "Bearer test-key":
            self._refuse(401, f"POST {self.path}")
            return
        if given.get("model") != "stand-in" or not isinstance(given.get("messages"), list):
            self._refuse(404, f"model {given.get('model')!r}")
            return
        self.asked.append(given)
        if self.hangs:
            time.sleep(60)
        self._answer(self._words(given["messages"]), bool(given.get("stream")))

    def _words(self, messages: list[dict[str, Any]]) -> str:
        text = "\n".join(str(message.get("content")) for message in messages)
        place = re.search(r"to the file (\S+/result\.txt)", text)
        if place is None or "Saved to" in text or "```save" in str(messages[-2:]):
            return "The answer is written. <complete/>\n\n```complete\n```"
        return f"```save {place[1]}\n{ANSWER}\n```"

    def _answer(self, words: str, stream: bool) -> None:
        head = {"id": "chatcmpl-1", "created": int(time.time()), "model": "stand-in"}
        usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
        self.send_response(200)
        if not stream:
            choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": words}}
            body = json.dumps({**head, "object": "chat.completion", "choices": [choice], "usage": usage}).encode()
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
            return
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        for delta, reason in (({"role": "assistant", "content": words}, None), ({}, "stop")):
            chunk = {**head, "object": "chat.completion.chunk",
                     "choices": [{"index": 0, "delta": delta, "finish_reason": reason}]}  # fmt: skip
            self.wfile.write(f"data: {json.dumps(chunk)}\n\n".encode())
        self.wfile.write(b"data: [DONE]\n\n")


@contextmanager
def model() -> Iterator[Any]:
    handler = type("Handler", (Model,), {"asked": [], "refused": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    handler.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    try:
        yield handler
    finally:
        server.shutdown()


SAID = (Turn("caller", "When does the library open?"), Turn("agent", "Let me look."))


def delegate(url: str, folder: Path, deadline_s: float) -> _Work:
    env = {
        "OPENAI_BASE_URL": url, "OPENAI_API_KEY": "test-key", "HOME": str(folder), "XDG_CONFIG_HOME": str(folder / "c"),
        "XDG_DATA_HOME": str(folder / "d"), "PATH": f"{HOME / 'bin'}:{os.environ['PATH']}", "NO_COLOR": "1",
        "GPTME_CHAT_HISTORY": "false",
    }  # fmt: skip
    argv = gptme("local/stand-in", str(HOME / "bin" / "gptme"))
    given = Delegate(argv=argv, env=env, cwd=str(folder), deadline_s=deadline_s)
    return _Work(given, "Find out when the library opens.", CallContext(call_id="CA1", transcript=SAID))


async def main() -> int:
    sys.stdout.write(f"gptme {install()}\n")
    folder = HOME / "home"
    folder.mkdir(exist_ok=True)
    good = True

    def told(what: str, holds: bool, detail: str) -> None:
        nonlocal good
        good &= holds
        sys.stdout.write(f"{'+' if holds else '-'} {what}: {detail}\n")
        sys.stdout.flush()

    with model() as server:
        began = time.monotonic()
        result = await delegate(server.url, folder, 90).run()
        took = time.monotonic() - began
        written = f"{result.outcome} {result.output!r} {took:.1f} s"
        told("answer", result.outcome == "ok" and ANSWER in result.output, written)
        if result.outcome != "ok":
            sys.stdout.write(f"{result.detail}\n")
        asked = json.dumps(server.asked)
        told("it knows what was said", "When does the library open?" in asked, f"{len(server.asked)} requests")
        told("nothing that the model refuses", not server.refused, ", ".join(server.refused) or "none")
        server.hangs = True
        began = time.monotonic()
        late = await delegate(server.url, folder, 8).run()
        proof = late.detail
        told("deadline", late.outcome == "timeout" and "left" in proof, f"{time.monotonic() - began:.1f} s; {proof}")
        work = delegate(server.url, folder, 60)
        running = asyncio.ensure_future(work.run())
        await asyncio.sleep(6)
        ended = await work.cancel()
        running.cancel()
        told("cancel", "is left" in ended, ended)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
