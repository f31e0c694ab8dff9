"""
One dialled call from its plan to its result: placed, played, recorded, judged.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

from msgspec import Struct, to_builtins

from offhook.dial.behind import Behind
from offhook.dial.expected import expected
from offhook.dial.judge import Facts, Finding, RestSeen, Seen, Verdict, judge, verdict_of
from offhook.dial.plan import Plan, route_of
from offhook.dial.record import CallRecord
from offhook.dial.sound import Heard
from offhook.dial.sound import judge as judge_sound
from offhook.dial.voice import pcmu_for
from offhook.evidence.journal import JournalDir
from offhook.net.clock import Clock, LoopClock
from offhook.sims.carrier_faults import named
from offhook.sims.run_carrier import CallFailed, PhoneCall
from offhook.sims.run_rest import Asked
from offhook.sims.scenario import Player, Step, first_audible
from offhook.sims.webhook import Answer

__all__ = ["Figures", "OnEvent", "Result", "place"]

OnEvent = Callable[[str, dict[str, Any]], None]
STEP_S = 0.02
END_GRACE_S = 5.0
LET_GO_S = 1.0


class Figures(Struct, frozen=True):
    """What was measured; None is "not measured", never 0."""

    webhook_ms: float | None = None
    upgrade_ms: float | None = None
    first_audible_ms: float | None = None  # from start to the first word
    latencies_ms: tuple[float, ...] = ()  # from the end of the caller's words to the first word
    clear_ms: tuple[float, ...] = ()  # from the caller's cutting in to the server's clear
    heard_ms: int = 0
    unplayed_ms: int = 0
    dropped_ms: int = 0  # by clears
    marks: int = 0
    marks_returned: int = 0
    clears: int = 0
    messages: int = 0
    frames_sent: int = 0
    seconds: float = 0.0
    gen_late_p99_ms: float | None = None  # how late our own frames were: the quality of this measurement


class Result(Struct, frozen=True):
    """One call, judged."""

    call_sid: str
    verdict: Verdict
    findings: tuple[Finding, ...]
    alerts: tuple[tuple[str, str], ...]  # what the customer's debugger shows
    figures: Figures
    heard: Heard
    facts: Facts
    record: str = ""
    ended: str = ""
    mark_last: bool | None = None  # a mark came behind the last answer; None: none came to its end

    def as_data(self) -> dict[str, Any]:
        data: dict[str, Any] = to_builtins(self)
        del data["facts"]
        return data


async def place(
    plan: Plan,
    *,
    journals: JournalDir | None = None,
    audio: bool = False,
    source: Callable[[int], bytes] | None = None,
    clock: Clock | None = None,
    on_event: OnEvent = lambda kind, data: None,
    spoken_ms: Callable[[], float | None] = lambda: None,
    behind: Behind | None = None,
    give_up_s: float | None = None,
) -> Result:
    """
    Place the call, play its scenario, and judge it. Never raises for what the server does.

    ``spoken_ms`` says how much the provider behind the server has said in all, where that is known; ``behind`` are the
    fakes that it dials, their side goes into the same record. ``give_up_s``: the caller leaves so long after the
    carrier's first complaint if nothing was heard until then.
    """
    return await _Placing(plan, journals, audio, source, clock, on_event, spoken_ms, behind, give_up_s).run()


class _Placing:
    def __init__(
        self, plan: Plan, journals: JournalDir | None, audio: bool, source: Callable[[int], bytes] | None,
        clock: Clock | None, on_event: OnEvent, spoken_ms: Callable[[], float | None],
        behind: Behind | None, give_up_s: float | None,
    ) -> None:  # fmt: skip
        self._plan = plan
        self._clock = clock or LoopClock(asyncio.get_running_loop())
        self._on_event = on_event
        self._behind = behind
        self._give_up_s = give_up_s
        self._complained_at: float | None = None
        self._began = self._clock.now()
        self._spoken_ms, self._spoken_before = spoken_ms, spoken_ms() or 0.0
        self._messages = 0
        self._marked = 0  # violations that have been looked at
        self._seen: dict[tuple[str, str, str], Seen] = {}
        self._redirects = 0
        self._rest: list[RestSeen] = []
        self._upgrade_ms: float | None = None
        self._status: int | None = None  # of the server's last answer
        self._lengths: list[int] = []
        self._failed: tuple[str, str] | None = None
        self._call = PhoneCall(
            plan.webhook_url, stream_url=plan.stream_url, parameters=plan.parameters, auth_token=plan.token,
            route=route_of(plan), method=plan.method, fallback_url=plan.fallback_url, caller=plan.caller,
            called=plan.called, form=plan.form, clock=self._clock, on_event=self._event, on_frame=self._frame,
            faults=plan.faults, seed=plan.seed, source=source, tolerant=plan.tolerant,
        )  # fmt: skip
        self._player = Player(
            plan.scenario, self._call.carrier, lambda what: pcmu_for(what, plan.folder), presses=plan.presses,
            on_step=self._step,
        )  # fmt: skip
        self._record: CallRecord | None = None
        if journals is not None:
            bent = named(plan.faults, "webhook-signature") or named(plan.faults, "upgrade-signature")
            self._record = CallRecord(
                journals, self._began, call_sid=self._call.call_sid, form=self._call.form, kind=plan.kind,
                signed=bool(plan.token), signature=bent.value if bent else "", audio=audio,
                behind=behind is not None and behind.expected,
            )  # fmt: skip
            if behind is not None:
                behind.attach(self._record, self._clock.now)

    async def run(self) -> Result:
        desk, sid = self._plan.rest, self._call.call_sid
        if desk is not None:
            desk.expect(
                sid, ends=self._call.ended_by_rest, on_asked=self._asked, faults=self._plan.faults,
                token=self._plan.token,
            )  # fmt: skip
        try:
            async with self._call:
                await self._play()
        except CallFailed as error:
            self._failed = (error.code, error.why)
        finally:
            self._look()
            if desk is not None:
                desk.forget(sid)
        await self._let_go()
        line = self._call.carrier
        said = b"".join(bytes(segment.audio) for segment in line.said)
        # beside the loop: other calls of this process must keep their pace
        heard = await asyncio.to_thread(judge_sound, bytes(line.phone.received), said)
        result = self._result(heard)
        if self._record is not None:
            self._close(result)
        return result

    async def _play(self) -> None:
        """The caller's part, 50 times a second, until it is over or the stream is."""
        stream = self._call.stream
        while ((stream is not None and stream.open) or self._call.awaited) and not self._player.done:
            if stream is not None and stream.open:
                self._player.follow(stream.carrier)
                stream.write(self._player.tick(self._clock.now()))
            if self._hopeless():
                self._call.hang_up()
                break
            await self._wait(STEP_S)
            stream = self._call.stream
        left = self._call.carrier.hung_up and not self._call.by_rest
        if stream is not None and not stream.open and not self._player.done and not left:
            step = self._plan.scenario.steps[min(self._player._index, len(self._plan.scenario.steps) - 1)]
            if step.do != "hang-up" and not step.optional:
                self._player.missed.append(f"{step.do}: the stream was over before")
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._call.ended(), END_GRACE_S)

    def _hopeless(self) -> bool:
        if self._give_up_s is None or self._complained_at is None or self._call.carrier.played_ms():
            return False
        return self._clock.now() - self._complained_at > self._give_up_s

    async def _let_go(self) -> None:
        """The time that a server has to end its provider sessions after its caller left (statement L04)."""
        until = self._clock.now() + LET_GO_S
        while self._behind is not None and self._behind.open and self._clock.now() < until:
            await self._wait(STEP_S)

    async def _wait(self, seconds: float) -> None:
        done = asyncio.Event()
        self._clock.call_at(self._clock.now() + seconds, done.set)
        await done.wait()

    # ---------------------------------------------------------------------------------- what happens

    def _step(self, step: Step, how: str) -> None:
        self._on_event("step", {"step": str(step), "how": how})
        if self._record is not None:
            self._record.note("step", self._clock.now(), do=step.do, value=str(step.value), how=how)

    def _frame(self, to_server: bool, data: bytes, now: float, binary: bool) -> None:
        self._look()
        if not to_server:
            self._messages += 1
            if b'"media"' in data[:200]:
                self._lengths.append(_audio_bytes(data))
        if self._record is not None:
            self._record.frame(to_server, data, now, binary)

    def _look(self) -> None:
        """Book violations of the message before this one."""
        violations = self._call.peer.violations
        for violation in violations[self._marked :]:
            now = self._clock.now()
            key = (violation.message, violation.field or "", violation.got)
            seen = self._seen.get(key)
            if seen is None:
                self._seen[key] = Seen(violation, self._messages, now - self._began, 1)
                self._on_event("violation", {"violation": violation, "message": self._messages})
            else:
                self._seen[key] = Seen(violation, seen.message, seen.at_s, seen.count + 1)
            if self._record is not None:
                self._record.violation(violation, now)
        self._marked = len(violations)

    def _asked(self, asked: Asked) -> None:
        """The server asked the carrier's REST interface for something about this call."""
        now, made = self._clock.now(), asked.answer
        self._rest.append(RestSeen(now - self._began, made.status, made.code, made.wrong, made.statement, made.ends))
        data = {"method": asked.method, "status": made.status, "code": made.code, "wrong": made.wrong}
        if self._record is not None:
            self._record.note("rest.asked", now, **data)
        self._on_event("rest", data)

    def _event(self, kind: str, data: dict[str, Any]) -> None:
        now = self._clock.now()
        if kind == "webhook":
            answer: Answer = data["answer"]
            self._redirects = max(self._redirects, data["redirects"])
            self._status = answer.status
            if self._record is not None:
                self._record.webhook(answer, now, retried=data["retried"], redirects=data["redirects"])
        elif kind == "document" and self._record is not None:
            self._record.document(data["document"], data["answer"], now)
        elif kind == "upgrade":
            self._upgrade_ms, self._status = data["ms"], data["status"]
            if self._record is not None:
                self._record.upgrade(data["url"], data["status"], data["ms"], data["why"], now)
        elif kind == "closed" and self._record is not None:
            by = {"us": "them", "them": "us"}.get(data["by"], "nobody")  # "us" is the program under test
            self._record.note("close", now, leg="carrier", code=data["code"], reason=data["reason"], by=by,
                              age_s=data["age_s"], clean=data["by"] != "nobody")  # fmt: skip
        elif kind == "alert" and self._complained_at is None:
            self._complained_at = now
        if kind == "alert" and self._record is not None:
            self._record.note("alert", now, **data, **{"from": "dial"})
        elif kind == "callback" and self._record is not None:
            self._record.note("call.status", now, **data, **{"from": "dial"})
        self._on_event(kind, data)

    # ------------------------------------------------------------------------------------- the result

    def _result(self, heard: Heard) -> Result:
        call, line = self._call, self._call.carrier
        facts = self._facts(heard)
        findings = judge(facts)
        return Result(
            call_sid=call.call_sid, verdict=verdict_of(findings), findings=tuple(findings), alerts=tuple(call.alerts),
            figures=self._figures(), heard=heard, facts=facts, ended=self._ended(),
            record=str(self._record.path) if self._record is not None else "",
            mark_last=line.phone.marked_last(line.ended_at or 0.0),
        )  # fmt: skip

    def _facts(self, heard: Heard) -> Facts:
        call, phone = self._call, self._call.phone
        code, _, by = call.closed or (None, "", "")
        document = call.document
        stream = call.stream
        dialled = tuple(str(fault) for fault in self._plan.faults)
        return Facts(
            violations=tuple(self._seen.values()),
            complaints=tuple((c.statement, c.code, c.why, c.fatal) for c in document.complaints) if document else (),
            heard=heard,
            spoken_ms=None if (spoken := self._spoken_ms()) is None else spoken - self._spoken_before,
            clears=len(phone.clears),
            missed=tuple(self._player.missed),
            failed=self._failed,
            webhook_ms=call.answer.ms if call.answer is not None else None,
            redirects=self._redirects,
            upgrade_ms=self._upgrade_ms,
            marks=tuple(name for name, _ in phone.marks),
            idle_clears=phone.idle_clears,
            lengths=tuple(self._lengths),
            unplayed_ms=phone.unplayed_ms,
            closed_by=by,
            closed_code=code,
            closed_at_s=round(stream.age_s, 2) if stream is not None else 0.0,
            protocol=next((stream.broke_protocol for stream in call.streams if stream.broke_protocol), ""),
            after_stop=sum(stream.after_stop for stream in call.streams),
            unread=sum(stream.dropped_frames for stream in call.streams),
            heard_ms=call.carrier.played_ms(),
            rest=tuple(self._rest),
            rest_here=self._plan.rest is not None,
            over_at_s=self._clock.now() - self._began,
            by_rest=call.by_rest,
            stream_opened=bool(call.streams),
            dialled_faults=dialled,
            expected=expected(
                dialled, self._failed[1] if self._failed else "", self._status, self._upgrade_ms is not None
            ),
        )

    def _figures(self) -> Figures:
        call, line, phone = self._call, self._call.carrier, self._call.phone
        stream = call.stream
        began = stream.opened_at if stream is not None else self._began
        first = first_audible(phone, began)
        clears = [
            round((at - cut) * 1000, 1)
            for cut in self._player.barge_ins
            if (at := next((at for at in phone.clears if at >= cut), None)) is not None
        ]
        late = sorted(line.late_ms)
        return Figures(
            webhook_ms=call.answer.ms if call.answer is not None else None,
            upgrade_ms=self._upgrade_ms,
            first_audible_ms=round((first - began) * 1000, 1) if first is not None else None,
            latencies_ms=tuple(self._player.latencies_ms),
            clear_ms=tuple(clears),
            heard_ms=line.played_ms(),
            unplayed_ms=phone.unplayed_ms,
            dropped_ms=sum(phone.dropped_ms),
            marks=len(phone.marks),
            marks_returned=len(phone.marks_returned),
            clears=len(phone.clears),
            messages=self._messages,
            frames_sent=line.frames_sent,
            seconds=round(self._clock.now() - self._began, 2),
            gen_late_p99_ms=round(late[int(len(late) * 0.99)], 1) if late else None,
        )

    def _ended(self) -> str:
        if self._failed is not None:
            return "the call did not come about"
        if self._call.closed is None:
            return "no stream"
        if self._call.by_rest:
            return "ended by the server, by REST"
        code, _, by = self._call.closed
        who = {"us": "the caller", "them": "the server", "nobody": "nobody: the connection broke"}[by]
        return f"ended by {who}" + (f" ({code})" if by == "them" else "")

    def _close(self, result: Result) -> None:
        assert self._record is not None
        now, figures = self._clock.now(), result.figures
        wanted = self._failed is None and bool(self._call.closed) and self._call.closed is not None
        wanted = wanted and result.facts.closed_by in ("us", "them")
        who = {"us": "caller", "them": "server"}.get(result.facts.closed_by, "nobody")
        marks_open = figures.marks - figures.marks_returned
        self._record.note("ending", now, who=who, why=result.ended, wanted=wanted, unplayed_ms=figures.unplayed_ms,
                          marks_open=marks_open)  # fmt: skip
        self._record.close(
            now,
            {
                "end": {"why": result.ended, "wanted": wanted},
                "marks": {"sent": figures.marks, "played": figures.marks_returned, "flushed": 0},
                "frames_from_carrier": figures.frames_sent,
                "carrier_wire": {"lost": 0},
                "dial": {"verdict": result.verdict, "findings": to_builtins(result.findings), "ended": result.ended,
                         "figures": to_builtins(figures), "heard": to_builtins(result.heard),
                         "faults": list(result.facts.dialled_faults), "missed": list(result.facts.missed),
                         "expected": to_builtins(result.facts.expected)},
            },
        )  # fmt: skip


def _audio_bytes(data: bytes) -> int:
    """How many bytes of audio a media message carries, told from its text."""
    begin = data.rfind(b'"payload"')
    text = data[begin + 9 :].split(b'"', 2)[1] if begin >= 0 and data[begin + 9 :].count(b'"') >= 2 else b""
    return len(text) * 3 // 4 - text[-2:].count(b"=")
