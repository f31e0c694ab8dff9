/**
 * The sound's own thread: the microphone becomes frames of PCMU, what came is played, and marks are told when they are
 * reached. All times are the sound card's. Messages are in `sound.ts`.
 */
import { decode, encode } from "./law";
import { Queue } from "./queue";
import { Resampler } from "./resample";
import type { FromWorklet, ToWorklet } from "./sound";

declare const sampleRate: number;
declare class AudioWorkletProcessor {
  readonly port: MessagePort;
}
declare function registerProcessor(name: string, made: new () => AudioWorkletProcessor): void;

const RATE = 8000;
const FRAME = 160; // 20 ms
const LEVEL_MS = 80;
const HISS = 4 / 32768; // a line where nobody speaks is not digitally silent

class Talk extends AudioWorkletProcessor {
  private readonly ears = new Resampler(sampleRate, RATE);
  private readonly mouths = [new Resampler(RATE, sampleRate), new Resampler(RATE, sampleRate)];
  private readonly queues = [new Queue(), new Queue()];
  private readonly gains = [1, 1];
  private readonly frame = new Float32Array(FRAME);
  private filled = 0;
  private muted = false;
  private over = false;
  private sums = [0, 0];
  private summed = 0;

  constructor() {
    super();
    this.port.onmessage = (event: MessageEvent<ToWorklet>) => this.told(event.data);
  }

  private told(what: ToWorklet): void {
    const queue = this.queues["lane" in what ? what.lane : 0]!;
    if (what.kind === "play") queue.add(this.mouths[what.lane]!.push(decode(what.audio)));
    else if (what.kind === "mark") queue.mark(what.name);
    else if (what.kind === "clear") this.send({ kind: "marks", names: queue.clear(), flushed: true });
    else if (what.kind === "gain") this.gains[what.lane] = what.gain;
    else if (what.kind === "mute") this.muted = what.on;
    else this.over = true;
  }

  process(inputs: Float32Array[][], outputs: Float32Array[][]): boolean {
    const out = outputs[0]?.[0];
    if (!out || this.over) return false;
    this.hear(inputs[0]?.[0] ?? new Float32Array(out.length));
    this.play(out);
    for (const other of outputs[0]!.slice(1)) other.set(out);
    return true;
  }

  private hear(samples: Float32Array): void {
    for (const sample of this.ears.push(samples)) {
      const heard = this.muted ? 0 : sample;
      this.sums[0]! += heard * heard;
      this.frame[this.filled++] = heard + (Math.random() - 0.5) * 2 * HISS;
      if (this.filled === FRAME) {
        this.filled = 0;
        const audio = encode(this.frame);
        this.send({ kind: "frame", audio }, [audio.buffer]);
      }
    }
  }

  private play(out: Float32Array): void {
    const reached: string[] = [];
    this.queues.forEach((queue, lane) => reached.push(...queue.take(out, this.gains[lane]!)));
    if (reached.length) this.send({ kind: "marks", names: reached, flushed: false });
    for (const sample of out) this.sums[1]! += sample * sample;
    this.summed += out.length;
    if (this.summed < (sampleRate * LEVEL_MS) / 1000) return;
    const caller = Math.sqrt(this.sums[0]! / ((this.summed * RATE) / sampleRate));
    this.send({ kind: "levels", caller, agent: Math.sqrt(this.sums[1]! / this.summed) });
    this.sums = [0, 0];
    this.summed = 0;
  }

  private send(what: FromWorklet, give: Transferable[] = []): void {
    this.port.postMessage(what, give);
  }
}

registerProcessor("talk", Talk);
