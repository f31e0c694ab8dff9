"""Rules of the boundary settings: each fault is named, and its nearest healthy look-alike is not."""

from typing import Any

import pytest
from tests.diagnosis.tape import BOOT, Tape, good, provider_leg, stream_leg, webhook_leg

from offhook.diagnosis.together import report_all


def boot(**more: Any) -> dict[str, Any]:
    return {**BOOT, **more}


def key(env: str = "OPENAI_API_KEY", **more: Any) -> dict[str, Any]:
    return {"env": env, "present": True, "length": 51, "hash4": "abcd", "edge_space": False, "is_none": False,
            "looks_like": "openai", **more}  # fmt: skip


def settings(**more: tuple[str, str]) -> dict[str, Any]:
    given = {name.replace("__", "."): {"value": value, "origin": origin} for name, (value, origin) in more.items()}
    return {**BOOT["settings"], **given}


def unreached(tape: Tape, **failure: Any) -> Tape:
    """The carrier's side is well, the provider was not reached."""
    stream_leg(webhook_leg(tape)).frames(0, 200)
    tape.note("dial.begun", 10.0, attempt=1).note(
        "dial.failed", 20.0, **{"phase": "tcp", "cause": "refused", **failure}
    )
    tape.note("ending", 30.0, why="dial failed", wanted=False)
    return tape.note("close", 4000.0, leg="carrier", code=1011, by="us", clean=True).note("alert", 4001.0, code="31921")


def died(tape: Tape, **exc: Any) -> Tape:
    """The carrier's side is well until an exception drops it."""
    stream_leg(webhook_leg(tape))
    tape.note("exception", 110.0, **{"task": "dial", "type": "KeyError", "where": "dial:3", "after_end": False, **exc})
    return tape.note("close", 130.0, leg="carrier", code=None, by="us", clean=False).note("alert", 131.0, code="31903")


def not_accepted(tape: Tape, status: int = 0, why: str = "tcp", **more: Any) -> Tape:
    webhook_leg(tape).note("upgrade", 100.0, path="/twilio/media", status=status, why=why, ms=50, **more)
    return tape.note("alert", 101.0, code="31920").note("call.status", 102.0, status="completed")


def unanswered(tape: Tape, **hook: Any) -> Tape:
    tape.note(
        "webhook", 30.0, **{"n": 1, "method": "POST", "host": "voice.example.com", "path": "/twilio/voice", **hook}
    )
    return tape.note("alert", 31.0, code="11200").note("call.status", 32.0, status="failed")


FAULTS = {
    "settings/wrong-provider": died(
        Tape(
            boot=boot(
                settings=settings(
                    provider__name=("openai", "default"), provider__model=("grok-voice-latest", "app.yaml:2")
                ),
                keys=[key(present=False, length=0), key("XAI_API_KEY", looks_like="xai")],
            )
        ),
        where="os.environ['OPENAI_API_KEY']",
    ),
    "settings/key-missing": died(Tape(boot=boot(keys=[key(present=False, length=0)]))),
    "settings/key-says-none": good(boot=boot(keys=[key(length=4, is_none=True, looks_like=None)]))
    .before(60)
    .note("provider.error", 70.0, code="invalid_api_key", message="no", fatal=True)
    .note("ending", 80.0, why="x", wanted=False),
    "settings/key-malformed": died(Tape(boot=boot(keys=[key(edge_space=True)])), type="InvalidHeaderValue"),
    "settings/foreign-key": unreached(Tape(boot=boot(keys=[key(looks_like="xai")])), phase="upgrade", status=401),
    "settings/stale-public-url": unanswered(Tape(boot=BOOT, source="dial"), host="old.example.com", status=404),
    "settings/private-url": not_accepted(Tape(boot=BOOT)).change("twiml", stream={"scheme": "wss", "host": "10.0.0.4"}),
    "settings/stream-port": not_accepted(Tape(boot=boot(public={"url": "https://voice.example.com:8443"}))),
    "settings/proxy-forwards-elsewhere": unanswered(
        Tape(boot=BOOT, source="dial"), status=502, content_type="text/html"
    ),
    "settings/certificate": unanswered(Tape(boot=BOOT, source="dial"), status=0, why="tls"),
    "settings/upgrade-header-dropped": not_accepted(Tape(boot=BOOT), 404, "", headers={"upgrade": False}),
    "settings/no-websocket": not_accepted(Tape(boot=boot(runtime={"ws_impl": "none"})), 404, ""),
    "settings/proxy-from-environment": unreached(Tape(boot=boot(proxy_env=["HTTPS_PROXY"])), phase="proxy"),
    "settings/egress-blocked": unreached(Tape(boot=BOOT), phase="dns"),
    "settings/clock-wrong": unreached(Tape(boot=boot(clock_off_s=-400_000.0)), phase="tls", cause="not yet valid"),
    "settings/library-changed": died(Tape(boot=BOOT), type="TypeError"),
    "settings/no-codec": died(
        Tape(boot=boot(runtime={"g711": False})), type="ModuleNotFoundError", where="import audioop"
    ),
    "settings/limit-reached": not_accepted(Tape(boot=BOOT), 503, "limit: 2 calls"),
    "settings/workers-share-nothing": stream_leg(
        webhook_leg(Tape(boot=BOOT).note("worker", 0.0, what="webhook", id=1)).note(
            "worker", 101.0, what="stream", id=2
        )
    )
    .note("call.unknown", 110.0, worker=2)
    .note("close", 120.0, leg="carrier", code=1008, by="us"),
    "settings/restarted": good()
    .before(15_000)
    .note("process", 15_000.0, event="signal", signal="SIGTERM", calls=2)
    .note("close", 15_010.0, leg="carrier", code=None, by="us"),
}


