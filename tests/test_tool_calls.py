"""
Tools in whole calls of our own server, in virtual time: each row of the fault catalogue that concerns tools, arising
for real, and what our record says of it.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from offhook import CallContext, ToolError, tool
from offhook.testing import Answer, VirtualCall, speech

TOOL = "book_table"
ARGUMENTS = '{"day":"Mon"}'


@pytest.fixture(autouse=True)
def effects(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OFFHOOK_SIDE_EFFECTS", "on")


def booking(seconds: float = 0.5, result: Any = None, raises: Exception | None = None, **limits: Any) -> Any:
    @tool(name=TOOL, **limits)
    async def book_table(day: str) -> Any:
        """Book a table."""
        await asyncio.sleep(seconds)
        if raises is not None:
            raise raises
        return {"booked": day} if result is None else result

    return book_table


def asks(name: str = TOOL, arguments: str = ARGUMENTS, *more: tuple[str, str]) -> Answer:
    return Answer(tool=name, arguments=arguments, more_calls=more)


def call(provider: str, *script: Answer, tools: Any = None, **server: Any) -> VirtualCall:
    made = VirtualCall(
        provider, script=script or (asks(),), tools=tools if tools is not None else [booking()], **server
    )
    return made.wait(2).say(1.0)


def outputs(made: VirtualCall) -> list[str]:
    items = [message.get("item", {}) for message in made.told if message.get("type") == "conversation.item.create"]
    return [item["output"] for item in items if item.get("type") == "function_call_output"]


def notes(made: VirtualCall, kind: str) -> list[Any]:
    return list(made.recording.notes(kind))


def rows(made: VirtualCall) -> list[str]:
    """The rows of the catalogue that the report names, whatever their weight."""
    report = made.report
    return [finding.catalogue for finding in (*report.roots, *report.others) if finding.boundary == "tools"]


@pytest.mark.parametrize("provider", ["openai", "xai", "loopback"])
def test_a_tool_runs_and_the_agent_goes_on(provider: str):
    with call(provider) as made:
        made.wait(4).hang_up()
        assert made.ran == [(TOOL, {"day": "Mon"}, "ok")]
        assert outputs(made) == ['{"booked":"Mon"}']
        made.assert_healthy()


@pytest.mark.parametrize("provider", ["openai", "xai", "loopback"])
def test_parallel_calls_are_each_answered_once(provider: str):
    with call(provider, asks(TOOL, ARGUMENTS, (TOOL, '{"day":"Tue"}'), ("nothing", "{}"))) as made:
        made.wait(4).hang_up()
        assert sorted(arguments["day"] for _, arguments, _ in made.ran) == ["Mon", "Tue"]
        assert len(outputs(made)) == 3
        made.assert_no_violations()
        made.assert_healthy()


@pytest.mark.parametrize(
    ("row", "answer", "tools"),
    [
        ("F-142", asks("lookup_weather"), [booking()]),
        ("F-143", asks(), [booking(raises=ValueError("no such table"))]),
        ("F-144", asks(TOOL, '{"day":"Mo'), [booking()]),
        ("F-144", asks(TOOL, ""), [booking()]),
        ("F-144", asks(TOOL, '{"date":"Mon"}'), [booking()]),
        ("F-146", asks(), [booking(60.0, deadline_s=5.0)]),
    ],
)
def test_what_goes_wrong_in_a_tool_is_told_to_the_model_and_named(row: str, answer: Answer, tools: list[Any]):
    with call("openai", answer, tools=tools) as made:
        made.wait(10).hang_up()
        assert "error" in json.loads(outputs(made)[0])
        assert rows(made) == [row]
        made.assert_healthy()


def test_a_tools_own_error_is_an_answer_and_no_fault():
    with call("xai", tools=[booking(raises=ToolError("nothing is free on Monday"))]) as made:
        made.wait(4).hang_up()
        assert outputs(made) == ['{"error":"nothing is free on Monday"}']
        assert rows(made) == []


def test_f145_a_result_that_is_encoded_twice():
    with call("openai", tools=[booking(result=json.dumps(json.dumps({"ok": True})))]) as made:
        made.wait(4).hang_up()
        made.assert_named("F-145")


def test_f145_a_result_that_is_too_large_is_cut_and_both_are_told():
    with call("openai", tools=[booking(result="x" * 200_000)]) as made:
        made.wait(4).hang_up()
        assert len(outputs(made)[0]) < 9000 and "200000 characters" in outputs(made)[0]
        made.assert_healthy()


def test_f146_a_caller_who_leaves_in_the_silence_of_a_tool():
    with call("openai", tools=[booking(12.0, filler="")]) as made:
        made.wait(9).hang_up()
        made.assert_named("F-146")


def test_h002_a_long_tool_with_a_cue_is_healthy():
    with call("openai", tools=[booking(12.0)]) as made:
        made.wait(16).hang_up()
        assert made.ran[0][2] == "ok"
        assert len(notes(made, "tool.filler")) >= 2 and made.heard_ms > 600
        made.assert_healthy()


@pytest.mark.parametrize("provider", ["openai", "xai"])
def test_f148_an_interruption_never_books_twice(provider: str):
    with call(provider, asks(), asks(), tools=[booking(5.0)]) as made:
        made.wait(2).say(0.8).wait(8).hang_up()  # "hello?", and the model calls again
        assert made.ran == [(TOOL, {"day": "Mon"}, "ok")]
        assert outputs(made) == ['{"booked":"Mon"}'] * 2
        # both calls are answered before the model is asked to go on, so that nothing has to be taken back
        assert [message["type"] for message in made.told].count("response.cancel") == 0
        assert rows(made) == ["F-148"]
        made.assert_healthy()


BYE = Answer(audio=speech(1.0), transcript="Goodbye, and thank you for calling.")


def test_f149_a_goodbye_without_hanging_up():
    with call("openai", BYE, BYE, tools=[], bridge={"unmet": "note"}) as made:
        made.wait(3).say(0.8).wait(20).hang_up()
        made.assert_named("F-149")


@pytest.mark.parametrize(("policy", "nudged"), [("nudge", True), ("act", False)])
def test_f149_with_the_safety_net_the_line_does_not_stay_open(policy: str, nudged: bool):
    with call("openai", BYE, tools=[], bridge={"unmet": policy}) as made:
        made.wait(25)
        assert made.over
        did = [note.data["did"] for note in notes(made, "claim.unmet")]
        assert did == (["nudge", "hang up"] if nudged else ["hang up"])
        made.assert_healthy()


def test_a_booking_that_is_claimed_and_not_made_is_told_to_the_model_which_makes_it():
    claim = Answer(audio=speech(1.5), transcript="I've booked a table for you on Monday.")
    with call("openai", claim, bridge={"unmet": "nudge"}) as made:
        made.wait(8).hang_up()
        told = [m["item"]["content"][0]["text"] for m in made.told if m.get("item", {}).get("type") == "message"]
        assert "No tool was called" in told[0] and not made.ran
        (unmet,) = notes(made, "claim.unmet")
        assert (unmet.data["claim"], unmet.data["did"]) == ("booked", "nudge")
        made.assert_named("tools/claimed-not-done")


def test_a_claim_that_it_has_no_tool_for_is_noted_and_the_agent_left_alone():
    claim = Answer(audio=speech(1.5), transcript="I've sent you the papers.")  # by the office, after the call
    with call("openai", claim, tools=[booking(does=["booked"])], bridge={"unmet": "nudge"}) as made:
        made.wait(8).hang_up()
        assert [note.data["did"] for note in notes(made, "claim.unmet")] == [""]
        assert not [m for m in made.told if m.get("item", {}).get("type") == "message"]


def test_a_booking_that_is_claimed_and_was_made_is_no_claim():
    claim = Answer(audio=speech(1.5), transcript="I've booked a table for you on Monday.")
    with call("openai", asks(), claim, bridge={"unmet": "nudge"}) as made:
        made.wait(4).say(1.0).wait(8).hang_up()
        assert not notes(made, "claim.unmet")
        made.assert_healthy()


def test_a_tool_can_speak_through_the_agent_and_end_the_call():
    heard = []

    @tool(filler="")
    async def announce(call: CallContext) -> None:
        """Announce something."""
        heard.append((await call.say("We close in ten minutes."), [turn.who for turn in call.transcript]))
        await call.hang_up()

    with call("xai", asks("announce", "{}"), tools=[announce]) as made:
        made.wait(15)
        assert made.over and heard == [("heard", ["agent", "caller"])]
        made.assert_healthy()


def test_a_result_that_comes_later_is_told_when_the_line_is_free():
    from offhook.agent.tools.function import function_tool
    from offhook.agent.tools.jobs import Jobs, in_background

    async def research(topic: str) -> str:
        """Research something."""
        await asyncio.sleep(4)
        return f"{topic}: three plumbers"

    jobs = Jobs()
    with call("openai", asks("research", '{"topic":"pipes"}'), Answer(audio=speech(6.0)),
              tools=[in_background(function_tool(research), jobs)]) as made:  # fmt: skip
        made.wait(2).say(1.0).wait(12).hang_up()  # the agent speaks when the result comes
        assert '"job":"j1"' in outputs(made)[0]
        texts = [m["item"]["content"][0]["text"] for m in made.told if m.get("item", {}).get("type") == "message"]
        assert any("pipes: three plumbers" in text for text in texts)
        assert [note.data["state"] for note in notes(made, "job")] == ["queued", "done"]
        made.assert_no_violations()
        made.assert_healthy()  # never response.create over an active response: the fake refuses that


def test_nothing_is_changed_in_tests_unless_they_say_so(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("OFFHOOK_SIDE_EFFECTS", "off")
    with call("openai", tools=[booking(dry_run={"id": "TEST"})]) as made:
        made.wait(4).hang_up()
        assert made.ran == [(TOOL, {"day": "Mon"}, "dry run")] and outputs(made) == ['{"id":"TEST"}']
