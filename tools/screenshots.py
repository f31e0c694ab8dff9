"""
Takes the pictures of the docs: the demo's call watched live and read, and a call that a fault breaks.

    python tools/screenshots.py        # writes docs/images/*.png; needs the dev dependencies and chromium
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
IMAGES = ROOT / "docs" / "images"
TOKEN = "0123456789abcdef0123456789abcdef"
PUBLIC = "https://demo.offhook.example"
FAKE_PORT, FAULT = 18790, "pcm16-as-pcmu"


@contextmanager
def started(*arguments: str, **environment: str) -> Iterator[Any]:
    """One of our commands; its output is its lines."""
    process = subprocess.Popen(
        [sys.executable, "-m", "offhook", *arguments],
        stdout=subprocess.PIPE, text=True, env={**os.environ, "NO_COLOR": "1", **environment},
    )  # fmt: skip
    try:
        yield process
    finally:
        process.terminate()
        process.wait(15)


def until(process: Any, pattern: str) -> str:
    """What the first line that is like that says."""
    for line in process.stdout:
        found = re.search(pattern, line)
        if found is not None:
            return found[1]
    raise SystemExit(f"it ended before it said {pattern}")


def newest(page: Any, url: str, verdict: str) -> str:
    """The record of the newest call that became that."""
    page.goto(url + "#/live")
    ask = f"fetch('../api/calls?verdict={verdict}').then((got) => got.json()).then((got) => got.calls[0]?.id)"
    end = time.monotonic() + 20
    while not (found := page.evaluate(ask)) and time.monotonic() < end:
        page.wait_for_timeout(200)
    return str(found)


def shoot(page: Any, name: str, scheme: str = "light") -> None:
    page.emulate_media(color_scheme=scheme)
    page.evaluate("scrollTo(0, 0)")
    page.wait_for_timeout(900)  # outlines are fetched as they come into view
    page.screenshot(path=IMAGES / f"{name}.png")


def demo(page: Any, folder: str) -> None:
    with started("demo", "--stay", "--out", folder) as process:
        url = until(process, r"console +(http://\S+)")
        page.goto(url + "#/live")
        page.locator("tbody tr").first.wait_for()
        page.keyboard.press("j")
        page.get_by_role("complementary").get_by_text("services").first.wait_for(timeout=40_000)
        shoot(page, "console-live")
        until(process, r"(look) +http")
        page.goto(f"{url}#/calls/{newest(page, url, 'healthy')}")
        page.locator("[data-verdict=healthy]").wait_for()
        shoot(page, "console-call")
        page.get_by_role("region", name="Barge-ins").get_by_role("button").first.click()
        shoot(page, "console-barge-in", "dark")


def broken(page: Any, folder: str) -> None:
    environment = {
        "OFFHOOK_PROVIDER_NAME": "openai", "OPENAI_API_KEY": "sk-fake-0123456789abcdef",
        "OFFHOOK_PROVIDER_URL": f"ws://127.0.0.1:{FAKE_PORT}/v1/realtime", "OFFHOOK_API_OPEN": "loopback",
        "OFFHOOK_RECORD_AUDIO": "true", "OFFHOOK_RECORD_DIR": folder, "OFFHOOK_SERVER_PUBLIC_URL": PUBLIC,
        "OFFHOOK_SERVER_PORT": "0", "TWILIO_AUTH_TOKEN": TOKEN,
    }  # fmt: skip
    with (
        started("fake", "openai", "--port", str(FAKE_PORT), "--fault", FAULT) as fake,
        started("serve", **environment) as server,
    ):
        until(fake, "(ws://)")
        url = until(server, r"console +(http://\S+)")
        address = url.removeprefix("http://").removesuffix("/console/")
        asked = f"dial http://{address}/twilio/voice --public {PUBLIC} --connect {address} --say caller_hours --max 12"
        dial = [*asked.split(), "--auth-token-env", "TWILIO_AUTH_TOKEN", "--out", f"{folder}/dialled"]
        with started(*dial, **environment) as caller:
            caller.stdout.read()
        page.goto(f"{url}#/calls/{newest(page, url, 'broken')}")
        page.get_by_role("button", name=re.compile(r"^line \d+")).first.click()
        shoot(page, "console-broken")


def main() -> int:
    from playwright.sync_api import sync_playwright

    program = shutil.which("chromium")
    if program is None:
        raise SystemExit("chromium is not here: apt-get install chromium")
    IMAGES.mkdir(exist_ok=True)
    with sync_playwright() as play, tempfile.TemporaryDirectory() as folder:
        browser = play.chromium.launch(executable_path=program, args=["--no-sandbox"])
        page = browser.new_context(viewport={"width": 1280, "height": 860}).new_page()
        demo(page, f"{folder}/demo")
        page.emulate_media(color_scheme="light")
        broken(page, f"{folder}/broken")
        browser.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
