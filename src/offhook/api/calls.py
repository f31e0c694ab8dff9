"""Calls that run and calls that were: list, show, what was said, the verdict, the messages, the recording."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from pathlib import Path as FilePath
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import msgspec
from anyio import from_thread
from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import FileResponse, Response

from offhook.api.access import Who
from offhook.api.answers import PROBLEMS, Hears, Reads, answer, the_world
from offhook.api.explaining import message
from offhook.api.ladder import ladder
from offhook.api.models import base, call_page
from offhook.api.models import calls as models
from offhook.api.peaks import PeaksError, peaks
from offhook.api.problems import Problem
from offhook.api.records import Opened, Records
from offhook.api.rows import brief, from_live, from_record, from_store, matches, tool_runs, turns
from offhook.api.share import POLICY, file_name, page
from offhook.api.world import World
from offhook.evidence.record import RecordingError
from offhook.store.state import CallFilter, StoreError

__all__ = ["router"]

router = APIRouter(tags=["calls"], responses=PROBLEMS)

CallName = Annotated[str, Path(pattern=base.ID, description="the carrier's name for the call, or its record's")]
MAX_MS = 2**53  # what JSON readers have as whole numbers
UNSTORED = 20  # of the calls that wait for the store, so many are read for a page
SCANNED = 500  # records that are read for one page where there is no store


def _records(request: Request) -> Records:
    records: Records = request.app.state.records
    return records


@router.get("/calls", response_model=models.CallList)
def list_calls(
    request: Request,
    who: Reads,
    number: Annotated[str, Query(max_length=40, description="of either side, in full or its last digits")] = "",
    agent: Annotated[str, Query(max_length=128)] = "",
    verdict: Annotated[Literal["", "healthy", "broken", "suspected", "not proven"], Query()] = "",
    finding: Annotated[str, Query(max_length=128, description="a rule, its name alone, or its boundary")] = "",
    state: Annotated[Literal["", "running", "ended", "died"], Query()] = "",
    direction: Annotated[Literal["", "inbound", "outbound-api", "outbound-dial"], Query()] = "",
    text: Annotated[str, Query(max_length=200, description="words that were said, all of them")] = "",
    since: Annotated[int | None, Query(ge=0, le=MAX_MS, description="milliseconds since 1970")] = None,
    until: Annotated[int | None, Query(ge=0, le=MAX_MS)] = None,
    min_usd: Annotated[float | None, Query(ge=0, le=1e6)] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    cursor: Annotated[str, Query(max_length=200, description="as `next` of the page before")] = "",
) -> Response:
    """Calls, the newest first; those that run now lead the first page."""
    world = the_world(request)
    wanted = CallFilter(
        number=number, agent=agent, verdict=verdict, finding=finding, state=state, direction=direction, text=text,
        since_at=since, until_at=until, min_usd=min_usd, limit=limit + 1,
    )  # fmt: skip
    running = {one.record: from_live(one) for one in list(world.hub.calls.values())}
    shown = [] if cursor else [row for row in running.values() if matches(row, wanted)]
    rows, more, source, why = _page(request, wanted, cursor, who)
    if source == "store" and not cursor and (late := _unstored(request, world, running)):
        shown += [row for row in late.values() if matches(row, wanted)]
        running |= late
        why = f"{len(late)} of the last calls are not in the store yet"
    rows = [*sorted(shown, key=lambda row: -row["began_at"]), *(row for row in rows if row["id"] not in running)]
    return answer({"calls": rows, "next": more, "source": source, "why": why})


def _standing(request: Request, call: str) -> Opened:
    """A record, and of a call that runs here its figures by now: what was heard, marks, usage."""
    opened = _records(request).open(call)
    running = the_world(request).host.calls.find(opened.id) if opened.running else None
    return opened if running is None else opened.standing(*from_thread.run_sync(running.so_far))


Page = tuple[list[dict[str, Any]], str | None, str, str]


def _page(request: Request, wanted: CallFilter, cursor: str, who: Who) -> Page:
    """From the store; where it cannot be read from the records, and why."""
    try:
        found = _stored(the_world(request), wanted, cursor, who)
    except StoreError as error:
        if wanted.text or wanted.number or wanted.min_usd is not None:
            raise
        return _on_disk(request, wanted, cursor, f"the store is not read ({error})")
    return found or _on_disk(request, wanted, cursor, "there is no store")


def _stored(world: World, wanted: CallFilter, cursor: str, who: Who) -> Page | None:
    """A page from the store; None where there is none. Raises StoreError."""
    reader = world.reader()
    if reader is None:
        return None
    before = _cursor(cursor, int, int)
    rows = reader.calls(msgspec.structs.replace(wanted, before=before))
    page = rows[: wanted.limit - 1]
    more = _token(page[-1]["began_at"], page[-1]["n"]) if len(rows) > len(page) else None
    return [from_store(row, numbers=who.may("numbers")) for row in page], more, "store", ""


def _unstored(request: Request, world: World, running: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The newest calls that are over and not in the store yet, by record."""
    paths = [path for path in world.unstored() if path.stem not in running][-UNSTORED:]
    return {path.stem: row for path in paths if (row := _row_of(request, path.stem)) is not None}


