"""Tools and the agent's manners."""

from __future__ import annotations

from typing import Any

from offhook.evidence.record import Recording
from offhook.sims.faults.catalogue import injects
from offhook.sims.faults.scene import AGENT, ALL, SHORT, foreign, mute, wait
from offhook.sims.foreign_knobs import Tool
from offhook.sims.provider import Answer
from offhook.sims.virtual_carrier import Line

GOODBYE = Answer(audio=SHORT, transcript="Thank you for calling. Goodbye.")


def called(
    tool: Tool, *, name: str = "lookup", arguments: str = '{"city":"Oslo"}', play: Any = None, **more: Any
) -> list[Recording]:
    """The model calls one tool, after the caller's first turn."""
    script = (Answer(tool=name, arguments=arguments, transcript=""), Answer(audio=AGENT, transcript="It rains."))
    net = {"script": script, "reply": Answer(audio=AGENT, transcript="It is raining."), **more.pop("net", {})}
    return foreign(tools={"lookup": tool}, play=play or wait(22.0), net=net, sees=ALL, **more)


def goodbye(**more: Any) -> list[Recording]:
    """The agent says goodbye and hangs up by its tool when that has been heard."""
    script = (Answer(audio=SHORT, transcript="Thank you for calling. Goodbye.", tool="hang_up"),)
    return foreign(
        tools={"hang_up": Tool(seconds=0.1, hangs_up=True)}, play=wait(60.0), net={"script": script}, sees=ALL, **more
    )


@injects("F-141")
def output_only() -> list[Recording]:
    return called(Tool(asks_next=False))


@injects("F-142")
def unknown_tool() -> list[Recording]:
    return called(Tool(), name="lookup_weather")


@injects("F-143")
def tool_raises() -> list[Recording]:
    return called(Tool(raises="ValueError"))


@injects("F-144")
def bad_arguments() -> list[Recording]:
    return called(Tool(), arguments='{"city":"Os')


@injects("F-145")
def encoded_twice() -> list[Recording]:
    return called(Tool(encodes_twice=True))


@injects("F-146")
def too_slow() -> list[Recording]:
    """Twelve seconds without a word; the caller leaves after nine."""
    return called(Tool(seconds=12.0), play=wait(17.0))


@injects("F-148")
def runs_twice() -> list[Recording]:
    def play(line: Line) -> None:
        line.then(2.5, lambda: line.say(SHORT)).then(7.5, lambda: line.say(SHORT[:6000])).then(26.0, line.hang_up)

    return called(Tool(seconds=3.5, reruns=True), play=play)


@injects("F-149")
def never_hangs_up() -> list[Recording]:
    def play(line: Line) -> None:
        for n in range(3):
            line.then(4.5 + 8 * n, lambda: line.say(SHORT[:12000]))
        line.then(42.0, line.hang_up)

    return foreign(tools={"hang_up": Tool(hangs_up=True)}, net={"script": (GOODBYE,)}, play=play)


@injects("F-150")
def nobody_speaks_first() -> list[Recording]:
    return foreign(greeting=False, play=mute(9.0))


@injects("F-151")
def transfer_too_early() -> list[Recording]:
    script = (Answer(audio=SHORT, transcript="I put you through.", tool="transfer"),)
    return foreign(
        tools={"transfer": Tool(seconds=0.1, transfers=True)}, net={"script": script}, play=wait(40.0), sees=ALL
    )
