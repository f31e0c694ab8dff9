"""An MCP server by the official SDK, whose one tool is counted: ``mcp_desk.py NAME``, with a PORT over HTTP."""

import os
import sys

from desk import write
from mcp.server import MCPServer

name = sys.argv[1]
server = MCPServer(name)


@server.tool(name=f"{name}_book")
def book(who: str, day: str) -> str:
    """Book a day."""
    write(f"{name}_book", who)
    return f"booked {day}"


if __name__ == "__main__":
    write("mcp server", name, started=os.getpid())
    if len(sys.argv) > 2:
        import uvicorn

        uvicorn.run(server.streamable_http_app(), host="127.0.0.1", port=int(sys.argv[2]), log_level="warning")
    else:
        server.run()
