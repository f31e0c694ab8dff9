"""Who is let in: tokens, sessions, this machine; and who is not."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from offhook.api.access import COOKIE, CSRF_HEADER, FRESH_S, STALE_S, TRIES, Access, Asked, Denied, host_allowed
from offhook.store.database import default_url
from offhook.store.state import StoreError
from offhook.store.tokens import Tokens


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def tokens(tmp_path: Path) -> Tokens:
    return Tokens(default_url(tmp_path))


def asked(method: str = "GET", client: str = "203.0.113.9", **headers: str) -> Asked:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Asked(method, client, {"host": "voice.example.com", **named})


def bearer(text: str, client: str = "203.0.113.9") -> Asked:
    return asked(client=client, authorization=f"Bearer {text}")


def who(access: Access, request: Asked) -> Any:
    return asyncio.run(access.who(request))


def why(access: Access, request: Asked) -> Denied:
    with pytest.raises(Denied) as denied:
        who(access, request)
    return denied.value


def test_a_token_is_shown_once_kept_as_a_hash_and_has_its_scopes(tokens: Tokens, tmp_path: Path):
    token, text = tokens.make("bot", ["read", "place"])
    found = who(Access(tokens.all), bearer(text))
    assert (found.name, found.how) == ("bot", "token")
    assert found.may("place") and not found.may("control")
    secret = text.split("_", 2)[2]  # which may have one of its own, at its very end too
    assert len(secret) == 43
    assert not any(secret.encode() in path.read_bytes() for path in tmp_path.iterdir()), "the store has the secret"
    assert tokens.all() == [token]


def test_admin_may_everything(tokens: Tokens):
    _, text = tokens.make("root", ["admin"])
    assert who(Access(tokens.all), bearer(text)).may("audio")


@pytest.mark.parametrize(
    "spoil", [lambda t: t + "x", lambda t: t[:-1], lambda t: "ofk_00000000_" + t[13:], lambda t: "é"]
)
def test_anything_else_than_the_token_is_nothing(tokens: Tokens, spoil: Any):
    _, text = tokens.make("bot", ["read"])
    assert why(Access(tokens.all), bearer(spoil(text))).status == 401


def test_a_revoked_token_is_refused_as_soon_as_the_tokens_are_read_again(tokens: Tokens):
    clock = Clock()
    access = Access(tokens.all, now=clock)
    token, text = tokens.make("bot", ["read"])
    who(access, bearer(text))
    assert [one.id for one in tokens.revoke("bot")] == [token.id]
    clock.now += FRESH_S
    assert why(access, bearer(text)).status == 401
    assert tokens.revoke("bot") == []


def test_a_token_runs_out(tokens: Tokens):
    unix = Clock()
    _, text = tokens.make("bot", ["read"], days=1)
    access = Access(tokens.all, unix=unix)
    unix.now = tokens.all()[0].made_at / 1000 + 86_399
    who(access, bearer(text))
    unix.now += 1
    assert why(access, bearer(text)).status == 401


def test_tokens_are_listed_the_oldest_first(tokens: Tokens, monkeypatch: pytest.MonkeyPatch):
    for name, at in (("first", 1_000_000), ("second", 1_000_060), ("third", 1_000_030)):
        monkeypatch.setattr("time.time", lambda at=at: at)
        tokens.make(name, ["read"])
    assert [one.name for one in tokens.all()] == ["first", "third", "second"]


def test_a_store_that_fails_keeps_its_tokens_for_a_while_and_then_nobody_is_let_in(tokens: Tokens):
    clock, broken = Clock(), False

    def load() -> Any:
        if broken:
            raise StoreError("the disk is full")
        return tokens.all()

    access = Access(load, now=clock)
    _, text = tokens.make("bot", ["read"])
    who(access, bearer(text))
    broken = True
    clock.now += STALE_S
    who(access, bearer(text))
    clock.now += FRESH_S
    told = why(access, bearer(text))
    assert told.status == 503 and "the disk is full" in told.why


def test_failed_tries_are_counted_by_address_and_a_good_token_is_let_in_all_the_same(tokens: Tokens):
    clock = Clock()
    access = Access(tokens.all, now=clock)
    _, text = tokens.make("bot", ["read"])
    for _ in range(TRIES):
        assert why(access, bearer("ofk_x")).status == 401
    told = why(access, bearer("ofk_x"))
    assert told.status == 429 and told.retry_s == 60
    assert why(access, bearer("ofk_x", client="203.0.113.10")).status == 401
    who(access, bearer(text))
    clock.now += 61
    assert why(access, bearer("ofk_x")).status == 401


LOCAL = {"client": "127.0.0.1", "host": "127.0.0.1:8080"}


def test_this_machine_needs_a_token_unless_the_settings_say_otherwise(tokens: Tokens):
    assert why(Access(tokens.all), asked(**LOCAL)).status == 401
    assert who(Access(tokens.all, open_to_loopback=True), asked(**LOCAL)).how == "loopback"


@pytest.mark.parametrize(
    "more",
    [
        {"client": "203.0.113.9"}, {"host": "voice.example.com"}, {"x_forwarded_for": "203.0.113.9"},
        {"forwarded": "for=203.0.113.9"}, {"cf_connecting_ip": "203.0.113.9"},
    ],
)  # fmt: skip
def test_what_comes_through_a_tunnel_is_not_this_machine(tokens: Tokens, more: dict[str, str]):
    assert why(Access(tokens.all, open_to_loopback=True), asked(**{**LOCAL, **more})).status == 401


@pytest.mark.parametrize("page", [{"origin": "https://evil.example"}, {"sec_fetch_site": "cross-site"}])
def test_a_page_elsewhere_cannot_use_that_this_machine_is_let_in(tokens: Tokens, page: dict[str, str]):
    access = Access(tokens.all, open_to_loopback=True)
    assert why(access, asked("POST", **LOCAL, **page)).status == 403
    own = {"origin": "http://127.0.0.1:8080", "sec_fetch_site": "same-origin"}
    who(access, asked("POST", **LOCAL, **own))


@pytest.mark.parametrize(
    ("host", "good"),
    [
        ("127.0.0.1:8080", True), ("localhost", True), ("[::1]:8080", True), ("voice.example.com", True),
        ("VOICE.example.com:443", True), ("127.0.0.2", True), ("[::ffff:127.0.0.1]", True), ("evil.example", False),
        ("127.0.0.1.evil.example", False), ("", False), ("10.0.0.1", False), ("[", False), ("a@evil", False),
    ],
)  # fmt: skip
def test_a_name_that_is_not_this_servers_is_refused(host: str, good: bool):
    assert host_allowed(host, ["voice.example.com"]) is good


def test_a_login_code_opens_one_session_and_its_requests_need_the_word(tokens: Tokens):
    access = Access(tokens.all)
    code = access.code()
    value, session = asyncio.run(access.login(asked("POST"), code=code))
    with pytest.raises(Denied):
        asyncio.run(access.login(asked("POST"), code=code))
    cookie = f"other=1; {COOKIE}={value}"
    assert who(access, asked(cookie=cookie)).how == "session"
    assert why(access, asked("POST", cookie=cookie)).status == 403
    word = {CSRF_HEADER: session.csrf}
    assert who(access, asked("POST", cookie=cookie, **word)).may("control")
    assert why(access, asked("POST", cookie=cookie, origin="https://evil.example", **word)).status == 403
    access.logout(asked(cookie=cookie))
    assert why(access, asked(cookie=cookie)).status == 401


def test_a_session_ends_with_the_token_that_opened_it(tokens: Tokens):
    clock = Clock()
    access = Access(tokens.all, now=clock)
    _, text = tokens.make("console", ["read"])
    value, _ = asyncio.run(access.login(asked("POST"), token=text))
    assert not who(access, asked(cookie=f"{COOKIE}={value}")).may("control")
    tokens.revoke("console")
    clock.now += FRESH_S
    assert why(access, asked(cookie=f"{COOKIE}={value}")).status == 401


def test_sessions_and_codes_run_out(tokens: Tokens):
    clock = Clock()
    access = Access(tokens.all, now=clock)
    late, code = access.code(), access.code()
    value, _ = asyncio.run(access.login(asked("POST"), code=code))
    clock.now += 601
    with pytest.raises(Denied):
        asyncio.run(access.login(asked("POST"), code=late))
    clock.now += 12 * 3600
    assert why(access, asked(cookie=f"{COOKIE}={value}")).status == 401
