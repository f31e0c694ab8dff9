"""``python -m offhook.loopback [PORT]``: the receptionist's process."""

import asyncio
import sys

from offhook.loopback.server import serve

if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]) if len(sys.argv) > 1 else 0))
