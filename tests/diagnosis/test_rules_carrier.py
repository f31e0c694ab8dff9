"""Rules of the carrier's stream, of call control and of the far end, each with its nearest healthy look-alike."""

from typing import Any

import pytest
from tests.diagnosis.tape import BOOT, MZ, Tape, good, stream_leg, webhook_leg


def bad(field: str | None, got: str, **more: Any) -> Tape:
    """A good call in which messages were refused."""
    return good().violation(field, 2500.0, got=got, n=5, **more).note("alert", 2500.0, code=more.get("code", "31951"))


def not_accepted(**upgrade: Any) -> Tape:
    given = {"path": "/twilio/media", "query_keys": [], "status": 403, "ms": 20, "why": "", **upgrade}
    tape = webhook_leg(Tape(boot=BOOT, source="tap")).note("upgrade", 100.0, **given).note("alert", 101.0, code="31920")
    return tape.note("call.status", 102.0, status="completed")


def died(where: str, at: float = 2500.0, kind: str = "KeyError") -> Tape:
    tape = good().before(at).frames(0, 100)
    tape.note("exception", at, task="reader", type=kind, where=where, after_end=False)
    tape.note("close", at + 20, leg="carrier", code=None, by="us").note("alert", at + 21, code="31903")
    return tape.note("close", at + 30, leg="provider", code=1000, by="us", clean=True)


def out(**figures: Any) -> Tape:
    return good().ends(carrier_out={"marks": {"sent": 2, "returned": 2}, **figures}, marks=None)


def came(tape: Tape | None = None, **figures: Any) -> Tape:
    return (tape or good()).ends(carrier_in={"lost": 0, "reordered": 0, **figures})


def outbound(**begin: Any) -> Tape:
    return good(direction="outbound-api", **begin)


FAULTS = {
    "carrier-stream/misspelt-field": bad("streamSid", "'stream_sid'"),
    "carrier-stream/sent-before-start": bad("streamSid", "a message before start"),
    "carrier-stream/foreign-stream-id": bad("streamSid", "'MZ22222222222222222222222222222222'"),
    "carrier-stream/unknown-event": bad("event", "'connected'", message="connected"),
    "carrier-stream/binary-frames": bad(None, "a binary frame", message="frame", code="31950"),
    "carrier-stream/mark-without-name": bad("mark", "nothing", message="mark"),
    "carrier-stream/payload-encoding": bad("media.payload", "base64 of base64"),
    "carrier-stream/contract": bad("media.track", "'outbound'"),
    "carrier-stream/rejected-by-us": not_accepted(why="auth: token expired"),
    "carrier-stream/path-not-served": not_accepted(path="/media").note(
        "webhook.missed", 90.0, method="GET", path="/media", status=403, upgrade=True
    ),
    "carrier-stream/accepted-after-dial": not_accepted(status=500)
    .note("dial.begun", 20.0, attempt=1)
    .note("dial.failed", 90.0, phase="upgrade", cause="HTTP 401", status=401)
    .note("exception", 95.0, task="handler", type="ConnectionError", where="accept:20"),
    "carrier-stream/accepted-too-late": not_accepted(status=0, why="timeout", ms=10_000.0),
    "carrier-stream/upgrade-signature": not_accepted(signature={"present": True, "ok": False, "variant": "scheme"}),
    "carrier-stream/wrong-field-read": died("on_start:52 start['stream_sid']"),
    "carrier-stream/first-message-is-connected": died("on_start:41 message['start']", 101.5),
    "carrier-stream/handler-failed": died("resampler.py:88", kind="ZeroDivisionError"),
    "carrier-stream/read-too-slowly": came(lost=228, late_max_ms=7990)
    .note("bridge.loop-lag", 6000.0, ms=8000, task="tool http_get")
    .note("alert", 9000.0, code="31930"),
    "carrier-stream/too-far-ahead": out(ahead_max_ms=389_930),
    "carrier-stream/session-outlives-call": good(source="tap").without("close").note("x", 40_000.0),
    "carrier-stream/half-dead": out(marks={"sent": 40, "returned": 8})
    .without("stop", "close")
    .frames(0, 300)
    .note("x", 34_000.0),
    "carrier-stream/both-tracks": came(good().frames(3, 2600), tracks={"inbound": 1346, "outbound": 1346}),
    "call-control/call-refused": Tape(boot=BOOT).note("rest.result", 0.0, op="create", http=400, code=21215, ok=False),
    "call-control/machine-detection-blocks": outbound()
    .without("webhook", "twiml", "upgrade")
    .note("rest.result", 0.0, op="create", http=201, ok=True, machine_detection="Enable")
    .note("call.status", 0.0, status="in-progress")
    .note("webhook", 3500.0, method="POST", status=200, ms=2.0),
    "call-control/hang-up-refused": good().note("rest.result", 19_000.0, op="hang-up", http=401, code=20003, ok=False),
}


