"""What can be dialled on the carrier's side, and what is said to who dials something else."""

import re
from pathlib import Path

import pytest

from offhook.sims.carrier_faults import FAULTS, Fault, named, parse_fault


def test_every_fault_is_described_and_its_default_can_be_dialled():
    for name, kind in FAULTS.items():
        assert kind.name == name and kind.what and re.fullmatch(r"[a-z-]+", name)
        assert bool(kind.value) == bool(kind.default), name
        assert str(parse_fault(str(parse_fault(name)))) == str(parse_fault(name))
        assert all(re.fullmatch(r"[FHS]-\d{3}", row) for row in kind.rows)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("loss", Fault("loss", "0.02", 0.0)),
        ("loss=0.5@3s", Fault("loss", "0.5", 3.0)),
        ("echo=-12,300@700ms", Fault("echo", "-12,300", 0.7)),
        ("drop@4", Fault("drop", "", 4.0)),
        ("webhook-signature=host", Fault("webhook-signature", "host")),
        ("wrong-path=/x", Fault("wrong-path", "/x")),
    ],
)
def test_a_fault_is_a_name_a_value_and_a_time(text, wanted):
    assert parse_fault(text) == wanted


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("lost", "there are unreachable"),
        ("loss=much", "wanted share 0-1, as in loss=0.02"),
        ("loss=2", "wanted share"),
        ("echo=3", "wanted dB,ms"),
        ("drop=3", "takes no value"),
        ("no-start@3s", "cannot be timed"),
        ("wrong-path=x", "begins with /"),
        ("webhook-signature=taste", "wanted one of scheme"),
        ("drop@soon", "there are"),
    ],
)
def test_what_cannot_be_dialled_is_refused_with_what_can(text, says):
    with pytest.raises(ValueError, match=re.escape(says)):
        parse_fault(text)


def test_a_fault_is_found_by_its_name():
    assert named([Fault("drop")], "loss") is None
    assert named([Fault("drop"), Fault("loss", "1")], "loss") == Fault("loss", "1")


def test_what_the_stream_plays_is_played_somewhere():
    """No entry without a line of code that asks for it."""
    sims = Path(__file__).parent.parent.parent / "src" / "offhook" / "sims"
    code = "".join(path.read_text() for path in sims.glob("*.py") if path.name != "carrier_faults.py")
    for kind in FAULTS.values():
        assert kind.where == "rest" or f'"{kind.name}"' in code, kind.name
