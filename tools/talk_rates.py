"""
Measures Talk in a real Chromium at each rate that a sound card may have: what goes to the speakers against what the
agent said, what the bridge recorded of the microphone against what was spoken, and an interruption at each.

    python tools/talk_rates.py                    # 8, 16, 24, 44.1 and 48 kHz: twenty seconds each
    python tools/talk_rates.py --rates 8000 44100

One `offhook serve` with the loopback receptionist; the browser's microphone is a file, and what Chromium itself does to
a voice is off but for the last talk. Pitch is told by how far the end of a line has drifted from its beginning; seams
by the worst 20 ms of what is left when what was said is taken away.
Needs the dev dependencies and chromium.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import wave
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offhook.loopback.lines import AGENT, audio
from offhook.media import g711
from offhook.media.resample import resample

Samples = NDArray[np.float64]
RATES = (8000, 16000, 24000, 44100, 48000)
FILE_HZ = 48000
FIRST_S, SECOND_S, TALK_S = 5.0, 11.5, 16.0  # the microphone speaks, interrupts, and all was said
FRAME = 160
SEAM_DB = -15.0  # of the line's own level: µ-law leaves -24 where it is loud, a lost frame 0
BAND = (300, 3200)  # what line and filters let through alike
# All audio contexts run at this rate, and what goes to the speakers is kept.
TAP = """
const RATE = %d, PLAIN = %s;
const open = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
if (PLAIN) navigator.mediaDevices.getUserMedia = ({audio}) => open({
  audio: {...audio, echoCancellation: false, noiseSuppression: false, autoGainControl: false}});
