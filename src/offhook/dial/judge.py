"""
From what a call showed to findings: each with the statement that was broken, what Twilio logs for it, and the proof.

Pure. A finding without a code is one that the carrier takes without a word.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

from msgspec import Struct

from offhook.dial.expected import MUST_REFUSE, Expected
from offhook.dial.sound import FAINT_DBFS, LOUD_SHARE, SAME_VOICE, Heard
from offhook.dial.statements import STATEMENTS
from offhook.wires._wire import Violation

__all__ = ["Facts", "Finding", "RestSeen", "judge", "statement_of", "verdict_of"]

Severity = Literal["fault", "suspicion", "note"]
Verdict = Literal["healthy", "broken", "not proven"]
WEBHOOK_MS = 1000.0
UPGRADE_MS = 1000.0
RATIO = 1.5  # of sent to spoken audio: below the 2 of 16 kHz, above what a cut answer or filler makes
ENOUGH_MS = 1000  # of audio, before a level says something of a voice


class Finding(Struct, frozen=True):
    """One thing that is wrong, or worth knowing."""

    statement: str  # of the conformance list; empty where none is broken
    code: str | None  # what the customer's debugger shows
    severity: Severity
    sentence: str
    proof: str
    fix: str = ""
    count: int = 1


class Seen(Struct, frozen=True):
    """A violation with the number and time of the first message that made it."""

    violation: Violation
    message: int
    at_s: float
    count: int


class RestSeen(Struct, frozen=True):
    """A request to the carrier's REST interface; ``status`` 0: it was left without an answer."""

    at_s: float
    status: int
    code: int | None = None
    wrong: str = ""
    statement: str = ""
    ends: bool = False


class Facts(Struct, frozen=True):
    """Everything about one call that can be judged."""

    violations: tuple[Seen, ...]
    complaints: tuple[tuple[str, str | None, str, bool], ...]  # of the document: statement, code, why, fatal
    heard: Heard
    missed: tuple[str, ...]
    spoken_ms: float | None = None  # by the provider behind the server, where it is ours
    clears: int = 0
    failed: tuple[str, str] | None = None  # code and why the call did not come about
    webhook_ms: float | None = None
    redirects: int = 0
    upgrade_ms: float | None = None
    marks: tuple[str, ...] = ()
    idle_clears: int = 0
    lengths: tuple[int, ...] = ()
    unplayed_ms: int = 0
    closed_by: str = ""
    closed_code: int | None = None
    closed_at_s: float = 0.0
    after_stop: int = 0  # messages that were sent when our stop had been read
    protocol: str = ""  # why the connection was failed by RFC 6455
    unread: int = 0  # frames the carrier dropped because the server did not read
    heard_ms: int = 0
    rest: tuple[RestSeen, ...] = ()
    rest_here: bool = False  # the carrier's REST interface was stood in for
    by_rest: bool = False  # the server ended the call by it
    over_at_s: float = 0.0
    stream_opened: bool = False
    dialled_faults: tuple[str, ...] = ()
    expected: Expected = Expected()  # what those account for


_FIELDS: tuple[tuple[str, str], ...] = (  # what a violation says -> the statement it breaks, first match counts
    ("a binary frame", "O01"), ("text that is not JSON", "O02"), ("a JSON ", "O02"),
    ("a message before start", "I02"), ("a message on a <Start> stream", "O20"),
    ("base64 of base64", "O10"), ("text that is not base64", "O09"), ("a file header", "O12"),
    ("a run of zero bytes", "O14"),
)  # fmt: skip


def statement_of(violation: Violation) -> str:
    """The statement of the list that a violation breaks."""
    for got, statement in _FIELDS:
        if violation.got.startswith(got):
            return statement
    field = violation.field or ""
    if field == "event":
        return "O03"
    if field == "streamSid":
        return "O08" if violation.wanted.endswith("as in start") else "O07"
    if field == "media.payload":
        return "O11" if violation.got == "nothing" and violation.code is None else "O04"
    if field == "mark.name" and violation.message == "mark":
        return "O15"
    return {"media": "O04", "mark": "O05", "clear": "O06"}.get(violation.message, "O02")


