"""
A server under test, started as a command and ended with all that it started.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from typing import IO

__all__ = ["ServerProcess"]

STOP_S = 5.0


class ServerProcess:
    """
    ``command`` with PORT in its environment (and ``{port}`` in its words replaced); ready when the port answers.

    What it writes is in ``output()``: it is part of the error where the server does not come up.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        port: int = 0,
        ready_s: float = 15.0,
        cwd: str | None = None,
    ) -> None:
        self.port = port or _free_port()
        words = [word.replace("{port}", str(self.port)) for word in command]
        self._log: IO[bytes] = tempfile.TemporaryFile()
        self._process = subprocess.Popen(
            words,
            env={**os.environ, "PORT": str(self.port), **(environment or {})},
            cwd=cwd,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            self._wait(words, ready_s)
        except BaseException:
            self.stop()
            raise

    def _wait(self, words: Sequence[str], ready_s: float) -> None:
        until = time.monotonic() + ready_s
        while time.monotonic() < until:
            if self._process.poll() is not None:
                code = self._process.returncode
                raise RuntimeError(f"{' '.join(words)}: ended with {code} before it listened:\n{self.output()}")
            with socket.socket() as probe:
                probe.settimeout(0.2)
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.05)
        raise RuntimeError(
            f"{' '.join(words)}: nothing listens on port {self.port} after {ready_s:g} s "
            f"(the port is in PORT, and stands for {{port}}):\n{self.output()}"
        )

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def ws_url(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def output(self) -> str:
        """Everything that it wrote so far."""
        if self._log.closed:
            return ""
        return os.pread(self._log.fileno(), 1 << 20, 0).decode(errors="replace")

    def stop(self) -> None:
        """Ask it to end, then make it, with everything in its process group."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(self._process.pid, number)
            except ProcessLookupError:
                break
            try:
                self._process.wait(STOP_S)
                break
            except subprocess.TimeoutExpired:
                continue
        self._process.wait(STOP_S)
        self._log.close()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
