"""
The score as a test: every fault of the catalogue injected and named as before, every healthy call left alone.

``tests/score_floor.txt`` holds what was reached; `tools/score.py --floor` raises it.
"""

import logging
from types import SimpleNamespace

import pytest
from tools import score

from offhook.sims.faults.catalogue import rows

PARTS = 12  # one after the other and in this process: each is a few seconds


@pytest.fixture
def quiet():
    log = logging.getLogger("offhook")
    before = log.level
    log.setLevel(logging.CRITICAL)
    yield
    log.setLevel(before)


@pytest.mark.timeout(240)
@pytest.mark.parametrize("part", range(PARTS))
def test_no_row_falls_back_and_nobody_is_blamed_wrongly(part, quiet):
    results = [score.do(job) for job in score.jobs(rows())[part::PARTS]]
    assert score.regressions(results) == []


def test_all_that_was_reached_is_tried_and_every_shape_of_a_healthy_call():
    jobs = score.jobs(rows())
    assert sum(kind == "variation" for kind, _ in jobs) >= 200
    tried = {f"{'D' if kind == 'dialled' else 'L'}-{what}" for kind, what in jobs if kind in ("dialled", "line")}
    tried |= {what.id for kind, what in jobs if kind == "row"} | {what for kind, what in jobs if kind == "plain"}
    assert set(score.floor()) <= tried


def finding(name, severity="fault", boundary="carrier-stream"):
    found = SimpleNamespace(severity=severity, boundary=boundary, rule=name, catalogue=name if name[1] == "-" else "")
    return found


def test_a_fault_from_a_dial_may_be_any_row_that_it_injects_and_never_the_carriers():
    dial = row("dialled", ("F-121", "F-073"))
    assert score.classify_dialled(dial, [finding("F-073", boundary="bridge")]) == "named"
    assert score.classify_dialled(dial, []) == "coped"
    assert score.classify_dialled(dial, [finding("F-108", boundary="provider-session")]) == "other cause"
    assert score.classify_dialled(dial, [finding("turns/no-answer", boundary="turns")]) == "boundary only"
    assert score.classify_dialled(dial, [finding("F-049")]) == "wrong blame"
    heard = score.Row(id="D-noise", title="noise", boundary=("B4",), verdict="dialled", findings=("F-099",))
    assert score.classify_dialled(heard, []) == "missed"


def row(verdict="fault", findings=("F-049",), boundary=("B2",)):
    return score.Row(id="D-x", title="", boundary=boundary, verdict=verdict, findings=findings)


def test_classes():
    assert score.classify(row(), [finding("F-049")]) == "named"
    assert score.classify(row(), []) == "missed"
    assert score.classify(row(), [finding("carrier-stream/unknown")]) == "boundary only"
    assert score.classify(row(), [finding("webhook/unexplained", boundary="webhook")]) == "unknown"
    assert score.classify(row(), [finding("webhook/other", boundary="webhook")]) == "wrong blame"
    assert score.classify(row(), [finding("carrier:31951")]) == "missed"
    assert score.classify(row(), [finding("F-050")]) == "wrong blame"
    assert score.classify(row(), [finding("F-049"), finding("F-073", boundary="bridge")]) == "wrong blame"
    assert score.classify(row(findings=("F-001", "F-049")), [finding("F-049"), finding("F-001")]) == "boundary only"
    assert score.classify(row("healthy", ()), [finding("F-049")]) == "false alarm"
    assert score.classify(row("healthy", ()), [finding("F-100", "note")]) == "named"
    assert score.classify(row("healthy", ()), [finding("far-end/left-early", "far-end")]) == "named"
    assert score.classify(row("healthy", ()), [finding("F-161", "far-end")]) == "false alarm"
    assert score.classify(row("far_end", ("F-161",)), [finding("F-161", "far-end")]) == "named"
    assert score.classify(row("far_end", ("F-161",)), [finding("F-161")]) == "wrong blame"
    assert score.classify(row("suspected", ("F-164",)), [finding("F-164", "suspicion")]) == "named"
    assert score.classify(row("note", ("F-100",)), [finding("F-100", "note")]) == "named"