@pytest.mark.parametrize("rule", FAULTS)
def test_a_fault_of_the_settings_is_named_and_nothing_else(rule):
    judged = FAULTS[rule].report()
    assert [finding.rule for finding in judged.roots] == [rule]
    assert judged.verdict == "broken" and judged.roots[0].catalogue and judged.roots[0].lie


HEALTHY = {
    "two keys, and a provider that was chosen": good(boot=boot(keys=[key(), key("XAI_API_KEY", looks_like="xai")])),
    "the default of a model of the same provider": good(
        boot=boot(settings=settings(provider__name=("openai", "default")))
    ),
    "a proxy that works": good(boot=boot(proxy_env=["HTTPS_PROXY"])),
    "a clock off by a second": good(boot=boot(clock_off_s=1.2)),
    "a loopback address that the stream came by": good(
        boot=boot(public={"url": "http://127.0.0.1:9", "private": True})
    ).change("twiml", stream={"scheme": "ws", "host": "127.0.0.1", "port": 9, "path": "/twilio/media"}),
    "a redial that succeeded": good().note("dial.failed", 11.0, phase="tcp", cause="reset"),
    "a signal long after": good().note("process", 19_000.0, event="signal", signal="SIGHUP", calls=1),
    "exceptions of the clean-up": good().note(
        "exception", 20_030.0, type="TypeError", task="dial", where="x", after_end=True
    ),
}


@pytest.mark.parametrize("what", HEALTHY)
def test_what_only_looks_like_a_fault_of_the_settings_is_healthy(what):
    judged = HEALTHY[what].report()
    assert judged.verdict == "healthy", judged.because


def test_403_is_named_without_a_key_of_another_and_401_is_left_to_others():
    assert unreached(Tape(boot=BOOT), phase="upgrade", status=403).rules() == ["settings/foreign-key"]
    assert "settings/foreign-key" not in unreached(Tape(boot=BOOT), phase="upgrade", status=401).rules()
    assert unreached(Tape(boot=BOOT), phase="upgrade", status=429).rules() == ["settings/limit-reached"]


def cut(age_s: float, by: str = "nobody") -> Tape:
    tape = good().without("stop", "close").note("close", age_s * 1000, leg="provider", code=None, by=by, age_s=age_s)
    tape.note("provider.lost", age_s * 1000, code=None, by=by)
    return tape.ends(end={"wanted": False, "why": "provider closed"})


def test_three_calls_of_one_age_are_a_timer_and_three_of_many_ages_are_not():
    timer = report_all([cut(age).recording() for age in (150.1, 150.4, 149.8)])
    assert [[f.rule for f in made.roots] for made in timer] == [["settings/fixed-age"]] * 3
    for ages in ((150.0, 97.0, 61.0), (3600.0, 3600.2, 3599.9), (150.0, 150.1)):
        for made in report_all([cut(age).recording() for age in ages]):
            assert "settings/fixed-age" not in [finding.rule for finding in made.roots]


