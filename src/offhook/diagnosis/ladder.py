"""
The ladder of milestones M0 to M19, computed from the evidence, so that it exists for foreign recordings too.

The first milestone that should have happened and did not, with all earlier ones met, names the boundary. A milestone
that nobody could observe is not seen, and one that could not be expected (the caller had left, nobody spoke) is not
due: neither is held against anyone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from msgspec import Struct, structs

from offhook.diagnosis.evidence import Evidence
from offhook.diagnosis.facts import DECLINED, Fact

__all__ = ["IDS", "NOT_PART", "Step", "first_unmet", "ladder"]

NOT_PART = "not part of this call"  # how a step says so that no call of this kind has
State = Literal["met", "unmet", "not due", "not seen"]

# So long a step may take before its absence counts, in ms. Starting values: each is above the slowest healthy step
# in providers' and carriers' documents and our own measurements, and never below the bridge's own deadline.
START_MS = 1_000.0  # connected, start and media come in the first packets
DIAL_MS = 10_000.0
READY_MS = 5_000.0
APPEND_MS = 7_000.0  # caller audio is held back while the greeting is made
ANSWER_MS = 20_000.0
MARK_MS = 6_000.0
SPOKE_MS = 600  # of speech, so that a cough is no turn


class Step(Struct, frozen=True):
    """One milestone of one call."""

    id: str
    what: str
    boundary: str
    state: State
    why: str = ""  # the observable, or why it is not due
    line: int = 0
    at_ms: float | None = None


Judged = tuple[State, str, Fact | None]


def ladder(view: Evidence) -> tuple[Step, ...]:
    """All milestones in causal order."""
    steps = []
    for mid, what, boundary, needs, judge in _STEPS:
        state, why, fact = judge(view) if view.saw(*needs) else ("not seen", "", None)
        if "webhook" in needs and view.from_a_screen:
            state, why, fact = "not due", f"{NOT_PART}: it began at a screen", None
        steps.append(Step(mid, what, boundary, state, why, fact.line if fact else 0, fact.at_ms if fact else None))
    return tuple(_due(view, _implied(steps)))


def _due(view: Evidence, steps: list[Step]) -> list[Step]:
    """What a dialled fault stopped is not due."""
    if not view.dialled.stops:
        return steps
    first = IDS.index(view.dialled.stops)
    return [
        structs.replace(step, state="not due", why=view.dialled.why) if n >= first and step.state == "unmet" else step
        for n, step in enumerate(steps)
    ]


def first_unmet(steps: tuple[Step, ...]) -> Step | None:
    """Where the call broke, as far as milestones tell."""
    return next((step for step in steps if step.state == "unmet"), None)


def _implied(steps: list[Step]) -> list[Step]:
    """On the carrier's leg a later milestone proves the earlier ones that left no trace of their own."""
    reached = max((n for n, step in enumerate(steps) if step.id in _CHAIN and step.state == "met"), default=-1)
    return [
        structs.replace(step, state="met", why=f"since {steps[reached].id} was reached")
        if n < reached and step.id in _CHAIN and (step.state, step.why) == ("unmet", "")
        else step
        for n, step in enumerate(steps)
    ]


_CHAIN = ("M1", "M2", "M3", "M4", "M5", "M6")


def _left_ms(view: Evidence) -> float | None:
    """When the far end was gone."""
    stop, closed = view.carrier_in.stop, view.closed("carrier")
    times = [fact.at_ms for fact in (stop, closed, view.final_status) if fact is not None]
    return min(times) if times else None


def _patience(view: Evidence, since_ms: float | None, ms: float) -> str:
    """Why nothing could be expected yet: somebody ended the call before ``ms`` had passed; else empty."""
    left = _left_ms(view)
    ended = view.ending.at_ms if view.ending is not None and view.ending.wanted else None
    until = min((at for at in (left, ended) if at is not None), default=view.length_ms)
    if until - (since_ms or 0.0) >= ms:
        return ""
    return "the call ended first"


def _absent(view: Evidence, since_ms: float | None, ms: float, why: str = "") -> Judged:
    """Unmet, unless there was no time for it."""
    patience = _patience(view, since_ms, ms)
    return ("not due", patience, None) if patience else ("unmet", why, None)


def _met(fact: Fact | None, why: str) -> Judged:
    return "met", why, fact


# ----------------------------------------------------------------------------------- the carrier's side


