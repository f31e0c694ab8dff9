"""Several faults at once, each of which hides the next."""

from __future__ import annotations

from typing import Any

from offhook.evidence.record import Recording
from offhook.sims.faults.b0 import NO_OPENAI_KEY, XAI_KEY
from offhook.sims.faults.b4 import _nested_for_openai
from offhook.sims.faults.catalogue import injects
from offhook.sims.faults.scene import ALL, HOSTS, SHORT, WORDS, foreign, host, wait
from offhook.sims.foreign_knobs import Tool
from offhook.sims.provider import Answer
from offhook.sims.virtual_carrier import Line
from offhook.sims.virtual_http import Reply, Route
from offhook.wires._wire import Refusal


@injects("S-001")
def seed() -> list[Recording]:
    """The wrong provider by default; behind it a dead model; behind that the misspelt field. One pass for each."""
    boot = {
        "origin": "default", "keys": [NO_OPENAI_KEY, XAI_KEY],
        "settings": {"provider.model": ("grok-2-realtime", "config.yaml:2")},
    }  # fmt: skip
    hosts = {HOSTS["openai"]: host("openai"), HOSTS["xai"]: host("xai")}
    first = foreign(provider="openai", key=None, key_env="OPENAI_API_KEY", sid_field="stream_sid", sees=ALL, boot=boot,
                    hosts=hosts)  # fmt: skip
    dead = {"faults": ("refuse-dead-model",)}
    second = foreign(provider="xai", model="grok-2-realtime", sid_field="stream_sid", net=dead, sees=ALL)
    return first + second + foreign(provider="xai", sid_field="stream_sid", sees=ALL)


def _flat_and_misplaced(session: dict[str, Any]) -> dict[str, Any]:
    nested = _nested_for_openai(session)
    nested["input_audio_format"] = nested["output_audio_format"] = "g711_ulaw"
    for side in ("input", "output"):
        nested["audio"][side].pop("format", None)
    return nested


@injects("S-002")
def seed_of_today() -> list[Recording]:
    return foreign(provider="xai", voice="rex", query_model=False, session=_flat_and_misplaced, play=wait(40.0),
                   net={"faults": ("bare-url-old-model", "deaf")})  # fmt: skip


@injects("S-003")
def path_and_token() -> list[Recording]:
    """A path that is not served, a token in the query, and a refusal before the upgrade: two passes."""
    first = foreign(stream_url="wss://bridge.example.net/media-streams", wants_token="query", sees=ALL)
    return first + foreign(wants_token="query", sees=ALL)


@injects("S-005")
def addresses() -> list[Recording]:
    page = Reply(404, b"<html>Tunnel not found</html>", "text/html")
    stale = foreign(line={"url": "https://old-name.tunnel.example/voice", "route": Route(webhook=lambda r: page)},
                    source="dial", sees=ALL,
                    boot={"public": {"url": "https://bridge.example.net:8443", "origin": "env"}})  # fmt: skip
    bad = Reply(502, b"<html><center>nginx</center></html>", "text/html")
    proxy = foreign(line={"route": Route(webhook=lambda r: bad)}, source="dial", sees=ALL,
                    boot={"listen": {"host": "127.0.0.1", "port": 8000}})  # fmt: skip
    boot = {"public": {"url": "https://bridge.example.net:8443", "origin": "config.yaml:1", "private": False}}
    unreached = {"route": Route(stream=lambda r: "tcp"), "url": "https://bridge.example.net:8443/voice"}
    lost = foreign(line=unreached, sees=ALL, boot=boot)
    return stale + proxy + lost


@injects("S-006")
def beta_client() -> list[Recording]:
    """Header, session and event names of the retired beta, one pass each: the next shows when the last is mended."""
    header = (("OpenAI-Beta", "realtime=v1"),)
    first = foreign(headers=header, dialect="beta", hears="beta", gate=("session.created",), play=wait(18.0))
    second = foreign(dialect="beta", hears="beta", gate=("session.created",), play=wait(18.0), greeting=False)
    return first + second + foreign(hears="beta", play=wait(18.0))


@injects("S-007")
def one_way() -> list[Recording]:
    def play(line: Line) -> None:
        line.both_tracks = True
        line.then(3.0, lambda: line.say(SHORT)).then(12.0, lambda: line.say(SHORT))

    return foreign(verb="Start", after_stream='<Pause length="30"/>', all_tracks=True, play=play)


@injects("S-008")
def none_for_ever() -> list[Recording]:
    return foreign(key="None", net={"keys": frozenset({"sk-right"})}, on_provider_close="reconnect", max_reconnects=5,
                   play=wait(25.0), sees=ALL)  # fmt: skip


@injects("S-010")
def gate_and_silence() -> list[Recording]:
    def play(line: Line) -> None:
        line.then(6.0, lambda: line.say(SHORT)).then(20.0, line.hang_up)

    return foreign(
        provider="xai", gate=("session.created",), greeting=False, net={"faults": ("conversation-first",)}, play=play
    )


@injects("S-012")
def blocking_tool() -> list[Recording]:
    script = (Answer(tool="lookup", arguments="{}", transcript=""), Answer(audio=SHORT, transcript=WORDS))
    net = {"script": script, "pong_delay_s": 0.6}
    return foreign(tools={"lookup": Tool(seconds=24.0, blocks=True)}, ping_s=4.0, pong_s=5.0, pace="absolute",
                   net=net, play=wait(50.0), calls=2, apart_s=7.5, sees=ALL)  # fmt: skip


@injects("S-014")
def foreign_key_before_accept() -> list[Recording]:
    refuse = lambda n, path, headers: Refusal(403, '{"error":{"message":"no access"}}', "account")  # noqa: E731
    return foreign(accepts="after dial", key="xai-other-1", net={"refuse": refuse}, sees=ALL)


@injects("S-015")
def locked_at_the_end() -> list[Recording]:
    def play(line: Line) -> None:
        line.then(4.0, lambda: line.say(SHORT)).then(7.95, line.hang_up)

    return foreign(store_stalls_s=5.0, store_stalls_at="end", teardown_raises="CancelledError", play=play, sees=ALL,
                   cut=True, net={"faults": ("late-transcripts@0.8s",)})  # fmt: skip
