"""The view, the ladder and the engine: what follows from evidence, and what does not."""

import importlib
import pkgutil
from pathlib import Path

import pytest
from tests.diagnosis.tape import BOOT, CA, Tape, good, provider_leg, stream_leg, turn, webhook_leg

from offhook.cli.explain import explained
from offhook.diagnosis import engine, rules
from offhook.diagnosis.boundaries import BOUNDARIES
from offhook.diagnosis.ladder import IDS, first_unmet, ladder

ROOT = Path(rules.__path__[0])


def states(tape):
    return {step.id: step.state for step in ladder(tape.view())}


def test_a_good_call_is_healthy_says_why_and_meets_every_milestone():
    judged = good().report()
    assert judged.verdict == "healthy" and not judged.roots + judged.symptoms + judged.others
    assert set(states(good()).values()) <= {"met", "not due"}
    assert [mid for mid, state in states(good()).items() if state == "not due"] == ["M18"]
    assert "1000 frames in" in judged.because
    assert {hop.state for hop in judged.hops} == {"proven"}


def test_a_call_from_a_screen_has_no_webhook_to_prove():
    tape = good().without("webhook", "twiml")
    tape.begin["carrier"] = "browser"
    hops = {hop.boundary: hop for hop in tape.report().hops}
    assert (hops["webhook"].state, hops["webhook"].observable) == ("not part", "it began at a screen")
    assert ". webhook " in explained(tape.report()) and "not part" in explained(tape.report())


def test_a_record_with_nothing_seen_is_not_healthy():
    judged = Tape().report()
    assert judged.verdict == "not proven"


def test_a_webhook_without_a_stream_is_not_healthy_and_names_the_boundary():
    judged = webhook_leg(Tape(boot=BOOT)).report()
    assert judged.verdict == "not proven" and judged.roots[0].boundary == "carrier-stream"
    assert "cause unknown" in judged.because


@pytest.mark.parametrize("status", ["canceled", "no-answer", "busy"])
def test_a_caller_who_left_while_it_rang_is_no_call_to_diagnose(status):
    judged = webhook_leg(Tape(boot=BOOT)).note("call.status", 3000.0, status=status).report()
    assert judged.verdict == "healthy" and "no call to diagnose" in judged.because


@pytest.mark.parametrize(
    ("upto", "unmet", "boundary"),
    [
        (50, "M9", "provider-session"),  # the provider is open, then nothing
        (2, "M4", "carrier-stream"),
    ],
)
def test_the_first_unmet_milestone_names_the_boundary(upto, unmet, boundary):
    tape = good().before(upto + 11 if unmet == "M9" else upto)
    if unmet == "M9":
        stream_leg(tape, 70)
    tape.note("something", 30000.0).frames(0, 1000 if unmet == "M9" else 0).frames(1, 0).frames(2, 0).frames(3, 0)
    tape.ends(end={"wanted": False, "why": "gave up"}, marks={})
    step = first_unmet(ladder(tape.view()))
    assert step is not None and (step.id, step.boundary) == (unmet, boundary)
    judged = tape.report()
    assert judged.verdict == "not proven" and judged.roots[0].rule == f"{boundary}/unexplained"


def test_what_the_recorder_could_not_see_is_not_held_against_anyone():
    tape = stream_leg(Tape(boot=BOOT, source="dial", sees=["carrier"]))
    tape.msg(1, 2000, event="media").msg(1, 2001, event="mark").msg(0, 3000, event="mark")
    tape.msg(0, 20000, event="stop").frames(0, 900).frames(1, 100)
    got = states(tape)
    assert {got[mid] for mid in ("M1", "M3", "M8", "M9", "M14")} == {"not seen"}
    assert got["M16"] == "met" and tape.report().verdict == "healthy"


def test_a_server_that_sends_no_audio_seen_from_one_side_is_not_provable_from_here():
    tape = stream_leg(Tape(boot=BOOT, source="dial", sees=["carrier"]))
    tape.msg(0, 40000, event="stop").frames(0, 2000)
    judged = tape.report()
    assert judged.verdict == "not proven" and judged.roots[0].proof == "not provable from here"


def test_a_caller_who_hangs_up_at_once_breaks_nothing():
    tape = stream_leg(provider_leg(webhook_leg(Tape(boot=BOOT))))
    tape.msg(0, 700, event="stop").frames(0, 30)
    tape.note("exception", 800.0, task="media", type="ConnectionError", where="x:1", after_end=True)
    judged = tape.report()
    assert judged.verdict == "healthy" and "hung up" in judged.because


def test_a_code_of_the_carrier_is_a_symptom_behind_a_root_and_alone_a_boundary_without_a_cause():
    alone = good().note("alert", 20100.0, code="31951", text="Stream - Protocol - Invalid Message")
    assert alone.report().verdict == "not proven" and alone.rules() == ["carrier:31951"]
    rooted = good().violation("streamSid", code=None).note("alert", 20100.0, code="31951", text="")
    judged = rooted.report()
    assert judged.verdict == "broken" and [finding.rule for finding in judged.symptoms] == ["carrier:31951"]


def test_31921_of_an_end_that_was_wanted_is_no_finding():
    tape = good().without("stop", "close").note("ending", 19000.0, who="agent", why="agent hung up", wanted=True)
    tape.note("close", 20010.0, leg="carrier", code=1000, by="us", clean=True).note("alert", 20100.0, code="31921")
    assert tape.report().verdict == "healthy"


