"""
The WebSocket through the public URL (C4), beside the same one past every proxy: upgrade, delay, size, idle time.

Uses the webhook's check token, so the stream is an echo: no call, no provider. Proves what stands between; not the
carrier's own client.
"""

from __future__ import annotations

import secrets
import time
from urllib.parse import urlsplit

from offhook.checks._check import Ask, Check, Trail
from offhook.checks._http import Unreached
from offhook.checks._line import Line
from offhook.checks._server import direct_base, listens, public_url, voice
from offhook.checks.webhook import verbs
from offhook.net.client import DialError
from offhook.sims.carrier import TwimlError

__all__ = ["CHECK", "echo_line"]

QUICK_IDLE_S, FULL_IDLE_S = 5.0, 70.0  # proxies' defaults are 60 s
FRAME = bytes((0x21, 0x9E)) * 80


async def echo_line(ask_: Ask, base: str) -> Line:
    """A stream that echoes, with a token from the webhook at ``base``. Raises Unreached, TwimlError."""
    call_sid = "CA" + secrets.token_hex(16)
    answer = await voice(ask_, base, "stream", call_sid=call_sid)
    if answer.status != 200:
        raise Unreached("http", f"the webhook answers {answer.status}")
    found = verbs(answer, public_url(ask_.settings) + "/")
    return Line(ask_, call_sid, found[0].parameters if found else {})


async def run(ask_: Ask, trail: Trail) -> str:
    if not await listens(ask_, trail):
        trail.unproven("public", "without the server there is nothing to compare", fix="start `offhook serve`")
        return ""
    direct = urlsplit(direct_base(ask_.settings))
    own = await _upgrade(ask_, trail, "direct", (direct.hostname or "127.0.0.1", direct.port or 80))
    public = await _upgrade(ask_, trail, "public", None)
    if public is None:
        return ""
    if own is not None:
        trail.proven("delay", f"a frame and its echo: {public * 1000:.1f} ms, past the proxy {own * 1000:.1f} ms")
    await _large_and_idle(ask_, trail)
    return "upgrade, size and idle time pass through everything that stands between"


async def _upgrade(ask_: Ask, trail: Trail, way: str, connect_to: tuple[str, int] | None) -> float | None:
    """Seconds for a frame and its echo; None where the upgrade or the start fails."""
    try:
        line = await echo_line(ask_, direct_base(ask_.settings))
        await line.open(connect_to=connect_to)
    except (Unreached, TwimlError) as error:
        trail.unproven(way, f"no token from the webhook: {error}", fix="`offhook check webhook` says why")
        return None
    except DialError as error:
        only_public = way == "public" and any(s.name == "direct" and s.state == "proven" for s in trail.steps)
        fix = "give the proxy the Upgrade and Connection headers for /twilio/media (nginx: proxy_http_version 1.1)"
        trail.broken(
            way,
            f"{error}" + ("; past the proxy the same upgrade is accepted" if only_public else ""),
            fix=fix if only_public else "see the server's log",
            decides="F-011" if only_public else "F-064",
        )
        return None
    line.start()
    began = time.monotonic()
    line.send(line.peer.media(FRAME, 155))
    came = await line.until(lambda line: line.audio(), 3.0)
    took = time.monotonic() - began
    if came:
        trail.proven(way, "101, started, and a frame came back", ms=line.ms.get("upgrade"))
    else:
        trail.broken(
            way,
            f"upgraded, but no frame came back ({_close(line)})",
            decides="F-045",
            fix="see the server's log for the reason",
        )
    await line.hang_up()
    return took if came else None


def _close(line: Line) -> str:
    if line.closed_with is None:
        return "the line stays open and silent"
    code, reason, by = line.closed_with
    return f"closed by {'the other side' if by == 'them' else by} with {code} {reason}".rstrip()


async def _large_and_idle(ask_: Ask, trail: Trail) -> None:
    try:
        line = await echo_line(ask_, direct_base(ask_.settings))
        await line.open()
    except (Unreached, TwimlError, DialError) as error:
        trail.unproven("64 kB", str(error), fix="check again")
        return
    line.start()
    large = FRAME * 205  # 65,600 bytes; 87 kB of JSON
    line.send(line.peer.media(large, 155))
    if await line.until(lambda line: len(line.audio()) >= len(large), 5.0):
        trail.proven("64 kB", "one large message came back whole")
    else:
        trail.broken(
            "64 kB",
            f"a large message does not pass ({_close(line)})",
            decides="F-012",
            fix="raise the proxy's limit on message or buffer size",
        )
    idle = FULL_IDLE_S if ask_.full else QUICK_IDLE_S
    gone = await line.until(lambda line: line.closed_with is not None, idle)
    if gone or line.closed_with is not None:
        trail.broken(
            "idle",
            f"an idle stream was closed before {idle:.0f} s ({_close(line)})",
            decides="F-013",
            fix="raise the proxy's idle and read timeouts (nginx: proxy_read_timeout 3700s)",
        )
    elif ask_.full:
        trail.proven("idle", f"{idle:.0f} s of silence are borne")
    else:
        trail.proven(
            "idle", f"{idle:.0f} s of silence are borne; --full waits {FULL_IDLE_S:.0f} s, most proxies give 60"
        )
    await line.hang_up()


CHECK = Check(
    name="proxy",
    boundary="carrier-stream",
    proves="the WebSocket through the public URL, beside the same one past every proxy",
    cannot="the carrier's own client",
    run=run,
    timeout_s=60,
)
