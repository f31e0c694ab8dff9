"""What is redacted, and the nearest things that are not."""

import pytest

from offhook.evidence.patterns import PatternError, Patterns


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("my card is 4111 1111 1111 1111, thanks", "my card is [card], thanks"),
        ("4111111111111111", "[card]"),
        ("3782-822463-10005", "[card]"),  # fifteen digits, grouped in its own way
        ("call me at +47 912 34 567.", "call me at [number]."),
        ("it is (415) 555-0101", "it is [number]"),
        ("0049 30 1234567", "[number]"),
        ("write to Ann.Lee+x@mail.example.co.uk now", "write to [email] now"),
    ],
)
def test_personal_data_is_redacted(text, shown):
    assert Patterns().text(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "on 2026-11-25 or 25.11.2026", "from 1999 - 2004", "at 10:15:30", "$1,250,000", "1.250.000", "192.168.10.250",
        "CA6b59247ea4c94d2e19fb9c7fbf41593a", "20261125T193433Z-CA6b5924", "order 482913", "3.14159265358979",
        "https://voice.example/1234567890", "me@home", "build 1700000000000ms", "a 12345678-b",
    ],
)  # fmt: skip
def test_what_only_looks_like_it_stays(text):
    assert Patterns().text(text) == text


def test_a_long_figure_with_a_wrong_check_digit_is_no_card():
    assert Patterns(("card",)).text("4111 1111 1111 1112") == "4111 1111 1111 1112"


def test_patterns_are_the_users_to_choose():
    own = Patterns((r"\bK-\d{4}\b", "email"))
    assert own.data({"text": ["K-1234 of a@b.example", 5]}) == {"text": ["[redacted] of [email]", 5]}
    with pytest.raises(PatternError, match="no regular expression"):
        Patterns(("(",))
    with pytest.raises(PatternError, match="every text"):
        Patterns(("x*",))