@pytest.mark.parametrize("rule", FAULTS)
def test_a_fault_of_the_stream_is_named_and_nothing_else(rule):
    judged = FAULTS[rule].report()
    assert [finding.rule for finding in judged.roots] == [rule]
    assert judged.verdict == "broken" and judged.roots[0].lie
    assert judged.roots[0].catalogue or rule == "carrier-stream/contract"


HEALTHY = {
    "two lost frames": came(lost=2, late_max_ms=80),
    "lost frames of a network that was not ours": came(lost=30, late_max_ms=120),
    "half a minute ahead": out(ahead_max_ms=28_000),
    "nothing of the other track": came(tracks={"inbound": 1000, "outbound": 0}),
    "a close of ours with a reason": good()
    .without("stop", "close")
    .note("ending", 19_000.0, why="agent hung up", wanted=True)
    .note("close", 19_100.0, leg="carrier", code=1000, reason="", by="us")
    .note("close", 19_200.0, leg="provider", code=1000, by="us"),
    "a call that the carrier had ended already": good().note(
        "rest.result", 19_000.0, op="hang-up", http=404, code=20404, ok=False
    ),
    "what the carrier's side sent wrongly": good().violation("x", 500.0, ch=0, by="peer", code=None),
    "a mark of a clear": good().msg(1, 12_900.0, event="clear", streamSid=MZ),
    "an exception behind the end": good().note(
        "exception", 20_100.0, type="E", task="reader", where="x", after_end=True
    ),
    "asynchronous detection": outbound()
    .note("rest.result", 0.0, op="create", http=201, ok=True, machine_detection="Enable")
    .note("call.status", 0.0, status="in-progress"),
}


@pytest.mark.parametrize("what", HEALTHY)
def test_what_only_looks_like_a_fault_of_the_stream_is_healthy(what):
    judged = HEALTHY[what].report()
    assert judged.verdict == "healthy", judged.because


BARGES = [{"at_ms": at, "ahead_ms": 900} for at in (3000, 6000, 9000, 12_000)]
SHORT = [{"at_ms": at, "stopped_ms": at + 450} for at in (3000, 6000, 9000, 12_000)]
ALIKE = {"correlation": 0.97, "lag_ms": 260}
LONG = [{"at_ms": at, "stopped_ms": at + 1800} for at in (3000, 6000, 9000, 12_000)]

FAR_END = {
    "far-end/acoustic-echo": came(out(barge_ins=BARGES), echo=ALIKE),
    "far-end/noise-interrupts": out(barge_ins=BARGES).ends(provider={"speech": SHORT}),
    "far-end/line-digitally-silent": good().without("input_audio_buffer.speech_started").frames(0, 1000, silent=1),
    "far-end/voicemail": outbound().note("call.status", 20_100.0, status="completed", answered_by="machine_end_beep"),
}


@pytest.mark.parametrize("rule", FAR_END)
def test_what_the_far_end_did_is_told_and_leaves_the_call_healthy(rule):
    judged = FAR_END[rule].report()
    assert judged.verdict == "healthy" and [finding.rule for finding in judged.others] == [rule]
    assert judged.because.startswith(judged.others[0].sentence)


