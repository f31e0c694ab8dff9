"""Where tools, lookups and hooks may connect to: each address behind a name is judged, and the judged one is used."""

import asyncio
import socket
from typing import Any

import pytest

from offhook.outward import Forbidden, OutwardError, forbidden, pinned, split


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1",
        "255.255.255.255", "::1", "::", "fd00:ec2::254", "fe80::1%eth0", "::ffff:127.0.0.1", "::ffff:169.254.169.254",
        "64:ff9b::7f00:1", "2002:7f00:1::", "fec0::1", "198.18.0.1",
    ],
)  # fmt: skip
def test_what_is_not_public_is_refused(address: str):
    assert forbidden(address, "host.example", ())


@pytest.mark.parametrize("address", ["93.184.216.34", "2606:2800:220:1:248:1893:25c8:1946", "64:ff9b::5db8:d822"])
def test_what_is_public_is_not(address: str):
    assert forbidden(address, "host.example", ()) == ""


def test_a_name_an_address_or_a_network_may_be_allowed():
    assert forbidden("127.0.0.1", "localhost", ("localhost",)) == ""
    assert forbidden("10.1.2.3", "crm.internal", ("10.0.0.0/8",)) == ""
    assert forbidden("10.1.2.3", "crm.internal", ("10.1.2.4",))
    assert forbidden("169.254.169.254", "evil.example", ("crm.internal", "10.0.0.0/8"))


def resolves_to(monkeypatch: Any, *addresses: str) -> None:
    async def getaddrinfo(self: Any, host: str, port: int, **_: Any) -> Any:
        if not addresses:
            raise socket.gaierror("no such name")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]

    monkeypatch.setattr(asyncio.SelectorEventLoop, "getaddrinfo", getaddrinfo)


def test_one_private_address_among_public_ones_is_enough(monkeypatch: Any):
    resolves_to(monkeypatch, "93.184.216.34", "127.0.0.1")
    with pytest.raises(Forbidden, match=r"rebind\.example may not be connected to: 127\.0\.0\.1"):
        asyncio.run(pinned("rebind.example", 443))


def test_the_address_that_was_judged_is_the_one_to_connect_to(monkeypatch: Any):
    resolves_to(monkeypatch, "93.184.216.34")
    assert asyncio.run(pinned("www.example", 443)) == "93.184.216.34"


def test_a_name_without_an_address_is_said_in_words(monkeypatch: Any):
    resolves_to(monkeypatch)
    with pytest.raises(OutwardError, match=r"nowhere\.example has no address"):
        asyncio.run(pinned("nowhere.example", 443))


@pytest.mark.parametrize("url", ["file:///etc/passwd", "gopher://x", "https://user:secret@host/", "https:///path"])
def test_addresses_that_nobody_may_ask_for(url: str):
    with pytest.raises(ValueError):
        split(url)
