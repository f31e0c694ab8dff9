"""Service and operations: settings, keys, addresses, proxies, limits."""

from __future__ import annotations

from offhook.evidence.record import Recording
from offhook.sims.boot import fingerprint
from offhook.sims.faults.catalogue import injects
from offhook.sims.faults.scene import ALL, HOSTS, TOKEN, foreign, host, ours, wait
from offhook.sims.virtual import Link
from offhook.sims.virtual_http import Reply, Request, Route
from offhook.wires._wire import Refusal

XAI_KEY = fingerprint("XAI_API_KEY", "xai-foreign-1")
NO_OPENAI_KEY = fingerprint("OPENAI_API_KEY", None)


@injects("F-001")
def default_provider() -> list[Recording]:
    """The model and the only key are xAI's, the program runs its default."""
    boot = {
        "origin": "default",
        "keys": [NO_OPENAI_KEY, XAI_KEY],
        "settings": {"provider.model": ("grok-voice-latest", "config.yaml:2")},
    }
    hosts = {HOSTS["openai"]: host("openai"), HOSTS["xai"]: host("xai")}
    return foreign(provider="openai", key=None, key_env="OPENAI_API_KEY", sees=ALL, boot=boot, hosts=hosts)


@injects("F-002")
def no_key() -> list[Recording]:
    return foreign(
        provider="xai", key=None, key_env="XAI_API_KEY", sees=ALL, boot={"keys": [fingerprint("XAI_API_KEY", None)]}
    )


@injects("F-003")
def key_none() -> list[Recording]:
    return foreign(provider="openai", key="None", sees=ALL, net={"keys": frozenset({"sk-right"})})


@injects("F-004")
def key_newline() -> list[Recording]:
    return foreign(provider="openai", key="sk-test-123\n", sees=ALL)


@injects("F-005")
def key_of_another() -> list[Recording]:
    refuse = lambda n, path, headers: Refusal(403, '{"error":{"message":"no access"}}', "account")  # noqa: E731
    return foreign(provider="openai", key="xai-other-1", sees=ALL, net={"refuse": refuse})


@injects("F-006")
def stale_tunnel() -> list[Recording]:
    """The number still names yesterday's tunnel, whose page answers."""
    page = Reply(404, b"<html>Tunnel not found</html>", "text/html")
    line = {"url": "https://old-name.tunnel.example/voice", "route": Route(webhook=lambda request: page)}
    return foreign(
        line=line, source="dial", boot={"public": {"url": "https://new-name.tunnel.example", "origin": "env"}}, sees=ALL
    )


@injects("F-007")
def private_address() -> list[Recording]:
    """The stream's URL was made of a Host header that a proxy had rewritten."""
    return foreign(stream_url="wss://127.0.0.1:8000/media", line={"route": Route(stream=lambda request: "tcp")})


@injects("F-008")
def lost_port() -> list[Recording]:
    boot = {"public": {"url": "https://bridge.example.net:8443", "origin": "config.yaml:1", "private": False}}
    return foreign(line={"route": Route(stream=lambda request: "tcp"), "url": "https://bridge.example.net:8443/voice"},
                   sees=ALL, boot=boot)  # fmt: skip


@injects("F-009")
def wrong_port_behind_proxy() -> list[Recording]:
    page = Reply(502, b"<html><center>nginx</center></html>", "text/html")
    boot = {"listen": {"host": "127.0.0.1", "port": 8000}}
    return foreign(line={"route": Route(webhook=lambda request: page)}, source="dial", sees=ALL, boot=boot)


@injects("F-010")
def bad_certificate() -> list[Recording]:
    return foreign(line={"route": Route(webhook=lambda request: "tls")}, source="dial")


def _without_upgrade(request: Request) -> Request:
    kept = tuple(pair for pair in request.headers if pair[0].lower() not in ("upgrade", "connection"))
    return Request(request.method, request.url, kept, b"", request.call)


@injects("F-011")
def proxy_strips_upgrade() -> list[Recording]:
    return foreign(line={"route": Route(stream=_without_upgrade)}, sees=ALL)


@injects("F-013")
def proxy_age() -> list[Recording]:
    """Something between cuts every connection at the same age, whatever is said."""
    cut = Link(cut_after_s=45.0)
    found = []
    for seed, seconds in ((1, 70.0), (2, 80.0), (3, 65.0)):
        found += foreign(play=wait(seconds), seed=seed, net={"link": cut}, on_provider_close="end")
    return found


@injects("F-014")
def no_websockets() -> list[Recording]:
    return foreign(has_ws=False, sees=ALL, boot={"runtime": {"ws_impl": None, "g711": True}})


@injects("F-015")
def proxy_from_environment() -> list[Recording]:
    return foreign(proxy="http://127.0.0.1:9", sees=ALL, boot={"proxy_env": ["HTTPS_PROXY"]}, on_provider_close="end")


@injects("F-016")
def egress_blocked() -> list[Recording]:
    return ours("openai", hosts={}, play=wait(20.0))


@injects("F-017")
def clock_wrong() -> list[Recording]:
    """The certificate is not valid yet, says a clock that is days late."""
    return ours("openai", net={"fails": ("tls", "tls: certificate is not yet valid")}, boot={"clock_off_s": -400_000.0},
                play=wait(20.0))  # fmt: skip


@injects("F-018")
def renamed_argument() -> list[Recording]:
    return foreign(dial_raises="TypeError", sees=ALL)


@injects("F-019")
def no_codec() -> list[Recording]:
    return foreign(has_g711=False, sees=ALL, boot={"runtime": {"ws_impl": "websockets", "g711": False}})


@injects("F-020")
def limit_reached() -> list[Recording]:
    """Three callers, two places."""
    return foreign(max_calls=2, calls=3, apart_s=1.0, sees=ALL, keep=2)


@injects("F-021")
def two_workers() -> list[Recording]:
    """The webhook was answered by one process, the stream reaches another that knows nothing of the call."""
    return foreign(other_worker=True, sees=ALL, boot={"workers": 2})


@injects("F-022")
def restarted() -> list[Recording]:
    """The process is ended in the middle of two calls, and starts again at once."""
    return foreign(calls=2, apart_s=0.5, play=wait(30.0), sees=ALL, keep=0, killed_at_s=8.0)


@injects("F-023")
def wrong_token() -> list[Recording]:
    return foreign(checks_signature="right", auth_token="another", line={"auth_token": TOKEN}, sees=ALL)


@injects("F-024")
def shared_key() -> list[Recording]:
    line = {"shared_key": ("webhooks_1", "shared-secret")}
    return foreign(checks_signature="sha1-only", auth_token=TOKEN, line=line, sees=ALL)
