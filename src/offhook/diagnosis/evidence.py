"""
The evidence of one call, typed: a recording is read once, and rules ask this view.

Works on recordings of the bridge, of ``dial``, of ``tap`` and of ``replay`` alike. ``sees`` says what the recorder
could observe; what it could not see is not missing, it is not provable from there. Pure.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec import Struct, structs

from offhook.diagnosis import facts as f
from offhook.diagnosis.inside import Inside, read_inside
from offhook.diagnosis.talk import Talk, read_talk
from offhook.diagnosis.wire_facts import CarrierIn, CarrierOut, ProviderWire, read_wires
from offhook.evidence.reach import same_place
from offhook.evidence.record import SCREENS, Line, Recording

__all__ = ["EVERYTHING", "Evidence"]

QUICK_MS = 5_000.0  # of the fifteen seconds that the carrier waits for a webhook
EVERYTHING = frozenset({"webhook", "carrier", "provider", "bridge"})


class Evidence(Struct, frozen=True):
    """One call's facts, in the groups of the record's contract; every fact keeps its line."""

    recording: Recording
    source: str
    sees: frozenset[str]
    boot: f.Boot
    hooks: tuple[f.Hook, ...]
    missed_hooks: tuple[f.MissedHook, ...]
    twiml: tuple[f.Twiml, ...]
    upgrades: tuple[f.Upgrade, ...]
    carrier_in: CarrierIn
    carrier_out: CarrierOut
    closes: tuple[f.Close, ...]
    dials: tuple[f.Dial, ...]
    provider: ProviderWire
    talk: Talk
    inside: Inside
    errors: tuple[f.ProviderError, ...]
    asked: dict[str, str]
    echoed: dict[str, str]
    differences: tuple[f.Difference, ...]
    rejected: tuple[f.Rejected, ...]
    tools: tuple[f.Tool, ...]
    tools_done: tuple[f.ToolDone, ...]
    rest: tuple[f.Rest, ...]
    alerts: tuple[f.Alert, ...]
    statuses: tuple[f.CallStatus, ...]
    ending: f.Ending | None
    exceptions: tuple[f.Exc, ...]
    task_exits: tuple[f.TaskExit, ...]
    lags: tuple[f.Lag, ...]
    deadlines: tuple[f.Deadline, ...]
    violations: tuple[f.Violation, ...]
    marks: dict[str, f.Fact]  # milestones that the recorder itself noted, by id
    dialled: f.Dialled = f.Dialled()  # of a call that a simulated carrier placed
    transfers: tuple[f.Transfer, ...] = ()
    passed_by: f.Twiml | None = None  # the document that sent the stream past the tap that recorded

    @classmethod
    def of(cls, call: Recording) -> Evidence:
        """Read a recording."""
        notes = _Notes(call)
        sees = call.begin.get("sees")
        carrier_in, carrier_out, provider = read_wires(call)
        take = notes.take
        hooks = _hooks(notes)
        seen = _sees(sees, call) if isinstance(sees, list) else EVERYTHING
        source = str(call.begin.get("source") or "bridge")
        unseen = source == "tap" and not carrier_in.seen and not (_upgrades(notes) or _alerts(notes))
        passed_by = _passed_by(hooks, take("twiml", f.Twiml)) if unseen else None
        return cls(
            recording=call,
            source=source,
            sees=seen - _without(call, passed_by),
            passed_by=passed_by,
            dialled=_dialled(call),
            boot=_boot(call),
            hooks=hooks,
            missed_hooks=take("webhook.missed", f.MissedHook),
            twiml=take("twiml", f.Twiml),
            upgrades=_upgrades(notes),
            carrier_in=carrier_in,
            carrier_out=carrier_out,
            closes=_closes(notes),
            dials=_dials(notes),
            provider=provider,
            talk=read_talk(call),
            inside=read_inside(call),
            errors=_fatal(take("provider.error", f.ProviderError, _error) or provider.errors, notes),
            asked=notes.merged("session.asked"),
            echoed=notes.merged("session.echoed"),
            differences=take("session.difference", f.Difference),
            rejected=take("session.rejected", f.Rejected) or _rejected(provider),
            tools=take("tool", f.Tool, _tool),
            tools_done=take("tool.done", f.ToolDone),
            rest=take("rest.result", f.Rest, _rest),
            transfers=take("transfer", f.Transfer),
            alerts=_alerts(notes),
            statuses=(*take("call.status", f.CallStatus), *take("carrier.status", f.CallStatus, _status)),
            ending=_ending(call, notes),
            exceptions=tuple(
                sorted((*take("exception", f.Exc), *take("bridge.exception", f.Exc)), key=lambda fact: fact.line)
            ),
            task_exits=take("task.exit", f.TaskExit),
            lags=take("bridge.loop-lag", f.Lag),
            deadlines=take("deadline.missed", f.Deadline),
            violations=tuple(f.read(f.Violation, line) for line in call.violations()),
            marks=notes.milestones(),
        )

    def saw(self, *what: str) -> bool:
        """Whether the recorder could observe all of these: "webhook", "carrier", "provider", "bridge"."""
        return self.sees.issuperset(what)

    @property
    def from_a_screen(self) -> bool:
        """Whether the call began with its stream: no webhook was part of it."""
        return self.recording.begin.get("carrier") in SCREENS

    def closed(self, leg: str) -> f.Close | None:
        """How a leg's WebSocket ended; None while it lives or was not seen."""
        return next((close for close in self.closes if close.leg == leg), None)

    @property
    def not_taken(self) -> str:
        """How a call that we placed ended without ever being answered; empty for all others."""
        status = self.final_status
        placed = any(rest.op == "create" and rest.ok for rest in self.rest)
        ended = status is not None and status.status in ("busy", "no-answer", "failed", "canceled")
        return status.status if status is not None and placed and ended and not self.hooks else ""

    @property
    def left_in_webhook(self) -> f.Deadline | None:
        """
        Where a call's webhook was answered well, nobody tried to open its stream, and nobody complained.

        Only a server whose other calls' streams did come up: it proves the way that this one would have gone. None
        where the carrier said how the call ended, for that says more.
        """
        never = next(self.recording.notes("stream.never"), None)
        asked = [hook for hook in self.hooks if hook.status == 200 and hook.signature.ok is not False]
        good = [doc for doc in self.twiml if doc.ok is not False and doc.verb == "Connect"]
        came = self.upgrades or self.carrier_in.seen or self.alerts or self.exceptions or self.final_status
        if never is None or len(asked) != 1 or len(self.hooks) != 1 or len(good) != 1 or came:
            return None
        quick = asked[0].ms is None or asked[0].ms < QUICK_MS
        same = asked[0].host == good[0].stream.host and not asked[0].redirected
        late = self.missed("stream after webhook")
        proven = int(never.data.get("others") or 0) > 0
        return late[0] if late and quick and same and proven else None

    @property
    def kept_from_the_provider(self) -> bool:
        """Whether some of what the caller said was not meant for it: mute, hold, a voicemail."""
        return any(next(self.recording.notes(kind), None) for kind in ("mute", "hold", "voicemail"))

    def missed(self, *names: str) -> tuple[f.Deadline, ...]:
        """Deadlines of these names that passed."""
        return tuple(deadline for deadline in self.deadlines if deadline.name in names)

    def alerted(self, *codes: str) -> f.Alert | None:
        """The carrier's first alert with one of these codes."""
        return next((alert for alert in self.alerts if alert.code in codes), None)

    @property
    def opened_provider(self) -> bool:
        """Whether a provider connection came to be."""
        return self.provider.seen or "M8" in self.marks or any(_opened(dial) for dial in self.dials)

    @property
    def answered(self) -> bool:
        """Whether a webhook of this call was taken and answered: what was refused beside it did no harm."""
        good = (hook for hook in self.hooks if hook.signature.ok is not False)
        return any(200 <= (hook.status or 0) < 300 for hook in good) or "M1" in self.marks

    @property
    def carrier_up(self) -> bool:
        """Whether the carrier's stream came to be."""
        accepted = any(upgrade.status == 101 for upgrade in self.upgrades)
        return accepted or self.carrier_in.seen or "M5" in self.marks

    @property
    def dial_failure(self) -> f.DialFailure | None:
        """Why the provider was not reached; None where it was, or where nobody tried to the end."""
        return self.dials[-1].failure if self.dials and not self.opened_provider else None

    @property
    def own_key(self) -> f.Key | None:
        """The key of the provider that runs."""
        name = (self.boot.profile.provider or self.boot.value("provider.name")).upper()
        return next((key for key in self.boot.keys if name and key.env.upper().startswith(name)), None)

    @property
    def final_status(self) -> f.CallStatus | None:
        """How the phone call ended, by the carrier."""
        final = ("completed", "busy", "no-answer", "canceled", "failed")
        return next((status for status in self.statuses if status.status in final), None)

    @property
    def agent_heard(self) -> bool:
        """Whether the caller provably heard anything of the agent: a mark came back as played."""
        return self.carrier_out.marks_played > 0 or "M17" in self.marks

    @property
    def length_ms(self) -> float:
        return self.recording.last_ms


