"""
Measures the console in a real browser: many live calls on the page Live, and the page of a call of one hour.

    python tools/console_load.py                 # both; the figures of docs/console.md
    python tools/console_load.py --calls 200 --seconds 15 --only live

The calls are real, each with webhook, stream and provider session through `offhook serve`: the load generator and the
fake provider of the benchmark make them (bench/referee; needs gcc and libssl-dev). The hour is the talk of a demo call,
laid end to end with its recording. Needs the dev dependencies and chromium; everything runs on this machine.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import signal
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
BENCH = ROOT / "bench"
PORT, TOKEN, PUBLIC = 7000, "bench-token-0123456789abcdef", "https://bench.offhook.example"
BYTES_PER_MS = 16  # of a recording: two sides of PCMU
HOUR_MS = 3_600_000
# Frames drawn and tasks over 50 ms, while `turn` is called before each frame.
WATCH = """async ([seconds, turn]) => {
  const tasks = [], times = [], each = turn ? new Function('n', turn) : () => undefined;
  const watch = new PerformanceObserver((list) => tasks.push(...list.getEntries().map((one) => one.duration)));
  watch.observe({type: 'longtask'});
  const begin = performance.now();
  let last = begin;
  while (last - begin < seconds * 1000) {
    each(times.length);
    const now = await new Promise((drawn) => requestAnimationFrame(drawn));
    times.push(now - last);
    last = now;
  }
  watch.disconnect();
  return {times, tasks};
}"""
AGES = """async () => {
  const told = await (await fetch('../api/calls?state=running&limit=200')).json();
  return told.calls.filter((one) => one.live.stands).map((one) => (Date.now() - one.live.stands.judged_at) / 1000);
}"""
WHEEL = """
  document.querySelector('.timeline canvas').dispatchEvent(new WheelEvent('wheel', {
    deltaX: n % 120 < 60 ? 40 : -40, bubbles: true, cancelable: true}));
"""


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


@contextmanager
def running(command: list[str], **environment: str) -> Iterator[subprocess.Popen[str]]:
    """A program that is ended when the block is over."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, **environment})
    try:
        yield process
    finally:
        process.terminate()
        process.wait(20)


def frames(seen: dict[str, Any], seconds: float) -> str:
    """What was drawn, in a line."""
    times, tasks = sorted(seen["times"][1:]), seen["tasks"]
    long = f"{len(tasks)} tasks over 50 ms" + (f", the longest {max(tasks):.0f} ms" if tasks else "")
    p99 = times[int(len(times) * 0.99)]
    return f"{len(times) / seconds:.0f} frames/s, median {statistics.median(times):.1f} ms, p99 {p99:.0f} ms; {long}"


def live(page: Any, calls: int, seconds: float) -> None:
    """That many calls on the page Live."""
    came = {"messages": 0, "bytes": 0}

    def count(text: Any) -> None:
        came["messages"] += 1
        came["bytes"] += len(text)

    page.on("websocket", lambda socket: socket.on("framereceived", count) if "/api/live" in socket.url else None)
    command = [
        sys.executable, "referee/run.py", "--name", "console", "--sut",
        f"{sys.executable} offhook_sut.py {{port}} {{provider}}", "--port", str(PORT), "--settle", "3",
        "--webhook", f"http://127.0.0.1:{PORT}/twilio/voice", "--auth-token", TOKEN, "--public", PUBLIC,
        "--calls", str(calls), "--secs", str(seconds + 40), "--sut-log", os.devnull,
        "--sut-cpus", "0,1", "--load-cpus", "0,1",
    ]  # fmt: skip
    environment = {**os.environ, "OFFHOOK_API_OPEN": "loopback"}
    bench = subprocess.Popen(command, cwd=BENCH, env=environment, stdout=subprocess.DEVNULL)
    try:
        opened(page, f"http://127.0.0.1:{PORT}/console/#/live")
        page.get_by_role("heading", name=f"{calls} live calls").wait_for(timeout=90_000)
        page.wait_for_timeout(2000)
        before, began = dict(came), time.monotonic()
        seen = page.evaluate(WATCH, [seconds, ""])
        took = time.monotonic() - began
        messages, size = (came[name] - before[name] for name in ("messages", "bytes"))
        levels = page.locator("tbody [data-side]").count()
        say(f"live: {calls} calls, {levels} meters: {frames(seen, seconds)}")
        say(f"live: {messages / took:.0f} messages/s, {size / took / 1000:.0f} kB/s")
        ages = sorted(page.evaluate(AGES))
        say(f"live: {len(ages)} verdicts as they stand, the oldest {ages[-1] if ages else 0:.0f} s old")
    finally:
        bench.send_signal(signal.SIGINT)  # it ends its own three then
        bench.wait(60)


def opened(page: Any, url: str) -> None:
    """Go there as soon as somebody listens."""
    from playwright.sync_api import Error

    end = time.monotonic() + 60
    while True:
        try:
            page.goto(url)
            return
        except Error:
            if time.monotonic() > end:
                raise
            time.sleep(0.3)


