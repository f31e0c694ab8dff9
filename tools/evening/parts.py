"""The kinds of calls of an evening: what happens in each, and what must be true of it afterwards."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from typing import Any

from caller import Caller
from town import OUR_NUMBERS, Part

from offhook.loopback.lines import AGENT, audio
from offhook.sims.provider_scene import Answer
from offhook.sims.run_account import Telephone
from offhook.sims.run_carrier import PhoneCall

__all__ = ["OUTBOUND", "evening"]

FRIEND, BUSY, AWAY = "+15550190001", "+15550190002", "+15550190003"
PEOPLE = {
    FRIEND: Telephone(0.4, "completed", detected_s=1.0),
    BUSY: Telephone(0.3, "busy"),
    AWAY: Telephone(1.0, "no-answer"),
}
LEAVES, DONE = r"caller", r""
Plays = Callable[[Caller], Any]


def line(name: str, **more: Any) -> Answer:
    return Answer(audio=audio(name), transcript=AGENT[name], **more)


def tool(name: str, **arguments: Any) -> Answer:
    return Answer(tool=name, arguments=json.dumps(arguments), transcript="")


BYE = "goodbye"


async def two_questions(c: Caller) -> None:
    await c.listen()
    for _ in range(2):
        await c.say()
        await c.listen()
    c.leave()


async def one_question(c: Caller) -> None:
    await c.listen()
    await c.say("caller_appointment")
    await c.listen()
    c.leave()


async def to_the_goodbye(c: Caller) -> None:
    await c.listen()
    await c.say("caller_goodbye")
    await c.stay()


async def while_it_books(c: Caller) -> None:
    """The desk takes 2.5 s; the caller speaks after one, and the model books again."""
    await c.listen()
    await c.say("caller_appointment")
    await c.wait(1.0)
    await c.say("caller_thanks")
    await c.listen()
    await c.wait(2.0)
    c.leave()


async def cuts_in(c: Caller) -> None:
    await c.listen()
    await c.say("caller_services")
    await c.cut_in(1.6)
    await c.listen()
    c.leave()


async def waits_for_the_result(c: Caller) -> None:
    await c.listen()
    await c.say("caller_appointment")
    await c.listen()  # the receipt
    await c.wait(5.0)  # the result
    c.leave()


async def changes_their_mind(c: Caller) -> None:
    await c.listen()
    await c.say("caller_appointment")
    await c.listen()
    await c.say("caller_nonsense")
    await c.listen()
    c.leave()


async def leaves_at_once(c: Caller) -> None:
    await c.listen(0.6)
    c.leave()


async def is_put_through(c: Caller) -> None:
    await c.listen()
    await c.say("caller_transfer")
    await c.stay()


async def comes_back(c: Caller) -> None:
    """Nobody takes the call there: the agent is back on a new stream, and says so."""
    await c.listen()
    await c.say("caller_transfer")
    while len(c.call.streams) < 2:  # noqa: ASYNC110
        await asyncio.sleep(0.05)
    c.forget()
    await c.listen()
    c.leave()


async def presses_four(c: Caller) -> None:
    await c.listen()
    await c.say("caller_appointment")
    await c.wait(1.0)
    await c.press("7319")
    await c.listen()
    c.leave()


async def presses_two(c: Caller) -> None:
    await c.listen()
    await c.press("2")
    await c.listen()
    await c.say("caller_goodbye")
    await c.stay()


async def is_conducted(c: Caller) -> None:
    await c.listen()
    await c.say("caller_appointment")
    await c.wait(6.0)
    c.leave()


async def speaks_to_two(c: Caller) -> None:
    await c.listen()
    await c.say("caller_appointment")
    await c.wait(1.0)
    await c.listen()
    await c.say()
    await c.listen()
    c.leave()


async def is_supervised(c: Caller) -> None:
    await c.listen()
    await c.ask("say", text=AGENT["parking"])
    await c.ask("hold", on=True)
    await c.wait(0.5)
    await c.ask("hold", on=False)
    await c.ask("mute", who="agent", on=True)
    await c.ask("mute", who="agent", on=False)
    await c.ask("dtmf", digits="42#")
    await c.ask("hangup")
    await c.stay()


async def is_told_why(c: Caller) -> None:
    await c.listen()
    await c.say()
    await c.stay()


Kind = Callable[[str], Part]
KINDS: dict[str, tuple[int, Kind]] = {}  # how many of a hundred inbound calls; how one is made


def kind(weight: int, plays: Plays, ours: str = "either") -> Callable[[Callable[[str], dict[str, Any]]], Any]:
    def keep(make: Callable[[str], dict[str, Any]]) -> Any:
        name = make.__name__

        def made(key: str) -> Part:
            given = {"script": [], "replies": [], "end": r"", **make(key)}
            side = ("default", "grok")[int(key) % 2] if ours == "either" else ours
            return Part(key, name, OUR_NUMBERS[side], f"+1555020{key}", plays=plays, **given)

        KINDS[name] = (weight, made)
        return make

    return keep


@kind(10, two_questions)
def questions(key: str) -> dict[str, Any]:
    return {"script": [line("hours"), line("price")], "end": "caller"}


@kind(8, to_the_goodbye)
def goodbye(key: str) -> dict[str, Any]:
    return {"script": [line(BYE, tool="hang_up")], "runs": [("hang_up", "ok")], "end": "hung up|goodbye|agent"}


@kind(10, one_question)
def booking(key: str) -> dict[str, Any]:
    return {"script": [tool("book", who=key, day="Tue")], "replies": [line("tuesday")], "tools": {"book": 1},
            "runs": [("book", "ok")]}  # fmt: skip


@kind(6, one_question)
def over_http(key: str) -> dict[str, Any]:
    return {"script": [tool("crm", who=key)], "replies": [line("tuesday")], "tools": {"crm": 1},
            "runs": [("crm", "ok")]}  # fmt: skip


@kind(4, one_question)
def mcp_stdio(key: str) -> dict[str, Any]:
    return {"script": [tool("near_book", who=key, day="Tue")], "replies": [line("tuesday")],
            "tools": {"near_book": 1}, "runs": [("near_book", "ok")]}  # fmt: skip


@kind(3, one_question)
def mcp_http(key: str) -> dict[str, Any]:
    return {"script": [tool("far_book", who=key, day="Tue")], "replies": [line("tuesday")],
            "tools": {"far_book": 1}, "runs": [("far_book", "ok")]}  # fmt: skip


@kind(4, one_question)
def three_at_once(key: str) -> dict[str, Any]:
    more = (("look", json.dumps({"who": key})), ("near_book", json.dumps({"who": key, "day": "Wed"})))
    first = Answer(tool="book", arguments=json.dumps({"who": key, "day": "Tue"}), transcript="", more_calls=more)
    return {"script": [first], "replies": [line("tuesday")], "tools": {"book": 1, "look": 1, "near_book": 1},
            "runs": [("book", "ok"), ("look", "ok"), ("near_book", "ok")]}  # fmt: skip


@kind(8, while_it_books)
def barge_in_while_it_books(key: str) -> dict[str, Any]:
    again = tool("slow_book", who=key, day="Tue")
    return {"script": [again, again, line("thanks")], "replies": [line("tuesday"), line("tuesday")],
            "tools": {"slow_book": 1, "slow_book done": 1}, "runs": [("slow_book", "ok")]}  # fmt: skip


@kind(8, cuts_in)
def barge_in(key: str) -> dict[str, Any]:
    return {"script": [line("services"), line("price")], "checks": ("struck",)}


@kind(5, waits_for_the_result)
def delegated(key: str) -> dict[str, Any]:
    return {"script": [tool("research", task=f"{key} 1.5")], "replies": [line("hello"), line("tuesday")],
            "tools": {"delegate": 1, "delegate done": 1}, "runs": [("research", "ok")],
            "checks": ("job done",)}  # fmt: skip


@kind(3, changes_their_mind)
def delegate_cancelled(key: str) -> dict[str, Any]:
    return {"script": [tool("research", task=f"{key} 300"), tool("job_cancel")],
            "replies": [line("hello"), line("done")], "tools": {"delegate": 1},
            "runs": [("research", "ok"), ("job_cancel", "ok")], "checks": ("job cancelled",)}  # fmt: skip


@kind(3, one_question)
def delegate_outlives(key: str) -> dict[str, Any]:
    return {"script": [tool("research", task=f"{key} 12")], "replies": [line("hello")],
            "tools": {"delegate": 1, "delegate done": 1}, "runs": [("research", "ok")],
            "checks": ("job done",)}  # fmt: skip


@kind(2, one_question)
def unknown_tool(key: str) -> dict[str, Any]:
    return {"script": [tool("teleport", who=key)], "replies": [line("did_not_work")],
            "runs": [("teleport", "unknown")]}  # fmt: skip


@kind(2, one_question)
def bad_arguments(key: str) -> dict[str, Any]:
    return {"script": [Answer(tool="book", arguments='{"who": "', transcript="")], "replies": [line("did_not_work")],
            "runs": [("book", "args_parse")], "tools": {"book": 0}}  # fmt: skip


@kind(2, one_question)
def tool_raises(key: str) -> dict[str, Any]:
    return {"script": [tool("breaks", who=key)], "replies": [line("did_not_work")], "tools": {"breaks": 1},
            "runs": [("breaks", "raised ValueError")]}  # fmt: skip


@kind(2, one_question)
def tool_says_no(key: str) -> dict[str, Any]:
    return {"script": [tool("says_no", who=key)], "replies": [line("did_not_work")], "tools": {"says_no": 1},
            "runs": [("says_no", "error")]}  # fmt: skip


@kind(2, one_question)
def tool_hangs(key: str) -> dict[str, Any]:
    return {"script": [tool("hangs", who=key)], "replies": [line("did_not_work")], "tools": {"hangs": 1},
            "runs": [("hangs", "timeout")]}  # fmt: skip


@kind(3, is_put_through)
def transfer(key: str) -> dict[str, Any]:
    return {"script": [line("transfer", tool="transfer_call", arguments='{"to":"friend"}')], "people": PEOPLE,
            "runs": [("transfer_call", "ok")], "checks": ("transfer answered completed",)}  # fmt: skip


@kind(3, comes_back)
def transfer_busy(key: str) -> dict[str, Any]:
    return {"script": [line("transfer", tool="transfer_call", arguments='{"to":"busy"}')], "people": PEOPLE,
            "replies": [line("back")], "runs": [("transfer_call", "ok")], "checks": ("transfer busy",)}  # fmt: skip


@kind(2, comes_back)
def transfer_unanswered(key: str) -> dict[str, Any]:
    return {"script": [line("transfer", tool="transfer_call", arguments='{"to":"away"}')], "people": PEOPLE,
            "replies": [line("back")], "runs": [("transfer_call", "ok")],
            "checks": ("transfer no-answer",)}  # fmt: skip


@kind(5, presses_four)
def keys_collected(key: str) -> dict[str, Any]:
    return {"script": [tool("collect_digits", how_many=4)], "replies": [line("done"), line("done")],
            "runs": [("collect_digits", "ok")], "checks": ("keys",)}  # fmt: skip


@kind(2, presses_two, "desk")
def menu(key: str) -> dict[str, Any]:
    return {"checks": ("menu",), "runs": [("hang_up", "ok")]}


@kind(3, is_conducted)
def conducted(key: str) -> dict[str, Any]:
    return {"script": [tool("conduct", who=key)], "replies": [line("done")] * 4,
            "tools": {"conduct": 1, "conducted": 1}, "runs": [("conduct", "ok")]}  # fmt: skip


@kind(3, speaks_to_two, "default")
def handed_over(key: str) -> dict[str, Any]:
    return {"script": [tool("next_desk", who=key), line("hours")], "replies": [line("hello")] * 3,
            "tools": {"next_desk": 1, "handed over": 1}, "runs": [("next_desk", "handed over")],
            "checks": ("handed over",)}  # fmt: skip


@kind(4, is_supervised, "grok")
def by_the_api(key: str) -> dict[str, Any]:
    return {"replies": [line("hello")], "checks": ("outcomes",)}


@kind(3, is_told_why)
def provider_dies(key: str) -> dict[str, Any]:
    return {"script": [line("services")], "dies": 2, "verdicts": ("broken",)}


@kind(2, leaves_at_once)
def leaves(key: str) -> dict[str, Any]:
    return {}


# ---------------------------------------------------------------------------------------------- whom we call


async def answers_and_asks(phone: PhoneCall) -> None:
    await asyncio.sleep(0.3)
    phone.say(audio("callee_hello"))
    await asyncio.sleep(5.0)
    phone.hang_up()


async def is_a_machine(phone: PhoneCall) -> None:
    phone.say(audio("callee_hello") * 5 + audio("callee_hello"))
    await phone.ended()


PERSON = Telephone(0.3, talks=answers_and_asks, detected_s=0.8)
MACHINE = Telephone(0.3, talks=is_a_machine, answered_by="machine_start", detected_s=1.2)
# ``by``: ``offhook call``, which asks the server that runs; or that server's API.
OUTBOUND: dict[str, dict[str, Any]] = {
    "api_calls_a_person": {"by": "api", "person": PERSON, "ends": "completed"},
    "api_calls_a_machine": {"by": "api", "person": MACHINE, "ends": "completed"},
    "api_calls_a_busy_line": {"by": "api", "person": Telephone(how="busy"), "ends": "busy"},
    "api_calls_nobody": {"by": "api", "person": Telephone(how="no-answer"), "ends": "no-answer"},
    "api_is_refused": {"by": "api", "blocked": True, "ends": "refused", "rule": "call-control/call-refused"},
    "command_calls_a_person": {"by": "command", "person": PERSON, "ends": 0},
    "command_calls_a_busy_line": {"by": "command", "person": Telephone(how="busy"), "ends": 3},
}


def evening(calls: int, outbound: int) -> Iterator[Part]:
    """The parts of an evening, mixed as they would come; each kind at least once where there is room."""
    inbound = calls - outbound
    total = sum(weight for weight, _ in KINDS.values())
    counts = {name: max(1, inbound * weight // total) for name, (weight, _) in KINDS.items()}
    counts["questions"] += max(0, inbound - sum(counts.values()))
    order = sorted(((n + 0.5) / count, name) for name, count in counts.items() for n in range(count))
    for n, (_, name) in enumerate(order[:inbound]):
        yield KINDS[name][1](f"{n:04d}")
    kinds = list(OUTBOUND)
    for n in range(outbound):
        name = kinds[n % len(kinds)]
        key = f"{9000 + n}"
        script = [line("hours")] if name.endswith("a_person") else []
        yield Part(key, name, OUR_NUMBERS["default"], f"+1555020{key}", script, [], plays=lambda c: None,
                   outbound=OUTBOUND[name])  # fmt: skip
