"""``offhook dial --server … --fakes …``: a foreign server called as often as its faults need."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from offhook.dial import baseline, report, story
from offhook.dial.foreign import FAKES
from offhook.dial.overrides import Declared
from offhook.dial.passes import Passes
from offhook.dial.plan import Plan, UsageError
from offhook.evidence.journal import JournalDir
from offhook.loopback.lines import AGENT, audio
from offhook.sims.provider import Answer

__all__ = ["names_of", "run_passes", "said"]

GREETING, ANSWERS = "greeting", ("hours", "services", "price")


def names_of(fakes: str) -> tuple[str, ...]:
    """The fakes that were asked for. Raises UsageError."""
    names = FAKES if fakes == "all" else tuple(fakes.split(",")) if fakes else ()
    if any(name not in FAKES for name in names):
        raise UsageError(f"--fakes {fakes}: wanted all or {', '.join(FAKES)}")
    return names


def said() -> dict[str, Any]:
    """What the fakes say: spoken lines that ship with Offhook."""
    return {"greeting": _answer(GREETING), "answers": [_answer(line) for line in ANSWERS]}


def _answer(line: str) -> Answer:
    return Answer(audio=audio(line), transcript=AGENT[line])


async def run_passes(
    wishes: Any,
    given: Declared,
    screen: Any,
    *,
    plan_for: Callable[[int], Plan],
    journals: Callable[[], JournalDir],
    tell: Mapping[str, str | None],
) -> tuple[dict[str, Any], list[report.Outcome], int]:
    """All passes, told as they end; the data, the test cases and the exit code."""

    def show(done: story.Pass) -> None:
        if not wishes.json:
            for line in story.pass_text(done):
                screen.line(line)

    if given.file and not wishes.json:
        screen.line(f"plan    {given.file}")
    made = Passes(
        wishes.server, given, fakes=names_of(wishes.fakes), faults=wishes.provider_faults, journals=journals,
        plan_for=plan_for, audio=wishes.audio, most=wishes.passes, on_pass=show, tell=tell, **said(),
    )  # fmt: skip
    told = await made.run()
    if not wishes.json:
        _show(told, screen)
    first = told.passes[0]
    data = {
        "run": baseline.identity(plan_for(1), 1), "call": first.result.as_data(), **story.as_data(told),
    }  # fmt: skip
    return data, report.call_cases([done.result for done in told.passes]), story.exit_code(told)


def _show(told: story.Story, screen: Any) -> None:
    if len(told.passes) == 1:  # nothing was lifted: the one call is all there is to say
        screen.line("")
        for line in report.call_text(told.passes[0].result):
            screen.line(line)
        for name, seen in told.passes[0].fakes.items():
            screen.line(f"fake {name}: {seen}")
    for line in story.story_text(told):
        screen.line(line)
    screen.line("records " + told.passes[0].result.record.rpartition("/")[0])
    screen.verdict(told.verdict, story.verdict_line(told))