def made(folder: Path) -> str:
    """A record of an hour and its recording, from a demo call; the record's name."""
    demo = folder / "demo"
    subprocess.run([sys.executable, "-m", "offhook", "demo", "--out", str(demo)], check=True, capture_output=True)
    record = next(demo.glob("*.jsonl"))
    lines = [json.loads(line) for line in record.read_bytes().splitlines()]
    ending = next(line["t"] for line in lines if line.get("note") == "ending")
    talk = next(line["t"] for line in lines if line.get("id") == "M11")
    again = [line for line in lines if talk <= line["t"] < ending and line.get("note") != "milestone"]
    span = ending - talk
    times = int((HOUR_MS - talk) // span)
    out = [line for line in lines if line["t"] < ending]
    for n in range(1, times):
        out += [{**renamed(line, n), "t": line["t"] + n * span} for line in again]
    out += [{**line, "t": line["t"] + (times - 1) * span} for line in lines if line["t"] >= ending]
    name = "20261125T120000Z-" + "CA" + "7" * 32
    end = next(line for line in out if line["k"] == "end")
    end["recording"] = {**end["recording"], "file": f"{name}.wav"}
    (folder / f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in out))
    sound = next(demo.glob("*.wav")).read_bytes()
    pcm = sound[sound.index(b"data") + 8 :]
    first, last = (round(at) * BYTES_PER_MS for at in (talk, ending))
    whole = pcm[:first] + pcm[first:last] * times + pcm[last:]
    kind = struct.pack("<4sIHHIIHHH", b"fmt ", 18, 7, 2, 8000, 16000, 2, 8, 0)
    head = struct.pack("<4sI4s", b"RIFF", len(whole) + 38, b"WAVE") + kind + struct.pack("<4sI", b"data", len(whole))
    (folder / f"{name}.wav").write_bytes(head + whole)
    say(f"hour: {out[-1]['t'] / 60_000:.1f} min, {len(out)} lines, a recording of {len(whole) / 1e6:.0f} MB")
    shutil.rmtree(demo)
    return name


def renamed(node: Any, n: int) -> Any:
    """The same message of another turn: items and answers have ids of their own."""
    if isinstance(node, dict):
        return {name: renamed(part, n) for name, part in node.items()}
    if isinstance(node, str) and re.fullmatch(r"(item|resp|caller|call)_\w+", node):
        return f"{node}_{n}"
    return node


DRAWN = """() => {
  const strip = document.querySelector('.timeline .strip'); // the whole call's outline, drawn after all else
  if (!strip || !strip.width || !document.querySelector('[data-verdict]') || !document.querySelector('ol li.caller'))
    return false;
  const rows = strip.getContext('2d').getImageData(0, 3, strip.width, strip.height - 6).data;
  let ink = 0;
  for (let i = 3; i < rows.length; i += 4) if (rows[i] > 200) ink++;
  return ink > 300;
}"""


def hour(page: Any, folder: Path, seconds: float) -> None:
    """How long the page of an hour takes until all of it is drawn, and how it scrolls."""
    name = made(folder)
    environment = {
        "OFFHOOK_PROVIDER_NAME": "loopback", "OFFHOOK_SERVER_PUBLIC_URL": PUBLIC, "OFFHOOK_SERVER_PORT": "0",
        "OFFHOOK_RECORD_DIR": str(folder), "OFFHOOK_API_OPEN": "loopback", "TWILIO_AUTH_TOKEN": TOKEN,
    }  # fmt: skip
    for fresh in (1, 2):
        with running([sys.executable, "-m", "offhook", "serve"], **environment) as server:
            url = next(found[1] for line in server.stdout or () if (found := re.search(r"console +(http://\S+)", line)))
            for turn in ("first request", "then"):
                page.goto("about:blank")
                began = time.monotonic()
                page.goto(f"{url}#/calls/{name}")
                while not page.evaluate(DRAWN):
                    page.wait_for_timeout(10)
                say(f"hour: server {fresh}, {turn}: drawn after {time.monotonic() - began:.2f} s")
            for zoom, words in () if fresh > 1 else ((0, "the whole hour"), (5, "two minutes"), (6, "two seconds")):
                for _ in range(zoom):
                    page.keyboard.press("+")
                page.wait_for_timeout(600)
                say(f"hour: scrolling, {words}: {frames(page.evaluate(WATCH, [seconds, WHEEL]), seconds)}")


def main() -> int:
    from playwright.sync_api import sync_playwright

    wanted = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    wanted.add_argument("--calls", type=int, default=200)
    wanted.add_argument("--seconds", type=float, default=10, help="of each measurement")
    wanted.add_argument("--only", choices=("live", "hour"))
    asked = wanted.parse_args()
    program = shutil.which("chromium")
    if program is None:
        raise SystemExit("chromium is not here: apt-get install chromium")
    with sync_playwright() as play, tempfile.TemporaryDirectory() as folder:
        browser = play.chromium.launch(executable_path=program, args=["--no-sandbox"])
        load = " ".join(f"{one:.1f}" for one in os.getloadavg())
        say(f"{time.strftime('%Y-%m-%d %H:%M')}, {os.cpu_count()} cores, load {load}, Chromium {browser.version}")
        # `new Function` in WATCH is this measurement's, and the pages' policy forbids it
        page = browser.new_context(viewport={"width": 1360, "height": 900}, bypass_csp=True).new_page()
        if asked.only != "hour":
            live(page, asked.calls, asked.seconds)
        if asked.only != "live":
            hour(page, Path(folder), asked.seconds)
        browser.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
