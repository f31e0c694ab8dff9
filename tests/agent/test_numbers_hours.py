"""Which number a pattern stands for, and when an hour is."""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from offhook.agent.hours import HoursError, read_hours
from offhook.agent.numbers import matches, pattern_problem


@pytest.mark.parametrize(
    ("pattern", "number", "fits"),
    [
        ("+15550001111", "+15550001111", True),
        ("+1 (555) 000-1111", "+15550001111", True),
        ("+1555*", "+15550001111", True),
        ("+1556*", "+15550001111", False),
        ("+1555000111", "+15550001111", False),  # no pattern without its star
        ("*", "client:ann", True),
        ("client:ann", "client:ann", True),
        ("client:ann", "client:anna", False),
        ("+4*", "", False),
    ],
)
def test_a_pattern_is_a_number_or_its_beginning(pattern, number, fits):
    assert matches((pattern,), number) is fits


@pytest.mark.parametrize(
    ("pattern", "says"),
    [("15550001111", "with + and its country code"), ("+1*5", "as +1555*"), ("", "as +1555*"), ("+0123", "as +1555*"),
     ("anonymous", "client:NAME")],
)  # fmt: skip
def test_what_could_never_match_is_said(pattern, says):
    assert says in (pattern_problem(pattern) or "")
    assert pattern_problem("+1 555 0001111") is None


def at(text: str, zone: str = "UTC") -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone))


def test_hours_are_of_their_own_zone_through_the_change_of_clocks():
    hours = read_hours("09:00-17:00", "mon-fri", "Europe/Oslo")
    assert hours is not None
    assert hours.open_at(at("2026-11-25T08:00")) and not hours.open_at(at("2026-11-25T07:59"))  # Wednesday, UTC+1
    assert hours.open_at(at("2026-07-01T07:00")) and not hours.open_at(at("2026-07-01T15:00"))  # UTC+2
    assert not hours.open_at(at("2026-11-28T10:00"))  # Saturday


def test_a_span_over_midnight_belongs_to_the_day_it_begins():
    hours = read_hours("22:00-06:00", "fri", "UTC")
    assert hours is not None
    friday = at("2026-11-27T00:00")
    opens = [n for n in range(48) if hours.open_at(friday + timedelta(hours=n))]
    assert opens == list(range(22, 30))


def test_several_spans_and_days_around_the_weekend():
    hours = read_hours("08:00-12:00, 13:00-24:00", "sat-mon", "UTC")
    assert hours is not None and hours.days == {5, 6, 0}
    assert hours.open_at(at("2026-11-29T23:59")) and not hours.open_at(at("2026-11-29T12:30"))


def test_no_hours_is_always():
    assert read_hours("", "", "") is None


@pytest.mark.parametrize(
    ("given", "field"),
    [(("09:00-17:00", "", ""), "zone"), (("", "mon", "Mars/Base"), "zone"), (("9-17", "", "UTC"), "hours"),
     (("24:30-25:00", "", "UTC"), "hours"), (("09:00-09:00", "", "UTC"), "hours"), (("", "mo-fr", "UTC"), "days")],
)  # fmt: skip
def test_a_mistake_names_its_field(given, field):
    with pytest.raises(HoursError) as error:
        read_hours(*given)
    assert error.value.field == field and error.value.fix
