"""Who can reach an address, and from how far a request came."""

import pytest

from offhook.evidence.reach import came_from_afar, is_private, same_place


@pytest.mark.parametrize(
    "host", ["localhost", "web", "10.0.0.4", "127.0.0.1", "::1", "fd00::1", "a.internal", "b.local"]
)
def test_private(host):
    assert is_private(host)


@pytest.mark.parametrize("host", ["voice.example.com", "8.8.8.8", "2606:4700::1"])
def test_public(host):
    assert not is_private(host)


@pytest.mark.parametrize(
    ("name", "value", "afar"),
    [
        ("X-Forwarded-For", "54.172.60.0, 10.0.0.1", True),
        ("CF-Connecting-IP", "2606:4700::1", True),
        ("X-Forwarded-Host", "voice.example.com:8443", True),
        ("X-Forwarded-Host", "voice.example.com", True),
        ("X-Forwarded-For", "127.0.0.1", False),
        ("X-Forwarded-For", "unknown", False),
        ("X-Forwarded-Host", "localhost:8080", False),
        ("Host", "voice.example.com", False),
    ],
)
def test_a_proxy_says_where_a_request_came_from(name, value, afar):
    assert came_from_afar([("Accept", "*/*"), (name, value)]) is afar


def test_places():
    assert same_place(("localhost", 80), ("127.0.0.1", None)) and same_place(("A.example", None), ("a.example.", 443))
    assert not same_place(("127.0.0.1", 1), ("127.0.0.1", 2)) and not same_place(("a.example", 1), ("b.example", 1))