class _Notes:
    """The notes of a recording, by kind."""

    def __init__(self, call: Recording) -> None:
        self.by_kind: dict[str, list[Line]] = {}
        for line in call.notes():
            self.by_kind.setdefault(line.text("note"), []).append(line)

    def of(self, kind: str) -> list[Line]:
        return self.by_kind.get(kind, [])

    def take(self, kind: str, into: type[f.F], more: Callable[[Line], dict[str, Any]] | None = None) -> tuple[f.F, ...]:
        """The notes of a kind as facts."""
        return tuple(f.read(into, line, **(more(line) if more else {})) for line in self.of(kind))

    def merged(self, kind: str) -> dict[str, str]:
        """
        The session in all notes of a kind, flat (``audio.input.format.type``): what was said first was meant.
        """
        found: dict[str, str] = {}
        for line in self.of(kind):
            given = line.data.get("session")
            _flatten("", given if isinstance(given, dict) else line.data, found)
        found.pop("note", None)
        return found

    def milestones(self) -> dict[str, f.Fact]:
        found: dict[str, f.Fact] = {}
        for line in self.of("milestone"):
            found.setdefault(line.text("id"), f.Fact(line=line.number, at_ms=line.at_ms))
        return found


def _flatten(prefix: str, given: Any, into: dict[str, str]) -> None:
    if isinstance(given, dict):
        for name, value in given.items():
            _flatten(f"{prefix}{'.' if prefix else ''}{name}", value, into)
    elif isinstance(given, list):
        into.setdefault(prefix, ",".join(str(item) for item in given if not isinstance(item, (dict, list))))
    else:
        into.setdefault(prefix, "" if given is None else str(given))


