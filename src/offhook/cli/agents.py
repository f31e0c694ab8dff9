"""
The agents that answer now: who takes a call, and everything made ready for that one call.

Replaced whole when the settings change (``reload.py``); a call keeps what was made for it. Never blocks: whatever
takes time (a lookup, the file of a call that was cut off) is done beside the media loop.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import Future, wait
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from msgspec import structs

from offhook import vocab as v
from offhook.agent.agents import refusal
from offhook.agent.aside import Aside
from offhook.agent.assemble import Prompt, assemble, caller_part, resume_part
from offhook.agent.handles import targets_of
from offhook.agent.lookup import Found
from offhook.agent.profile import END_LINES
from offhook.agent.prompt import CallFacts, render
from offhook.agent.resume import CutOff, Resumes, tail
from offhook.bridge import BridgeSettings
from offhook.checks.agents import Ready, Roster
from offhook.cli.boot import boot_of
from offhook.cli.cut_off import cut_off
from offhook.evidence.files import read
from offhook.evidence.record import RecordingError
from offhook.net.answerer import Answerer, Declined, Farewell
from offhook.net.client import choose_proxy
from offhook.settings import Settings

__all__ = ["Switchboard", "bridge_settings", "needs_loopback"]

log = logging.getLogger("offhook")

# These end a call as the agent or a limit meant it. All others may be a line that broke: a caller who hangs up and one
# whose battery is empty look the same from here.
_MEANT = frozenset((
    "agent hung up", "time limit", "idle", "operator", "tool", "spend cap of the call", "spend cap of the day",
))  # fmt: skip
SPARE_S = 0.1  # before the bridge stops waiting for a briefing
KEEP_S = 2.0  # at the end of the process: writing down the last calls that were cut off


def bridge_settings(settings: Settings, ready: Ready) -> BridgeSettings:
    """The bridge's manners for an agent; its greeting depends on the call."""
    profile = ready.profile
    return BridgeSettings(
        on_failure=profile["failure_policy"],
        note_digits=settings["record.digits"],
        records=settings["record.audio"],
        unmet=profile["unmet"],
        max_call_s=profile["max_call_s"],
        idle_s=profile["idle_s"],
        stream_s=settings["limits.stream_timeout_s"],
        open_s=settings["provider.dial_timeout_s"] + 2,
        ring_s=settings["outbound.ring_s"],
        idle_prompt_s=profile["idle_prompt_s"],
        idle_prompts=profile["idle_prompts"],
        warn_s=profile["warn_s"],
        **{field: profile[field] for field in END_LINES},
        transfer_to=targets_of(profile["transfer_to"]),
        keypad=profile["keypad"],
    )


def needs_loopback(roster: Roster) -> bool:
    """Whether an agent wants the receptionist's process."""
    return any(one.provider.NAME == "loopback" and not one.profile["url"] for one in roster.ready.values())


