"""Chunks of a refusal's body; the rest of the sniffer is proven by dialling (test_client.py)."""

import pytest

from offhook.net.answers import _joined


@pytest.mark.parametrize(
    ("body", "wanted"),
    [
        (b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", b"abcde"),
        (b"3;ext=1\r\nabc\r\n0\r\n\r\n", b"abc"),
        (b"a\r\nabc", b"abc"),  # cut off: as much as came
        (b"3\r\nabc\r\nzz", b"abc"),
        (b"", b""),
        (b"no chunk", b""),
        (b"0\r\n\r\n5\r\nafter", b""),
    ],
)
def test_chunks_are_joined_as_far_as_they_came(body, wanted):
    assert _joined(body) == wanted
