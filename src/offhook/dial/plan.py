"""
What is to be dialled, how it is reached and what the caller does: one frozen plan, made from a user's words.
"""

from __future__ import annotations

import ssl
from pathlib import Path
from urllib.parse import urlsplit

from msgspec import Struct

from offhook.sims.carrier_faults import Fault
from offhook.sims.run_rest import RestDesk
from offhook.sims.run_webhook import Route
from offhook.sims.scenario import Scenario, Step
from offhook.wires._checks import is_loopback

__all__ = ["Plan", "UsageError", "default_scenario", "route_of", "targets"]

ANSWER_MS = 10_000  # to the first word after the caller's; a caller hangs up before


class UsageError(Exception):
    """Words that make no plan, and what was wanted."""


class Plan(Struct, frozen=True):
    """One dial. Secrets are plain here and never leave in a repr."""

    webhook_url: str = ""  # public; empty: the stream leg alone
    stream_url: str = ""
    parameters: dict[str, str] = {}
    token: str = ""
    public: tuple[str, int] | None = None
    connect: tuple[str, int] | None = None
    insecure: bool = False
    ca: Path | None = None
    method: str = "POST"
    fallback_url: str = ""
    caller: str = "+15550100001"
    called: str = "+15550100002"
    form: dict[str, str] = {}  # of the webhook, over what is usual
    faults: tuple[Fault, ...] = ()
    scenario: Scenario = Scenario(())
    presses: tuple[tuple[float, str], ...] = ()
    folder: Path = Path()  # where the scenario's files are
    tolerant: bool = False
    seed: int = 0
    rest: RestDesk | None = None  # stands for the carrier's REST interface, where the server was pointed there

    def __repr__(self) -> str:
        return f"Plan({self.url})"

    @property
    def url(self) -> str:
        return self.webhook_url or self.stream_url

    @property
    def kind(self) -> str:
        return "webhook" if self.webhook_url else "stream"

    @property
    def local(self) -> bool:
        """Whether only this machine is reached."""
        host = self.connect[0] if self.connect else urlsplit(self.url).hostname or ""
        return is_loopback(host)


def targets(url: str, public: str = "", connect: str = "") -> dict[str, object]:
    """
    The plan's fields for a URL. With ``public`` the URL's own address stands for that origin. Raises UsageError.
    """
    parts = _parts(url, "URL", ("http", "https", "ws", "wss"))
    address = _address(connect) if connect else None
    if public:
        origin = _parts(public, "--public", ("http", "https"))
        if origin.path.strip("/") or origin.query:
            raise UsageError(f"--public {public}: wanted an origin, as in https://voice.example.com")
        address = address or (parts.hostname or "", parts.port or _port(parts.scheme))
        scheme = {"http": "ws", "https": "wss"}[origin.scheme] if parts.scheme in ("ws", "wss") else origin.scheme
        parts = parts._replace(scheme=scheme, netloc=origin.netloc)
    named = (parts.hostname or "", parts.port or _port(parts.scheme))
    field = "stream_url" if parts.scheme in ("ws", "wss") else "webhook_url"
    return {field: parts.geturl(), "public": named if address else None, "connect": address}


def _parts(url: str, what: str, schemes: tuple[str, ...]):  # type: ignore[no-untyped-def]  # SplitResult
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        raise UsageError(f"{what} {url}: {error}") from None
    if parts.scheme not in schemes or not parts.hostname:
        raise UsageError(f"{what} {url}: wanted {', '.join(s + '://' for s in schemes)} and a host")
    if parts.username is not None or parts.password is not None:
        raise UsageError(f"{what}: credentials in a URL are not shown to anybody; leave them out")
    return parts


def _port(scheme: str) -> int:
    return 443 if scheme in ("https", "wss") else 80


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise UsageError(f"--connect {text}: wanted HOST:PORT, as in 127.0.0.1:8080")
    return host.strip("[]"), int(port)


def route_of(plan: Plan) -> Route:
    """How the plan's names are reached. Raises UsageError for a CA file that is none."""
    tls = None
    if plan.ca is not None:
        try:
            tls = ssl.create_default_context(cafile=str(plan.ca))
        except (OSError, ssl.SSLError) as error:
            raise UsageError(f"--ca {plan.ca}: no certificates in it ({error})") from None
    return Route(plan.public, plan.connect, tls, insecure=plan.insecure)


def default_scenario(say: tuple[str, ...], max_s: float = 60.0) -> Scenario:
    """A short call: let the agent greet, say each thing, hear an answer to it, leave when it is done."""
    steps = [Step("wait-for-agent", "done", within_s=2.0, optional=True)]
    for what in say or ("caller_hours",):
        steps += [
            Step("say", what),
            Step("heard-within", ANSWER_MS),
            Step("wait-for-agent", "done", within_s=3.0, optional=True),
        ]
    return Scenario((*steps, Step("hang-up", "true")), "a question and its answer", max_s)