def _boot(view: Evidence) -> Judged:
    boot = view.boot
    if not boot.provider and not boot.settings:  # of a foreign program at most what it was meant to be is known
        return "not seen", "", None
    return _met(boot, f"{boot.provider}, model {boot.model}, voice {boot.voice}")


def _webhook(view: Evidence) -> Judged:
    if view.hooks:
        return _met(view.hooks[0], f"{view.hooks[0].method or 'request'} {view.hooks[0].path}".strip())
    if "M1" in view.marks:
        return _met(view.marks["M1"], "webhook received")
    if view.final_status is not None and view.final_status.status != "completed":
        return "not due", f"the call was {view.final_status.status}", None
    return "unmet", "", None


def _answered(view: Evidence) -> Judged:
    good = [h for h in view.hooks if h.signature.ok is not False and h.status is not None and 200 <= h.status < 300]
    if good:
        ms = f" in {good[0].ms:.0f} ms" if good[0].ms is not None else ""
        return _met(good[0], f"answered {good[0].status}{ms}")
    if not view.hooks:
        if view.not_taken:
            return "not due", f"the call was {view.not_taken}", None
        return _met(view.marks["M1"], "authentic") if "M1" in view.marks else ("unmet", "", None)
    last = view.hooks[-1]
    if last.failed:
        return "unmet", f"no answer: {last.failed}", last
    if last.signature.ok is False:
        return "unmet", f"signature refused: {last.signature.why or last.signature.variant}", last
    return "unmet", f"HTTP {last.status}" if last.status else "no answer", last


def _document(view: Evidence) -> Judged:
    if view.not_taken:
        return "not due", f"the call was {view.not_taken}", None
    if not view.twiml:  # nobody wrote the document down
        return ("not seen" if view.hooks or "M1" in view.marks else "unmet"), "", None
    good = [doc for doc in view.twiml if doc.ok is not False and doc.verb in ("Connect", "")]
    if good:
        return _met(good[0], f"<{good[0].verb or 'Response'}> to {good[0].stream.path or 'a stream'}")
    doc = view.twiml[-1]
    return "unmet", (doc.why or f"<{doc.verb}> opens no two-way stream"), doc


def _upgrade(view: Evidence) -> Judged:
    if view.upgrades:
        return _met(view.upgrades[0], f"upgrade of {view.upgrades[0].path}")
    if "M5" in view.marks or view.carrier_in.seen:
        return _met(view.marks.get("M5") or view.carrier_in.first, "the stream is up")
    status = view.final_status
    if status is not None and status.status in ("canceled", "no-answer", "busy", "failed"):
        return "not due", f"the call was {status.status}", status
    if view.hooks and all(hook.final for hook in view.hooks):
        return "not due", "the request was about a call that had ended", view.hooks[0]
    if view.left_in_webhook is not None:
        return (
            "not due",
            "the caller had left: nobody tried to open the stream, and other calls' came up",
            view.left_in_webhook,
        )
    declined = next((hook for hook in view.hooks if hook.why in DECLINED), None)
    if declined is not None:
        return "not due", "the call was declined as the settings say", declined
    return "unmet", "", None


def _accepted(view: Evidence) -> Judged:
    good = [upgrade for upgrade in view.upgrades if upgrade.status == 101]
    if good:
        return _met(good[0], "101")
    if view.carrier_in.seen or "M5" in view.marks:
        return _met(view.marks.get("M5") or view.carrier_in.first, "the stream is up")
    if view.upgrades:
        last = view.upgrades[-1]
        return "unmet", f"HTTP {last.status}: {last.why}" if last.status else "no answer", last
    return "unmet" if _upgrade(view)[0] == "unmet" else "not due", "", None


def _started(view: Evidence) -> Judged:
    start = view.carrier_in.start or view.marks.get("M6")
    if start is not None:
        return _met(start, "start seen")
    state, _, accepted = _accepted(view)
    if state != "met":
        return state, "", None
    return _absent(view, accepted.at_ms if accepted else 0.0, START_MS, "no start")


def _frames(view: Evidence) -> Judged:
    frames = view.carrier_in.audio.frames
    if frames or "M7" in view.marks:
        return _met(view.marks.get("M7") or view.carrier_in.start, f"{frames} frames from the carrier")
    start = view.carrier_in.start or view.marks.get("M6")
    return _absent(view, start.at_ms, START_MS, "no frames") if start else ("not due", "", None)


# ---------------------------------------------------------------------------------- the provider's side


