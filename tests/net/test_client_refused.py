"""Upgrades that are refused or cannot be asked for: named, and no key shown."""

import pytest
from tests.net.kit import Raw, asking, run
from tests.net.peers import BEARER, KEY, Peer, answer_upgrade, answering, failure, head, mute

BODY = b'{"error": {"code": "invalid_api_key", "message": "Incorrect API key provided: ' + KEY.encode() + b'."}}'


@pytest.mark.parametrize("way", ["one piece", "two pieces", "chunked", "until close", "never ends"])
def test_a_refusals_reason_is_read_however_it_comes_without_the_key(way):
    sized = head("401 Unauthorized", f"Content-Length: {len(BODY)}")
    chunks = b"%x\r\n%s\r\n%x\r\n%s\r\n0\r\n\r\n" % (30, BODY[:30], len(BODY) - 30, BODY[30:])
    do = {
        "one piece": answering(sized + BODY),
        "two pieces": answering(sized, BODY[:20], BODY[20:], pause_s=0.02),
        "chunked": answering(head("401 Unauthorized", "Transfer-Encoding: chunked"), chunks, pause_s=0.02),
        "until close": answering(head("401 Unauthorized"), BODY, pause_s=0.02, stay=False),
        "never ends": answering(head("401 Unauthorized", "Content-Length: 99999"), BODY),
    }[way]

    async def main():
        async with Peer(do) as peer:
            error = await failure(asking(peer.url, BEARER))
            assert (error.phase, error.status, error.retryable) == ("upgrade", 401, False)
            assert error.body == '{"error": {"code": "invalid_api_key", "message": "Incorrect API key provided: ***."}}'
            assert str(error) == f"upgrade: localhost answered 401 instead of 101: {error.body}"

    run(main)


def test_a_body_is_shown_in_its_first_200_characters():
    async def main():
        async with Peer(answering(head("500 Oops") + b"ab\n" * 10_000)) as peer:
            error = await failure(asking(peer.url))
            assert len(error.body) == 200 and len(str(error)) < 260

    run(main)


@pytest.mark.parametrize(("status", "again"), [(400, False), (403, False), (404, False), (429, True), (503, True)])
def test_whether_to_try_again_is_told_by_the_status(status, again):
    async def main():
        async with Peer(answering(head(f"{status} X", "Content-Length: 0"))) as peer:
            error = await failure(asking(peer.url, BEARER))
            assert (error.status, error.retryable) == (status, again)

    run(main)


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_not_followed_and_the_key_goes_nowhere(status):
    async def main():
        async with Peer(mute) as elsewhere:
            elsewhere_asked = []
            elsewhere._do = answering(b"")
            there = head(f"{status} Moved", f"Location: {elsewhere.url}", "Content-Length: 0")
            async with Peer(answering(there)) as peer:
                error = await failure(asking(peer.url, BEARER))
                assert error.status == status
                assert "redirects" in str(error) and "not followed" in str(error)
                assert elsewhere.heads == elsewhere_asked
                assert len(peer.heads) == 1

    run(main)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"SSH-2.0-OpenSSH_9.2\r\n", "not HTTP/1.1"),
        (b"\x15\x03\x03\x00\x02\x02\x32", "the URL must be wss://"),
        (b"HTTP/2 200\r\n\r\n", "not HTTP/1.1"),
        (b"HTTP/1.1 abc\r\n\r\n", "not HTTP/1.1"),
        (b"HTTP/1.1 101 X\r\n" + b"A: " + b"b" * 20_000, "not HTTP/1.1"),
        (b"\r\n\r\n", "not HTTP/1.1"),
        (head("101 Switching Protocols"), "invalid upgrade header"),
        (head("101 X", "Upgrade: websocket"), "invalid connection header"),
        (head("101 X", "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Accept: x"), "accept"),
        (head("101 X", "broken line"), "malformed header"),
    ],
)
def test_an_answer_that_is_none_is_named(answer, said):
    async def main():
        async with Peer(answering(answer)) as peer:
            error = await failure(asking(peer.url, BEARER))
            assert error.phase == "upgrade"
            assert said in str(error)

    run(main)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("Sec-WebSocket-Extensions: permessage-deflate", "an extension, none was offered"),
        ("Sec-WebSocket-Protocol: x", "chose subprotocol 'x', offered was a, b"),
    ],
)
def test_what_was_not_offered_may_not_be_chosen(line, said, monkeypatch):
    async def greedy(raw: Raw, peer: Peer) -> None:
        real = raw.send
        raw.send = lambda data: real(data.replace(b"\r\n\r\n", f"\r\n{line}\r\n\r\n".encode()))
        await answer_upgrade(raw)
        await raw.reader.read()

    async def main():
        async with Peer(greedy) as peer:
            error = await failure(asking(peer.url, BEARER, subprotocols=("a", "b")))
            assert (error.phase, error.retryable) == ("upgrade", False)
            assert said in str(error)

    run(main)


# ------------------------------------------------------------------------------------------ our own faults


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://h/", "wanted ws:// or wss://"),
        ("h:80/x", "wanted ws:// or wss://"),
        ("wss:///x", "a host"),
        (f"wss://user:{KEY}@h/", "credentials in the URL of h"),
        (f"wss://{KEY}@h/", "credentials in the URL"),
        ("wss://h:99999/", "Port out of range"),
        ("wss://[::1/", "url: "),
        ("wss://h/a b", "a blank"),
        ("wss://h/a\r\nX: y", "control character"),
        ("wss://h/ä", "no ASCII"),
    ],
)
def test_a_url_that_cannot_be_dialled_is_ours_and_is_not_dialled(url, said):
    async def main():
        error = await failure(asking(url))
        assert (error.phase, error.retryable) == ("url", False)
        assert said in str(error)

    run(main)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Authorization", f"Bearer {KEY}\n"),
        ("Authorization", f"Bearer {KEY}\r\nX-Injected: 1"),
        ("Authorization", f"Bearer {KEY}é"),
        ("Bad Name", KEY),
        ("", KEY),
    ],
)
def test_a_header_that_would_break_the_request_is_refused_without_its_value(name, value):
    async def main():
        async with Peer(mute) as peer:
            error = await failure(asking(peer.url, (name, value)))
            assert error.phase == "url"
            assert name in str(error)

    run(main)
