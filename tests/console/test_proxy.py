"""The console, calls and talks behind a real nginx that has TLS and puts them under a path of a shared host."""

import asyncio
import json
import re
import subprocess
import threading
import time
import urllib.error
import urllib.request
from contextlib import contextmanager

import pytest
from tests.console.browser import TOKEN, Caller, Server, chromium, program, seen
from tests.net.kit import Certificates
from tests.ports import free_port

from offhook.sims.run_account import ACCOUNT, SimAccount
from offhook.sims.run_webhook import Route

pytestmark = pytest.mark.timeout(300)  # of which the distribution's packages may take most, once
HOST = "voice.offhook.example"
NUMBER = "+15550100002"
PAGES = {
    "Talk": "Microphone", "Calls": "Verdict", "Faults": "carrier-stream", "Agents": "What it is told",
    "Numbers": NUMBER, "Checks": "provider", "Settings": "public_url",
}  # fmt: skip
# As docs/console.md has it; and a second way in, which leaves the prefix on and passes no WebSockets on.
CONFIG = """
daemon off; master_process off; pid {folder}/pid; error_log {folder}/errors;
events {{}}
http {{
  map $http_upgrade $connection_upgrade {{ default upgrade; "" close; }}
  access_log {folder}/asked; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  server {{
    listen 127.0.0.1:{port} ssl; server_name {host}; ssl_certificate {cert}; ssl_certificate_key {key};
    location /phone/ {{ {documented}
    }}
    location /plain/ {{
      proxy_pass http://127.0.0.1:{server}/phone/; proxy_set_header Host $http_host; proxy_buffering off;
    }}
    location / {{ return 404 "another program's\\n"; }}
  }}
}}
"""


def documented(docs, port):
    """The location of docs/console.md, for the server on that port."""
    found = re.search(r"location /phone/ \{(.*?)\n\}", docs, re.DOTALL)
    assert found is not None and found[1].count("http://127.0.0.1:8080/") == 1
    return found[1].replace("127.0.0.1:8080", f"127.0.0.1:{port}")


@contextmanager
def account():
    """A simulated carrier's account on a thread of its own."""
    began, over = threading.Event(), threading.Event()
    made = SimAccount(TOKEN, (NUMBER,))

    async def run():
        async with made:
            began.set()
            while not over.is_set():  # noqa: ASYNC110  # of another thread
                await asyncio.sleep(0.05)

    thread = threading.Thread(target=lambda: asyncio.run(run()), daemon=True)
    thread.start()
    assert began.wait(10)
    yield made
    over.set()
    thread.join(10)


class World:
    """Account, server and nginx, and a browser for which the public name leads here."""

    def __init__(self, folder, docs, carrier, browser, port):
        self.folder, self.carrier, self.browser = folder, carrier, browser
        program_ = program("nginx", "no proxy stood before the console")
        certificates = Certificates(folder, HOST)
        self.public = f"https://{HOST}:{port}/phone"
        self.server = Server(folder, self.public, TWILIO_ACCOUNT_SID=ACCOUNT, OFFHOOK_CARRIER_REST_URL=carrier.url)
        self.route = Route((HOST, port), ("127.0.0.1", port), certificates.trusting())
        config = folder / "nginx.conf"
        config.write_text(
            CONFIG.format(folder=folder, port=port, host=HOST, cert=certificates.cert, key=certificates.key,
                          documented=documented(docs, self.server.port), server=self.server.port)
        )  # fmt: skip
        self.nginx = subprocess.Popen([program_, "-c", str(config), "-p", str(folder)], stderr=subprocess.DEVNULL)
        try:
            self._answers(port)
            self.token = self._token()
        except BaseException:
            self.stop()
            raise

    def _answers(self, port):
        end = time.monotonic() + 20
        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=60)
            except urllib.error.HTTPError:  # plain HTTP to a TLS port: it is there
                return
            except OSError:
                assert self.nginx.poll() is None and time.monotonic() < end, (self.folder / "errors").read_text()
                time.sleep(0.02)

    def _token(self):
        """A token, by the session that the server's link opens."""
        code = self.server.link.partition("code=")[2]
        session, headers = self._ask("login", {"code": code})
        cookie = headers["set-cookie"].partition(";")[0]
        asked = {"name": "tests", "scopes": ["admin"]}
        return self._ask("tokens", asked, Cookie=cookie, **{"X-Offhook-CSRF": session["csrf"]})[0]["token"]

    def _ask(self, path, body, **headers):
        url, headers = (
            f"http://127.0.0.1:{self.server.port}/api/{path}",
            {"Content-Type": "application/json", **headers},
        )
        asked = urllib.request.Request(url, json.dumps(body).encode(), headers)
        with urllib.request.urlopen(asked, timeout=60) as answer:
            return json.load(answer), answer.headers

    def enter(self, page, at):
        """Open an address and log in."""
        page.goto(at)
        page.get_by_label("Token").fill(self.token)
        page.get_by_role("button", name="Log in").click()
        page.get_by_role("navigation", name="Pages").wait_for()

    def page(self):
        context = self.browser.new_context(ignore_https_errors=True, viewport={"width": 1280, "height": 860})
        context.set_default_timeout(60_000)
        return context.new_page()

    def stop(self):
        self.nginx.terminate()
        self.nginx.wait(10)
        self.server.stop()