def _row_of(request: Request, record: str) -> dict[str, Any] | None:
    """A call by its record; None where it is none of ours."""
    try:
        return from_record(_records(request).open(record))
    except (Problem, RecordingError):
        return None


def _on_disk(request: Request, wanted: CallFilter, cursor: str, why: str) -> Page:
    """A page from the records themselves; what only the store finds is refused by name."""
    for name in ("text", "number", "min_usd"):
        if getattr(wanted, name):
            raise Problem(503, f"calls are found by {name} in the store, which is not there", kind="store", field=name,
                          where="query", fix="leave it out, or set store.url")  # fmt: skip
    (before,) = _cursor(cursor, str) or ("",)
    records, rows = _records(request), []
    paths = records.newest(before, SCANNED)
    last = ""
    for path in paths:
        last = path.stem
        row = _row_of(request, path.stem)
        if row is not None and matches(row, wanted):
            rows.append(row)
            if len(rows) == wanted.limit - 1:
                break
    more = _token(last) if rows and last != paths[-1].stem else None
    return rows, more, "records", f"{why}: only the newest records were looked at"


def _token(*parts: Any) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(parts)).decode().rstrip("=")


def _cursor(text: str, *kinds: type) -> Any:
    if not text:
        return None
    try:
        parts = msgspec.json.decode(base64.urlsafe_b64decode(text.encode() + b"=" * (-len(text) % 4)))
    except (binascii.Error, ValueError, msgspec.MsgspecError):
        parts = None
    good = isinstance(parts, list) and [type(part) for part in parts] == list(kinds)
    if not good or any(isinstance(part, int) and abs(part) > MAX_MS for part in parts):
        raise Problem(400, "no cursor of this list", kind="cursor", field="cursor", got=text, where="query",
                      wanted="`next` of the page before", fix="begin without a cursor")  # fmt: skip
    return tuple(parts)


@router.get("/calls/{call}", response_model=models.CallDetail)
def show_call(request: Request, call: CallName, who: Reads) -> Response:
    """All of one call but its messages; of a running one as it stands."""
    world, opened = the_world(request), _standing(request, call)
    live = next((one for one in list(world.hub.calls.values()) if one.record == opened.id), None)
    row = from_record(opened) if live is None else {**from_live(live), "findings": []}
    return answer({**row, **_only_stored(world, opened, who), **brief(opened)})


def _only_stored(world: World, opened: Opened, who: Who) -> dict[str, Any]:
    """What no record has: summary, what was done after the call, and numbers in full for whoever may see them."""
    told: dict[str, Any] = {"summary": None, "summary_why": "", "sent": None}
    try:
        reader = world.reader()
        if reader is None:
            return told
        row, rows = reader.call(opened.id), reader.sent(record=opened.id)
    except StoreError as error:
        return {**told, "summary_why": str(error)}
    told["sent"] = [_sent(world, one) for one in rows]
    if row is not None and row["id"] == opened.id:
        told |= world.clean({name: row[name] for name in ("summary", "summary_why")})
        if who.may("numbers"):
            told |= {name: row[name] for name in ("caller_number", "called_number")}
    return told


def _sent(world: World, row: Mapping[str, Any]) -> dict[str, Any]:
    hook = row["hook"].removeprefix(":")  # so begin those of other sections: [summary], [record]
    return {**row, "hook": hook, "error": world.clean(row["error"])}


@router.get("/sent", response_model=models.SentList)
def list_sent(
    request: Request,
    who: Reads,
    hook: Annotated[str, Query(max_length=128)] = "",
    state: Annotated[Literal["", "held", "queued", "running", "done", "given up"], Query()] = "",
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    before: Annotated[int, Query(ge=0, le=MAX_MS, description="as `next` of the page before")] = 0,
) -> Response:
    """What is done after calls: each hook's state, tries and last error, the newest first."""
    world = the_world(request)
    reader = world.reader()
    if reader is None:
        return answer({"sent": [], "next": None})
    rows = reader.sent(hook=hook, state=state, before=before, limit=limit + 1)
    page = rows[:limit]
    more = page[-1]["id"] if len(rows) > limit else None
    return answer({"sent": [_sent(world, row) for row in page], "next": more})


@router.get("/calls/{call}/transcript", response_model=models.Transcript)
def show_transcript(request: Request, call: CallName, who: Reads) -> Response:
    """What was said, by the time of its audio; of the agent's words which the caller never heard."""
    opened = _standing(request, call)
    told = the_world(request).clean(turns(opened.call))
    return answer({"id": opened.id, "call": _named(opened), "turns": told})


@router.get("/calls/{call}/findings", response_model=models.Verdict)
def show_findings(request: Request, call: CallName, who: Reads) -> Response:
    """The verdict with its proof, as ``offhook explain --json``; of a running call as it stands."""
    opened = _records(request).open(call)
    found = opened.report.as_data()
    return answer({"id": opened.id, "call": _named(opened), "running": opened.running, **found})