def _opened(view: Evidence) -> Judged:
    if view.opened_provider:
        return _met(view.marks.get("M8") or view.provider.first, "open")
    if view.dials and view.dials[-1].failure is not None:
        failure = view.dials[-1].failure
        return "unmet", f"{failure.phase}: {failure.cause or failure.status}", failure
    if not view.dials and view.passed_by is not None:
        return "not due", "whether a stream came is not seen from here", None
    began = view.dials[0].at_ms if view.dials else (view.carrier_in.start or view.marks.get("M6") or Fact()).at_ms
    return _absent(view, began, DIAL_MS if view.dials else READY_MS, "never dialled" if not view.dials else "no answer")


def _ready(view: Evidence) -> Judged:
    fatal = next((d for d in view.differences if d.fatal), None)
    if fatal is not None:
        return "unmet", f"{fatal.field}: asked {fatal.asked}, got {fatal.got}", fatal
    if view.rejected:
        return "unmet", f"rejected: {view.rejected[0].field}", view.rejected[0]
    ready = view.marks.get("M9") or view.provider.echo
    if ready is not None:
        same = " = asked" if view.provider.echo and not view.differences else ""
        return _met(ready, f"session confirmed{same}")
    if view.provider.audio.frames:
        return _met(view.provider.first, "it speaks, though it never confirmed the session")
    if not view.opened_provider:
        return "not due", "", None
    opened = view.marks.get("M8") or view.provider.first
    return _absent(view, opened.at_ms if opened else 0.0, READY_MS, "never confirmed")


def _appended(view: Evidence) -> Judged:
    frames = view.provider.appended.frames
    if frames or "M10" in view.marks:
        return _met(view.marks.get("M10"), f"{frames} messages of caller audio sent")
    if _frames(view)[0] != "met" or _ready(view)[0] != "met":
        return "not due", "", None
    ready = _ready(view)[2]
    return _absent(view, max(ready.at_ms if ready else 0, _start_ms(view)), APPEND_MS, "none was sent")


def _start_ms(view: Evidence) -> float:
    start = view.carrier_in.start or view.marks.get("M6")
    return start.at_ms if start else 0.0


def _speech(view: Evidence) -> Judged:
    first = view.marks.get("M11") or (view.provider.speech[0] if view.provider.speech else None)
    if first is not None:
        return _met(first, "speech seen")
    if view.boot.profile.duplex == "full":
        return "not due", "this provider reports no turns", None
    spoken = view.carrier_in.audio.speech_ms - 600 * view.carrier_in.digits
    if view.saw("carrier") and spoken < SPOKE_MS:
        return "not due", "the caller did not speak", None
    if not view.provider.appended.frames and "M10" not in view.marks:
        return "not due", "", None
    return _absent(view, _start_ms(view), ANSWER_MS, "none was reported")


def _response(view: Evidence) -> Judged:
    first = view.marks.get("M12") or (view.provider.responses[0] if view.provider.responses else None)
    if first is not None:
        return _met(first, "response created")
    if view.boot.profile.duplex == "full":
        return "not due", "this provider reports no responses", None
    asked = [*view.provider.speech_stopped[:1], *view.provider.creates[:1]]
    if not asked:
        return "not due", "nobody asked for one", None
    return _absent(view, min(fact.at_ms for fact in asked), ANSWER_MS, "none came")


def _completed(view: Evidence) -> Judged:
    ended = [response for response in view.provider.responses if response.status]
    bad = [response for response in ended if response.status in ("failed", "incomplete")]
    if bad and len(bad) == len(ended):
        return "unmet", f"{bad[0].status}: {bad[0].reason}", bad[0]
    if ended:
        return _met(ended[0], f"{len(ended) - len(bad)} of {len(ended)} not failed")
    return "not due", "", None


def _bytes(view: Evidence) -> Judged:
    if view.provider.audio.frames or "M14" in view.marks:
        return _met(view.marks.get("M14"), f"{view.provider.audio.frames} messages of audio")
    since = next(
        (r.at_ms for r in view.provider.responses if r.status not in ("failed", "incomplete", "cancelled")), None
    )
    if view.boot.profile.duplex == "full" and view.provider.appended.frames:
        since = _start_ms(view)
    if since is None or (view.tools and not view.tools_done):
        return "not due", "no response that could speak", None
    return _absent(view, since, ANSWER_MS, "none came")