QUIET = {
    "barge-ins by speech": out(barge_ins=BARGES).ends(provider={"speech": LONG}),
    "one interruption with an echo": came(out(barge_ins=BARGES[:1]), echo=ALIKE),
    "a caller who uses the keypad": good().msg(0, 5000.0, event="dtmf").frames(0, 1000, silent=1),
    "a caller who writes": good().note("typed", 5000.0, text="Hello.").frames(0, 1000, silent=1),
    "a human who was called": outbound().note("call.status", 20_100.0, status="completed", answered_by="human"),
    "a message that the agent left": outbound()
    .note("ending", 19_000.0, why="agent hung up", wanted=True)
    .note("call.status", 20_100.0, status="completed", answered_by="machine_end_beep"),
}


@pytest.mark.parametrize("what", QUIET)
def test_the_far_ends_look_alikes_are_silent(what):
    judged = QUIET[what].report()
    assert judged.verdict == "healthy" and not judged.others


def test_early_media_is_only_suspected_and_a_call_that_waits_is_not():
    tape = outbound().frames(0, 1000).msg(1, 300.0, event="media", streamSid=MZ)
    tape.audio[0][2:5] = [200, 150, 4000]
    judged = tape.without("input_audio_buffer.speech_started").msg(2, 9000.0, type="input_audio_buffer.speech_started")
    assert judged.report().verdict == "suspected" and judged.rules() == ["far-end/early-media-lost"]
    assert judged.report().roots[0].proof == "not provable from here"
    assert outbound().report().verdict == "healthy"


def test_a_start_of_another_carrier_is_named_by_its_shape():
    tape = stream_leg(Tape(boot=BOOT, sees=["carrier"])).change(
        "start", m={"event": "start", "start": {"streamId": "x"}}
    )
    assert tape.frames(0, 500).msg(0, 9000.0, event="stop").report().catalogue == ("F-065",)


def test_frames_out_of_order_are_a_fault_where_they_can_be_heard():
    tape = stream_leg(Tape(boot=BOOT, carrier="telnyx", sees=["carrier"]))
    tape.change("start", m={"event": "start", "stream_id": "x", "start": {}}).frames(0, 500).frames(1, 50)
    tape.msg(0, 9000.0, event="stop").ends(carrier_in={"reordered": 14, "lost": 0})
    assert tape.report().catalogue == ("F-166",)
    assert came(reordered=14).rules() == ["carrier-stream/order-not-kept"]
    assert came(reordered=4).report().verdict == "healthy"
    assert came(reordered=14, lost=20).report().verdict == "healthy"  # a loss, and what was sent again


def test_a_lost_connection_is_suspected_and_a_stop_before_it_is_not():
    gone = good().without("stop", "close").note("close", 15_000.0, leg="carrier", code=None, by="nobody", age_s=15.0)
    gone.note("close", 15_010.0, leg="provider", code=1000, by="us")
    assert gone.report().verdict == "suspected" and gone.rules() == ["carrier-stream/lost"]
    closed = gone.change("close", code=1000, by="them")
    assert closed.rules() == ["carrier-stream/lost"] and "1000" in closed.report().roots[0].sentence
    assert good().change("close", by="nobody", code=None).report().verdict == "healthy"


@pytest.mark.parametrize("status", [403, 500])  # 403 is what frameworks say where a handler closes before it accepts
def test_an_upgrade_refused_behind_a_failed_dial_waited_for_the_provider(status):
    tape = not_accepted(status=status).note("dial.begun", 20.0, attempt=1)
    tape.note("dial.failed", 90.0, phase="upgrade", cause="HTTP 401", status=401)
    assert tape.rules() == ["carrier-stream/accepted-after-dial"]


