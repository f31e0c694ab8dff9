/**
 * From one sample rate to another, as audio comes: a polyphase filter whose low pass stands before the lower rate's half,
 * so that nothing above it is folded back into speech. Any two whole rates; 44.1 kHz to 8 kHz has 80 phases.
 */

const LOBES = 16; // zero crossings of the sinc to each side, at the lower rate
const PASS = 0.92; // of the lower rate's half; above it the filter falls: 3.68 kHz at 8 kHz

export class Resampler {
  private readonly up: number;
  private readonly down: number;
  private readonly taps: number; // of each phase
  private readonly phases: Float32Array[];
  private kept: Float32Array;
  private phase = 0;

  constructor(from: number, to: number) {
    const common = gcd(from, to);
    this.up = to / common;
    this.down = from / common;
    const low = Math.min(1, to / from);
    const half = Math.ceil(LOBES / low);
    this.taps = 2 * half;
    this.phases = Array.from({ length: this.up }, (_, phase) => kernel(this.taps, phase / this.up, low * PASS));
    this.kept = new Float32Array(this.taps - 1); // silence before the first sample
  }

  /** What `samples` come to; a filter's length stays inside until more comes. */
  push(samples: Float32Array): Float32Array {
    if (this.up === 1 && this.down === 1) return samples;
    const all = new Float32Array(this.kept.length + samples.length);
    all.set(this.kept);
    all.set(samples, this.kept.length);
    const out: number[] = [];
    let at = 0;
    while (at + this.taps <= all.length) {
      const weights = this.phases[this.phase]!;
      let sum = 0;
      for (let n = 0; n < this.taps; n++) sum += all[at + n]! * weights[n]!;
      out.push(sum);
      this.phase += this.down;
      at += Math.floor(this.phase / this.up);
      this.phase %= this.up;
    }
    this.kept = all.slice(at); // a step is far shorter than the filter
    return Float32Array.from(out);
  }
}

/** A windowed sinc between its samples; Blackman, whose side lobes are 58 dB down. */
function kernel(taps: number, shift: number, cutoff: number): Float32Array {
  const weights = new Float32Array(taps);
  const centre = taps / 2 - 1 + shift;
  let sum = 0;
  for (let n = 0; n < taps; n++) {
    const x = n - centre;
    const window = Math.abs(x) >= taps / 2 ? 0
      : 0.42 + 0.5 * Math.cos((2 * Math.PI * x) / taps) + 0.08 * Math.cos((4 * Math.PI * x) / taps);
    weights[n] = (x === 0 ? cutoff : Math.sin(Math.PI * cutoff * x) / (Math.PI * x)) * window;
    sum += weights[n]!;
  }
  return weights.map((one) => one / sum); // each phase as loud as the others
}

function gcd(a: number, b: number): number {
  return b ? gcd(b, a % b) : a;
}
