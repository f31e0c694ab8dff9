"""
Where the server under check is to be found: by its public URL, as the carrier comes, and on this machine directly.
"""

from __future__ import annotations

import hashlib
import secrets
from urllib.parse import urlencode, urlsplit

from offhook.checks import settings as judge
from offhook.checks._check import Ask, Trail
from offhook.checks._http import Answered, Unreached, ask
from offhook.net.echo import CHECK_FIELD
from offhook.settings import Settings
from offhook.wires.carriers import twilio

__all__ = ["carrier", "direct_base", "listens", "public_url", "signed_form", "voice"]

CALLER, CALLED = "+15550100001", "+15550100002"


def direct_base(settings: Settings) -> str:
    """The server's own address on this machine, without a slash at the end."""
    host = settings["server.host"]
    if host in ("0.0.0.0", ""):
        host = "127.0.0.1"
    elif host == "::":
        host = "::1"
    return f"http://{f'[{host}]' if ':' in host else host}:{settings['server.port']}"


def public_url(settings: Settings) -> str:
    """The public URL; where there is none (loopback without signatures), the server's own."""
    return settings["server.public_url"].rstrip("/") or direct_base(settings)


def carrier(ask_: Ask) -> twilio.CarrierSettings:
    return judge.carrier_settings(ask_.settings, public_url(ask_.settings))


def signed_form(ask_: Ask, path: str, what: str, call_sid: str = "") -> tuple[dict[str, str], bytes]:
    """Headers and body of a webhook as Twilio would send it to the public URL, signed with the configured secret."""
    form = {
        "CallSid": call_sid or "CA" + secrets.token_hex(16),
        "AccountSid": ask_.settings["carrier.account_sid"] or "AC" + hashlib.sha256(b"offhook check").hexdigest()[:32],
        "From": CALLER,
        "To": CALLED,
        "CallStatus": "ringing",
        "Direction": "inbound",
        "ApiVersion": "2010-04-01",
        CHECK_FIELD: what,
    }
    headers = {"Content-Type": "application/x-www-form-urlencoded", "User-Agent": "TwilioProxy/1.1"}
    settings = carrier(ask_)
    if settings.auth == "signature":
        url = settings.public_url + path
        if settings.shared_keys and not settings.auth_token:
            key_id, secret = next(iter(settings.shared_keys.items()))
            headers[twilio.SETTINGS_HEADER.value] = f"algorithm=HMAC_SHA256,key={key_id}"
            headers[twilio.SIGNATURE_HEADER.value] = twilio.sign(secret, url, list(form.items()), "sha256")
        else:
            headers[twilio.SIGNATURE_HEADER.value] = twilio.sign(settings.auth_token, url, list(form.items()))
    return headers, urlencode(form).encode()


async def voice(
    ask_: Ask, base: str, what: str = "webhook", *, call_sid: str = "", secret: str | None = None
) -> Answered:
    """POST the voice webhook at ``base``; ``secret`` signs it with another one. Raises Unreached."""
    settings = carrier(ask_)
    headers, body = signed_form(ask_, settings.webhook_path, what, call_sid)
    if secret is not None:
        headers[twilio.SIGNATURE_HEADER.value] = twilio.sign(secret, settings.public_url + settings.webhook_path, [])
    if base != settings.public_url:  # past the proxy: the name in the request stays the public one
        headers["Host"] = urlsplit(settings.public_url).netloc
    return await ask("POST", base + settings.webhook_path, headers=headers, content=body)


async def listens(ask_: Ask, trail: Trail) -> bool:
    """Whether a server of ours answers on this machine; a step says so either way."""
    base = direct_base(ask_.settings)
    try:
        answer = await ask("GET", base + "/healthz")
    except Unreached as error:
        trail.unproven("server", f"nothing answers on {base} ({error})", fix="start `offhook serve`, then check again")
        return False
    if answer.status != 200 or b'"ok"' not in answer.body:
        trail.broken("server", f"{base}/healthz answers {answer.status}: another program has this port",
                     fix="stop it, or choose another server.port", decides="F-009")  # fmt: skip
        return False
    trail.proven("server", f"answers on {base}", ms=answer.ms)
    return True
