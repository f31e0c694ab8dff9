"""A server with its console and a browser that is logged in, for each file of tests that asks for them."""

import pytest
from tests.console.browser import SIZE, Server, chromium


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    program = chromium()
    running = Server(tmp_path_factory.mktemp("console"))
    running.chromium = program
    yield running
    running.stop()


@pytest.fixture(scope="module")
def browser(server):
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        args = ["--no-sandbox", "--autoplay-policy=no-user-gesture-required"]
        running = play.chromium.launch(executable_path=server.chromium, args=args)
        yield running
        running.close()


@pytest.fixture(scope="module")
def inside(server, browser):
    """A browser whose session the link has opened; every complaint of its pages is a failure."""
    context = browser.new_context(viewport=SIZE)
    context.set_default_timeout(60_000)
    complaints = []
    # (that the canvas is read at all is this test's doing)
    context.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
    context.on("weberror", lambda error: complaints.append(str(error.error)))
    page = context.new_page()
    elsewhere = []
    page.on("request", lambda asked: elsewhere.append(asked.url) if f":{server.port}/" not in asked.url else None)
    page.goto(server.link)
    page.get_by_role("heading", name="Live").wait_for()
    yield page
    assert not complaints and not [url for url in elsewhere if not url.startswith("blob:")], (complaints, elsewhere)
    context.close()
