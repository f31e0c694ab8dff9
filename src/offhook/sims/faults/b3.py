"""The bridge itself: gates, readers, pacing, barge-ins, keepalives."""

from __future__ import annotations

import base64
import json
from typing import Any

from offhook.evidence.record import Recording
from offhook.sims.faults.b2 import _block
from offhook.sims.faults.catalogue import injects
from offhook.sims.faults.scene import AGENT, ALL, CALLER, LONG, SHORT, WORDS, foreign, mute, talk, wait
from offhook.sims.foreign_knobs import Tool
from offhook.sims.provider import Answer
from offhook.sims.virtual_carrier import Line
from offhook.wires._wire import Out, PeerClose


def barge(line: Line) -> None:
    """The caller interrupts the greeting after two seconds, and hears the next answer out."""
    line.then(2.6, lambda: line.say(CALLER)).then(20.0, line.hang_up)


BARGED = {"greeting": Answer(audio=LONG, transcript=WORDS * 2), "speedup": 40.0}


@injects("F-070")
def wrong_gate() -> list[Recording]:
    """The server of spring 2026 never said session.created; this bridge waits for it."""
    return foreign(provider="xai", gate=("session.created",), greeting=False, net={"faults": ("conversation-first",)},
                   play=wait(20.0))  # fmt: skip


@injects("F-071")
def no_gate() -> list[Recording]:
    def play(line: Line) -> None:
        line.then(0.1, lambda: line.say(CALLER)).then(18.0, line.hang_up)

    return foreign(gate=None, play=play, net={"slow_s": {"updated": 1.2}}, greeting=False)


def _says_on_cancel(text: str) -> Any:
    """A server that has nothing to cancel says so whenever it is asked to truncate."""

    def twist(sim: Any, out: list[Out], now: float) -> list[Out]:
        found = []
        for message in out:
            found.append(message)
            if isinstance(message, bytes) and b"input_audio_buffer.speech_started" in message[:80]:
                error = {"type": "invalid_request_error", "code": "invalid_request_error", "message": text}
                found.append(json.dumps({"type": "error", "error": error}).encode())
        return found

    return twist


@injects("F-072")
def reader_dies() -> list[Recording]:
    text = "Cancellation failed: no active response found"
    return foreign(provider="xai", on_error="dies", play=wait(22.0), sees=ALL, net={"twist": _says_on_cancel(text)})


@injects("F-073")
def line_left_open() -> list[Recording]:
    return foreign(on_provider_close="leave open", net={"faults": ("close-1011@12s",)}, play=wait(40.0))


@injects("F-074")
def loop_blocked() -> list[Recording]:
    return foreign(calls=2, apart_s=0.3, then=_block(8.0, 1.3, "tool get_invoice"), play=wait(20.0), sees=ALL)


@injects("F-075")
def pacer_drifts() -> list[Recording]:
    return foreign(pace="sleeps", send_cost_s=0.004, net={"script": (Answer(audio=LONG, transcript=WORDS * 3),)},
                   play=wait(28.0))  # fmt: skip


@injects("F-076")
def closed_too_early() -> list[Recording]:
    """The agent's goodbye came in a fifth of a second; the bridge hangs up when it has been sent."""
    script = (Answer(audio=AGENT, transcript="Goodbye, and thank you for calling.", tool="hang_up"),)
    return foreign(tools={"hang_up": Tool(seconds=0.1, hangs_up=True)}, hangs_up="at once", play=wait(40.0), sees=ALL,
                   net={"script": script, "speedup": 40.0})  # fmt: skip


@injects("F-077")
def no_clear() -> list[Recording]:
    return foreign(clears=False, play=barge, net=BARGED)


@injects("F-078")
def late_audio() -> list[Recording]:
    net = {"greeting": Answer(audio=LONG, transcript=WORDS * 2), "speedup": 3.0, "faults": ("late-deltas",)}
    return foreign(drops_late=False, play=barge, net=net)


@injects("F-079")
def wall_clock() -> list[Recording]:
    """The second item is interrupted; the offset counts from the beginning of the stream."""

    def play(line: Line) -> None:
        line.then(4.5, lambda: line.say(CALLER)).then(11.5, lambda: line.say(SHORT)).then(26.0, line.hang_up)

    return foreign(truncates="wall", play=play, net={"speedup": 40.0})


@injects("F-080")
def create_over_active() -> list[Recording]:
    return foreign(creates_on_stop=True)


def _quota_then_close(sim: Any, out: list[Out], now: float) -> list[Out]:
    """Takes the session, then says that there is no money, and closes."""
    if any(isinstance(message, bytes) and b'"session.updated"' in message[:60] for message in out):
        error = {
            "type": "insufficient_quota",
            "code": "insufficient_quota",
            "message": "You exceeded your current quota.",
        }
        return [json.dumps({"type": "error", "error": error}).encode(), PeerClose(1011, "insufficient_quota")]
    return out


@injects("F-081")
def endless_reconnects() -> list[Recording]:
    return foreign(
        on_provider_close="reconnect", max_reconnects=1000, net={"twist": _quota_then_close}, play=wait(15.0)
    )


@injects("F-083")
def idle_fires() -> list[Recording]:
    long = Answer(audio=LONG + AGENT, transcript=WORDS * 4)
    return foreign(
        idle_s=6.0, idle_counts_playback=False, net={"greeting": long, "speedup": 60.0}, play=mute(40.0), sees=ALL
    )


@injects("F-084")
def own_keepalive() -> list[Recording]:
    return foreign(ping_s=5.0, pong_s=5.0, net={"pong_delay_s": 7.0}, play=wait(30.0))


def _big_delta(sim: Any, out: list[Out], now: float) -> list[Out]:
    """The second answer comes as one event of 1.3 MB."""
    big: list[Out] = []
    for message in out:
        if big and isinstance(message, bytes) and b'output_audio.delta"' in message[:60] and sim.responses == 2:
            continue
        if isinstance(message, bytes) and b'output_audio.delta"' in message[:60] and sim.responses == 2:
            data = json.loads(message)
            data["delta"] = base64.b64encode(b"\x7e\xfe" * 490_000).decode()
            message = json.dumps(data).encode()
        big.append(message)
    return big


@injects("F-085")
def too_big() -> list[Recording]:
    return foreign(max_message=1024 * 1024, net={"twist": _big_delta}, play=wait(20.0))


@injects("F-086")
def one_global_session() -> list[Recording]:
    """A second call comes while the first one runs, and takes its place."""
    return foreign(global_session=True, calls=2, apart_s=6.0, play=wait(20.0), sees=ALL)


@injects("F-087")
def reconnect_is_new() -> list[Recording]:
    """The carrier's connection breaks and comes back within a second, with another stream id."""

    def play(line: Line) -> None:
        line.then(7.0, lambda: line.reopen(0.9)).then(18.0, line.hang_up)

    return foreign(play=play)


@injects("F-088")
def gap_ends_turn() -> list[Recording]:
    def manual(session: dict[str, Any]) -> dict[str, Any]:
        session["audio"]["input"]["turn_detection"] = None
        return session

    return foreign(gap_ends_turn=True, session=manual, play=talk, sees=ALL)


@injects("F-090")
def teardown_noise() -> list[Recording]:
    """The caller has left; then the reader says that it is not connected."""
    return foreign(noise_at_end="ConnectionClosed", sees=ALL, play=wait(16.0))


@injects("F-172")
def strict_parser() -> list[Recording]:
    return foreign(provider="xai", strict=True, play=wait(30.0), sees=ALL)
