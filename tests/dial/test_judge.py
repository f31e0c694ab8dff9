"""Judgements that no endpoint of these tests provokes, from facts alone."""

import msgspec
import numpy as np
import pytest

from offhook.dial import judge
from offhook.dial.conformance import told_by_call
from offhook.dial.expected import expected
from offhook.dial.judge import Facts, statement_of, verdict_of
from offhook.dial.plan import Plan, targets
from offhook.dial.sound import judge as judge_sound
from offhook.dial.sound import similarity
from offhook.loopback.lines import AGENT, CALLER, audio
from offhook.media import g711
from offhook.media.resample import resample
from offhook.sims.provider import tone
from offhook.wires.carriers._twilio_peer import Peer

QUIET = judge_sound(b"", b"")
FINE = Facts(violations=(), complaints=(), heard=QUIET, missed=(), stream_opened=True, closed_by="us")


def found(**more) -> list[tuple[str, str | None, str]]:
    return [(f.statement, f.code, f.severity) for f in judge.judge(msgspec.structs.replace(FINE, **more))]


RIGHT, DENIED = judge.RestSeen(4.0, 200, ends=True), judge.RestSeen(4.0, 401, 20003)
WRONG = judge.RestSeen(4.0, 400, 21205, "Url '/x'", "L10")


@pytest.mark.parametrize(
    ("facts", "wanted"),
    [
        ({"rest": (RIGHT,), "over_at_s": 30.0}, []),
        ({"rest": (WRONG,)}, [("L10", None, "fault")]),
        ({"rest": (DENIED,), "over_at_s": 30.0}, [("L07", None, "fault")]),
        ({"rest": (judge.RestSeen(4.0, 0),), "over_at_s": 30.0}, [("L07", None, "fault")]),
        ({"rest": (DENIED,), "over_at_s": 30.0, "closed_by": "them"}, []),
        ({"rest": (DENIED,), "over_at_s": 5.0}, []),  # the caller left before one could say
        ({"rest": (DENIED, RIGHT), "over_at_s": 6.0}, []),  # asked again
        ({"dialled_faults": ("rest-hangs",)}, [("", None, "note")]),
        ({"dialled_faults": ("rest-hangs",), "rest": (judge.RestSeen(4.0, 0),), "closed_by": "them"}, []),
    ],
)
def test_what_a_server_makes_of_the_rest_interface_s_answers(facts, wanted):
    assert found(**facts) == wanted


def refused(fault: str, status: int | None, *, upgraded: bool) -> dict:
    return {
        "dialled_faults": (fault,), "stream_opened": False, "expected": expected((fault,), "why", status, upgraded),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("facts", "wanted"),
    [
        ({}, []),
        ({"unread": 3}, [("L01", "31930", "fault")]),
        ({"protocol": "1002: masked"}, [("O17", "31924", "fault")]),
        ({"marks": ("a", "a")}, [("P01", None, "note")]),
        ({"idle_clears": 2}, [("P08", None, "note")]),
        ({"redirects": 1}, [("W14", None, "note")]),
        ({"webhook_ms": 3000.0}, [("W01", None, "note")]),
        ({"upgrade_ms": 3000.0}, [("H03", None, "note")]),
        ({"closed_by": "nobody"}, [("", "31903", "fault")]),
        ({"closed_by": "them", "missed": ("x",)}, [("", "31921", "fault")]),
        ({"closed_by": "them"}, []),
        ({"failed": ("31920", "404"), "stream_opened": False}, [("H01", "31920", "fault")]),
        ({"failed": ("11203", "late"), "stream_opened": False}, [("W01", "11203", "fault")]),
        ({"complaints": (("W12", None, "no way on", False),)}, [("W12", None, "note")]),
        ({"complaints": (("W08", None, "a query", False),)}, [("W08", None, "fault")]),
        ({"complaints": (("W09", "31941", "track", True),), "failed": ("31941", "track")}, [("W09", "31941", "fault")]),
        ({"dialled_faults": ("upgrade-signature=secret",)}, [("H10", None, "fault")]),
        (
            {**refused("upgrade-signature=secret", 403, upgraded=True), "failed": ("31920", "403")},
            [("", "31920", "note")],
        ),
        (
            {**refused("upgrade-signature=secret", 0, upgraded=False), "failed": ("11202", "tcp")},
            [("", "11202", "fault")],
        ),
        ({**refused("wrong-path", 500, upgraded=True), "failed": ("31920", "500")}, [("H01", "31920", "fault")]),
        ({**refused("webhook-json", 400, upgraded=False), "failed": ("11200", "400")}, [("", "11200", "note")]),
        ({**refused("unreachable", None, upgraded=False), "failed": ("11210", "dns")}, [("", "11210", "note")]),
        ({"missed": ("x",), "expected": expected(("hang-up@0.7s",))}, []),
        ({"missed": ("x",), "expected": expected(("both-tracks",))}, [("", None, "suspicion")]),
        ({"missed": ("x",)}, [("", None, "suspicion")]),
        ({"lengths": (161, 163, 165, 160)}, []),
    ],
)
def test_facts_become_findings(facts, wanted):
    assert found(**facts) == wanted


