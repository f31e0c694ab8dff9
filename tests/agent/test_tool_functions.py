"""Python functions as tools: what the model is told, what is taken of what it sends, and every way in which it ends."""

import asyncio
import enum
import threading
from typing import Annotated, Any, Literal

import msgspec
import pytest
from msgspec import Struct

from offhook.agent.tools import CallContext, DeclarationError, ToolError, tool
from offhook.agent.tools.function import function_tool, marked
from offhook.agent.tools.runner import Result, Runner


class Guest(Struct):
    name: str
    age: int | None = None


class Meal(enum.Enum):
    LUNCH = "lunch"
    DINNER = "dinner"


@tool(deadline_s=5, does=["booked"])
async def book_table(
    day: Literal["Mon", "Tue"],
    people: Annotated[int, msgspec.Meta(ge=1, le=8)],
    meal: Meal = Meal.DINNER,
    guests: list[Guest] = [],  # noqa: B006
    call: CallContext = CallContext(),  # noqa: B008
) -> dict[str, Any]:
    """
    Book a table.

    Only after the caller agreed.

    Args:
        day: The day, as
            three letters.
        people (int): How many come.

    Returns:
        The booking.
    """  # fmt: skip
    return {"day": day, "people": people, "meal": meal, "guests": guests, "call": call.call_id}


def made(function: Any) -> Any:
    found = marked(function)
    assert found is not None
    return found


def run(function: Any, arguments: str, *, effects: bool = True) -> Result:
    tool = marked(function) or function_tool(function)
    return asyncio.run(Runner(effects=effects).run(tool, arguments, CallContext("CA1", caller="+4915112345678")))


def test_signature_and_docstring_are_all_that_the_model_is_told():
    spec = made(book_table).spec
    assert spec.name == "book_table" and spec.description == "Book a table.\n\nOnly after the caller agreed."
    assert spec.parameters["required"] == ["day", "people"] and spec.parameters["additionalProperties"] is False
    fields = spec.parameters["properties"]
    assert set(fields) == {"day", "people", "meal", "guests"}, "the call is not the model's to give"
    assert fields["day"] == {"description": "The day, as three letters.", "enum": ["Mon", "Tue"]}
    assert fields["people"] == {"description": "How many come.", "type": "integer", "minimum": 1, "maximum": 8}
    assert fields["guests"]["items"]["properties"]["name"] == {"type": "string"}, "no $ref is left"
    assert made(book_table).policy.does == ("booked",)


def test_a_function_is_left_as_it_was():
    assert asyncio.run(book_table("Mon", 2))["people"] == 2


