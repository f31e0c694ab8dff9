"""Rules of the webhook and of TwiML: each fault is named, and its nearest healthy look-alike is not."""

from typing import Any

import pytest
from tests.diagnosis.tape import BOOT, CA, Tape, good, provider_leg, stream_leg, turn, webhook_leg

STREAM = {"scheme": "wss", "host": "voice.example.com", "port": None, "path": "/twilio/media", "query_keys": []}


def empty() -> Tape:
    return Tape(boot=BOOT, source="tap")


def hook(tape: Tape, at: float = 30.0, **more: Any) -> Tape:
    given = {"n": 1, "method": "POST", "scheme": "https", "host": "voice.example.com", "path": "/twilio/voice"}
    return tape.note("webhook", at, **{**given, "call_sid": CA, "status": 200, "ms": 2.0, **more})


def failed(**more: Any) -> Tape:
    tape = hook(empty(), **more).note("alert", 31.0, code="11200", text="", **{"from": "dial"})
    return tape.note("call.status", 32.0, status="failed")


def refused(variant: str, alg: str = "HMAC_SHA1") -> Tape:
    return failed(status=403, signature={"present": True, "ok": False, "alg": alg, "variant": variant})


def document(code: str | None = None, why: str = "", **more: Any) -> Tape:
    """A webhook whose document the carrier does not take."""
    given = {"ok": code is None, "code": code, "why": why, "verb": "Connect", "stream": STREAM, "unknown": [], **more}
    tape = hook(empty()).note("twiml", 31.0, **given).note("call.status", 40.0, status="completed")
    return tape.note("alert", 33.0, code=code, text=why) if code else tape


def one_way(**more: Any) -> Tape:
    tape = stream_leg(provider_leg(hook(empty(), 0.0).note("twiml", 1.0, ok=True, verb="Start", stream=STREAM, **more)))
    tape.frames(0, 100).frames(2, 50).frames(3, 100)
    return tape.violation(None, 400.0, got="a message on a <Start> stream", wanted="nothing", code="31924", n=3)


FAULTS = {
    "webhook/wrong-secret": refused("secret"),
    "webhook/shared-key": refused("algorithm", "HMAC_SHA256"),
    "webhook/another-url-signed": refused("scheme"),
    "webhook/body-signature": refused("body"),
    "webhook/unreachable": failed(status=0, why="tcp"),
    "webhook/not-served": failed(status=404, path="/incoming").note(
        "webhook.missed", 29.0, method="POST", path="/incoming", status=404
    ),
    "webhook/redirect-turned-get": hook(
        failed(status=301, scheme="http", redirected=["https://voice.example.com/x"]),
        31.0,
        n=2,
        method="GET",
        status=405,
    ),
    "webhook/twiml-not-well-formed": document("12100", "not well-formed: line 1"),
    "webhook/content-type": document("12300", "content type 'application/json'"),
    "webhook/misspelt-verb": document("12200", "unknown element <stream>", unknown=["stream"]),
    "webhook/stream-not-wss": document("31922", "stream URL scheme 'ws'", stream={**STREAM, "scheme": "ws"}),
    "webhook/track-not-inbound": document("31941", "track", track="both_tracks"),
    "webhook/twiml-too-long": document("11750", "73615 bytes"),
    "webhook/query-dropped": document(stream={**STREAM, "query_keys": ["token"]}).note(
        "upgrade", 35.0, path="/twilio/media", query_keys=[], status=403, why="auth: token missing"
    ),
    "webhook/one-way-stream": one_way(next_verb="Pause", next_pause_s=40.0).note(
        "call.status", 9e3, status="completed"
    ),
    "webhook/nothing-after-start": one_way(next_verb=None).note("call.status", 500.0, status="completed"),
    "webhook/pause-holds-line": good()
    .without("stop", "close")
    .change("twiml", next_verb="Pause", next_pause_s=40.0)
    .note("ending", 19_000.0, who="us", why="agent hung up", wanted=True)
    .note("close", 19_500.0, leg="carrier", code=1000, by="us", clean=True)
    .note("close", 19_600.0, leg="provider", code=1000, by="us", clean=True)
    .note("call.status", 59_500.0, status="completed"),
    "webhook/answered-too-late": failed(status=0, why="timeout", ms=15_000.0),
    "webhook/number-elsewhere": hook(
        empty().note(
            "rest.result", 0.0, op="number", http=200, ok=True, voice_url="https://old/x", wanted="https://new/x"
        ),
        host="old",
    )
    .note("twiml", 31.0, ok=True, verb="Say")
    .note("call.status", 2000.0, status="completed"),
    "webhook/executed-twice": turn(
        stream_leg(
            provider_leg(provider_leg(hook(hook(empty(), 0.0, status=0, why="timeout", ms=15_000.0), 1.0, n=2)), 30.0)
        ).note("twiml", 2.0, ok=True, verb="Connect", stream=STREAM),
        2000.0,
    )
    .frames(0, 400)
    .frames(1, 50)
    .frames(2, 50)
    .frames(3, 400)
    .msg(0, 8990.0, event="stop")
    .note("close", 9000.0, leg="carrier", code=1000, by="them", clean=True)
    .note("close", 9100.0, leg="provider", code=1000, by="us", clean=True),
}


