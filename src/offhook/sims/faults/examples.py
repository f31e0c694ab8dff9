"""
A worked example for each rule that no row of the catalogue leads to: a call that shows it, for the playground.

What each is stands in ``examples.jsonl``, read by ``catalogue.py``; the score does not count them. A record that no
simulated call can leave is made by hand, and says so (``by_hand``).
"""

from __future__ import annotations

from functools import partial
from typing import Any

import msgspec

from offhook import vocab as v
from offhook.evidence.record import Recording
from offhook.sims.faults import dialled
from offhook.sims.faults.b6 import called
from offhook.sims.faults.catalogue import Inject
from offhook.sims.faults.scene import ALL, CALLER, SHORT, foreign, mute, ours, wait
from offhook.sims.foreign_knobs import Tool
from offhook.sims.observer import Observer
from offhook.sims.provider import Answer
from offhook.sims.provider_profiles import profile
from offhook.sims.run_world import Declined, Options
from offhook.sims.virtual import World
from offhook.sims.virtual_carrier import Line
from offhook.sims.virtual_dial import Person

__all__ = ["EXAMPLES"]

US, THEM = "+15550100002", "+15550100077"
FORM = {"From": "+15550100001", "To": US}


def _exception() -> list[Recording]:
    def then(world: World, server: Any, lines: list[Line]) -> None:
        def fail() -> None:
            call = server.host.calls.find(lines[0].call_sid)
            try:
                _ = 1 // 0
            except ZeroDivisionError as error:
                call.broke(error, world.now())

        world.after(8.0, fail)

    return ours("openai", wait(20.0), greeting="Hello.", then=then)


def _transfer_not_taken() -> list[Recording]:
    def play(line: Line) -> None:
        line.people = {THEM: Person(how="busy")}
        line.then(30.0, line.hang_up)

    def then(world: World, server: Any, lines: list[Line]) -> None:
        async def give_away() -> None:
            await server.host.calls.ask(lines[0].call_sid, v.TransferAsked(THEM))

        def ask() -> None:
            world.loop.create_task(give_away())

        world.after(8.0, ask)

    return ours("openai", play, then=then, limit_s=200.0, greeting="Hello.")


def _left_in_webhook() -> list[Recording]:
    """Another call's stream came up: the way was open."""

    def then(world: World, server: Any, lines: list[Line]) -> None:
        world.after(20.015, lines[-1].hang_up)

    return ours("openai", mute(6.0), calls=2, apart_s=20.0, then=then, greeting="Hello.", settle_s=40.0)


def _not_taken() -> list[Recording]:
    def then(world: World, server: Any, lines: list[Line]) -> None:
        server.people[THEM] = Person(how="busy")

        async def place() -> None:
            await server.host.outbound.over(await server.host.outbound.place(THEM, Options(from_=US)))

        world.loop.create_task(place())

    return ours("openai", then=then, calls=0, settle_s=60.0, greeting="Hello, this is the clinic.")


def _heard_at_the_phone() -> list[Recording]:
    """A server that sends nothing, as the dial's phone hears it; the judgement is of a run of `offhook dial`."""
    calls = foreign(source="dial", sees=("webhook", "carrier"), greeting=False, play=mute(12.0))
    unheard = {
        "statement": "", "code": None, "severity": "suspicion", "count": 1,
        "sentence": "the agent was never heard: the stream is fine, nothing was sent on it; the cause lies behind it",
        "proof": "not provable from here: the agent was not heard within 10 s",
        "fix": "prove the boundaries behind the stream: offhook check, or dial with --fakes",
    }  # fmt: skip
    return [_with_end(call, dial={"verdict": "not proven", "findings": [unheard]}) for call in calls]


def _caller_not_written() -> list[Recording]:
    return ours("openai", wait(18.0), greeting="Hello.", net=profile("openai", "2027-03-01").knobs)


def _process_died() -> list[Recording]:
    def then(world: World, server: Any, lines: list[Line]) -> None:
        world.after(8.0, server.process.kill)

    return ours("openai", wait(12.0), greeting="Hello.", then=then)


def _call_declined() -> list[Recording]:
    declined = Declined(
        "no-agent", "This number is not in use.", "no [[route]] fits the number called and there is no [agent]"
    )
    return ours("openai", answer_for=lambda facts: declined, limit_s=30.0)


def _answered_for() -> list[Recording]:
    script = (Answer(tool="lookup_weather", arguments='{"city":"Oslo"}'), Answer(audio=SHORT, transcript="I cannot."))
    return ours("openai", wait(18.0), greeting="Hello.", net={"script": script})


def _blocks_its_loop() -> list[Recording]:
    def then(world: World, server: Any, lines: list[Line]) -> None:
        def tell() -> None:
            seen = lines[0].observer
            assert seen is not None
            stack = "lookup.py:12 lookup < box.py:88 _run"
            seen.note("tool.blocks", world.now(), name="lookup", ms=3004, stack=stack)

        world.after(12.0, tell)

    return called(Tool(seconds=3.0, filler=True), then=then)


