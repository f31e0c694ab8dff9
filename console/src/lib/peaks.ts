/**
 * The outline of a recording, fetched in tiles at the resolution that is looked at, and kept.
 *
 * A bin is 1, 4, 16 ... ms long. Where the fine tile is not there yet, the coarse one is drawn.
 */
import { call, get, type Schemas } from "./api";

const BINS = 2000; // of a tile
const STEPS = [1, 4, 16, 64, 256, 1024, 4096];
const AT_ONCE = 3;
const MOST = 160; // tiles that are kept

export type Tile = { bin_ms: number; from_ms: number; caller: number[][]; agent: number[][] };

export class Outline {
  failed = "";
  private tiles = new Map<string, Tile | null>(); // null: asked for
  private waiting: string[] = [];
  private asking = 0;

  constructor(private id: string, public length_ms: number, private ready: () => void) {}

  /** The call went on: what ended at its end is old. */
  grown(length_ms: number): void {
    for (const key of this.tiles.keys()) {
      const [bin, n] = key.split("/").map(Number) as [number, number];
      if ((n + 1) * BINS * bin > this.length_ms) this.tiles.delete(key);
    }
    this.length_ms = length_ms;
    this.failed = "";
  }

  /** Least and greatest sample of both sides for each pixel: [caller, agent] of [min, max], or null where there is none yet. */
  columns(from_ms: number, ms_a_pixel: number, width: number): Float32Array {
    const out = new Float32Array(width * 4);
    const fine = this.step(ms_a_pixel);
    let tile: Tile | null = null;
    let until = -1; // within that tile
    for (let x = 0; x < width; x++) {
      const begin = from_ms + x * ms_a_pixel;
      if (begin < 0 || begin >= this.length_ms) continue;
      if (begin >= until) {
        let step = fine;
        while (step < STEPS.length && !(tile = this.tile(STEPS[step]!, begin, step === fine))) step++;
        const fine_ms = STEPS[fine]! * BINS; // where the next fine one begins, whichever is drawn here
        until = (Math.floor(begin / fine_ms) + 1) * fine_ms;
      }
      if (!tile) continue;
      const first = Math.floor((begin - tile.from_ms) / tile.bin_ms);
      const last = Math.max(first, Math.ceil((begin + ms_a_pixel - tile.from_ms) / tile.bin_ms) - 1);
      span(tile.caller, first, last, out, x * 4);
      span(tile.agent, first, last, out, x * 4 + 2);
    }
    return out;
  }

  private step(ms_a_pixel: number): number {
    const at = STEPS.findLastIndex((bin) => bin <= ms_a_pixel);
    return Math.max(0, at);
  }

  private tile(bin: number, at_ms: number, wanted: boolean): Tile | null {
    const n = Math.floor(at_ms / (bin * BINS));
    const key = `${bin}/${n}`;
    const found = this.tiles.get(key);
    if (found === undefined && wanted && !this.failed) {
      this.tiles.set(key, null);
      this.waiting.push(key);
      this.next();
    }
    return found ?? null;
  }

  private next(): void {
    while (this.asking < AT_ONCE && this.waiting.length) {
      const key = this.waiting.pop()!; // the newest first: it is what is looked at now
      this.asking++;
      void this.fetch(key).finally(() => { this.asking--; this.next(); });
    }
  }

  private async fetch(key: string): Promise<void> {
    const [bin, n] = key.split("/").map(Number) as [number, number];
    const from_ms = n * BINS * bin;
    const to_ms = Math.min(from_ms + BINS * bin, Math.floor(this.length_ms));
    const bins = Math.max(1, Math.ceil((to_ms - from_ms) / bin));
    try {
      const told = await get<Schemas["Peaks"]>(call(this.id, "/peaks"), { from_ms, to_ms, bins });
      this.tiles.set(key, told);
    } catch (error) {
      // The recording may be shorter than the call; one that is not there at all is said once.
      this.tiles.set(key, { bin_ms: bin, from_ms, caller: [], agent: [] });
      if (n === 0) this.failed = (error as Error).message;
    }
    if (this.tiles.size > MOST) this.tiles.delete(this.tiles.keys().next().value!);
    this.ready();
  }
}

function span(bins: number[][], first: number, last: number, out: Float32Array, at: number): void {
  let low = 0;
  let high = 0;
  for (let i = first; i <= last; i++) {
    const bin = bins[i];
    if (!bin) continue;
    if (bin[0]! < low) low = bin[0]!;
    if (bin[1]! > high) high = bin[1]!;
  }
  out[at] = low / 128;
  out[at + 1] = high / 128;
}