@pytest.mark.parametrize("rule", FAULTS)
def test_a_fault_of_the_webhook_is_named_and_nothing_else(rule):
    judged = FAULTS[rule].report()
    assert [finding.rule for finding in judged.roots] == [rule]
    assert judged.verdict == "broken" and judged.roots[0].catalogue and judged.roots[0].lie


HEALTHY = {
    "a repeated webhook of one session": hook(good(), 15.0, n=2, retry=True),
    "the action URL, asked behind the stream": hook(good(), 20_100.0, n=2, final=True, what="after"),
    "a webhook of a second": good().change("webhook", ms=1200.0),
    "a refused forgery before the real one": hook(
        good(), 0.0, status=403, n=0, signature={"present": True, "ok": False, "variant": "secret"}
    ).without("nothing"),
    "a Say that follows the stream": good().change("twiml", next_verb="Say"),
    "a Pause that never ran": good().change("twiml", next_verb="Pause", next_pause_s=1.0),
    "a query that arrived nowhere and was not needed": good().change("twiml", stream={**STREAM, "query_keys": ["x"]}),
    "inbound_track": good().change("twiml", track="inbound_track"),
    "a path that somebody scanned": good().note(
        "webhook.missed", 5000.0, method="GET", path="/wp-login.php", status=404
    ),
}


@pytest.mark.parametrize("what", HEALTHY)
def test_what_only_looks_like_a_fault_of_the_webhook_is_healthy(what):
    judged = HEALTHY[what].report()
    assert judged.verdict == "healthy", judged.because


def test_parameters_that_nobody_read_are_told_by_the_default_instructions():
    default = {**BOOT, "agent": {"instructions": "Hi", "uses_parameters": ["agent"]}}
    start = {"event": "start", "start": {"streamSid": "MZ", "customParameters": {"agent": "billing", "token": "***"}}}
    lost = good(boot=default).change("start", m=start).note("session.asked", 61.0, session={"instructions": "Hi"})
    assert lost.rules() == ["webhook/parameters-not-read"]
    own = good(boot=default).change("start", m=start).note("session.asked", 61.0, session={"instructions": "Billing"})
    assert own.report().verdict == "healthy"
    token = good(boot=default).note("session.asked", 61.0, session={"instructions": "Hi"})
    assert token.report().verdict == "healthy"


def test_a_slow_webhook_is_a_note():
    judged = good().change("webhook", ms=6000.0).report()
    assert judged.verdict == "healthy" and [f.rule for f in judged.others] == ["webhook/answered-too-late"]


def test_a_token_in_the_query_hides_behind_a_path_that_is_not_served():
    tape = webhook_leg(empty()).change("twiml", stream={**STREAM, "path": "/media", "query_keys": ["token"]})
    tape.note("webhook.missed", 90.0, method="GET", path="/media", status=403, upgrade=True)
    tape.note("upgrade", 90.0, path="/media", query_keys=[], status=403, why="")
    judged = tape.report()
    assert judged.catalogue == ("F-046", "F-035", "F-045")
    assert [finding.would_hit_next for finding in judged.roots] == [False, True, True]


def abandoned(others: int, **more: Any) -> Tape:
    """Our own server's record of a webhook that no stream followed."""
    tape = provider_leg(webhook_leg(Tape(boot=BOOT, source="bridge")))
    tape.change("webhook", **more)
    tape.note("deadline.missed", 20_000.0, name="stream after webhook", waited_ms=20_000, step="M9")
    tape.note("ending", 20_000.0, why="no stream followed the webhook", wanted=False)
    tape.note("stream.never", 20_010.0, others=others)
    return tape.ends(end={"wanted": False, "why": "no stream followed the webhook"})


def test_a_caller_who_left_during_the_webhook_is_told_from_a_stream_whose_way_is_closed():
    left = abandoned(others=3).report()
    assert left.verdict == "healthy" and "the caller had left" in left.because
    assert [found.rule for found in left.others] == ["far-end/left-in-webhook"]
    assert abandoned(others=0).report().verdict == "not proven"  # no stream ever came up here
    for lookalike in (
        abandoned(others=3, host="another.example.com"),  # the stream's address is not the one that was reached
        abandoned(others=3, ms=9_000.0),  # so late that the carrier may have given up
        abandoned(others=3).note("alert", 500.0, code="31920", text="404", **{"from": "callback"}),  # it tried
    ):
        judged = lookalike.report()
        assert judged.verdict != "healthy", judged.because