def test_an_unwanted_end_that_nothing_explains_is_not_healthy():
    judged = good().ends(end={"wanted": False, "why": "provider closed: 1011"}).report()
    assert judged.verdict == "not proven" and judged.roots[0].boundary == "provider-session"


def test_a_root_stands_and_its_symptoms_do_not():
    tape = good().before(60).note("dial.failed", 61.0, phase="tcp", cause="refused")
    tape.without("dial.phase").note("deadline.missed", 9000.0, name="session configured", waited_ms=5000)
    stream_leg(tape, 70)
    tape.note("ending", 9500.0, why="provider not reached", wanted=False).frames(2, 0).frames(3, 0).frames(1, 0)
    judged = tape.report()
    assert judged.verdict == "broken" and [f.rule for f in judged.roots] == ["settings/egress-blocked"]
    assert [finding.rule for finding in judged.symptoms] == ["provider-connect/failed", "provider-session/never-ready"]


def test_the_reports_data_and_line_are_for_programs():
    judged = good().report()
    assert judged.as_data()["exit"] == 0 and judged.line.startswith("healthy: ")
    assert [step["id"] for step in judged.as_data()["ladder"]] == list(IDS)


def test_foreign_figures_are_read_as_the_bridges_own():
    out = {"underruns": 3, "ahead_max_ms": 5000, "bad": {"media:streamSid": 4}, "marks": {"sent": 2, "returned": 2}}
    came = {"lost": 7, "tracks": {"inbound": 9, "outbound": 9}}
    tape = good(source="tap", sees=["webhook", "carrier", "provider"])
    tape.ends(carrier_out=out, carrier_in=came, provider={"dials": 1}, marks=None)
    view = tape.view()
    assert (view.carrier_out.underruns, view.carrier_out.ahead_max_ms, view.carrier_out.marks_played) == (3, 5000, 2)
    assert view.carrier_in.lost == 7 and view.carrier_in.tracks["outbound"] == 9
    assert view.carrier_out.bad == {"media:streamSid": 4} and view.provider.figures == {"dials": 1}


def test_evidence_of_nonsense_keeps_its_defaults():
    tape = Tape(boot={"settings": 5, "keys": "x", "limits": {"a": "b"}, "profile": 3})
    tape.note("webhook", 0.0, status="many", signature=[], query_keys=7, n=None, call_sid=CA)
    tape.note("dial.phase", 1.0, ms="x").note("twiml", 2.0, stream="y").note("alert", 3.0, code=31951)
    view = tape.view()
    assert view.hooks[0].status is None and view.hooks[0].call_sid == CA and view.alerts[0].code == "31951"
    assert view.boot.keys == () and view.twiml[0].stream.path == ""
    tape.report()


def test_an_older_record_of_the_bridge_is_read_by_its_own_milestones():
    tape = turn(Tape(boot=BOOT), 2000)
    for at, mid in enumerate(("M1", "M8", "M9", "M5", "M6", "M7", "M12", "M14", "M15", "M17", "M10", "M19", "M20")):
        tape.note("milestone", float(at), id=mid)
    tape.note("carrier.closed", 9000.0, code=1000, by="us")
    view = tape.frames(0, 500).frames(1, 50).frames(2, 50).frames(3, 500).view()
    assert first_unmet(ladder(view)) is None and view.closed("carrier").by == "us"
    assert tape.report().verdict == "healthy"


# ---------------------------------------------------------------------------------------- the rules' form


def test_every_file_in_the_folders_is_found_and_stands_in_its_boundarys_folder():
    found = engine.rule_modules()
    files = [path for path in ROOT.glob("*/*.py") if not path.name.startswith("_")]
    assert len(found) == len(files)
    for module in found:
        folder, name = module.__name__.split(".")[-2:]
        assert module.RULE.id == f"{folder}/{name}".replace("_", "-")
    assert {folder.name.replace("_", "-") for folder in pkgutil.iter_modules(rules.__path__)} <= set(BOUNDARIES)


@pytest.mark.parametrize("module", engine.rule_modules(), ids=lambda module: module.RULE.id)
def test_a_rule_is_short_and_its_docstring_is_a_manual_page(module):
    lines = Path(module.__file__).read_text().splitlines()
    assert len(lines) < 100
    assert sum(1 for line in lines[lines.index('"""', 1) :] if line.strip()) < 60
    for label in ("Caller notices:", "Why:", "Proof:", "Fix:", "Reproduce:"):
        assert f"\n{label}" in module.__doc__, label
    assert "Who lies" not in module.__doc__, "RULE.lies says it, and the page would say it twice"
    assert module.RULE.lies and module.RULE.source and module.RULE.since


def test_every_edge_leads_to_a_rule_and_no_two_explain_each_other():
    known = [module.RULE for module in engine.rule_modules()]
    ids = {rule.id for rule in known} | {f"{boundary}/unexplained" for boundary in BOUNDARIES}
    for rule in known:
        for pattern in rule.explains:
            target = pattern.startswith("carrier:") or any(engine.fnmatchcase(other, pattern) for other in ids)
            assert target, f"{rule.id} explains {pattern}, which nothing is called"
        assert rule.breaks in ("", *IDS)
        for other in known:
            mutual = engine.explained_by(rule, other) and engine.explained_by(other, rule)
            assert not mutual or rule is other, f"{rule.id} and {other.id} explain each other"


def test_rules_import_as_pure_modules():
    for module in engine.rule_modules():
        assert importlib.import_module(module.__name__).find
