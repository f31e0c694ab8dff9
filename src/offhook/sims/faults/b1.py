"""Webhook and TwiML."""

from __future__ import annotations

from offhook.evidence.record import Recording
from offhook.sims.faults.b6 import goodbye
from offhook.sims.faults.catalogue import injects
from offhook.sims.faults.scene import ALL, FOREIGN_URL, TOKEN, foreign, wait
from offhook.sims.virtual_carrier import Line
from offhook.sims.virtual_http import Reply, Request, Route

HEAD = '<?xml version="1.0"?>'


@injects("F-026")
def unreachable() -> list[Recording]:
    return foreign(line={"route": Route(webhook=lambda request: "tcp")}, source="dial")


@injects("F-027")
def wrong_path() -> list[Recording]:
    return foreign(line={"url": "https://bridge.example.net/incoming-call"}, sees=ALL)


@injects("F-028")
def redirected_to_https() -> list[Recording]:
    def proxy(request: Request) -> Request | Reply:
        if request.url.startswith("http://"):
            return Reply(301, b"", "text/html", location="https" + request.url[4:])
        return request

    return foreign(line={"url": FOREIGN_URL.replace("https", "http"), "route": Route(webhook=proxy)}, sees=ALL)


@injects("F-029")
def scheme_behind_proxy() -> list[Recording]:
    return foreign(checks_signature="http", auth_token=TOKEN, line={"auth_token": TOKEN}, sees=ALL)


@injects("F-030")
def body_hash() -> list[Recording]:
    return foreign(
        checks_signature="form-only", auth_token=TOKEN, line={"auth_token": TOKEN, "json_body": True}, sees=ALL
    )


@injects("F-031")
def not_well_formed() -> list[Recording]:
    text = lambda url: f'{HEAD}<Response><Connect><Stream url="{url}?a=1&b=2"/></Connect></Response>'  # noqa: E731
    return foreign(document=text)


@injects("F-032")
def content_type() -> list[Recording]:
    return foreign(content_type="application/json")


@injects("F-033")
def misspelt_verb() -> list[Recording]:
    return foreign(document=lambda url: f'{HEAD}<Response><Connect><stream url="{url}"/></Connect></Response>')


@injects("F-034")
def plain_ws() -> list[Recording]:
    return foreign(stream_url="ws://bridge.example.net/media")


@injects("F-035")
def token_in_query() -> list[Recording]:
    return foreign(wants_token="query", sees=ALL)


@injects("F-036")
def start_not_connect() -> list[Recording]:
    """One-way stream, and the call goes on with a pause: the agent talks to nobody."""
    return foreign(verb="Start", after_stream='<Pause length="40"/>', play=wait(20.0))


@injects("F-037")
def track() -> list[Recording]:
    text = lambda url: f'{HEAD}<Response><Connect><Stream url="{url}" track="both_tracks"/></Connect></Response>'  # noqa: E731
    return foreign(document=text)


@injects("F-038")
def start_is_last() -> list[Recording]:
    return foreign(verb="Start")


@injects("F-039")
def trailing_pause() -> list[Recording]:
    return goodbye(after_stream='<Pause length="40"/>')


@injects("F-040")
def late_webhook() -> list[Recording]:
    return foreign(hook_s=15.8)


@injects("F-041")
def too_long() -> list[Recording]:
    return foreign(parameters={f"p{n}": "x" * 400 for n in range(170)})


@injects("F-042")
def number_bound_elsewhere() -> list[Recording]:
    """Another server answers: ours is never asked. The number's resource says so."""

    def play(line: Line) -> None:
        observer = line.observer
        assert observer is not None
        observer.note("rest.result", line.world.now(), op="number", http=200, code=None, ok=True,
                      voice_url="https://old.example/voice", wanted=FOREIGN_URL)  # fmt: skip
        observer.note("alert", line.world.now(), code="", text="call listed, webhook of another application",
                      **{"from": "account"})  # fmt: skip

    other = b"<Response><Say>Please leave a message.</Say></Response>"
    line = {"url": "https://old.example/voice", "route": Route(webhook=lambda request: Reply(200, other))}
    return foreign(play=play, line=line, source="dial", sees=ALL,
                   boot={"public": {"url": FOREIGN_URL, "origin": "config.yaml:1", "private": False}})  # fmt: skip


@injects("F-043")
def identity_lost() -> list[Recording]:
    """Two parameters come, nobody reads them: the session gets the default instructions."""
    return foreign(parameters={"agent": "billing", "customer": "4711"}, identity_from_query=True, sees=ALL)


@injects("F-044")
def executed_twice() -> list[Recording]:
    return foreign(hook_s=15.5, hook_s_again=0.1, dials_at="webhook", sees=ALL,
                   line={"fallback_url": FOREIGN_URL})  # fmt: skip


@injects("F-045")
def rejects_stream() -> list[Recording]:
    """The token that the stream should bring is never given to it."""
    return foreign(wants_token="query", token_in_document=False, sees=ALL)