def _claimed_not_done() -> list[Recording]:
    claim = Answer(audio=SHORT, transcript="I've booked a table for you on Monday.")
    return ours("openai", wait(18.0), greeting="Hello.", net={"script": (claim,)})


def _turn_logic_on_full_duplex() -> list[Recording]:
    def play(line: Line) -> None:
        line.then(5.0, lambda: line.say(CALLER)).then(10.5, lambda: line.say(SHORT)).then(24.0, line.hang_up)

    live = {"provider": "gpt-live", "checked": "2026-11-22", "speaks_first": "provider", "duplex": "full"}
    return foreign(play=play, sees=ALL, boot={"profile": live})


def _another_carriers_dialect() -> list[Recording]:
    """Plivo's start and media as plivo/plivo-stream-sdk-python has them (plivo_stream/types.py, 2026-11-22)."""
    stream = "20170ada-f610-433b-8758-c02a2aab3662"
    seen = Observer(0.0, sees=("webhook", "carrier", "bridge"), boot={"carrier": "twilio"})
    seen.call_placed("CA" + "0" * 32, "inbound", FORM)
    start = {"callId": "c", "streamId": stream, "accountId": "a", "tracks": ["inbound"],
             "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000}}  # fmt: skip
    told = {"event": "start", "sequenceNumber": 0, "start": start, "extra_headers": "{}"}
    seen.note("upgrade", 0.1, path="/media", query_keys=[], host="bridge.example.net", status=101, ms=1.0, why="",
              headers={"upgrade": True, "connection": True})  # fmt: skip
    seen.from_carrier(msgspec.json.encode(told), False, 0.12)
    for n in range(400):
        media = {"track": "inbound", "timestamp": str(n * 20), "chunk": n + 1, "payload": "/37+//9+" * 26 + "/34="}
        frame = {"event": "media", "sequenceNumber": n + 1, "streamId": stream, "media": media, "extra_headers": "{}"}
        seen.from_carrier(msgspec.json.encode(frame), False, 0.15 + n * 0.02)
    seen.closed("carrier", 1000, "", "us", 8.3)
    return [seen.recording(8.4)]


def _stream_past_the_tap() -> list[Recording]:
    """The webhook comes by the tap on port 9000; the document names port 8080."""
    seen = Observer(0.0)
    seen.call_placed("CA" + "0" * 32, "inbound", FORM)
    seen.note(
        "webhook", 0.0, n=1, method="POST", scheme="http", host="127.0.0.1", port=9000, path="/voice", query_keys=[],
        status=200, ms=4.0, content_type="text/xml", bytes=160, call_sid="CA" + "0" * 32,
        signature={"present": True, "ok": True, "alg": "sha1", "variant": ""},
    )  # fmt: skip
    document = b'<Response><Connect><Stream url="ws://127.0.0.1:8080/media"/></Connect></Response>'
    seen.document(document, None, "", 0.01)
    return [seen.recording(60.0)]


def _with_end(call: Recording, **more: Any) -> Recording:
    lines = [{"k": line.kind, "t": line.at_ms, **line.data} for line in call.lines]
    lines[-1] |= more
    return Recording.parse([msgspec.json.encode(line) for line in lines])


EXAMPLES: dict[str, Inject] = {
    "E-exception": _exception,
    "E-transfer-not-taken": _transfer_not_taken,
    "E-contract": partial(dialled.dial_line, "malformed-json"),
    "E-lost": partial(dialled.dial_line, "drop"),
    "E-marks-lost": partial(dialled.dial_line, "lost-marks"),
    "E-not-started": partial(dialled.dial_line, "dtmf-only"),
    "E-another-carriers-dialect": _another_carriers_dialect,
    "E-order-not-kept": partial(dialled.dial_line, "reorder"),
    "E-left-early": partial(ours, "openai", mute(0.7)),
    "E-left-in-webhook": _left_in_webhook,
    "E-not-taken": _not_taken,
    "E-heard-at-the-phone": _heard_at_the_phone,
    "E-failed": partial(dialled.dial, "refuse-503"),
    "E-caller-not-written": _caller_not_written,
    "E-never-ready": partial(dialled.dial, "no-session-updated"),
    "E-setting-not-applied": partial(dialled.dial, "another-voice"),
    "E-stopped-reading": partial(dialled.dial, "stops-reading"),
    "E-process-died": _process_died,
    "E-stream-past-the-tap": _stream_past_the_tap,
    "E-call-declined": _call_declined,
    "E-answered-for": _answered_for,
    "E-blocks-its-loop": _blocks_its_loop,
    "E-claimed-not-done": _claimed_not_done,
    "E-cut-short": partial(dialled.dial, "incomplete-tokens"),
    "E-no-answer": partial(dialled.dial, "stop-answering"),
    "E-turn-logic-on-full-duplex": _turn_logic_on_full_duplex,
}
