"""Which proxy a URL goes through."""

import pytest

from offhook.proxies import choose_proxy

PROXY = "http://proxy.test:3128"
URL = "wss://api.example.test/v1"


@pytest.mark.parametrize(
    ("url", "environment", "wanted"),
    [
        (URL, {}, None),
        (URL, {"HTTPS_PROXY": PROXY}, PROXY),
        (URL, {"https_proxy": PROXY}, PROXY),
        (URL, {"ALL_PROXY": PROXY}, PROXY),
        (URL, {"HTTP_PROXY": PROXY}, None),
        (URL, {"HTTPS_PROXY": "", "https_proxy": PROXY}, PROXY),
        ("https://api.example.test/", {"HTTPS_PROXY": PROXY}, PROXY),
        ("ws://api.example.test/", {"HTTP_PROXY": PROXY}, PROXY),
        ("ws://api.example.test/", {"HTTPS_PROXY": PROXY}, None),
        ("ws://localhost/", {"HTTP_PROXY": PROXY}, None),
        ("ws://127.0.0.2:80/", {"HTTP_PROXY": PROXY}, None),
        ("ws://[::1]/", {"HTTP_PROXY": PROXY}, None),
        (URL, {"HTTPS_PROXY": PROXY, "NO_PROXY": "*"}, None),
        (URL, {"HTTPS_PROXY": PROXY, "NO_PROXY": "other.test, .example.test"}, None),
        (URL, {"HTTPS_PROXY": PROXY, "NO_PROXY": "Example.TEST"}, None),
        (URL, {"HTTPS_PROXY": PROXY, "no_proxy": "api.example.test"}, None),
        (URL, {"HTTPS_PROXY": PROXY, "NO_PROXY": "ample.test,"}, PROXY),
        ("wss://API.example.test/", {"HTTPS_PROXY": PROXY, "NO_PROXY": "api.example.test"}, None),
        ("wss://10.1.2.3/", {"HTTPS_PROXY": PROXY, "NO_PROXY": "10.0.0.0/8"}, None),
        ("wss://11.1.2.3/", {"HTTPS_PROXY": PROXY, "NO_PROXY": "10.0.0.0/8,bad/net"}, PROXY),
    ],
)
def test_the_proxy_of_a_url(url, environment, wanted):
    assert choose_proxy(url, environment) == wanted
