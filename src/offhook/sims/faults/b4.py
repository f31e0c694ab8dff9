"""The provider: connection, session, responses."""

from __future__ import annotations

import json
from typing import Any

from offhook.evidence.record import Recording
from offhook.media import g711
from offhook.sims.faults.catalogue import injects
from offhook.sims.faults.scene import AGENT, CALLER, SHORT, WORDS, foreign, ours, talk, wait
from offhook.sims.provider import Answer
from offhook.sims.virtual_carrier import Line
from offhook.sims.virtual_voice import scaled
from offhook.wires._wire import Out

Session = dict[str, Any]


@injects("F-091")
def key_refused_late() -> list[Recording]:
    return ours("openai", net={"keys": frozenset({"sk-right"})}, play=wait(20.0))


@injects("F-092")
def dead_model() -> list[Recording]:
    return ours("openai", session={"model": "gpt-4o-realtime-preview"}, play=wait(20.0))


@injects("F-093")
def model_missing_xai() -> list[Recording]:
    return foreign(provider="xai", query_model=False, net={"faults": ("bare-url-old-model",)})


@injects("F-094")
def wrong_surface() -> list[Recording]:
    url = "wss://api.openai.com/openai/realtime?api-version=2024-10-01-preview&deployment=gpt-realtime"
    return foreign(url=url, query_model=False)


@injects("F-095")
def beta_header() -> list[Recording]:
    return foreign(headers=(("OpenAI-Beta", "realtime=v1"),))


@injects("F-096")
def flat_session() -> list[Recording]:
    return foreign(dialect="beta", greeting=False, play=wait(18.0), gate=("session.created",), hears="ga")


@injects("F-097")
def old_event_names() -> list[Recording]:
    """The session is right; the client waits for response.audio.delta."""
    return foreign(hears="beta")


def _bad_field(session: Session) -> Session:
    session["tools"] = [{"type": "function", "name": "x", "description": "x", "parameters": {"type": "object"},
                         "strict_mode": True}]  # fmt: skip
    return session


@injects("F-098")
def one_bad_field() -> list[Recording]:
    return foreign(session=_bad_field, gate=("session.created",), play=wait(18.0))


def _voice(name: str) -> Any:
    def change(session: Session) -> Session:
        session["audio"]["output"]["voice"] = name
        return session

    return change


@injects("F-099")
def foreign_voice() -> list[Recording]:
    return foreign(session=_voice("eve"), gate=("session.created",), play=wait(18.0))


@injects("F-100")
def voice_changed() -> list[Recording]:
    return foreign(second_update=_voice("cedar"), second_update_s=9.0)


def text_only(sim: Any, out: list[Out], now: float) -> list[Out]:
    """Every answer as text: what comes when only text was asked for."""
    found: list[Out] = []
    for message in out:
        if not isinstance(message, bytes):
            found.append(message)
            continue
        data = json.loads(message)
        kind = data["type"]
        if kind.startswith("response.output_audio.") or kind == "response.output_audio.done":
            continue
        if "audio_transcript" in kind:
            data["type"] = kind.replace("output_audio_transcript", "output_text")
        if kind == "session.updated" and "output_modalities" in data["session"]:
            data["session"]["output_modalities"] = ["text"]
        found.append(json.dumps(data).encode())
    return found


def _text_asked(session: Session) -> Session:
    session["output_modalities"] = ["text"]
    return session


@injects("F-101")
def only_text() -> list[Recording]:
    return foreign(session=_text_asked, net={"twist": text_only})


def _no_turns(session: Session) -> Session:
    session["audio"]["input"]["turn_detection"]["create_response"] = False
    return session


@injects("F-102")
def nobody_asks() -> list[Recording]:
    return foreign(session=_no_turns)


@injects("F-103")
def too_quiet() -> list[Recording]:
    """Speech at -38 dBFS against a threshold made for louder people."""

    def play(line: Line) -> None:
        line.gain = 0.1
        talk(line)

    def high(session: Session) -> Session:
        session["audio"]["input"]["turn_detection"]["threshold"] = 0.9
        return session

    return foreign(session=high, play=play, net={"faults": ("hard-of-hearing",)})


@injects("F-104")
def noise_keeps_turn() -> list[Recording]:
    def play(line: Line) -> None:
        line.then(4.5, lambda: setattr(line, "background", NOISE)).then(5.0, lambda: line.say(CALLER)).then(
            28.0, line.hang_up
        )

    return foreign(play=play)