@pytest.fixture(scope="module")
def world(tmp_path_factory, request):
    from playwright.sync_api import sync_playwright

    docs = (request.config.rootpath / "docs/console.md").read_text()
    args = ["--no-sandbox", f"--host-resolver-rules=MAP {HOST} 127.0.0.1",
            "--autoplay-policy=no-user-gesture-required"]  # fmt: skip
    path = chromium()
    with account() as carrier, sync_playwright() as play:
        browser = play.chromium.launch(executable_path=path, args=args)
        made = World(tmp_path_factory.mktemp("proxy"), docs, carrier, browser, free_port())
        yield made
        made.stop()
        browser.close()


def test_every_page_works_under_a_prefix(world):
    page, complaints = world.page(), []
    page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("response", lambda got: complaints.append(got.url) if got.status >= 400 else None)
    with page.expect_websocket(lambda one: one.url.startswith(world.public.replace("https", "wss") + "/api/live")):
        world.enter(page, f"{world.public}/")  # a browser that was given the bare address
        assert page.url.startswith(world.public + "/console/")
    complaints.clear()  # that nobody was logged in
    page.get_by_role("status").get_by_text("connected", exact=True).wait_for()
    (cookie,) = page.context.cookies()
    # to nobody else on this host
    assert (cookie["path"], cookie["secure"], cookie["httpOnly"]) == ("/phone/api", True, True)
    phone = Caller(world.server, stay_s=3, route=world.route)  # webhook and stream through the proxy as well
    page.locator("tbody tr").first.wait_for()
    page.keyboard.press("j")
    aside = page.get_by_role("complementary", name="The chosen call")
    with page.expect_websocket(lambda one: one.url.endswith("/listen")) as listening:
        aside.get_by_role("button", name="Listen").click()
    listening.value.wait_for_event("framereceived", lambda frame: '"media"' in str(frame))
    ended = page.get_by_role("region", name="Ended while you watched")
    ended.get_by_text("healthy").wait_for()
    phone.ended()
    with page.expect_response(re.compile("/phone/api/calls/[^/]+/recording")) as recording:
        ended.get_by_role("link").first.click()
        page.get_by_role("region", name="Verdict").get_by_text("healthy").wait_for()
    assert recording.value.status == 206 and "content-range" in recording.value.headers
    page.keyboard.press("Space")
    seen(page, "document.querySelector('audio').currentTime > 0.4")
    page.keyboard.press("Space")
    with page.expect_download() as loading:
        page.get_by_role("link", name="Share").click()
    assert loading.value.path().stat().st_size > 10_000
    for name, text in PAGES.items():
        page.get_by_role("navigation", name="Pages").get_by_role("link", name=name).click()
        page.locator("main").get_by_text(text).first.wait_for()
    page.goto(f"{world.public}/api/docs")
    page.get_by_text("/calls/{call}/ladder").first.wait_for()
    assert not complaints, complaints


def test_one_talks_in_writing_through_the_proxy(world):
    page = world.page()
    world.enter(page, f"{world.public}/console/#/talk")
    page.get_by_role("button", name="Write only").click()
    page.get_by_text("Hello, this is the front desk.").wait_for()
    page.get_by_label("A line for the agent").fill("goodbye")
    page.keyboard.press("Enter")
    page.get_by_text("Over after").get_by_text("healthy").wait_for()
    page.get_by_role("link", name="Read the call").click()
    webhook = page.get_by_role("region", name="Verdict").get_by_role("button", name="webhook not part")
    webhook.click()
    page.get_by_text("webhook: not part of this call, it began at a screen").wait_for()
    page.context.close()


def test_a_number_is_pointed_here_and_put_back(world):
    world.carrier.account.numbers[next(iter(world.carrier.account.numbers))].voice_url = "https://before.example/voice"
    page = world.page()
    world.enter(page, f"{world.public}/console/#/numbers")
    row = page.get_by_role("row").filter(has_text=NUMBER).first
    row.get_by_text("https://before.example/voice").wait_for()
    row.get_by_role("button", name="Point here …").click()
    (number,) = world.carrier.account.numbers.values()
    assert number.voice_url == "https://before.example/voice"  # nothing is done before it was said twice
    page.get_by_role("button", name=f"Point {NUMBER} here").click()
    row.get_by_text("this server").wait_for()
    assert number.voice_url == world.public + "/twilio/voice"
    row.get_by_role("button", name="Put back …").click()
    page.get_by_role("button", name=f"Put {NUMBER} back").click()
    row.get_by_role("button", name="Point here …").wait_for()
    assert number.voice_url == "https://before.example/voice"
    page.context.close()


def test_where_no_websocket_gets_through_calls_are_watched_all_the_same_and_talk_says_why(world):
    page = world.page()
    at = world.public.removesuffix("/phone") + "/plain/console/"
    world.enter(page, at)
    page.get_by_role("status").get_by_text("connected", exact=True).wait_for()
    phone = Caller(world.server, stay_s=3)  # with the prefix on
    page.locator("tbody tr").first.wait_for()
    seen(
        page,
        "[...document.querySelectorAll('[data-side]')].some((bar) => /scaleX\\(0\\.[1-9]/.test(bar.style.transform))",
    )
    phone.ended()
    page.goto(f"{at}#/talk")
    page.get_by_role("button", name="Write only").click()
    page.get_by_role("alert").get_by_text("must pass WebSockets on").wait_for()
    page.context.close()
