"""
Our own public URL, asked as a stranger would (C3): name, TCP over IPv4 and IPv6, certificate, and whether it is *this*
process that answers.

Proves the way from this machine; the carrier's network may see another one.
"""

from __future__ import annotations

import msgspec

from offhook.checks import settings as judge
from offhook.checks._check import Ask, Check, Trail
from offhook.checks._http import Answered, Unreached, ask, phases
from offhook.checks._server import direct_base, listens, public_url

__all__ = ["CHECK"]

_FIX = {
    "dns": ("the name must resolve publicly: correct server.public_url, or start the tunnel", "F-006 F-007"),
    "tcp": ("open the port, or start the proxy or tunnel that shall listen there", "F-008 F-009"),
    "tls": ("install a certificate of a public authority for this name, with its full chain", "F-010"),
    "http": ("look at the proxy's log", "F-009"),
}


async def run(ask_: Ask, trail: Trail) -> str:
    url = public_url(ask_.settings)
    for problem in judge.public_url_problems(ask_.settings):
        trail.broken("settings", f"{problem.setting}: got {problem.got}", fix=problem.fix, decides="F-007")
    here = await listens(ask_, trail)
    if not here and url == direct_base(ask_.settings):
        return ""
    try:
        for name, ms, seen in await phases(url):
            trail.proven(name, seen, ms=ms)
        answer = await ask("GET", url + "/healthz")
    except Unreached as error:
        fix, decides = _FIX.get(error.phase, ("look at the address", ""))
        raise trail.fail(error.phase, error.why, fix=fix, decides=decides) from None
    theirs = _process(answer)
    if theirs is None:
        raise trail.fail(
            "routing",
            _who(answer),
            ms=answer.ms,
            decides="F-006 F-009",
            fix=f"let the tunnel or proxy forward to {direct_base(ask_.settings)}",
        )
    if not here:
        trail.unproven(
            "routing",
            "an Offhook answers there, but not the one of these settings",
            ms=answer.ms,
            fix="run this check where the server runs",
        )
        return ""
    own = _process(await ask("GET", direct_base(ask_.settings) + "/healthz"))
    if own != theirs:
        raise trail.fail(
            "routing",
            f"another Offhook process answers there ({theirs}; here {own})",
            ms=answer.ms,
            decides="F-006 F-021",
            fix="point the public URL at this one, or run this check there",
        )
    trail.proven("routing", f"{url} reaches this very process ({own})", ms=answer.ms)
    return f"{url} leads to this process over DNS, TCP and TLS"


def _process(answer: Answered) -> str | None:
    """Which process answered; None for what is no Offhook."""
    try:
        data = msgspec.json.decode(answer.body)
    except msgspec.DecodeError:
        return None
    found = data.get("process") if isinstance(data, dict) and answer.status == 200 else None
    return found if isinstance(found, str) else None


def _who(answer: Answered) -> str:
    server = answer.headers.get("server", "")
    said = f"HTTP {answer.status}" + (f" from {server}" if server else "")
    if answer.status in (301, 302, 307, 308):
        return (
            f"{said}, a redirect to {answer.headers.get('location', '?')[:100]}: the carrier would sign another address"
        )
    return f"{said}: {answer.excerpt()!r}; that is no Offhook"


CHECK = Check(
    name="public",
    boundary="webhook",
    proves="the public URL: name, TCP, certificate, and that this process answers there",
    cannot="the way from the carrier's own network",
    run=run,
)