def _noise(seconds: float, dbfs: float) -> bytes:
    import numpy as np

    made = np.random.default_rng(7).normal(0, 32768 * 10 ** (dbfs / 20), int(seconds * 8000))
    return g711.encode(np.clip(made, -32768, 32767).astype(np.int16))


NOISE = _noise(10.0, -22.0)


def failing(code: str, text: str, which: Any) -> Any:
    """Responses of the numbers that ``which`` picks fail with ``code``."""

    def twist(sim: Any, out: list[Out], now: float) -> list[Out]:
        if not which(sim.responses):
            return out
        found: list[Out] = []
        for message in out:
            if isinstance(message, bytes) and b'"response.' in message[:40]:
                data = json.loads(message)
                if data["type"] == "response.done":
                    error = {"type": code, "code": code, "message": text}
                    details = {"type": "failed", "error": error}
                    data["response"] |= {"status": "failed", "status_details": details, "output": [], "usage": None}
                elif data["type"] != "response.created":
                    continue
                message = json.dumps(data).encode()
            found.append(message)
        return found

    return twist


@injects("F-105")
def quota() -> list[Recording]:
    twist = failing("insufficient_quota", "You exceeded your current quota.", lambda n: n >= 1)
    return ours("openai", net={"twist": twist}, greeting="Hello.", play=wait(40.0))


@injects("F-107")
def one_fails() -> list[Recording]:
    def play(line: Line) -> None:
        line.then(5.0, lambda: line.say(SHORT)).then(15.0, lambda: line.say(SHORT)).then(25.0, lambda: line.say(SHORT))
        line.then(36.0, line.hang_up)

    twist = failing("server_error", "The server had an error.", lambda n: n == 2)
    return ours("openai", net={"twist": twist}, greeting="Hello.", play=play)


@injects("F-108")
def too_old() -> list[Recording]:
    """Half an hour, then the provider ends the session by its age."""

    def play(line: Line) -> None:
        line.then(5.0, lambda: line.say(SHORT)).then(1900.0, line.hang_up)

    return foreign(provider="xai", play=play, limit_s=1950.0, net={"script": (Answer(audio=SHORT, transcript="Yes."),)})


@injects("F-115")
def turns_without_audio() -> list[Recording]:
    """The provider hears, closes the turn, and says nothing."""

    def twist(sim: Any, out: list[Out], now: float) -> list[Out]:
        found: list[Out] = []
        for message in out:
            if isinstance(message, bytes) and sim.responses > 1 and b'"response.' in message[:40]:
                data = json.loads(message)
                if data["type"] == "response.done":
                    details = {"type": "incomplete", "reason": "content_filter"}
                    data["response"] |= {"status": "incomplete", "status_details": details, "output": []}
                elif data["type"] != "response.created":
                    continue
                message = json.dumps(data).encode()
            found.append(message)
        return found

    def play(line: Line) -> None:
        for n in range(4):
            line.then(5.0 + 7 * n, lambda: line.say(SHORT))
        line.then(34.0, line.hang_up)

    return foreign(net={"twist": twist}, play=play)


@injects("F-116")
def almost_silent() -> list[Recording]:
    faint = Answer(audio=scaled(AGENT + AGENT, 0.002), transcript=WORDS * 2)
    return foreign(net={"script": (faint,), "greeting": faint}, play=wait(26.0))


@injects("F-119")
def refused_at_first_audio() -> list[Recording]:
    """Everything is fine until the first piece of audio."""
    return foreign(net={"faults": ("reject-first-append",)}, greeting=False, play=wait(15.0))


@injects("F-120")
def slow_dial() -> list[Recording]:
    return foreign(net={"slow_s": {"tls": 6.0}}, play=wait(24.0))


@injects("F-121")
def connection_broke() -> list[Recording]:
    return ours("openai", net={"faults": ("drop@20s",)}, play=wait(40.0), greeting="Hello.")


@injects("F-122")
def commit_of_nothing() -> list[Recording]:
    return foreign(commits_on_stop=True)


def _nested_for_openai(session: Session) -> Session:
    """Voice and turn detection where OpenAI has them."""
    session["audio"]["output"]["voice"] = session.pop("voice")
    session["audio"]["input"]["turn_detection"] = session.pop("turn_detection")
    return session


@injects("F-124")
def misplaced_settings() -> list[Recording]:
    return foreign(provider="xai", voice="rex", session=_nested_for_openai)


@injects("F-168")
def model_missing_openai() -> list[Recording]:
    return foreign(query_model=False)
