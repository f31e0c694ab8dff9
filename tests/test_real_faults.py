"""Faults of tools, records and call control in calls of our own server, and the page that lists all of them."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from typing import Any

from offhook.diagnosis.report import report
from offhook.evidence.record import Recording
from offhook.net.outbound import Options
from offhook.sims.faults import catalogue
from offhook.sims.faults.scene import SHORT, mute, ours, wait
from offhook.sims.provider import Answer
from offhook.sims.provider_profiles import profile
from offhook.sims.virtual import World
from offhook.sims.virtual_carrier import Line

ROOT = Path(__file__).parent.parent
ROW = re.compile(r"^\| ([FSH]-\d{3}) \| ([^|]+) \| `([\w/.]+)::(\w+)` \|$", re.MULTILINE)


def roots(calls: list[Recording]) -> list[str]:
    (call,) = calls
    return [finding.catalogue for finding in report(call).roots]


def test_f150_nobody_speaks_first():
    assert roots(ours("openai", mute(9.0))) == ["F-150"]


def test_f153_a_provider_whose_texts_come_after_the_end():
    def play(line: Line) -> None:
        line.then(4.0, lambda: line.say(SHORT)).then(7.95, line.hang_up)

    late = {"faults": ("late-transcripts@0.8s",)}
    assert roots(ours("openai", play, net=late, greeting="Hello.")) == ["F-153"]


def test_f158_machine_detection_never_blocks_the_call():
    asked: list[dict[str, str]] = []

    def place(world: World, server: Any, lines: list[Line]) -> None:
        async def do() -> None:
            for machine in ("detect", "beep"):
                await server.host.outbound.place("+15550100077", Options(from_="+15550100002", machine=machine))
            asked.extend(form for method, path, form in server.account.asked if path.endswith("/Calls.json"))

        world.loop.create_task(do())

    ours("openai", calls=0, then=place, settle_s=5.0)
    assert [(form["MachineDetection"], form["AsyncAmd"]) for form in asked] == [
        ("Enable", "true"),
        ("DetectMessageEnd", "true"),
    ]


def test_f159_a_hang_up_that_the_carrier_refuses():
    bye = Answer(audio=SHORT, transcript="Goodbye.", tool="hang_up")
    refused = ours("openai", wait(40.0), net={"script": (bye,)}, rest=(401, 20003), greeting="Hello.")
    assert roots(refused) == ["F-159"]


def test_a_caller_who_hangs_up_during_the_webhook_is_nobodys_fault_where_another_calls_stream_came_up():
    def then(world: World, server: Any, lines: list[Line]) -> None:
        world.after(20.015, lines[-1].hang_up)

    def play(line: Line) -> None:
        line.then(6.0, line.hang_up)

    _, second = ours("openai", play, calls=2, apart_s=20.0, then=then, greeting="Hello.", settle_s=40.0)
    assert report(second).verdict == "healthy" and second.end is not None
    assert second.end["end"]["why"] == "no stream followed the webhook"
    (alone,) = ours("openai", lambda line: line.world.after(0.015, line.hang_up), greeting="Hello.", settle_s=40.0)
    assert report(alone).verdict == "not proven"


def test_a_call_goes_on_where_the_provider_has_retired_the_model_that_writes_the_caller_down():
    retired = profile("openai", "2027-03-01")
    (call,) = ours("openai", wait(18.0), greeting="Hello.", net=retired.knobs)
    judged = report(call)
    assert judged.verdict == "healthy" and "session applied = asked" in judged.because
    (told,) = judged.others
    assert (told.rule, told.severity) == ("provider-session/caller-not-written", "note")
    assert call.end is not None and call.end["end"] == {"why": "caller hung up", "wanted": True}


def test_the_page_has_every_row_and_names_tests_that_exist():
    found = ROW.findall((ROOT / "docs" / "real-faults.md").read_text())
    lines = (Path(catalogue.__file__).parent / "catalogue.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    wanted = [row["id"] for row in rows if {"B6", "B7", "B8"} & set(row["boundary"])]
    assert sorted(row for row, *_ in found) == sorted(wanted)
    for row, _, file, name in found:
        names = [node.name for node in ast.walk(ast.parse((ROOT / file).read_text())) if hasattr(node, "name")]
        assert name in names, f"{row}: {file} has no {name}"
