"""
The webhook, asked exactly as Twilio asks (C5): signed for the public URL, through it, with the answer read as strictly.

The request says in a signed field that it is a check, so that it makes no call and dials no provider. Proves answer,
signature and document; not the number's configuration (``credentials``), nor the carrier's habits.
"""

from __future__ import annotations

import re
import secrets

from offhook.checks._check import Ask, Check, Trail
from offhook.checks._http import Answered, Unreached, ask
from offhook.checks._server import carrier, direct_base, listens, public_url, voice
from offhook.sims.carrier import TwimlError, Verb, parse_twiml

__all__ = ["CHECK", "difference", "verbs"]

SLOW_MS = 5000.0  # Twilio waits 15 s; a caller hears five as silence
_URL = re.compile(r"(?P<scheme>\w+)://(?P<host>[^/:]+|\[[^\]]*\])(?P<port>:\d+)?(?P<path>/[^?]*)?(?P<query>\?.*)?$")
# dimension of the signed URL -> what mends it
_MENDS = {
    "scheme": "server.public_url: the scheme is the one the carrier dials, https",
    "host": "server.public_url: the host is the one the carrier dials",
    "port": "server.public_url: name the port exactly as the carrier dials it",
    "path": "the proxy must not change the path, and server.public_url must name its prefix",
    "query": "the proxy must not change the query",
    "secret": "TWILIO_AUTH_TOKEN: the running server has another one than these settings; restart it",
}


def difference(ours: str, theirs: tuple[str, ...]) -> str:
    """Which dimension of the signed URL the server computed over differently; secret where none differs."""
    mine = _URL.match(ours)
    others = [found for url in theirs if (found := _URL.match(url))]
    if mine is None or not others or ours in theirs:
        return "secret"
    for dimension in ("scheme", "host", "path", "query", "port"):
        if all((mine[dimension] or "") != (other[dimension] or "") for other in others):
            return dimension
    return "port"


def verbs(answer: Answered, url: str) -> list[Verb]:
    """The document as the carrier would execute it. Raises TwimlError."""
    return parse_twiml(answer.body, answer.content_type, url, plain_ws=url.startswith("http://"))


async def run(ask_: Ask, trail: Trail) -> str:
    settings = carrier(ask_)
    public = public_url(ask_.settings)
    here = await listens(ask_, trail)
    direct = direct_base(ask_.settings)
    if not here and direct == public:
        return ""
    if here and direct != public:
        await _answered(ask_, trail, direct, "direct")
    await _answered(ask_, trail, public, "public")
    if settings.auth == "signature":
        await _forged(ask_, trail, public)
    await _by_get(trail, public + settings.webhook_path)
    return f"{public}{settings.webhook_path} answers signed requests with a valid document, and refuses others"


async def _answered(ask_: Ask, trail: Trail, base: str, way: str) -> None:
    settings = carrier(ask_)
    signed_url = settings.public_url + settings.webhook_path
    try:
        answer = await voice(ask_, base)
    except Unreached as error:
        trail.broken(way, str(error), fix="`offhook check public` says where the way ends", decides="F-026")
        return
    if answer.status == 403:
        tried = tuple(re.findall(r"https?://\S+?(?=[,\s]|$)", answer.body.decode("utf-8", "replace")))
        which = difference(signed_url, tried)
        codes = {"secret": "F-023", "scheme": "F-029", "host": "F-029", "port": "F-029"}
        trail.broken(
            way,
            f"signature refused; what differs is the {which}"
            + (f" (signed {signed_url}; the server computed over {tried[0]})" if tried else ""),
            ms=answer.ms,
            fix=_MENDS[which],
            decides=codes.get(which, "F-029"),
        )
        return
    if answer.status in (301, 302, 303, 307, 308):
        where = answer.headers.get("location", "?")[:120]
        trail.broken(
            way,
            f"HTTP {answer.status} to {where}: the carrier repeats it as GET, without the form",
            ms=answer.ms,
            decides="F-028",
            fix="give the number the address it is redirected to",
        )
        return
    if answer.status != 200:
        trail.broken(
            way,
            f"HTTP {answer.status}: {answer.excerpt()!r}",
            ms=answer.ms,
            decides="F-027",
            fix=f"let {signed_url} reach `offhook serve`",
        )
        return
    try:
        found = verbs(answer, signed_url)
    except TwimlError as error:
        trail.broken(
            way,
            f"Twilio would log {error.code}: {error.why}",
            ms=answer.ms,
            decides="F-031",
            fix="something between here and Offhook changes the document",
        )
        return
    _lint(trail, way, found, settings.stream_url, answer)


def _lint(trail: Trail, way: str, found: list[Verb], wanted: str, answer: Answered) -> None:
    first = found[0] if found else Verb(name="nothing")
    if first.name != "Connect":
        said = f"<{first.name}> {first.text[:80]}".strip()
        trail.broken(
            way,
            f"the document begins with {said}: no stream is opened",
            ms=answer.ms,
            decides="F-020",
            fix="the server takes no call now: see limits.max_calls, or wait for the restart",
        )
    elif first.stream_url != wanted:
        trail.broken(
            way,
            f"the stream goes to {first.stream_url}, wanted {wanted}",
            ms=answer.ms,
            decides="F-006 F-008",
            fix="restart the server after changing server.public_url",
        )
    elif answer.ms > SLOW_MS:
        trail.broken(
            way,
            f"answered after {answer.ms / 1000:.1f} s; the caller hears silence, at 15 s the call ends",
            ms=answer.ms,
            decides="F-040",
            fix="look for what is slow between here and there",
        )
    else:
        rest = ", then ".join(f"<{verb.name}>" for verb in found)
        trail.proven(way, f"{rest}; the stream goes to {first.stream_url}", ms=answer.ms)


async def _forged(ask_: Ask, trail: Trail, base: str) -> None:
    try:
        answer = await voice(ask_, base, secret=secrets.token_hex(16))
    except Unreached:
        return  # the signed request has said so
    if answer.status == 403:
        trail.proven("forged", "a wrong signature is refused", ms=answer.ms)
    else:
        trail.broken(
            "forged",
            f"a wrong signature is answered with HTTP {answer.status}",
            ms=answer.ms,
            fix='set carrier.auth = "signature", and let nothing answer in place of Offhook',
        )


async def _by_get(trail: Trail, url: str) -> None:
    """What a browser or a redirect sends: it must be refused, not answered with somebody else's page."""
    try:
        answer = await ask("GET", url)
    except Unreached:
        return
    if answer.status in (400, 403, 405):
        trail.proven("by GET", f"an unsigned GET is refused with {answer.status}", ms=answer.ms)
    elif answer.status == 200 and b"<Response" in answer.body:
        trail.unproven(
            "by GET",
            "an unsigned GET gets a document: signatures are off",
            ms=answer.ms,
            fix='carrier.auth = "none" is for loopback addresses only',
        )
    else:
        trail.unproven(
            "by GET",
            f"an unsigned GET gets HTTP {answer.status}",
            ms=answer.ms,
            fix="let the proxy pass everything under /twilio",
        )


CHECK = Check(
    name="webhook",
    boundary="webhook",
    proves="the webhook as the carrier asks it: through the public URL, signed, its document read strictly",
    cannot="the number's configuration (credentials), the carrier's habits with redirects",
    run=run,
)
