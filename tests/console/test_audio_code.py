"""The browser's audio code by itself, in Node: what comes out of a filter cannot be seen on a page."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

TALK = Path(__file__).parent.parent.parent / "console/src/lib/talk"
SCRIPT = """
import { Resampler } from "./resample.mjs";
import { Queue } from "./queue.mjs";
import { LEVELS, encode } from "./law.mjs";
const through = (from, to, hz) => {
  const filter = new Resampler(from, to), out = [];
  for (let at = 0; at + 128 <= from / 2; at += 128)
    out.push(...filter.push(Float32Array.from(Array(128), (_, n) => Math.sin(2 * Math.PI * hz / from * (at + n)))));
  const end = out.slice(out.length / 2), power = end.reduce((sum, one) => sum + one * one, 0) / end.length;
  return [out.length, 10 * Math.log10(2 * power)];
};
const tones = (from) => [300, 3000, 4300, 5000, 7000].filter((hz) => hz < from / 2);
const down = Object.fromEntries([48000, 44100, 24000, 16000, 8000].map((from) =>
  [from, Object.fromEntries(tones(from).map((hz) => [hz, through(from, 8000, hz)]))]));
const up = [48000, 44100, 24000, 16000].map((to) => [to, ...through(8000, to, 1000)]);
const law = [...LEVELS.keys()].map((code) => encode(Float32Array.of(LEVELS[code]))[0]);
const queue = new Queue(), said = [];
queue.add(new Float32Array(100).fill(0.5)); queue.mark("a"); queue.add(new Float32Array(100)); queue.mark("b");
const out = new Float32Array(60);
said.push(queue.take(out, 1), queue.take(out, 1), queue.waiting, queue.clear(), queue.waiting);
queue.add(new Float32Array(10)); queue.mark("c");
said.push(queue.take(out, 1));
console.log(JSON.stringify({ down, up, law, said }));
"""


PLAIN = """
import fs from "node:fs";
import ts from "%(typescript)s";
const options = { target: "ES2022", module: "ESNext" };
for (const name of ["resample", "queue", "law"])
  fs.writeFileSync(`${name}.mjs`, ts.transpile(fs.readFileSync(`%(talk)s/${name}.ts`, "utf8"), options));
"""


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    node, typescript = shutil.which("node"), TALK.parents[2] / "node_modules/typescript/lib/typescript.js"
    if node is None or not typescript.exists():
        pytest.skip(
            "NOT PROVEN: no Node or no console/node_modules (make console), so the audio code did not run alone"
        )
    folder = tmp_path_factory.mktemp("audio")
    for name, text in (("plain", PLAIN % {"talk": TALK, "typescript": typescript}), ("audio", SCRIPT)):
        (folder / f"{name}.mjs").write_text(text)
        ran = subprocess.run([node, f"{name}.mjs"], cwd=folder, capture_output=True, text=True, timeout=60)
        assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


def test_speech_passes_whole_and_what_is_above_the_line_is_not_folded_into_it(told):
    for rate, tones in told["down"].items():
        for hz, (n, db) in tones.items():
            assert abs(n - 4000) < 130, rate
            assert abs(db) < 0.3 if int(hz) <= 3000 else db < -55, (rate, hz, db)
    for rate, n, db in told["up"]:
        assert abs(n - rate / 2) < rate / 30 and abs(db) < 0.1, rate


def test_mu_law_is_that_of_the_wire(told):
    assert [code for code in range(256) if told["law"][code] != code] == [127]  # both stand for nothing


def test_marks_come_back_when_all_before_them_was_played_and_a_clear_flushes_them(told):
    assert told["said"] == [[], ["a"], 80, ["b"], 0, ["c"]]