window.AudioContext = class extends AudioContext {
  constructor(options) { super({...options, sampleRate: RATE}); window.context = this; }
};
const kept = window.kept = [];
const keep = `registerProcessor('keep', class extends AudioWorkletProcessor {
  process(inputs) { if (inputs[0][0]) this.port.postMessage(inputs[0][0].slice()); return true; }
});`;
const connect = AudioNode.prototype.connect;
AudioNode.prototype.connect = function (to, ...more) {
  if (to instanceof AudioDestinationNode) {
    void to.context.audioWorklet.addModule('data:text/javascript,' + encodeURIComponent(keep)).then(() => {
      const ear = new AudioWorkletNode(to.context, 'keep');
      ear.port.onmessage = (told) => kept.push(told.data);
      connect.call(this, ear);
    });
  }
  return connect.call(this, to, ...more);
};
"""
TAKE = """() => {
  const all = new Int16Array(kept.reduce((sum, one) => sum + one.length, 0));
  let at = 0;
  for (const one of kept) for (const sample of one) all[at++] = Math.max(-1, Math.min(1, sample)) * 32767;
  const bytes = new Uint8Array(all.buffer);
  let text = '';
  for (let n = 0; n < bytes.length; n += 32768) text += String.fromCharCode(...bytes.subarray(n, n + 32768));
  return btoa(text);
}"""


def line(name: str) -> Samples:
    return g711.decode(audio(name)).astype(np.float64)


def microphone(path: Path) -> None:
    """Asks for the services when the greeting is over, and interrupts the answer."""
    whole = np.zeros(int(FILE_HZ * 60))
    for at, name in ((FIRST_S, "caller_services"), (SECOND_S, "caller_location")):
        spoken = resample(line(name), 8000, FILE_HZ)
        whole[int(at * FILE_HZ) :][: len(spoken)] = spoken
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(FILE_HZ)
        file.writeframes(np.clip(whole, -32768, 32767).astype("<i2").tobytes())


# --------------------------------------------------------------------------------------------- the comparison


def banded(samples: Samples) -> Samples:
    spectrum = np.fft.rfft(samples)
    hz = np.fft.rfftfreq(len(samples), 1 / 8000)
    spectrum[(hz < BAND[0]) | (hz > BAND[1])] = 0
    return np.fft.irfft(spectrum, len(samples))


def found(part: Samples, whole: Samples) -> float:
    """Where a part stands in the whole, to a fraction of a sample."""
    n = 1 << (len(whole) + len(part)).bit_length()
    row = np.fft.irfft(np.fft.rfft(whole, n) * np.conj(np.fft.rfft(part, n)), n)[: len(whole) - len(part)]
    at = int(row.argmax())
    left, top, right = (row[max(0, min(len(row) - 1, at + k))] for k in (-1, 0, 1))
    bend = left - 2 * top + right
    return at + (float(0.5 * (left - right) / bend) if bend else 0.0)


def late(samples: Samples, fraction: float) -> Samples:
    """So much of a sample later, by the phases."""
    turned = np.exp(-2j * np.pi * np.fft.rfftfreq(len(samples)) * fraction)
    return np.fft.irfft(np.fft.rfft(samples) * turned, len(samples))


def compared(said: Samples, got: Samples) -> dict[str, float]:
    """How what came differs from what was said."""
    said, got = banded(said), banded(got)
    half = len(said) // 2
    first, last, at = found(said[:half], got), found(said[half:], got), found(said, got)
    moved = late(said, at % 1)
    there = got[int(at) : int(at) + len(said)]
    gain = float(there @ moved / (moved @ moved))
    like = float(there @ moved / (np.linalg.norm(there) * np.linalg.norm(moved)))
    rest = there - gain * moved
    loud = float(np.sqrt(np.mean(moved**2))) * gain
    pieces = rest[: len(rest) // FRAME * FRAME].reshape(-1, FRAME)
    worst = float(np.sqrt((pieces**2).mean(axis=1)).max())
    return {
        "pitch_percent": round(100 * (half / (last - first) - 1), 3), "level_db": round(20 * np.log10(abs(gain)), 1),
        "alike": round(like, 3), "worst_20ms_db": round(20 * np.log10(worst / loud), 1), "at_s": at / 8000,
    }  # fmt: skip


def played_ms(tapped: Samples, name: str) -> float:
    """How much of an interrupted line came to the speakers: until the last frame that is still the line's."""
    said, heard = banded(line(name)), banded(tapped)
    exact = found(said[:16000], heard)
    at, said = int(exact), late(said, exact % 1)
    until = strange = 0
    for begin in range(0, len(said) - FRAME, FRAME):
        wanted, there = said[begin : begin + FRAME], heard[at + begin : at + begin + FRAME]
        if float(np.sqrt(np.mean(wanted**2))) < 60 or len(there) < FRAME:
            continue  # a pause, which anything is like
        own = wanted @ there > 0.7 * np.linalg.norm(wanted) * np.linalg.norm(there)
        until, strange = (begin + FRAME, 0) if own else (until, strange + 1)
        if strange > 3:
            break
    return until / 8


# ------------------------------------------------------------------------------------------------- the talk


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """A server with the receptionist; its console's address."""
    environment = {
        "OFFHOOK_PROVIDER_NAME": "loopback", "OFFHOOK_SERVER_PORT": "0", "OFFHOOK_RECORD_DIR": str(folder),
        "OFFHOOK_RECORD_AUDIO": "true", "OFFHOOK_API_OPEN": "loopback", "TWILIO_AUTH_TOKEN": "t" * 32,
        "OFFHOOK_SERVER_PUBLIC_URL": "https://demo.offhook.example", "OFFHOOK_AGENT_GREETING": AGENT["greeting"],
    }  # fmt: skip
    process = subprocess.Popen(
        [sys.executable, "-m", "offhook", "serve"], stdout=subprocess.PIPE, text=True, cwd=folder,
        env={**os.environ, "NO_COLOR": "1", **environment},
    )  # fmt: skip
    try:
        yield next(found[1] for line in process.stdout or () if (found := re.search(r"console +(http://\S+)", line)))
    finally:
        process.terminate()
        process.wait(20)