def test_what_was_sent_is_taken_in_the_spelling_of_models_and_checked_by_the_same_definition():
    result = run(book_table, '{"day":"Mon","people":"4","guests":[{"name":"Ada"}]}')
    assert result == Result(
        "ok", '{"day":"Mon","people":4,"meal":"dinner","guests":[{"name":"Ada","age":null}],"call":"CA1"}'
    )


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ('{"day":"Wed","people":4}', "Mon"), ('{"day":"Mon","people":9}', "maximum"), ('{"people":4}', "`day`"),
        ('{"day":"Mon","peeple":4}', "`peeple`"), ("[]", "no JSON object"), ('{"day":', "no JSON"), ("", "`day`"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_told_to_the_model_with_what_would(given: str, said: str):
    result = run(book_table, given)
    assert result.outcome == "invalid" and said in result.output


def test_an_exception_is_named_on_record_and_its_text_kept_from_the_model():
    def look_up(number: str) -> str:
        """Look something up."""
        raise ValueError(f"password=hunter2 for {number}")

    result = run(look_up, '{"number":"1"}')
    assert result.outcome == "raised ValueError" and "hunter2" not in result.output
    assert "hunter2" in result.detail and "test_tool_functions.py:" in result.detail


def test_a_tool_error_is_an_answer_in_words():
    def look_up() -> str:
        """Look something up."""
        raise ToolError("no table is free on Monday")

    assert run(look_up, "") == Result("error", '{"error":"no table is free on Monday"}')


def test_text_is_never_encoded_again_and_nothing_is_an_answer_too():
    def text() -> str:
        """Say it."""
        return '{"a":1}'

    def nothing() -> None:
        """Do it."""

    assert run(text, "").output == '{"a":1}' and run(nothing, "").output == '{"ok":true}'


def test_a_result_that_is_too_large_is_cut_and_the_model_is_told():
    @tool(max_chars=100)
    def all_of_it() -> str:
        """Everything."""
        return "x" * 200_000

    result = run(all_of_it, "")
    assert result.outcome == "ok" and len(result.output) < 250 and "200000 characters" in result.output


def test_a_result_that_is_no_json_is_a_named_failure():
    def odd() -> Any:
        """Odd."""
        return object()

    assert run(odd, "").outcome == "raised TypeError"


def test_a_coroutine_is_stopped_at_its_deadline_and_a_plain_function_goes_on_and_counts():
    stopped = []

    @tool(deadline_s=0.05)
    async def slow() -> str:
        """Slow."""
        try:
            await asyncio.sleep(10)
        except asyncio.CancelledError:
            stopped.append("slow")
            raise
        return ""

    release = threading.Event()

    @tool(deadline_s=0.05, max_parallel=1, changes=True)
    def stuck() -> str:
        """Stuck."""
        release.wait(40)
        return "late"

    async def both() -> None:
        runner = Runner()
        assert (await runner.run(made(slow), "", CallContext())).outcome == "timeout"
        first = await runner.run(made(stuck), "", CallContext())
        assert first.outcome == "timeout" and "it may still happen" in first.output
        assert (await runner.run(made(stuck), "", CallContext())).outcome == "busy"
        release.set()
        await asyncio.wait(runner.tasks)
        assert (await runner.run(made(stuck), "", CallContext())).outcome == "ok"

    asyncio.run(both())
    assert stopped == ["slow"]


@pytest.mark.parametrize(("limits", "times"), [({"changes": False}, 3), ({"idempotent": True}, 3), ({}, 1)])
def test_only_what_does_no_harm_twice_is_tried_again(limits: dict[str, Any], times: int, monkeypatch: Any):
    monkeypatch.setattr("offhook.agent.tools.runner.BACKOFF_S", 0.0)
    tried = []

    @tool(retries=2, **limits)
    async def flaky() -> str:
        """Flaky."""
        tried.append(1)
        raise ConnectionError("gone")

    result = run(flaky, "")
    assert len(tried) == times and result.outcome == "raised ConnectionError" and result.retried == times - 1


def test_in_tests_nothing_is_changed_unless_the_tool_says_what_to_answer():
    done = []

    @tool(dry_run={"id": "TEST"})
    def pay(amount: int) -> str:
        """Pay."""
        done.append(amount)
        return "paid"

    @tool(changes=False)
    def look(what: str) -> str:
        """Look."""
        return what

    assert run(pay, '{"amount":5}', effects=False) == Result("dry run", '{"id":"TEST"}')
    assert run(pay, '{"amount":"five"}', effects=False).outcome == "invalid"
    assert run(look, '{"what":"x"}', effects=False).output == "x" and not done


def test_plain_functions_run_side_by_side():
    all_there = threading.Barrier(8)

    def meet() -> str:
        """Wait for the others."""
        all_there.wait(40)
        return "met"

    async def many() -> list[str]:
        runner = Runner()
        results = await asyncio.gather(*(runner.run(function_tool(meet), "", CallContext()) for _ in range(8)))
        return [result.output for result in results]

    assert asyncio.run(many()) == ["met"] * 8


def unsaid(day: str) -> None:
    pass


def untyped(day) -> None:  # type: ignore[no-untyped-def]
    """Do."""


def any_number(*days: str) -> None:
    """Do."""


def strange(day: complex) -> None:
    """Do."""


@pytest.mark.parametrize(
    ("function", "named"),
    [(unsaid, "no docstring"), (untyped, "day without a type"), (any_number, "*days"), (strange, "no schema")],
)
def test_what_cannot_be_told_to_a_model_is_refused_with_place_and_fix(function: Any, named: str):
    with pytest.raises(DeclarationError, match="test_tool_functions.py:") as refused:
        function_tool(function)
    assert named in str(refused.value) and refused.value.fix


def test_a_limit_that_there_is_not_is_refused():
    with pytest.raises(DeclarationError, match="deadline_s"):
        tool(deadline=5)(book_table)


def test_a_context_never_shows_the_number():
    assert "+4915112345678" not in repr(CallContext("CA1", caller="+4915112345678"))
