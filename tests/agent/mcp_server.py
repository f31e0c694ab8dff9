"""A small MCP server, by the official SDK: ``mcp_server.py`` over stdio, ``mcp_server.py PORT`` over HTTP."""

import asyncio
import os
import sys

from mcp.server import MCPServer
from mcp_types import ToolAnnotations

server = MCPServer("desk")


@server.tool(annotations=ToolAnnotations(read_only_hint=True))
def free_times(day: str, people: int = 2) -> dict[str, list[str]]:
    """Free times of a day."""
    return {"free": [f"{day} 10:00", f"{day} 11:00"][:people]}


@server.tool()
def book(day: str) -> str:
    """Book a time."""
    if day == "Sun":
        raise ValueError("closed on Sundays")
    return f"booked {day}"


@server.tool(annotations=ToolAnnotations(read_only_hint=True))
async def research(topic: str, seconds: float) -> str:
    """Find something out that takes its time."""
    try:
        await asyncio.sleep(seconds)
    except asyncio.CancelledError:
        sys.stderr.write(f"gave up {topic}\n")
        sys.stderr.flush()
        raise
    return f"found {topic}"


@server.tool(name="desk/die.now")
def die() -> str:
    """End the server."""
    sys.stderr.write("last words\n")
    os._exit(3)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        import uvicorn
        from starlette.middleware.base import BaseHTTPMiddleware
        from starlette.responses import PlainTextResponse

        async def guard(request, call_next):  # type: ignore[no-untyped-def]
            if request.headers.get("authorization") != "Bearer let-me-in":
                return PlainTextResponse("who are you?", 401)
            return await call_next(request)

        app = server.streamable_http_app()
        app.add_middleware(BaseHTTPMiddleware, dispatch=guard)
        uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="warning")
    else:
        server.run()