@router.get("/calls/{call}/trace", response_model=models.Trace)
def show_trace(
    request: Request,
    call: CallName,
    who: Reads,
    after: Annotated[int, Query(ge=0, le=10**9, description="line number")] = 0,
    limit: Annotated[int, Query(ge=1, le=5000)] = 1000,
) -> Response:
    """The record line by line: messages as their wires redact them, notes, violations, counters."""
    opened = _records(request).open(call)
    lines = [line for line in opened.call.lines if line.number > after]
    page = [{"n": line.number, "kind": line.kind, "at_ms": line.at_ms, "data": line.data} for line in lines[:limit]]
    return answer({"id": opened.id, "lines": page, "next": page[-1]["n"] if len(lines) > limit else None})


@router.get("/calls/{call}/ladder", response_model=call_page.Ladder, tags=["call page"])
def show_ladder(request: Request, call: CallName, who: Reads) -> Response:
    """What a call page draws: messages that are not audio, who spoke, what was heard and what never was, deadlines."""
    opened = _standing(request, call)
    recorded = bool(opened.call.summary("recording")) or opened.path.with_suffix(".wav").is_file()
    drawn = ladder(opened.call, opened.report, tool_runs(opened.rows))
    return answer({"id": opened.id, "call": _named(opened), "running": opened.running, "recording": recorded, **drawn})


@router.get("/calls/{call}/messages/{n}", response_model=call_page.Message, tags=["call page"])
def show_message(request: Request, call: CallName, n: Annotated[int, Path(ge=1, le=10**9)], who: Reads) -> Response:
    """One line of the record, its fields explained from the wires' facts."""
    opened = _records(request).open(call)
    line = next((line for line in opened.call.lines if line.number == n), None)
    if line is None:
        raise Problem(404, "the record has no such line", kind="no-line", field="n", got=str(n), where="path",
                      wanted=f"1 to {opened.call.lines[-1].number}", fix="see the ladder for them")  # fmt: skip
    return answer(message(opened.call, line))


@router.get("/calls/{call}/peaks", response_model=call_page.Peaks, tags=["call page"])
def show_peaks(
    request: Request,
    call: CallName,
    who: Hears,
    bins: Annotated[int, Query(ge=1, le=8000)] = 1000,
    from_ms: Annotated[int, Query(ge=0, le=MAX_MS)] = 0,
    to_ms: Annotated[int, Query(ge=0, le=MAX_MS, description="0: the end")] = 0,
) -> Response:
    """The recording's outline: least and greatest sample of both sides in so many bins."""
    try:
        return answer(peaks(_records(request).recording(call), bins, from_ms, to_ms))
    except PeaksError as error:
        raise Problem(404, str(error), kind="no-stretch", field="from_ms", got=f"{from_ms} to {to_ms}", where="query",
                      wanted="a stretch of the recording", fix="leave both out for all of it") from None  # fmt: skip


@router.get(
    "/calls/{call}/recording",
    response_class=FileResponse,
    responses={
        200: {"content": {"audio/wav": {"schema": {"type": "string", "format": "binary"}}}},
        206: {"content": {"audio/wav": {"schema": {"type": "string", "format": "binary"}}}},
        416: {"description": "No such stretch of it", "content": {"text/plain": {"schema": {"type": "string"}}}},
    },
)
def get_recording(request: Request, call: CallName, who: Hears) -> FileResponse:
    """The stereo recording, caller left, agent right: WAV, G.711 µ-law, 8 kHz. Takes Range."""
    path = _records(request).recording(call)
    return FileResponse(path, media_type="audio/wav", filename=f"{path.stem}.wav", content_disposition_type="inline")


@router.get(
    "/calls/{call}/share",
    response_class=Response,
    responses={200: {"content": {"text/html": {"schema": {"type": "string"}}}}},
)
def share_call(
    request: Request,
    call: CallName,
    who: Hears,
    audio: Annotated[bool, Query(description="the recording too")] = False,
) -> Response:
    """One HTML file of the call for somebody else: no secrets, numbers or addresses in it, and it opens offline."""
    world, opened = the_world(request), _records(request).open(call)
    host = urlsplit(world.public_url()).hostname or ""
    try:
        text = page(
            opened.report, _recording(request, opened), world.clean, audio=audio,
            server="" if host in ("127.0.0.1", "localhost") else host,
        )  # fmt: skip
    except ValueError as error:
        raise Problem(409, str(error), kind="no-audio", field="audio", got="true", where="query",
                      wanted="a call that was recorded, and not for long", fix="leave audio out") from None  # fmt: skip
    shown = {"Content-Disposition": f'attachment; filename="{file_name(opened.id)}"', "Content-Security-Policy": POLICY}
    return Response(text, 200, shown, "text/html; charset=utf-8")


def _recording(request: Request, opened: Opened) -> FilePath | None:
    """The recording; None where there is none, or where it cannot be had now: a page is good without."""
    try:
        return _records(request).recording(opened.id)
    except (Problem, StoreError):
        return None


def _named(opened: Opened) -> str:
    return str(opened.call.begin.get("call") or "")