def _boot(call: Recording) -> f.Boot:
    line = call.lines[0]
    given = call.boot
    return f.read(
        f.Boot,
        Line(line.number, line.kind, line.at_ms, given),
        present=bool(given),
        carrier=call.begin.get("carrier"),
        settings={k: v for k, v in (given.get("settings") or {}).items() if isinstance(v, dict)}
        if isinstance(given.get("settings"), dict)
        else None,
    )


def _hooks(notes: _Notes) -> tuple[f.Hook, ...]:
    """Requests; what the server itself said of a refusal belongs to the answer that follows it."""
    said = notes.of("webhook.refused")
    found = []
    for hook in notes.take("webhook", f.Hook):
        before = [line for line in said if line.number < hook.line]
        if hook.status in (0, None) and not hook.failed:
            hook = structs.replace(hook, failed=hook.why or "no answer")
        if before and hook.signature.ok is None and hook.status is not None and hook.status >= 400:
            refused = f.read(f.Hook, before[-1])
            hook = structs.replace(hook, signature=refused.signature, why=refused.why or hook.why)
        found.append(hook)
    return tuple(found)


def _dialled(call: Recording) -> f.Dialled:
    given = call.summary("dial")
    found = [row for row in given.get("findings") or () if isinstance(row, dict) and row.get("severity") == "fault"]
    expected = given.get("expected")
    return f.read(
        f.Dialled, Line(0, "end", 0.0, expected if isinstance(expected, dict) else {}),
        faults=[str(row.get("sentence")) for row in found],
    )  # fmt: skip


def _passed_by(hooks: tuple[f.Hook, ...], documents: tuple[f.Twiml, ...]) -> f.Twiml | None:
    """The last document, where its stream does not come the way its webhook came: a tap there sees none of it."""
    if not hooks or not documents or documents[-1].rewritten or not documents[-1].stream.host:
        return None
    hook, stream = hooks[-1], documents[-1].stream
    if same_place((hook.host, hook.port), (stream.host, stream.port)):
        return None
    return documents[-1]


def _upgrades(notes: _Notes) -> tuple[f.Upgrade, ...]:
    """The same for upgrades: both sides may have written down the one upgrade, each what it knows of it."""
    found = []
    said = [f.read(f.Upgrade, line) for line in notes.of("upgrade.refused")]
    seen = [f.read(f.Upgrade, line) for line in notes.of("upgrade.seen")]
    for upgrade in notes.take("upgrade", f.Upgrade):
        refused = next((one for one in reversed(said) if one.line < upgrade.line), None)
        there = next((one for one in reversed(seen) if one.line < upgrade.line), None)
        if refused is not None and refused.status == upgrade.status:
            upgrade = structs.replace(upgrade, why=refused.why, signature=refused.signature)
        if there is not None:
            upgrade = structs.replace(upgrade, headers=there.headers)
        found.append(upgrade)
    return tuple(found) or tuple(said)


def _error(line: Line) -> dict[str, Any]:
    return {"param": line.data.get("param") or line.data.get("field")}


