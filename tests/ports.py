"""
Ports for servers that a test starts later, or never.

They lie below those that a system gives out by itself (32768 on Linux, 49152 elsewhere), so that no connection and no
server on port 0, of this worker or of another, comes upon one between its choice and its use.
"""

import itertools
import os
import socket

FIRST, EACH, BLOCKS = 20_000, 500, 24
_worker = os.environ.get("PYTEST_XDIST_WORKER")
# each worker of a session, whose parent they share, has a block of its own
_block = (os.getpid() if _worker is None else os.getppid() + int(_worker[2:])) % BLOCKS
_next = itertools.cycle(range(FIRST + _block * EACH, FIRST + (_block + 1) * EACH))


def free_port() -> int:
    """A port of 127.0.0.1 on which nothing listens, and that is given out only once in a long while."""
    for port in itertools.islice(_next, EACH):
        with socket.socket() as sock:
            try:
                sock.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError(f"none of {EACH} ports from {FIRST + _block * EACH} is free")
