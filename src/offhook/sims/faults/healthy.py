"""Calls that look suspicious and are healthy."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from offhook.evidence.record import Recording
from offhook.media import g711
from offhook.sims.faults.b3 import barge
from offhook.sims.faults.b6 import called, goodbye
from offhook.sims.faults.b7_9 import voicemail
from offhook.sims.faults.catalogue import injects
from offhook.sims.faults.scene import ALL, LONG, SHORT, WORDS, foreign, mute, ours, talk, wait
from offhook.sims.foreign_knobs import Tool
from offhook.sims.provider import Answer
from offhook.sims.virtual import Link
from offhook.sims.virtual_carrier import Line
from offhook.wires._wire import Out


@injects("H-001")
def silent_caller() -> list[Recording]:
    return ours("openai", greeting="Hello.", play=mute(30.0))


@injects("H-002")
def long_tool() -> list[Recording]:
    return called(Tool(seconds=12.0, filler=True), play=wait(32.0))


@injects("H-003")
def early_hang_up() -> list[Recording]:
    return ours("openai", greeting="Hello.", play=mute(0.7))


@injects("H-004")
def slow_answers() -> list[Recording]:
    return ours("xai", greeting="Hello.", net={"think_s": 4.0}, play=wait(24.0))


def music(seconds: float) -> bytes:
    """Chords, as a line on hold plays them."""
    n = np.arange(int(seconds * 8000))
    chords = ((220, 277, 330), (196, 247, 294), (175, 220, 262), (196, 247, 330))
    out = np.zeros(len(n))
    for at in range(0, len(n), 16000):
        piece = n[at : at + 16000]
        for hz in chords[at // 16000 % 4]:
            out[at : at + 16000] += np.sin(2 * np.pi * hz * piece / 8000)
    return g711.encode((out / 3 * 32767 * 0.14).astype(np.int16))


@injects("H-005")
def hold_music() -> list[Recording]:
    def play(line: Line) -> None:
        line.then(6.0, lambda: line.say(music(12.0))).then(32.0, line.hang_up)

    return ours("xai", greeting="Hello.", play=play)


@injects("H-006")
def barge_in() -> list[Recording]:
    net = {"greeting": Answer(audio=LONG, transcript=WORDS * 2), "speedup": 40.0}
    return ours("openai", greeting="Hello.", net=net, play=barge)


RACES = (
    ("response_cancel_not_active", "Cancellation failed: no active response found"),
    ("input_audio_buffer_commit_empty", "Error committing input audio buffer: buffer too small."),
    ("invalid_value", "Audio content of 3480ms is already shorter than 3500ms"),
)


@injects("H-007")
def races() -> list[Recording]:
    """Each harmless error once, behind the first answers."""
    left = list(RACES)

    def twist(sim: Any, out: list[Out], now: float) -> list[Out]:
        if left and any(isinstance(message, bytes) and b'"response.done"' in message[:40] for message in out):
            code, text = left.pop(0)
            error = {"type": "invalid_request_error", "code": code, "message": text, "param": None, "event_id": None}
            return [*out, json.dumps({"type": "error", "event_id": "event_x", "error": error}).encode()]
        return out

    def play(line: Line) -> None:
        for n in range(3):
            line.then(5.0 + 11 * n, lambda: line.say(SHORT))
        line.then(38.0, line.hang_up)

    return ours("openai", greeting="Hello.", net={"twist": twist}, play=play)


@injects("H-009")
def keys_only() -> list[Recording]:
    def play(line: Line) -> None:
        line.then(6.0, lambda: line.press("1")).then(15.0, lambda: line.press("3")).then(24.0, lambda: line.press("#"))
        line.then(33.0, line.hang_up)

    return ours("openai", greeting="Hello.", play=play)


@injects("H-010")
def agent_closes() -> list[Recording]:
    script = (Answer(audio=SHORT, transcript="Goodbye.", tool="hang_up"),)
    return ours("openai", greeting="Hello.", net={"script": script}, with_rest=False, play=wait(60.0))


@injects("H-011")
def rotation() -> list[Recording]:
    """The connection to the provider is exchanged for another one while nobody speaks."""
    return foreign(rotates_at_s=14.0, play=talk)


@injects("H-013")
def unknown_events() -> list[Recording]:
    return ours("xai", greeting="Hello.", net={"faults": ("unknown-events",)})


@injects("H-014")
def burst_of_marks() -> list[Recording]:
    net = {"greeting": Answer(audio=LONG, transcript=WORDS * 2), "speedup": 60.0}
    return ours("xai", greeting="Hello.", net=net, play=barge)


@injects("H-015")
def machine_handled() -> list[Recording]:
    """The agent leaves its message and hangs up."""
    script = (Answer(audio=SHORT, transcript="Please call us back. Goodbye.", tool="hang_up"),)
    line = {"direction": "outbound-api", "answered_by": "machine_end_beep"}
    return ours("openai", line=line, net={"script": script}, play=voicemail)


@injects("H-016")
def small_jitter() -> list[Recording]:
    def play(line: Line) -> None:
        line.lost = frozenset({301})
        talk(line)

    return ours("openai", greeting="Hello.", line={"link": Link(0.03, 0.08)}, play=play)


@injects("H-017")
def far_ahead() -> list[Recording]:
    net = {"script": (Answer(audio=LONG * 2, transcript=WORDS * 4),), "speedup": 28.0}
    return ours("openai", greeting="Hello.", net=net, play=wait(40.0))


@injects("H-018")
def webhook_only() -> list[Recording]:
    """The caller gives up between the webhook and the stream."""

    def then(world: Any, server: Any, lines: list[Line]) -> None:
        world.after(0.015, lines[0].hang_up)

    return ours(
        "openai",
        greeting="Hello.",
        play=lambda line: None,
        then=then,
        limit_s=5.0,
        settle_s=40.0,
        line={"status_url": "https://voice.example.com/twilio/status"},
    )


@injects("H-019")
def second_webhook() -> list[Recording]:
    """The action URL is asked when the stream is over, and the status callbacks come in reverse."""
    script = (Answer(audio=SHORT, transcript="Goodbye.", tool="hang_up"),)
    return ours("openai", greeting="Hello.", net={"script": script}, with_rest=False, play=wait(60.0))


def _plain(provider: str, **server: Any) -> Callable[[], list[Recording]]:
    return lambda: ours(provider, talk, **server)


# A good call of each provider with our bridge, with and without REST and greeting, and with the naive one.
PLAIN: Mapping[str, Callable[[], list[Recording]]] = {
    "plain-openai": _plain("openai", greeting="Hello."),
    "plain-xai": _plain("xai", greeting="Hello."),
    "plain-loopback": _plain("loopback", greeting="Hello."),
    "plain-openai-no-rest": _plain("openai", greeting="Hello.", with_rest=False),
    "plain-xai-no-greeting": _plain("xai"),
    "naive-openai": lambda: foreign(play=talk),
    "naive-xai": lambda: foreign(provider="xai", play=talk),
    "naive-openai-pcm": lambda: foreign(play=talk, audio="pcm"),
    "naive-xai-paced": lambda: foreign(provider="xai", play=talk, pace="absolute"),
    "naive-openai-watched": lambda: foreign(play=talk, sees=ALL),
    "naive-openai-parameters": lambda: foreign(play=talk, sees=ALL, parameters={"agent": "billing"}),
    "naive-openai-goodbye": lambda: goodbye(),
    "naive-openai-tool": lambda: called(Tool()),
}