def _fatal(errors: tuple[f.ProviderError, ...], notes: _Notes) -> tuple[f.ProviderError, ...]:
    """Errors, fatal where the wire's profile said so or where the provider closed for them, within two seconds."""
    closed = next((c for c in _closes(notes) if c.leg == "provider" and c.by == "them" and c.code != 1000), None)
    return tuple(
        structs.replace(error, fatal=True) if closed and 0 <= closed.at_ms - error.at_ms <= 2000.0 else error
        for error in errors
    )


def _rejected(provider: ProviderWire) -> tuple[f.Rejected, ...]:
    """Errors that answer a session.update, and no confirmation after it."""
    echoes = [session.at_ms for session in provider.sessions if session.kind == "updated"]
    return tuple(
        f.Rejected(line=error.line, at_ms=error.at_ms, field=error.param, code=error.code, message=error.message)
        for error in provider.errors
        if error.param.startswith("session") and not echoes
    )


def _tool(line: Line) -> dict[str, Any]:
    return {"known": line.data.get("known", line.data.get("registered"))}


def _rest(line: Line) -> dict[str, Any]:
    data = line.data
    ok = data.get("ok", data.get("done"))
    return {"ok": True if ok is None else ok, "http": data.get("http", data.get("status"))}


def _status(line: Line) -> dict[str, Any]:
    return {"status": line.text("CallStatus").lower()}


def _alerts(notes: _Notes) -> tuple[f.Alert, ...]:
    """The carrier's own words: alerts, and stream errors of status callbacks."""
    said = [f.read(f.Alert, line, origin=line.data.get("from"), code=line.text("code")) for line in notes.of("alert")]
    for line in notes.of("carrier.status"):
        code = line.text("StreamErrorCode") or line.text("StreamError").partition(":")[0].strip()
        if code.isdigit():
            said.append(f.read(f.Alert, line, code=code, text=line.text("StreamError"), origin="callback"))
    return tuple(sorted(said, key=lambda alert: alert.line))


def _closes(notes: _Notes) -> tuple[f.Close, ...]:
    """``close`` notes; of a leg that has none, what the bridge noted of its socket."""
    named = list(notes.take("close", f.Close))
    legs = {close.leg for close in named}
    for leg in ("carrier", "provider"):
        if leg not in legs:
            named += [
                f.read(f.Close, line, leg=leg, clean=line.data.get("code") is not None)
                for line in notes.of(f"{leg}.closed")
            ]
    if not any(close.leg == "provider" for close in named):  # older records
        named += notes.take("provider.lost", f.Close, lambda line: {"leg": "provider"})
    return tuple(sorted(named, key=lambda close: close.line))


def _dials(notes: _Notes) -> tuple[f.Dial, ...]:
    """Attempts in order, each with the phases and the failure that follow it."""
    kinds = ("dial.begun", "dial.request", "dial.phase", "dial.failed")
    found: list[dict[str, Any]] = []
    for line in sorted((line for kind in kinds for line in notes.of(kind)), key=lambda line: line.number):
        kind = line.text("note")
        if kind == "dial.begun" or not found:
            found.append({"line": line.number, "at_ms": line.at_ms, "attempt": len(found) + 1, "phases": ()})
        if kind == "dial.request":
            found[-1]["request"] = f.read(f.DialRequest, line)
        elif kind == "dial.phase":
            found[-1]["phases"] += (f.read(f.DialPhase, line),)
        elif kind == "dial.failed":
            found[-1]["failure"] = f.read(f.DialFailure, line)
    return tuple(f.Dial(**given) for given in found)


def _sees(begun: list[Any], call: Recording) -> frozenset[str]:
    """What the recorder could observe; it may say more later, when it turns out."""
    later = [what for line in call.notes("sees") for what in line.data.get("what") or ()]
    return frozenset(map(str, [*begun, *later]))


def _without(call: Recording, passed_by: f.Twiml | None) -> set[str]:
    """What there was not to be seen: a stream that went past the tap, a webhook of a call that began at a screen."""
    missing = {"carrier"} if passed_by is not None else set()
    return missing | ({"webhook"} if call.begin.get("carrier") in SCREENS else set())


def _opened(dial: f.Dial) -> bool:
    return dial.failure is None and any(phase.phase in ("upgrade", "http", "open") for phase in dial.phases)


def _ending(call: Recording, notes: _Notes) -> f.Ending | None:
    """Who decided the end: the first such note, completed by the summary."""
    said = notes.of("ending")
    summary = call.summary("end")
    if said:
        ending = f.read(f.Ending, said[0])
        return ending
    if not summary:
        return None
    last = next(line for line in reversed(call.lines) if line.kind == "end")
    return f.read(f.Ending, Line(last.number, "end", last.at_ms, summary))