def _audible(view: Evidence) -> Judged:
    audio = view.provider.audio
    if not audio.frames and "M14" not in view.marks:
        return "not due", "", None
    if "M15" in view.marks or not audio.measured or audio.silent < audio.measured:
        return _met(view.marks.get("M15"), f"{audio.measured - audio.silent} of {audio.measured} looks not silent")
    if audio.measured < 10:
        return "not due", "too little to judge", None
    return "unmet", "digital silence throughout", Fact(line=audio.line, at_ms=view.length_ms)


def _sent(view: Evidence) -> Judged:
    out = view.carrier_out
    bad = sum(n for name, n in out.bad.items() if name.startswith(("media", "frame")))
    bad = bad or sum(1 for v in view.violations if v.outbound and v.leg == "carrier" and v.message == "media")
    if out.audio.frames and not (bad and not view.agent_heard and out.audio.frames <= bad):
        return _met(out.first, f"{out.audio.frames} frames sent")
    if bad:
        first = next((v for v in view.violations if v.outbound and v.leg == "carrier"), None)
        return "unmet", f"{bad} messages that the carrier does not take", first
    if view.saw("provider"):
        if not view.provider.audio.frames:
            return "not due", "", None
        return _absent(view, _start_ms(view), READY_MS, "none was sent")
    if not view.carrier_in.start:
        return "not due", "", None
    return _absent(view, _start_ms(view), ANSWER_MS, "none was sent")


def _heard(view: Evidence) -> Judged:
    out = view.carrier_out
    if view.agent_heard or out.marks_returned:
        return _met(view.marks.get("M17"), f"{out.marks_played} of {out.marks_sent} marks played")
    if not out.marks_sent or _sent(view)[0] != "met":
        return "not due", "no marks were sent" if not out.marks_sent else "", None
    first = out.first
    played_ms = (first.at_ms if first else 0.0) + min(out.audio.bytes / 8, MARK_MS)
    return _absent(view, played_ms, MARK_MS, f"none of {out.marks_sent} came back")


def _tools(view: Evidence) -> Judged:
    if not view.tools or not view.tools_done:
        return "not due", "", None
    done = {tool.id for tool in view.tools_done}
    open_ = [tool for tool in view.tools if tool.id and tool.id not in done]
    if not open_:
        return _met(view.tools_done[-1], f"{len(view.tools_done)} tool call(s) answered")
    return _absent(view, open_[0].at_ms, ANSWER_MS, f"{open_[0].name} was never answered")


def _ended(view: Evidence) -> Judged:
    if view.recording.live:
        return "not due", "the call is still running", None
    if view.recording.end is None and view.passed_by is None:
        return "unmet", "the record has no end", None
    ending = view.ending
    if ending is not None and (ending.wanted is not None or ending.why):
        return _met(ending, f"{ending.who or 'end'}: {ending.why}")
    said = view.carrier_in.stop or view.closed("carrier") or view.final_status
    return _met(said, "the end was seen") if said else ("not due", "", None)


_STEPS: tuple[tuple[str, str, str, tuple[str, ...], Callable[[Evidence], Judged]], ...] = (
    ("M0", "started with settings that make sense", "settings", (), _boot),
    ("M1", "webhook received", "webhook", ("webhook",), _webhook),
    ("M2", "webhook authentic and answered", "webhook", ("webhook",), _answered),
    ("M3", "TwiML opens a two-way stream", "webhook", ("webhook",), _document),
    ("M4", "upgrade received", "carrier-stream", ("carrier",), _upgrade),
    ("M5", "upgrade accepted", "carrier-stream", ("carrier",), _accepted),
    ("M6", "stream started", "carrier-stream", ("carrier",), _started),
    ("M7", "caller audio flows", "carrier-stream", ("carrier",), _frames),
    ("M8", "provider open", "provider-connect", ("provider",), _opened),
    ("M9", "session ready, as asked", "provider-session", ("provider",), _ready),
    ("M10", "caller audio goes to the provider", "bridge", ("provider",), _appended),
    ("M11", "speech heard by the provider", "turns", ("provider",), _speech),
    ("M12", "response created", "turns", ("provider",), _response),
    ("M13", "response not failed", "turns", ("provider",), _completed),
    ("M14", "audio from the provider", "media", ("provider",), _bytes),
    ("M15", "audible audio", "media", ("provider",), _audible),
    ("M16", "audio sent to the carrier", "bridge", ("carrier",), _sent),
    ("M17", "the caller hears", "carrier-stream", ("carrier",), _heard),
    ("M18", "tools answered", "tools", (), _tools),
    ("M19", "the end was decided and recorded", "call-control", (), _ended),
)
IDS = tuple(step[0] for step in _STEPS)