def test_the_verdict_is_the_worst_finding():
    assert verdict_of(judge.judge(FINE)) == "healthy"
    assert verdict_of(judge.judge(msgspec.structs.replace(FINE, missed=("x",)))) == "not proven"
    assert verdict_of(judge.judge(msgspec.structs.replace(FINE, unread=1, missed=("x",)))) == "broken"


SID = '"streamSid":"MZ1"'


@pytest.mark.parametrize(
    ("message", "statement"),
    [
        (b"\x00", "O02"),
        (b"[]", "O02"),
        (b'{"event":"stop"}', "O03"),
        (b'{"event":"media","media":{"payload":"//8="}}', "O07"),
        (b'{"event":"media","streamSid":"","media":{"payload":"//8="}}', "O08"),
        (f'{{"event":"media",{SID},"media":{{"playload":"//8="}}}}'.encode(), "O04"),
        (f'{{"event":"media",{SID},"media":{{"payload":""}}}}'.encode(), "O11"),
        (f'{{"event":"media",{SID},"media":{{"payload":"_-8="}}}}'.encode(), "O09"),
        (f'{{"event":"media",{SID},"media":{{"payload":"UklGRv//"}}}}'.encode(), "O12"),
        (f'{{"event":"media",{SID},"media":{{"payload":"{"A" * 400}"}}}}'.encode(), "O14"),
        (f'{{"event":"mark",{SID}}}'.encode(), "O05"),
        (f'{{"event":"mark",{SID},"mark":{{"name":""}}}}'.encode(), "O15"),
        (f'{{"event":"clear",{SID},"clear":{{}}}}'.encode(), "O06"),
    ],
)
def test_each_violation_breaks_one_statement(message, statement):
    peer = Peer("MZ1", "CA1", "AC1")
    peer.start({})
    peer.receive(message, 0.0)
    assert [statement_of(violation) for violation in peer.violations] == [statement]


@pytest.mark.parametrize("name", [*sorted(AGENT), *sorted(CALLER)])
def test_every_shipped_line_is_right_audio(name):
    heard = judge_sound(audio(name), b"")
    assert heard.judged == "ok" and heard.rate is None and heard.full_scale < 0.02 and heard.level_dbfs > -30


@pytest.mark.parametrize("rate", [16000, 24000])
@pytest.mark.parametrize("name", ["hello", "price", "greeting", "caller_price"])
def test_audio_made_for_another_rate_is_told_by_its_spectrum(name, rate):
    wide = np.clip(resample(g711.decode(audio(name)).astype(float), 8000, rate), -32768, 32767)
    assert judge_sound(g711.encode(wide.astype(np.int16)), b"").rate == rate


def test_a_tone_says_nothing_of_a_rate():
    assert judge_sound(tone(3000, 1000), b"").rate is None and judge_sound(tone(3000, 440), b"").rate is None


def test_the_callers_own_voice_is_found_however_late_and_quiet():
    said, other = audio("caller_hours"), audio("services")
    back = g711.encode((g711.decode(said) * 0.2).astype(np.int16))
    heard = judge_sound(b"\xff" * 2400 + back + b"\xff" * 8000, said)
    assert heard.own_voice > 0.9 and heard.own_voice_ms == 300
    assert judge_sound(other, said).own_voice < 0.3
    assert similarity(g711.decode(said), g711.decode(said[:100])) == (0.0, 0)


def test_a_failed_webhook_passes_nothing():
    from offhook.dial.call import Figures, Result

    facts = msgspec.structs.replace(FINE, failed=("11200", "HTTP 500"), stream_opened=False)
    call = Result("CA1", "broken", (), (), Figures(), QUIET, facts)
    told = told_by_call(call, Plan(**targets("http://127.0.0.1:1/voice")))
    assert told == {"W01": ("fail", "11200: HTTP 500")}
