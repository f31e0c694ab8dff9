"""The console in a real browser, on a real server: watched, opened, jumped in, and tried with markup."""

import re

import pytest
from tests.console.browser import BROKEN, HOSTILE, MARKUP, SIZE, Caller, seen

pytestmark = pytest.mark.timeout(300)  # of which the distribution's browser may take most, once


def test_the_link_is_good_once_and_a_wrong_token_is_refused(server, browser, inside):
    assert "code" not in inside.url
    (cookie,) = inside.context.cookies()
    assert cookie["httpOnly"] and cookie["sameSite"] == "Strict" and cookie["value"] not in inside.content()
    assert inside.evaluate("document.cookie + JSON.stringify([localStorage, sessionStorage])") == "[{},{}]"
    stranger = browser.new_context().new_page()
    stranger.goto(server.link)  # spent
    stranger.get_by_role("alert").get_by_text("spent").wait_for()
    stranger.get_by_label("Token").fill("not-a-token")
    stranger.get_by_role("button", name="Log in").click()
    stranger.get_by_role("alert").get_by_text("no such token").wait_for()
    assert stranger.evaluate("fetch('../api/calls').then((answer) => answer.status)") in (401, 429)
    stranger.context.close()


def test_a_call_is_watched_heard_and_hung_up_and_then_read(server, inside):
    page = inside
    page.goto(server.url + "#/live")
    phone = Caller(server, "caller_hours")
    row = page.locator("tbody tr").first
    row.get_by_text("+1********01").wait_for()
    seen(
        page,
        "[...document.querySelectorAll('[data-side]')].some((bar) => /scaleX\\(0\\.[1-9]/.test(bar.style.transform))",
    )
    page.keyboard.press("j")
    aside = page.get_by_role("complementary", name="The chosen call")
    with page.expect_websocket(lambda socket: socket.url.endswith("/listen")) as listening:
        aside.get_by_role("button", name="Listen").click()
    listening.value.wait_for_event("framereceived", lambda frame: '"who":"caller"' in str(frame))
    aside.get_by_text("what are your opening hours").wait_for(timeout=60_000)
    aside.get_by_role("region", name="Verdict").get_by_text("nothing is broken so far").wait_for()
    aside.get_by_role("button", name="Stop listening").click()
    row.get_by_text(re.compile(r"^\d+ ms$")).wait_for()  # the answer's time
    aside.get_by_role("button", name="Hang up …").click()
    aside.get_by_role("button", name="Hang up now").click()
    ended = page.get_by_role("region", name="Ended while you watched")
    ended.get_by_text("healthy").wait_for(timeout=60_000)
    phone.ended()
    ended.get_by_role("link").first.click()
    _read_a_healthy_call(page)


def _read_a_healthy_call(page):
    page.locator("[data-verdict=healthy]").wait_for()
    page.get_by_role("region", name="After the call").get_by_text("Nothing was to be done").wait_for()
    box = page.get_by_role("img", name=re.compile("time axis"))
    seen(page, _INK, ["Caller's voice", 25, 65])
    seen(page, _INK, ["ladder", 190, 300])
    # from the whole call to one frame, at the place where the pointer is
    before = page.locator(".tools .soft.num").inner_text()
    box.hover(position={"x": 500, "y": 60})
    for _ in range(30):
        page.mouse.wheel(0, -400)
    seen(page, "(before) => document.querySelector('.tools .soft.num').innerText !== before", before)
    begin, end = page.locator(".tools .soft.num").inner_text().split(" – ")
    assert 0 <= float(end.split(":")[1]) - float(begin.split(":")[1]) <= 0.03, (begin, end)
    page.keyboard.press("0")
    # a message opens to its fields, explained
    page.keyboard.press("m")
    page.get_by_role("option", name=re.compile(r"C< ?start")).click()
    page.keyboard.press("j")
    page.keyboard.press("k")
    chosen = page.get_by_role("region", name="The chosen message")
    chosen.get_by_text("start.mediaFormat.encoding").wait_for()
    chosen.get_by_text("G.711").first.wait_for()
    # the recording plays, and the picture with it
    page.keyboard.press("Space")
    seen(page, "document.querySelector('audio').currentTime > 0.4")
    page.keyboard.press("Space")
    assert page.evaluate("document.querySelector('audio').paused")
    page.get_by_role("tab", name="Transcript").click()
    page.locator("ol li.caller").get_by_text("what are your opening hours").wait_for()
    page.get_by_text("End of speech → first audible word").wait_for()


# Whether a stretch of the canvas has ink on it, by its rows.
_INK = """([, from, to]) => {
  const canvas = document.querySelector('canvas'), ratio = devicePixelRatio;
  const at = canvas.getContext('2d').getImageData(0, from * ratio, canvas.width, (to - from) * ratio).data;
  let ink = 0;
  for (let i = 3; i < at.length; i += 4) if (at[i] > 200) ink++;
  return ink > 300;
}"""


