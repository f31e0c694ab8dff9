"""Runs beside earlier runs, and loads summed up: pure."""

import json

import msgspec
import pytest

from offhook.dial import baseline, load
from offhook.dial.call import Figures, Result
from offhook.dial.judge import Facts, Finding
from offhook.dial.plan import Plan, default_scenario, targets
from offhook.dial.sound import Heard, judge
from offhook.sims.carrier_faults import Fault

QUIET = judge(b"", b"")
PLAN = Plan(**targets("ws://127.0.0.1:1/m"), scenario=default_scenario(()))


def run(plan: Plan = PLAN, calls: int = 1, findings=(), **figures) -> dict:
    call = {"figures": {"first_audible_ms": 100.0, "latencies_ms": [200.0], **figures}, "findings": list(findings)}
    return {"run": baseline.identity(plan, calls), "call": call}


def test_a_like_run_that_is_no_slower_is_no_worse():
    assert baseline.compare(run(), run(first_audible_ms=120.0)).worse == ()


def test_slower_figures_and_new_findings_are_named():
    finding = {"statement": "O07", "sentence": "misspelt", "severity": "fault"}
    compared = baseline.compare(run(), run(first_audible_ms=400.0, latencies_ms=[150.0, 500.0], findings=[finding]))
    assert compared.worse == (
        "first_audible_ms: 100 ms then, 400 ms now", "latencies_ms max: 200 ms then, 500 ms now", "new: misspelt",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("other", "says"),
    [
        (run(msgspec.structs.replace(PLAN, faults=(Fault("drop", "", 2.0),))), "faults"),
        (run(msgspec.structs.replace(PLAN, scenario=default_scenario(("caller_price",)))), "scenario"),
        (run(Plan(**targets("http://127.0.0.1:1/m"), scenario=PLAN.scenario)), "target"),
        (run(Plan(**targets("wss://voice.example.com/m"), scenario=PLAN.scenario)), "local"),
        (run(calls=5), "calls"),
        ({"run": baseline.identity(PLAN, 1), "statements": []}, "kind of run"),
    ],
)
def test_unlike_runs_are_not_compared_and_the_difference_is_named(other, says):
    compared = baseline.compare(run(), other)
    assert compared.refused and compared.worse == () and any(says in text for text in compared.refused)


def test_another_port_is_the_same_target():
    assert not baseline.compare(run(), run(Plan(**targets("ws://127.0.0.1:2/m"), scenario=PLAN.scenario))).refused


def test_statements_that_passed_and_fail_now():
    old = {"run": baseline.identity(PLAN, 1), "statements": [{"id": "O07", "result": "pass"}]}
    new = {"run": baseline.identity(PLAN, 1), "statements": [{"id": "O07", "result": "fail"}]}
    assert baseline.compare(old, new).worse == ("O07: pass then, fail now",)
    assert baseline.compare(new, new).worse == ()


def test_a_file_that_is_no_run(tmp_path):
    (tmp_path / "x").write_text(json.dumps([1]))
    for path in (tmp_path / "x", tmp_path / "none"):
        with pytest.raises(baseline.BaselineError, match="--baseline"):
            baseline.read(path)


def result(verdict="healthy", late=3.0, sentence="", answer=100.0) -> Result:
    facts = Facts(violations=(), complaints=(), heard=QUIET, missed=())
    findings = (Finding("O07", "31951", "fault", sentence, ""),) if sentence else ()
    figures = Figures(gen_late_p99_ms=late, latencies_ms=(answer,))
    heard: Heard = QUIET
    return Result("CA1", verdict, findings, (), figures, heard, facts)


def test_a_load_is_summed_and_its_findings_stand_once():
    made = load.summed([result(answer=float(n)) for n in range(19)] + [result("broken", sentence="x")] * 2, 10.0)
    assert (made.calls, made.healthy, made.broken, made.verdict) == (21, 19, 2, "broken")
    assert [(f.sentence, f.count) for f in made.findings] == [("x", 2)]
    assert made.percentiles["answer_ms"]["p95"] == 100.0 and made.percentiles["webhook_ms"]["p50"] is None
    assert any("2 calls: O07  x" in line for line in load.text(made))


def test_few_calls_have_no_p95():
    made = load.summed([result()] * 5, 1.0)
    assert made.percentiles["answer_ms"]["p95"] is None and "withheld" in "\n".join(load.text(made))


def test_a_late_generator_voids_the_run_whatever_it_found():
    made = load.summed([result("broken", sentence="x"), result(late=55.0)], 1.0)
    assert made.verdict == "not proven" and not made.valid and "55 ms late" in made.because


def test_a_server_elsewhere_is_not_loaded_by_accident():
    elsewhere = Plan(**targets("wss://voice.example.com/m"))
    load.check(elsewhere, 5, own=False)
    load.check(elsewhere, 50, own=True)
    load.check(PLAN, 50, own=False)
    with pytest.raises(load.LoadError, match="--i-own-this-server"):
        load.check(elsewhere, 6, own=False)
    with pytest.raises(load.LoadError, match="1 to 500"):
        load.check(PLAN, 501, own=True)