def test_a_line_that_breaks_right_after_the_provider_s_end_was_let_go_by_the_server():
    gone = {"code": None, "by": "nobody", "reason": "", "age_s": 9.0, "clean": False}
    ended = {"code": 1011, "by": "them", "reason": "an internal error", "age_s": 9.0, "clean": True}

    def call(provider_at):
        tape = good().without("close", "stop", "carrier.closed", "provider.closed", "ending")
        return tape.note("close", provider_at, leg="provider", **ended).note("close", 9000.0, leg="carrier", **gone)

    assert "carrier-stream/lost" not in call(8990.0).rules()
    assert "provider-session/lost" in call(8990.0).rules()
    assert "carrier-stream/lost" in call(9010.0).rules()  # the provider was left alone by a line that had gone


def refused(why: str, **more: Any) -> Tape:
    """The stream came, and our own server let it go."""
    tape = webhook_leg(Tape(boot=BOOT)).note("upgrade", 100.0, path="/twilio/media", query_keys=[], status=101)
    tape.note("stream.refused", 10_000.0, why=why, **more)
    return tape.ends(end={"wanted": False, "why": "no stream followed the webhook"})


def test_a_stream_that_our_server_refused_is_named_by_the_reason_it_gave():
    token = refused("no token: the stream was not announced by our webhook", certain=True)
    assert token.report().catalogue == ("F-045",) and token.report().verdict == "broken"
    late = refused("no start in time", certain=False)
    assert late.rules() == ["carrier-stream/refused-after-upgrade"] and late.report().verdict == "suspected"
    # another stream that nobody knew, beside a call that has its own
    assert good().note("stream.refused", 900.0, why="no start in time").report().verdict == "healthy"
    assert good().note("stream.refused", 900.0, why="token already spent").report().verdict == "healthy"


def marks(**figures: int) -> Tape:
    return good().ends(marks={"sent": 40, "played": 40, "flushed": 0, "lost": 0, "latest_ms": 90, **figures})


def test_marks_that_come_back_late_say_that_the_carrier_plays_late():
    assert marks(latest_ms=6000).rules() == ["carrier-stream/plays-late"]
    assert marks(latest_ms=900).report().verdict == "healthy"
    blocked = marks(latest_ms=6000).note("bridge.loop-lag", 6000.0, ms=5000)  # it was we who did not read them
    assert "carrier-stream/plays-late" not in blocked.rules()


def test_marks_that_get_lost_are_suspected_and_those_of_a_clear_are_not():
    assert marks(played=31, lost=9).rules() == ["carrier-stream/marks-lost"]
    assert marks(played=31, lost=9).report().verdict == "suspected"
    assert marks(played=20, flushed=20).report().verdict == "healthy"
    assert marks(played=38, lost=2).report().verdict == "healthy"


def interrupted(*spoke_ms: int) -> Tape:
    """Our own bridge was interrupted every three seconds, for so long each."""
    tape = good()
    for n, ms in enumerate(spoke_ms):
        at = 3000.0 + n * 3000
        tape.msg(2, at, type="input_audio_buffer.speech_started").note("barge-in", at, item=f"i{n}", heard_ms=500)
        tape.msg(2, at + ms, type="input_audio_buffer.speech_stopped")
    return tape


def test_our_own_record_tells_noises_from_words_that_interrupt():
    (found,) = interrupted(440, 440, 450).report().others
    assert found.rule == "far-end/noise-interrupts"
    assert not interrupted(700, 900, 1400).report().others
    assert not interrupted(440, 440).report().others


def test_what_is_not_provable_is_a_symptom_of_what_is():
    unheard = {"statement": "", "code": None, "severity": "suspicion", "sentence": "the agent was never heard",
               "proof": "not provable from here: nothing was heard", "fix": ""}  # fmt: skip
    tape = good().ends(dial={"findings": [unheard]})
    assert tape.rules() == ["media/heard-at-the-phone"]
    report = tape.violation("media.payload", got="'x'").report()
    assert "media/heard-at-the-phone" not in [one.rule for one in report.roots]
    assert "media/heard-at-the-phone" in [one.rule for one in report.symptoms]
