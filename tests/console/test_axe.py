"""axe, which knows what a screen reader needs, on every page: wide in light, narrow in dark."""

import re

import pytest
from axe_playwright_python.base import AXE_SCRIPT
from tests.console.browser import BROKEN, HOSTILE, SIZE, Caller, seen

pytestmark = pytest.mark.timeout(300)  # of which the distribution's browser may take most, once
AXE = """async (rules) => {
  await new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn)));
  const found = await axe.run(document, rules ? {runOnly: rules} : {});
  return {passes: found.passes.length, violations: found.violations};
}"""
PLACES = {  # and what is there when it is whole
    "live": "Boundaries", "talk": "Microphone", "calls": "Verdict", f"calls/{BROKEN}": "line 5",
    f"calls/{HOSTILE}": "<img src=x", f"compare/{HOSTILE}/{BROKEN}": "Length", "faults": "carrier-stream",
    "faults/carrier-stream/misspelt-field": "Caller notices", "agents": "What it is told", "checks": "provider",
    "settings": "public_url", "no-such-page": "There is no page",
}  # fmt: skip


# What may differ where only the look does: asked a second time.
LOOKS = ["color-contrast", "scrollable-region-focusable", "target-size", "link-in-text-block", "aria-hidden-focus"]


def serious(page, where):
    """What axe finds that keeps somebody out: light and wide, then dark and narrow."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE_SCRIPT)  # past the policy, which would not take a script of another's
    bad = []
    for scheme, size, rules in (("light", SIZE, None), ("dark", {"width": 390, "height": 800}, LOOKS)):
        page.emulate_media(color_scheme=scheme)
        page.set_viewport_size(size)
        found = page.evaluate(AXE, rules)
        assert found["passes"], (where, "axe looked at nothing")
        bad += [
            (where, scheme, one["id"], node["html"][:160], node["failureSummary"])
            for one in found["violations"] if one["impact"] in ("serious", "critical") for node in one["nodes"]
        ]  # fmt: skip
    page.set_viewport_size(SIZE)
    page.emulate_media(color_scheme="light")
    return bad


def test_axe_finds_nothing_serious_on_any_page(server, browser, inside):
    page = inside
    phone = Caller(server, "caller_hours", stay_s=4)
    page.goto(server.url + "#/live")
    page.locator("tbody tr").first.wait_for()
    page.keyboard.press("j")
    page.get_by_role("complementary", name="The chosen call").wait_for()
    bad = serious(page, "live, with a call chosen")
    for place, text in PLACES.items():
        page.goto(f"{server.url}#/{place}")
        page.locator("main").get_by_text(text).first.wait_for()
        if place == "calls":
            page.get_by_role("combobox", name="Agent").press("ArrowDown")
            page.get_by_role("listbox", name="Agent").wait_for()
        bad += serious(page, place)
    phone.ended()
    bad += _a_healthy_call(server, browser, page)
    stranger = browser.new_context().new_page()
    stranger.goto(f"{server.url}#/login")
    stranger.get_by_label("Token").wait_for()
    bad += serious(stranger, "login")
    stranger.context.close()
    assert not bad, "\n\n".join(map(str, bad))


def _a_healthy_call(server, browser, page):
    """With a message open, the keys' help over it; then as the file that is shared."""
    page.goto(server.url + "#/calls")
    healthy = "fetch('../api/calls?verdict=healthy').then((got) => got.json()).then((got) => got.calls[0]?.id)"
    seen(page, healthy)
    record = page.evaluate(healthy)
    page.goto(f"{server.url}#/calls/{record}")
    page.locator("[data-verdict=healthy]").wait_for()
    page.keyboard.press("m")
    page.get_by_role("option", name=re.compile(r"C< ?start")).click()
    page.get_by_text("start.mediaFormat.encoding").first.wait_for()
    bad = serious(page, "a healthy call")
    page.keyboard.press("?")
    page.get_by_role("dialog").wait_for()
    bad += serious(page, "help")
    page.keyboard.press("Escape")
    shared = browser.new_page()
    shared.set_content(page.evaluate(f"fetch('../api/calls/{record}/share').then((got) => got.text())"))
    shared.get_by_text("On the time axis").wait_for()
    bad += serious(shared, "the shared file")
    shared.close()
    return bad
