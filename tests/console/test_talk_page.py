"""Talking from the browser: a fake microphone speaks, the agent's answer is measured as it is played, and cut."""

import time
import wave

import numpy as np
import pytest
from tests.console.browser import HOSTILE, MARKUP, Server, chromium

from offhook.loopback.lines import audio
from offhook.media import g711
from offhook.media.resample import resample

pytestmark = pytest.mark.timeout(300)
BEFORE_S = 2.5  # the microphone is silent so long, and the greeting runs
# What goes to the speakers, measured on its way.
EAR = """
const connect = AudioNode.prototype.connect;
AudioNode.prototype.connect = function (to, ...more) {
  if (to instanceof AudioDestinationNode) {
    const ear = to.context.createAnalyser();
    ear.fftSize = 2048;
    connect.call(this, ear);
    window.heard = () => {
      const samples = new Float32Array(ear.fftSize);
      ear.getFloatTimeDomainData(samples);
      return Math.sqrt(samples.reduce((sum, one) => sum + one * one, 0) / samples.length);
    };
  }
  return connect.call(this, to, ...more);
};
const devices = navigator.mediaDevices, open = devices?.getUserMedia.bind(devices);
if (devices) devices.getUserMedia = async (wanted) => (window.microphone = await open(wanted));
"""


def microphone(path):
    """A recording of somebody who is silent, asks for the services, and says no more."""
    speech = resample(g711.decode(audio("caller_services")).astype(np.float64), 8000, 48000)
    samples = np.concatenate([np.zeros(int(48000 * BEFORE_S)), speech, np.zeros(48000 * 60)])
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(48000)
        file.writeframes(np.clip(samples, -32768, 32767).astype("<i2").tobytes())
    return path


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    from playwright.sync_api import sync_playwright

    program, folder = chromium(), tmp_path_factory.mktemp("talk")
    server = Server(folder)
    try:
        with sync_playwright() as play:
            browser = play.chromium.launch(
                executable_path=program,
                args=["--no-sandbox", "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream",
                      f"--use-file-for-fake-audio-capture={microphone(folder / 'speech.wav')}%noloop",
                      "--autoplay-policy=no-user-gesture-required"],
            )  # fmt: skip
            context = browser.new_context(viewport={"width": 1200, "height": 820})
            context.set_default_timeout(60_000)
            complaints = []
            context.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
            context.on("weberror", lambda error: complaints.append(str(error.error)))
            context.add_init_script(EAR)
            page = context.new_page()
            page.goto(server.link)
            page.get_by_role("heading", name="Live").wait_for()
            yield page
            assert not complaints
            browser.close()
    finally:
        server.stop()


def level(page, within_s, true):
    """Wait until the level at the speakers is so; how long it took."""
    begun = time.monotonic()
    while not true(page.evaluate("window.heard ? window.heard() : 0")):
        assert time.monotonic() < begun + within_s, page.locator("main").inner_text()
        page.wait_for_timeout(20)
    return time.monotonic() - begun


def quiet(page, ms):
    """Wait until the speakers have been still for so long."""
    since = time.monotonic()
    end = since + 10
    while time.monotonic() - since < ms / 1000:
        assert time.monotonic() < end, "the agent was not interrupted"
        if page.evaluate("window.heard()") > 0.002:
            since = time.monotonic()
        page.wait_for_timeout(20)


def test_the_agent_is_heard_is_interrupted_by_voice_and_by_a_written_line_and_is_judged(page):
    page.keyboard.press("g")
    page.keyboard.press("t")
    page.get_by_role("button", name="Call", exact=True).click()
    words = page.get_by_label("What is said")
    level(page, 8, lambda rms: rms > 0.01)  # the greeting, at the speakers
    words.get_by_text("Hello, this is the front desk.").wait_for()
    words.get_by_text("interrupted").first.wait_for()  # by the microphone's voice
    quiet(page, 300)
    words.get_by_text("what services do you offer").wait_for()
    level(page, 8, lambda rms: rms > 0.01)  # fifteen seconds of services
    meter, end = page.get_by_label("Level: Agent"), time.monotonic() + 8
    while meter.evaluate("node => node.value") <= 0.2:  # there are pauses between words
        assert time.monotonic() < end, "the meter does not move"
        page.wait_for_timeout(20)
    page.evaluate("microphone.getTracks()[0].dispatchEvent(new Event('ended'))")
    page.get_by_role("alert").get_by_text("The microphone was taken away. Go on in writing").wait_for()
    page.get_by_label("A line for the agent").fill("goodbye")
    page.keyboard.press("Enter")
    words.get_by_text("written").wait_for()
    words.get_by_text("Thank you for calling. Goodbye.").wait_for()
    page.get_by_text("Over after").wait_for()
    page.get_by_text("healthy").wait_for()
    page.get_by_role("link", name="Read the call").click()
    page.get_by_text("ended by: agent hung up").first.wait_for()
    page.get_by_text("front desk").first.wait_for()


def test_a_fault_is_played_named_and_read_and_its_file_opens_offline_with_nothing_alive_in_it(page, tmp_path):
    page.goto(page.url.partition("#")[0] + "#/faults/carrier-stream/misspelt-field")
    page.get_by_role("button", name="Play: The field is stream_sid").click()
    page.get_by_text("✓ named").wait_for()
    verdict = page.get_by_role("region", name="Verdict")  # when the ladder has played
    verdict.get_by_text("the carrier reads 'streamSid' and plays none of them").first.wait_for()
    page.get_by_role("button", name="Again").wait_for()
    page.get_by_role("link", name="Open the call").click()
    page.get_by_role("region", name="Ladder").wait_for()
    assert opened(page, tmp_path).get_by_text("278 of 278 messages had 'stream_sid'").count() == 1
    page.goto(page.url.partition("#")[0] + f"#/calls/{HOSTILE}")
    shared = opened(page, tmp_path)
    assert shared.get_by_text(MARKUP).count() >= 2
    assert shared.locator("img, script, body[data-owned]").count() == 0


def opened(page, folder):
    """The file that Share gives, opened from the disk by a browser that can reach nobody."""
    with page.expect_download() as loading:
        page.get_by_role("link", name="Share").click()
    path = folder / loading.value.suggested_filename
    loading.value.save_as(path)
    alone = page.context.browser.new_context(offline=True)
    asked = []
    shared = alone.new_page()
    shared.on("request", lambda request: asked.append(request.url))
    shared.on("console", lambda said: asked.append(said.text))
    shared.goto(path.as_uri())
    shared.get_by_text("On the time axis").wait_for()
    assert asked == [path.as_uri()]
    return shared