def judge(facts: Facts) -> list[Finding]:
    """Everything there is to say, in the order of the boundaries."""
    found = [
        *_webhook(facts), *_stream(facts), *_messages(facts), *_audio(facts), *_end(facts), *_rest(facts)
    ]  # fmt: skip
    if facts.missed and not facts.expected.spoiled and not any(one.severity == "fault" for one in found):
        found.append(_unexplained(facts))
    return found


def verdict_of(findings: Sequence[Finding]) -> Verdict:
    if any(one.severity == "fault" for one in findings):
        return "broken"
    return "not proven" if any(one.severity == "suspicion" for one in findings) else "healthy"


def _broken(statement: str, code: str | None, sentence: str, proof: str, fix: str = "", count: int = 1) -> Finding:
    return Finding(statement, code, "fault", sentence, proof, fix, count)


def _webhook(facts: Facts) -> Iterator[Finding]:
    for statement, code, why, fatal in facts.complaints:
        severity: Severity = "fault" if fatal or statement in ("W06", "W07", "W08", "W10", "W11") else "note"
        yield Finding(statement, code, severity, f"TwiML: {why}", STATEMENTS.get(statement, ""))
    if facts.redirects:
        sentence = f"the webhook redirects {facts.redirects} times: a POST arrives as GET, without its form"
        yield Finding(
            "W14", None, "note", sentence, "a redirect before the document", "name the last URL at the number"
        )
    if facts.webhook_ms is not None and facts.webhook_ms > WEBHOOK_MS and facts.failed is None:
        sentence = f"the webhook took {facts.webhook_ms:.0f} ms: the phone rings as long"
        yield Finding("W01", None, "note", sentence, f"more than {WEBHOOK_MS:.0f} ms", "answer from memory")


def _stream(facts: Facts) -> Iterator[Finding]:
    wanted = [name for name in facts.dialled_faults if name.partition("=")[0] in MUST_REFUSE]
    if facts.failed is not None:
        code, why = facts.failed
        proof = f"the carrier logs {code}"
        if facts.expected.refused:
            yield Finding("", code, "note", facts.expected.why, proof)
        elif not any(fatal for _, _, _, fatal in facts.complaints):
            yield _broken(_FAILED.get(code, ""), code, f"the call did not come about: {why}", proof)
        return
    if wanted and facts.stream_opened:
        sentence = f"the server took what it must refuse: {wanted[0]}"
        fix = "check the signature, and the path, before accepting"
        yield _broken(MUST_REFUSE[wanted[0].partition("=")[0]], None, sentence, "101 on the upgrade", fix)
    if facts.upgrade_ms is not None and facts.upgrade_ms > UPGRADE_MS:
        sentence = f"the upgrade took {facts.upgrade_ms:.0f} ms: the caller hears nothing so long"
        yield Finding("H03", None, "note", sentence, f"more than {UPGRADE_MS:.0f} ms", "accept first, then dial")
    if facts.protocol:
        sentence = f"the server breaks RFC 6455: {facts.protocol}"
        yield _broken("O17", "31924", sentence, f"at {facts.closed_at_s:.2f} s", "use a WebSocket library as it comes")
    if facts.unread:
        sentence = "the server does not read the stream: the carrier drops the caller's audio"
        yield _broken("L01", "31930", sentence, f"{facts.unread} frames dropped", "read at all times", facts.unread)


_FAILED = {"31920": "H01", "31901": "H03", "31910": "H07", "11203": "W01", "11215": "W14", "11200": "W13"}