class Switchboard:
    """Who answers. ``loopback_url`` is the receptionist's process, where an agent uses that provider."""

    def __init__(
        self,
        settings: Settings,
        roster: Roster,
        lines: Mapping[str, bytes],
        *,
        aside: Aside,
        resumes: Resumes,
        bridge: Callable[[BridgeSettings], BridgeSettings] = lambda given: given,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.loopback_url = ""
        self._aside = aside
        self._resumes = resumes
        self._bridge = bridge
        self._now = now
        self._keeping: set[Future[None]] = set()
        self.swap(settings, roster, lines)

    def swap(self, settings: Settings, roster: Roster, lines: Mapping[str, bytes]) -> None:
        """From now on calls are answered by these."""
        self.settings = settings
        self.roster = roster
        self._lines = lines

    def session(self, ready: Ready) -> Any:
        """An agent's session; the receptionist's address is known only when its process runs."""
        own = ready.provider.NAME == "loopback" and not ready.profile["url"]
        return structs.replace(ready.session, url=self.loopback_url) if own else ready.session

    def answer_for(self, facts: CallFacts) -> Answerer | Declined:
        """Everything for one call, or why nobody takes it."""
        choice = self.roster.agents.choose(facts, self._now())
        if choice.profile is None:
            return Declined("no-agent", say="", detail=choice.why)
        refused = refusal(choice.profile, facts)
        if refused is not None:
            return Declined(refused.why, say=refused.say, detail=refused.detail)
        return self._answerer(self.roster.ready[choice.profile.name], choice.why, facts)

    def _answerer(self, ready: Ready, why: str, facts: CallFacts) -> Answerer:
        settings, profile = self.settings, ready.profile
        prompt = assemble(ready.persona.parts, facts, profile["max_prompt_chars"])
        session = structs.replace(self.session(ready), instructions=prompt.text)
        greeting = profile["greeting_outbound" if facts.outbound else "greeting"]
        brief = self._brief(ready, facts)
        bridge = structs.replace(
            self._bridge(bridge_settings(settings, ready)),
            greeting=render(greeting, facts) if greeting else None,
            briefing_s=profile["lookup_s"] if brief is not None else 0.0,
        )
        return Answerer(
            ready.provider, session, bridge, self._lines,
            agent=profile.name,
            why=why,
            dial_options={"proxy": choose_proxy(session.url, settings.environment)},
            fallback_say=profile["fallback_say"],
            brief=brief,
            farewell=self._farewell(ready, facts),
            notes={"agent": _said_of(ready, why, facts, prompt)},
            boot=boot_of(settings, profile, ready.provider, session),
            tools=profile["tools"],
        )  # fmt: skip

    # -------------------------------------------------------------------- before the first word, and after the last

    def _brief(self, ready: Ready, facts: CallFacts) -> Callable[[], Awaitable[v.Briefed]] | None:
        """What finds out about the caller; None where nothing is to be found."""
        lookup = ready.lookup
        may_resume = self._resumable(ready, facts)
        if lookup is None and not may_resume:
            return None
        source = " and ".join(part for part in (lookup and lookup.source, may_resume and "resume") if part)

        async def brief() -> v.Briefed:
            loop = asyncio.get_running_loop()
            until = loop.time() + ready.profile["lookup_s"] - SPARE_S
            asking = asyncio.ensure_future(lookup.ask(facts) if lookup is not None else _nobody())
            cut_off = await self._take(ready, facts) if may_resume else None
            if cut_off is None:
                return self._briefed(ready, facts, source, await asking, None)
            try:  # spent when it is told in time, else it waits for the next call
                await asyncio.wait({asking}, timeout=max(0.0, until - loop.time()))
            except asyncio.CancelledError:  # the caller has left
                self._give_back(facts.party_number, cut_off)
                raise
            if loop.time() > until + SPARE_S / 2:
                self._give_back(facts.party_number, cut_off)
                cut_off = None
            found = asking.result() if asking.done() else Found({}, "no answer in time")
            asking.cancel()
            return self._briefed(ready, facts, source, found, cut_off)

        return brief

    def _briefed(self, ready: Ready, facts: CallFacts, source: str, found: Found, cut_off: CutOff | None) -> v.Briefed:
        profile = ready.profile
        if found.why:
            said = {"call": facts.call_id, "agent": profile.name, "why": found.why}
            log.warning("caller lookup failed", extra=said)
        outcome: Literal["hit", "miss", "failed"] = "hit" if found.fields else "failed" if found.why else "miss"
        if not found.fields and cut_off is None:
            return v.Briefed(outcome=outcome, source=source, ms=0.0, detail=found.why)
        known = structs.replace(facts, caller=found.fields)
        parts = list(ready.persona.parts)
        about = caller_part(facts, found.fields, source)
        if about is not None:
            parts.append(about)
        if cut_off is not None:
            parts.append(resume_part(cut_off.said, time.time() - cut_off.at))
        prompt = assemble(parts, known, profile["max_prompt_chars"])
        greeting = profile["greeting_outbound" if facts.outbound else "greeting"]
        if cut_off is not None and profile["greeting_resumed"]:
            greeting = profile["greeting_resumed"]
        return v.Briefed(
            outcome=outcome, source=source, ms=0.0, detail=found.why or _cut(prompt),
            instructions=prompt.text,
            greeting=render(greeting, known) if greeting else None,
            language=found.fields.get("language"),
            resumed=cut_off is not None,
        )  # fmt: skip

    def _resumable(self, ready: Ready, facts: CallFacts) -> bool:
        return ready.profile["resume_s"] > 0 and facts.verified and bool(facts.party_number)

    async def _take(self, ready: Ready, facts: CallFacts) -> CutOff | None:
        def work() -> CutOff | None:
            return self._resumes.take(facts.party_number, ready.profile.name)

        taking = self._aside.submit(lambda: self._aside.plain(work))
        try:
            return await asyncio.shield(asyncio.wrap_future(taking))
        except asyncio.CancelledError:  # the caller has left, and what is being taken was told to nobody
            taking.add_done_callback(lambda done: self._untaken(facts.party_number, done))
            raise
        except Exception as error:  # a full or foreign disk: the call goes on as any other
            log.warning("a call that was cut off cannot be read", extra={"why": f"{type(error).__name__}: {error}"})
            return None

    def _untaken(self, number: str, taking: Future[CutOff | None]) -> None:
        if not taking.cancelled() and taking.exception() is None and (call := taking.result()) is not None:
            self._give_back(number, call)

    def _give_back(self, number: str, call: CutOff) -> None:
        """Keep a call that was cut off; also one that was taken, and not gone on with."""
        keeping = self._aside.submit(lambda: self._aside.plain(self._keep, number, call))
        self._keeping.add(keeping)
        keeping.add_done_callback(self._keeping.discard)

    def _farewell(self, ready: Ready, facts: CallFacts) -> Callable[[Farewell], None] | None:
        if not self._resumable(ready, facts):
            return None

        def farewell(told: Farewell) -> None:
            said = tail(told.said)
            if told.end.why in _MEANT or not any(who == "caller" for who, _ in said):
                return
            now = time.time()
            call = CutOff(ready.profile.name, now, now + ready.profile["resume_s"], said, facts.call_id)
            self._give_back(facts.party_number, call)

        return farewell

    def died(self, record: Path) -> None:
        """The record of a call whose server died: it was cut off. Called on any thread, and never raises."""

        def resume_s(agent: str) -> float:
            ready = self.roster.ready.get(agent)
            return float(ready.profile["resume_s"]) if ready is not None else 0.0

        try:
            found = cut_off(read(record), resume_s, time.time())
            if found is not None:
                self._resumes.keep_of(*found)
        except (OSError, RecordingError) as error:
            log.warning("a call that was cut off cannot be kept", extra={"record": record.name, "why": str(error)})

    def _keep(self, number: str, call: CutOff) -> None:
        try:
            self._resumes.keep(number, call)
        except OSError as error:
            log.warning("a call that was cut off cannot be kept", extra={"why": str(error)})

    def stop(self) -> None:
        """Let what is being written be written, and end the thread beside the calls."""
        wait(set(self._keeping), timeout=KEEP_S)
        self._aside.stop()


async def _nobody() -> Found:
    return Found({})


def _said_of(ready: Ready, why: str, facts: CallFacts, prompt: Prompt) -> dict[str, Any]:
    """What a record keeps of who answered: by what, as whom, told how much."""
    return {
        "name": ready.profile.name, "why": why, "where": ready.profile.where, "verified": facts.verified,
        "attestation": facts.attestation, "prompt_chars": len(prompt.text), "prompt_cut": _cut(prompt),
        "parameters": sorted(facts.parameters),
    }  # fmt: skip


def _cut(prompt: Prompt) -> str:
    """What was cut of a prompt, in a line; empty when nothing was."""
    return "; ".join(f"{part.name}: {part.kept_chars} of {part.chars} characters kept" for part in prompt.cut)