def test_the_proof_of_a_broken_call_is_one_click_away(server, inside):
    page = inside
    page.goto(f"{server.url}#/calls/{BROKEN}")
    verdict = page.locator("[data-verdict=broken]")
    verdict.get_by_text("session.temperature").first.wait_for()
    verdict.get_by_role("button", name=re.compile("provider-session")).click()
    verdict.locator("article", has_text="session.temperature").get_by_role("button", name="line 5").click()
    chosen = page.get_by_role("region", name="The chosen message")
    chosen.get_by_text("session.rejected").first.wait_for()
    assert page.locator(".guilty.chosen").count() == 1
    page.get_by_text("first mark: missed after 800 ms").wait_for()
    verdict.get_by_role("link", name="provider-session/rejected").click()
    page.get_by_text("Caller notices").wait_for()


def test_what_a_caller_or_a_model_says_is_text(server, inside):
    page = inside
    for place in (f"calls/{HOSTILE}", f"calls/{BROKEN}", "calls", f"compare/{HOSTILE}/{BROKEN}"):
        page.goto(f"{server.url}#/{place}")
        page.get_by_text("<img src=x").first.wait_for()
        if place.startswith("compare"):
            page.get_by_role("row", name="Deadlines missed none first mark").wait_for()  # not those that were met
        if place.startswith("calls/"):
            page.keyboard.press("m")
            page.keyboard.press("j")
            page.get_by_role("region", name="The chosen message").get_by_text("<script>").first.wait_for()
        assert page.locator("body[data-owned]").count() == 0 and page.locator("main img").count() == 0
    page.goto(f"{server.url}#/%3Cimg%20src=x%3E")
    page.get_by_text("There is no page “<img src=x>”").wait_for()
    assert MARKUP in page.evaluate(
        f"fetch('../api/calls/{HOSTILE}/transcript').then((got) => got.json()).then((got) => got.turns[0].text)"
    )


def test_calls_are_found_and_pages_are_reached_by_keys(server, inside):
    page = inside
    page.goto(server.url + "#/live")
    page.keyboard.press("g")
    page.keyboard.press("c")
    page.get_by_role("heading", name="Calls").wait_for()
    page.get_by_label("Verdict").select_option("broken")
    seen(page, "location.hash.includes('verdict=broken')")  # an address to send to somebody
    seen(page, "[...document.querySelectorAll('tbody .pill')].every((pill) => pill.classList.contains('broken'))")
    finding = page.get_by_role("combobox", name="Finding")
    finding.press("ArrowDown")
    page.get_by_role("option", name="provider-session/rejected").get_by_text(
        re.compile("^[A-Z].{5}")
    ).wait_for()  # its title
    finding.press_sequentially("rejec")
    finding.press("ArrowDown")
    finding.press("Enter")
    seen(page, "location.hash.includes('finding=provider-session%2Frejected')")
    page.keyboard.press("Escape")
    page.keyboard.press("Enter")
    page.locator("[data-verdict=broken]").wait_for()
    page.keyboard.press("?")
    page.get_by_role("dialog").get_by_text("next guilty message").wait_for()
    page.keyboard.press("Escape")
    page.goto(server.url + "#/checks")
    page.get_by_label("Run audio").check()
    page.get_by_role("button", name="Run 1").click()
    page.get_by_text(re.compile("over; 1 of 1 done")).wait_for(timeout=60_000)
    page.locator("tr", has_text="audio").get_by_text("proven").wait_for()
    page.goto(server.url + "#/faults")
    page.get_by_label("Search faults").fill("31951")
    page.get_by_role("region", name="Code 31951").wait_for()


def test_a_narrow_screen_needs_no_sideways_scrolling(server, inside):
    page = inside
    page.set_viewport_size({"width": 390, "height": 800})
    for place in ("live", "calls", f"calls/{BROKEN}", "faults", "agents", "checks", "settings"):
        page.goto(f"{server.url}#/{place}")
        page.wait_for_load_state("networkidle")
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, place
    page.set_viewport_size(SIZE)


def test_a_server_that_is_away_is_asked_until_it_is_back_and_who_is_let_in_no_more_is_told(server, browser, inside):
    context = browser.new_context(storage_state=inside.context.storage_state())
    page = context.new_page()
    page.goto(server.url + "#/settings")
    page.get_by_text("[provider]").wait_for()
    context.set_offline(True)
    page.get_by_role("link", name="Agents").click()
    page.get_by_role("alert").get_by_text("The server does not answer").wait_for()
    context.set_offline(False)
    page.get_by_role("heading", name="What it is told").wait_for()
    context.clear_cookies()
    page.get_by_role("link", name="Settings").click()
    page.get_by_label("Token").wait_for()
    context.close()