_FIXES = {
    "I02": "send nothing until start has come: there is no streamSid before it",
    "O01": "send text frames: str, not bytes",
    "O02": "send one JSON object a frame",
    "O03": "send media, mark and clear, and nothing else: no acknowledgement is wanted",
    "O04": "send exactly event, streamSid and media with its payload (--lenient lets other fields pass)",
    "O05": "send exactly event, streamSid and mark with its name",
    "O06": "send exactly event and streamSid",
    "O07": "write 'streamSid', in camelCase, beside 'event'",
    "O08": "take streamSid from this call's start",
    "O09": "use the standard alphabet, padded, without line breaks",
    "O10": "encode once: the provider's payload is base64 already",
    "O11": "send no message where there is no audio",
    "O12": "leave the file header away: raw µ-law begins at its first sample",
    "O14": "fill with 0xFF: a zero byte of µ-law is full scale",
    "O15": "give every mark a name",
    "O20": "speak on <Connect><Stream>: <Start><Stream> only listens",
}


def _messages(facts: Facts) -> Iterator[Finding]:
    for seen in facts.violations:
        v = seen.violation
        where = f"field {v.field}: " if v.field else ""
        sentence = f"{v.message}: {where}got {v.got}, wanted {v.wanted}"
        proof = f"message {seen.message} at {seen.at_s:.2f} s" + (f", {seen.count} times" if seen.count > 1 else "")
        statement = statement_of(v)
        yield _broken(statement, v.code, sentence, proof, _FIXES.get(statement, f"see {v.source}"), seen.count)
    again = sorted({name for name in facts.marks if facts.marks.count(name) > 1})
    if again:
        sentence = f"mark names repeat ({again[0][:40]!r}): what was played cannot be told"
        yield Finding("P01", None, "note", sentence, f"{len(facts.marks)} marks, {len(set(facts.marks))} names")
    if facts.idle_clears:
        sentence = "clear came while nothing was left to play"
        yield Finding("P08", None, "note", sentence, f"{facts.idle_clears} times", count=facts.idle_clears)
    if facts.after_stop:
        sentence = "messages came after stop"
        yield Finding("L03", None, "note", sentence, f"{facts.after_stop} messages", count=facts.after_stop)


_LEVEL = "look at the level of the provider's audio"
_KINDS = {
    "pcm16": ("16-bit PCM is sent as µ-law: the caller hears noise", "convert to audio/x-mulaw, 8000 Hz, mono"),
    "a-law": ("A-law is sent as µ-law: the caller hears distortion", "ask the provider for PCMU (µ-law), not PCMA"),
    "base64-twice": ("the audio is base64 text: encoded twice", "encode once"),
}


def _audio(facts: Facts) -> Iterator[Finding]:
    heard = facts.heard
    if not heard.ms:
        return
    if heard.judged in _KINDS:
        sentence, fix = _KINDS[heard.judged]
        statement = "O10" if heard.judged == "base64-twice" else "O13"
        yield _broken(statement, None, sentence, f"the bytes' own pattern over {heard.ms} ms", fix)
        return
    if heard.judged == "silent":
        sentence = "everything that was sent is digital silence: frames flow and nothing is heard"
        yield _broken(
            "",
            None,
            sentence,
            f"{heard.ms} ms, no sample above the smallest step",
            "look at the level of the provider's audio",
        )
        return
    if facts.spoken_ms and facts.spoken_ms >= ENOUGH_MS and not facts.clears:
        ratio = heard.ms / facts.spoken_ms
        if not 1 / RATIO < ratio < RATIO:
            sentence = f"the server sends {ratio:.1f} times what the provider spoke: it plays at another speed"
            proof = f"{facts.spoken_ms:.0f} ms spoken, {heard.ms} ms sent"
            yield _broken("O13", None, sentence, proof, "resample to 8000 Hz, or ask the provider for PCMU")
            return
    if heard.full_scale > LOUD_SHARE:
        sentence = f"{heard.full_scale:.0%} of the samples are at full scale: clipped, or no audio"
        yield Finding("O13", None, "suspicion", sentence, f"{heard.ms} ms measured")
    if heard.level_dbfs is not None and heard.level_dbfs < FAINT_DBFS and heard.ms >= ENOUGH_MS:
        sentence = f"the agent is hardly audible: {heard.level_dbfs} dBFS"
        yield _broken(
            "",
            None,
            sentence,
            f"below {FAINT_DBFS} dBFS over {heard.ms} ms",
            "look at the level of the provider's audio",
        )
    if heard.rate is not None:
        sentence = f"the audio seems to be made for {heard.rate} Hz and is played at 8000: too slow and too low"
        yield Finding("O13", None, "suspicion", sentence, heard.rate_proof, "resample to 8000 Hz")
    if heard.own_voice >= SAME_VOICE:
        sentence = "the server sends the caller's own voice back"
        yield Finding(
            "", None, "note", sentence, f"correlation {heard.own_voice}, {heard.own_voice_ms} ms into its audio"
        )
    odd = [n for n in facts.lengths if n % 160]
    if len(odd) > 1 + len(facts.lengths) // 4:
        sentence = "messages are no multiples of 20 ms: harmless at Twilio, a click at look-alikes"
        yield Finding("O22", None, "note", sentence, f"{len(odd)} of {len(facts.lengths)} messages")


