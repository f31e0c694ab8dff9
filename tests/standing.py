"""
Bounds in seconds on a machine that does other things too.

What a test says of a server's quickness is true of the time that its threads run. How long they stood ready and got no
processor the kernel counts (Linux, ``schedstat``: the second figure, in nanoseconds); that much a bound is longer.
"""

import os
import time
from pathlib import Path


class Elapsed:
    """Seconds since its making, less what threads of this process and of ``pids`` stood in line for a processor."""

    def __init__(self, *pids: int) -> None:
        self._pids = (os.getpid(), *pids)
        self._stood = self._standing()
        self._began = time.monotonic()

    def __call__(self) -> float:
        return time.monotonic() - self._began - (self._standing() - self._stood)

    def stood(self) -> float:
        """What was taken off."""
        return self._standing() - self._stood

    def _standing(self) -> float:
        return sum(standing(pid) for pid in self._pids)


def standing(pid: int) -> float:
    """Seconds that the threads of a process have stood in line; 0 where the kernel does not say."""
    waited = 0
    for path in Path(f"/proc/{pid}/task").glob("*/schedstat"):
        try:
            waited += int(path.read_text().split()[1])
        except (OSError, ValueError, IndexError):
            continue  # the thread is gone, or the kernel keeps no such count
    return waited / 1e9