def talked(play: Any, program: str, url: str, speech: Path, rate: int, plain: bool) -> tuple[Samples, str, str]:
    """One talk at a rate: what went to the speakers, which rate the page told, and the call."""
    browser = play.chromium.launch(
        executable_path=program,
        args=["--no-sandbox", "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream",
              f"--use-file-for-fake-audio-capture={speech}%noloop", "--autoplay-policy=no-user-gesture-required"],
    )  # fmt: skip
    try:
        page = browser.new_context(bypass_csp=True).new_page()  # the ear that keeps is a script of its own
        page.add_init_script(TAP % (rate, json.dumps(plain)))
        page.goto(url + "#/talk")
        page.get_by_role("button", name="Call", exact=True).click()
        page.get_by_text("the line at 8 kHz").wait_for()
        told = re.search(r"microphone at ([\d.]+) kHz", page.locator("main").inner_text())
        page.wait_for_timeout(TALK_S * 1000)
        taken = base64.b64decode(page.evaluate(TAKE))
        page.get_by_role("button", name="Hang up").click()
        read = page.get_by_role("link", name="Read the call")
        page.locator(".pill.healthy").wait_for(timeout=20_000)
        call = str(read.get_attribute("href")).rpartition("/")[2]
        tapped = np.frombuffer(taken, "<i2").astype(np.float64)
        return (resample(tapped, rate, 8000) if rate != 8000 else tapped), told[1] if told else "?", call
    finally:
        browser.close()


def recorded(path: Path) -> Samples:
    """The caller's side of a recording."""
    data = path.read_bytes()
    both = np.frombuffer(data[data.index(b"data") + 8 :], np.uint8)
    return g711.decode(both[::2].tobytes()).astype(np.float64)


def judged(folder: Path, tapped: Samples, call: str) -> dict[str, Any]:
    record = next(folder.glob(f"*{call}*.jsonl"))
    notes = [json.loads(text) for text in record.read_bytes().splitlines()]
    barge_ins = [note for note in notes if note.get("note") == "barge-in"]
    heard = float(barge_ins[-1]["heard_ms"]) if barge_ins else float("nan")
    return {
        "speakers": compared(line("greeting"), tapped),
        "microphone": compared(line("caller_services"), recorded(record.with_suffix(".wav"))),
        "barge_ins": len(barge_ins), "believed_ms": heard, "played_ms": played_ms(tapped, "services"),
    }  # fmt: skip


def main() -> int:
    from playwright.sync_api import sync_playwright

    wanted = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    wanted.add_argument("--rates", type=int, nargs="+", default=RATES)
    asked = wanted.parse_args()
    program = shutil.which("chromium")
    if program is None:
        raise SystemExit("chromium is not here: apt-get install chromium")
    ok = True
    with sync_playwright() as play, tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        microphone(folder / "speech.wav")
        with served(folder) as url:
            for rate, plain in (*((rate, True) for rate in asked.rates), (asked.rates[-1], False)):
                if not plain:
                    sys.stdout.write(
                        "as the page asks for it, with the browser's echo cancellation, noise and gain control:\n"
                    )
                tapped, told, call = talked(play, program, url, folder / "speech.wav", rate, plain)
                got = judged(folder, tapped, call)
                for side in ("speakers", "microphone"):
                    it = got[side]
                    sys.stdout.write(
                        f"{told:>5} kHz  {side:10}  pitch {it['pitch_percent']:+.3f} %  "
                        f"level {it['level_db']:+.1f} dB  alike {it['alike']:.3f}  "
                        f"worst 20 ms {it['worst_20ms_db']:+.1f} dB\n"
                    )
                    ok &= not plain or (abs(it["pitch_percent"]) < 1 and it["worst_20ms_db"] < SEAM_DB)
                believed, played = got["believed_ms"], got["played_ms"]
                sys.stdout.write(
                    f"{told:>5} kHz  interrupted {got['barge_ins']} time(s); the bridge believes {believed:.0f} ms "
                    f"were heard, {played:.0f} were played ({believed - played:+.0f})\n"
                )
                sys.stdout.flush()
                ok &= got["barge_ins"] >= 1 and float(told) == rate / 1000
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
