"""Tokens that bind a stream to its webhook."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offhook.net.token import SAME_STREAM_S, TokenBook, mint

SECRET = b"s" * 32


def test_a_fresh_token_is_good_once():
    book = TokenBook(SECRET)
    token = mint(SECRET, "CA1", 100.0, 60)
    assert book.spend(token, "CA1", "MZ1", 101.0) is None
    assert book.spend(token, "CA1", "MZ2", 102.0) == "token already spent by another stream 1 s ago"


def test_the_same_stream_may_come_back_within_its_time_also_beyond_the_tokens():
    book = TokenBook(SECRET)
    token = mint(SECRET, "CA1", 100.0, 60)
    assert book.spend(token, "CA1", "MZ1", 155.0) is None
    assert book.spend(token, "CA1", "MZ1", 155.0 + SAME_STREAM_S) is None
    assert book.spend(token, "CA1", "MZ1", 156.0 + SAME_STREAM_S) is not None


def test_coming_back_does_not_extend_the_time():
    book = TokenBook(SECRET)
    token = mint(SECRET, "CA1", 100.0, 600)
    for at in (100.0, 120.0, 130.0):
        assert book.spend(token, "CA1", "MZ1", at) is None
    assert book.spend(token, "CA1", "MZ1", 131.0) == "token already spent by this stream 31 s ago"


def test_an_expired_token_says_since_when():
    token = mint(SECRET, "CA1", 100.0, 60)
    assert TokenBook(SECRET).spend(token, "CA1", "MZ1", 172.0) == "token expired 12 s ago"
    assert TokenBook(SECRET).spend(token, "CA1", "MZ1", 160.0) is None


@pytest.mark.parametrize("call", ["CA2", "", "CA1 "])
def test_a_token_is_of_one_call(call):
    token = mint(SECRET, "CA1", 100.0, 60)
    assert TokenBook(SECRET).spend(token, call, "MZ1", 101.0) == "token not ours, or of another call"


def test_a_token_of_another_secret_is_not_ours():
    token = mint(b"another", "CA1", 100.0, 60)
    assert TokenBook(SECRET).spend(token, "CA1", "MZ1", 101.0) == "token not ours, or of another call"


def test_no_token_and_no_shape_are_told_apart():
    book = TokenBook(SECRET)
    assert "no token" in book.spend("", "CA1", "MZ1", 1.0)
    for bad in ("x", "a.b", "a.b.c.d", "a.b." + "c" * 300):
        assert "malformed" in book.spend(bad, "CA1", "MZ1", 1.0)


def test_a_refusal_never_shows_a_token():
    book = TokenBook(SECRET)
    token = mint(SECRET, "CA1", 100.0, 60)
    book.spend(token, "CA1", "MZ1", 101.0)
    for why in (book.spend(token, "CA1", "MZ2", 101.0), book.spend(token + "x", "CA1", "MZ1", 101.0)):
        assert token[:8] not in why


@given(st.integers(0, 60), st.integers(1, 127))
def test_no_changed_character_passes(where, shift):
    token = mint(SECRET, "CA1", 100.0, 60)
    at = where % len(token)
    changed = token[:at] + chr((ord(token[at]) + shift) % 128) + token[at + 1 :]
    if changed != token:
        assert TokenBook(SECRET).spend(changed, "CA1", "MZ1", 101.0) is not None


@settings(max_examples=50)
@given(st.text(max_size=250))
def test_nothing_that_anybody_sends_raises(text):
    assert TokenBook(SECRET).spend(text, "CA1", "MZ1", 101.0) is not None


def test_a_token_fits_a_parameter_of_any_carrier():
    assert re.fullmatch(r"[0-9a-f]+\.[\w-]{12}\.[\w-]{22}", mint(SECRET, "CA1", 1.8e9, 60))


def test_the_book_forgets_what_is_over():
    book = TokenBook(SECRET)
    for n in range(2000):
        now = float(n)
        assert book.spend(mint(SECRET, "CA1", now, 60), "CA1", f"MZ{n}", now) is None
        assert len(book) <= 62


def test_a_token_that_is_forgotten_has_expired():
    book = TokenBook(SECRET)
    token = mint(SECRET, "CA1", 100.0, 60)
    book.spend(token, "CA1", "MZ1", 100.0)
    assert "expired" in book.spend(token, "CA1", "MZ1", 200.0)
    assert len(book) == 0