def _end(facts: Facts) -> Iterator[Finding]:
    if facts.expected.spoiled:
        return
    if facts.closed_by == "them" and facts.unplayed_ms > 100:
        sentence = f"the server closed the stream with {facts.unplayed_ms} ms of its audio unplayed: cut off"
        fix = "send a mark after the last audio and wait for it, with a limit"
        yield _broken("L07", "31921", sentence, f"closed with {facts.closed_code} at {facts.closed_at_s:.2f} s", fix)
    elif facts.closed_by == "them" and facts.missed:
        sentence = f"the server closed the stream with {facts.closed_code} before the caller was done"
        yield _broken("", "31921", sentence, f"at {facts.closed_at_s:.2f} s", "look into the server's own log")
    elif facts.closed_by == "nobody":
        sentence = "the connection broke without a close frame: the server's process, or what stands before it"
        yield _broken("", "31903", sentence, f"at {facts.closed_at_s:.2f} s", "look into the server's own log")


LEFT_OPEN_S = 5.0  # a server that was refused lets go of the stream: a request and its timeout fit in


def _rest(facts: Facts) -> Iterator[Finding]:
    """What the server asked of the carrier's REST interface, and what it made of the answers."""
    for seen in facts.rest:
        if seen.wrong:
            sentence = f"the server's REST request is wrong: {seen.wrong}"
            proof = f"HTTP {seen.status}, code {seen.code}, at {seen.at_s:.2f} s"
            yield _broken(seen.statement, None, sentence, proof, "see twilio.com/docs/voice/api/call-resource")
    dialled = [name for name in facts.dialled_faults if name.startswith("rest-")]
    if dialled and not facts.rest:
        why = "no request came: the server has no credentials, asks elsewhere, or did not end the call"
        yield Finding(
            "",
            None,
            "note",
            f"{dialled[0]} had nothing to answer",
            why,
            "point it at the stand-in: OFFHOOK_CARRIER_REST_URL, for ours",
        )
    refused = [seen for seen in facts.rest if not seen.ends and not seen.wrong and not 200 <= seen.status < 300]
    if refused and facts.closed_by != "them":
        waited_s = facts.over_at_s - refused[0].at_s
        if waited_s > LEFT_OPEN_S:
            how = f"HTTP {refused[0].status}" if refused[0].status else "no answer"
            sentence = f"the carrier did not end the call ({how}), and the server left the line open"
            proof = f"{waited_s:.1f} s from the request to the caller's leaving"
            yield _broken("L07", None, sentence, proof, "close the stream where the request fails")


def _unexplained(facts: Facts) -> Finding:
    """Something was waited for in vain and nothing seen from here says why."""
    if not facts.heard.ms and facts.stream_opened:
        sentence = "the agent was never heard: the stream is fine, nothing was sent on it; the cause lies behind it"
    else:
        sentence = facts.missed[0]
    why = "; ".join(facts.missed)
    fix = "prove the boundaries behind the stream: offhook check, or dial with --fakes"
    return Finding("", None, "suspicion", sentence, f"not provable from here: {why}", fix)