def test_a_provider_without_a_webhook_is_no_fault_of_the_settings():
    tape = provider_leg(Tape(boot=BOOT, source="fake", sees=["provider"]))
    tape.msg(2, 5000.0, type="response.created", response={"id": "r"}).frames(2, 50).frames(3, 200)
    assert tape.ends(end={}).report().verdict == "healthy"


def by_the_tap(stream: str, port: int, hook: str = "127.0.0.1", hook_port: int | None = 18090, **said) -> Tape:
    """A webhook that a tap saw, and nothing behind it."""
    tape = webhook_leg(Tape(source="tap", sees=["webhook", "carrier", "provider"]))
    tape.change("webhook", scheme="http", host=hook, port=hook_port, **said)
    tape.change("twiml", stream={"scheme": "ws", "host": stream, "port": port, "path": "/media"})
    tape.note("milestone", 60_000.0, id="none")  # the record ends a minute later
    return tape.ends(end={"why": "no stream came"})


@pytest.mark.parametrize("end", [True, False])
def test_a_stream_that_went_past_the_tap_is_nobodys_fault_and_nothing_that_was_seen(end):
    judged = (by_the_tap("127.0.0.1", 18081) if end else by_the_tap("127.0.0.1", 18081).no_end()).report()
    assert judged.roots == () and judged.symptoms == ()
    assert [one.rule for one in judged.others] == ["records/stream-past-the-tap"]
    assert judged.verdict == "not proven" and "--rewrite-stream-url" in judged.because
    behind = ("M4", "M5", "M6", "M7", "M16", "M17")
    assert {step.state for step in judged.steps if step.id in behind} == {"not seen"}


def test_a_private_stream_is_a_fault_to_whoever_came_from_the_internet():
    assert by_the_tap("127.0.0.1", 8000, "voice.example.com", None).rules() == ["settings/private-url"]
    assert by_the_tap("127.0.0.1", 8000, "localhost", 8000, from_afar=True).rules() == ["settings/private-url"]


def test_one_listener_by_two_names_is_no_way_past_the_tap():
    assert by_the_tap("localhost", 18090).view().passed_by is None
    assert by_the_tap("voice.example.com", 443, "voice.example.com", None).view().passed_by is None
    assert by_the_tap("127.0.0.1", 18081).note("upgrade", 50.0, path="/media", status=404).view().passed_by is None
    assert good(source="tap").view().passed_by is None


def dialled(*findings: str, **expected) -> Tape:
    rows = [{"severity": "fault", "statement": "", "code": "31921", "sentence": text} for text in findings]
    tape = webhook_leg(Tape(source="dial", sees=["webhook", "carrier"])).note("alert", 150.0, code="31920", text="no")
    tape.note("upgrade", 100.0, path="/media", status=403, why="no").note("ending", 200.0, why="no call", wanted=False)
    return tape.ends(dial={"expected": expected, "findings": rows})


def test_what_a_dial_did_wrong_on_purpose_is_no_fault_of_the_server():
    excuses = ["carrier-stream/*", "carrier:*"]
    judged = dialled(why="refused, as it should be", stops="M5", excuses=excuses, refused=True).report()
    assert (judged.verdict, judged.because, judged.roots) == ("healthy", "refused, as it should be", ())
    assert dialled().report().verdict == "not proven"
    assert (
        dialled(why="x", stops="M5", excuses=excuses, refused=True).violation("streamSid").report().verdict == "healthy"
    )
    kept = dialled(why="x", stops="M5", excuses=["carrier:*"], refused=True).violation("streamSid", got="'stream_sid'")
    assert kept.report().verdict == "broken"


def test_a_fault_that_only_the_dial_saw_is_in_the_verdict_on_its_record():
    judged = dialled("the server closed the stream with 1008 before the caller was done").report()
    assert judged.verdict == "broken" and judged.because.startswith("The server closed the stream with 1008")
    assert [one.rule for one in judged.symptoms] == ["carrier:31920"]
