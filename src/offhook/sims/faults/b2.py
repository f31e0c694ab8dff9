"""The media stream between the carrier and the server."""

from __future__ import annotations

from collections.abc import Callable

from offhook.evidence.record import Recording
from offhook.sims.faults.catalogue import injects
from offhook.sims.faults.scene import AGENT, ALL, LONG, TOKEN, WORDS, foreign, mute, talk, wait
from offhook.sims.foreign import Foreign
from offhook.sims.provider import Answer
from offhook.sims.virtual import World
from offhook.sims.virtual_carrier import Line
from offhook.wires._wire import Refusal


@injects("F-046")
def unknown_path() -> list[Recording]:
    return foreign(stream_url="wss://bridge.example.net/media-streams", sees=ALL)


@injects("F-047")
def dial_before_accept() -> list[Recording]:
    refuse = lambda n, path, headers: Refusal(401, '{"error":{"message":"Unauthorized"}}', "key")  # noqa: E731
    return foreign(accepts="after dial", net={"refuse": refuse}, sees=ALL)


@injects("F-048")
def accepted_late() -> list[Recording]:
    return foreign(accepts="after dial", net={"slow_s": {"upgrade": 12.0}}, dial_timeout_s=20.0)


@injects("F-049")
def snake_case() -> list[Recording]:
    return foreign(sid_field="stream_sid")


@injects("F-050")
def before_start() -> list[Recording]:
    """The greeting is there before the stream has said its name."""
    return foreign(before_start=True, line={"start_delay_s": 1.5})


@injects("F-051")
def sid_of_another() -> list[Recording]:
    return foreign(sid="other call", calls=2, keep=1)


@injects("F-052")
def echoes_connected() -> list[Recording]:
    return foreign(echoes_connected=True, forwards_raw=True)


@injects("F-053")
def binary_frames() -> list[Recording]:
    return foreign(binary=True)


@injects("F-054")
def mark_without_name() -> list[Recording]:
    return foreign(mark_shape="no name")


@injects("F-055")
def base64_twice() -> list[Recording]:
    return foreign(payload="twice")


@injects("F-056")
def reads_wrong_names() -> list[Recording]:
    return foreign(reads="stream_sid", sees=ALL)


@injects("F-057")
def start_expected_first() -> list[Recording]:
    return foreign(reads="start first", line={"start_delay_s": 0.25}, sees=ALL)


@injects("F-059")
def handler_raises() -> list[Recording]:
    return foreign(raises_at_frame=50, sees=ALL)


def _block(at_s: float, seconds: float, task: str) -> Callable[[World, Foreign, list[Line]], None]:
    def plan(world: World, program: Foreign, lines: list[Line]) -> None:
        def block() -> None:
            program.process.block(seconds)
            for observer in set(program.observers.values()):
                observer.note("bridge.loop-lag", world.now(), ms=round(seconds * 1000), task=task)

        world.after(at_s, block)

    return plan


@injects("F-060")
def reads_too_slowly() -> list[Recording]:
    """Eight seconds in which nobody takes the caller's frames."""
    return foreign(then=_block(6.0, 8.0, "tool http_get"), play=wait(25.0), sees=ALL)


@injects("F-061")
def minutes_ahead() -> list[Recording]:
    """Twelve minutes of audio come in a few seconds, and all of it goes on."""
    long = Answer(audio=AGENT * 100, transcript=WORDS)
    return foreign(net={"greeting": long, "speedup": 80.0}, play=mute(20.0))


@injects("F-062")
def stop_ends_nothing() -> list[Recording]:
    def play(line: Line) -> None:
        line.stops_quietly = True
        line.then(3.0, lambda: line.say(AGENT)).then(12.0, line.hang_up)

    return foreign(play=play, stop_ends=False, limit_s=30.0)


@injects("F-063")
def half_dead() -> list[Recording]:
    """The carrier's side neither reads nor sends, and does not close."""

    def play(line: Line) -> None:
        line.then(6.0, line.freeze)

    return foreign(play=play, net={"greeting": Answer(audio=LONG * 6, transcript=WORDS)}, limit_s=30.0)


@injects("F-064")
def upgrade_signed_as_wss() -> list[Recording]:
    return foreign(checks_signature="https-upgrade", auth_token=TOKEN, line={"auth_token": TOKEN}, sees=ALL)


@injects("F-069")
def both_tracks() -> list[Recording]:
    """What the agent says comes back as the second track, and goes to the model too."""

    def play(line: Line) -> None:
        line.both_tracks = True
        talk(line)

    return foreign(play=play, all_tracks=True)
