/**
 * Hear a call that runs: what its recording has gained is fetched every half second and played behind what was
 * played before. So a listener is about a second late, and nothing of it is near the call's own audio.
 */
import { address, call, Problem } from "./api";

const RATE = 8000;
const HEAD = 4096; // the header is within
const EVERY_MS = 500;
export type Side = "both" | "caller" | "agent";

/** ITU-T G.711: a code of µ-law as a sample of -1 to 1. */
const LAW = Float32Array.from({ length: 256 }, (_, at) => {
  const code = ~at & 0xff;
  const size = (((code & 0x0f) << 3) + 0x84) << ((code & 0x70) >> 4);
  return ((code & 0x80 ? -1 : 1) * (size - 0x84)) / 32768;
});

export class Listener {
  side: Side = "both";
  private context = new AudioContext();
  private at = 0; // in the file
  private until = 0; // what is scheduled ends
  private timer: ReturnType<typeof setTimeout> | undefined;
  private over = false;

  constructor(private id: string, private failed: (why: string) => void) {
    void this.round();
  }

  stop(): void {
    this.over = true;
    clearTimeout(this.timer);
    void this.context.close();
  }

  private async round(): Promise<void> {
    try {
      if (!this.at) await this.begin();
      else await this.more();
    } catch (error) {
      if (this.over) return;
      this.stop();
      this.failed(error instanceof Problem ? error.message : "the recording cannot be fetched");
      return;
    }
    if (!this.over) this.timer = setTimeout(() => void this.round(), EVERY_MS);
  }

  /** Find the end of what is there now: who listens wants to hear what is said now. */
  private async begin(): Promise<void> {
    const answer = await this.fetch(0, HEAD - 1);
    if (!answer) return;
    const head = new Uint8Array(await answer.arrayBuffer());
    const size = Number(answer.headers.get("content-range")?.split("/")[1] ?? 0);
    let begin = 12;
    const view = new DataView(head.buffer);
    while (begin + 8 <= head.length && String.fromCharCode(...head.subarray(begin, begin + 4)) !== "data")
      begin += 8 + view.getUint32(begin + 4, true);
    begin += 8;
    this.at = Math.max(begin, size - ((size - begin) % 2) - RATE); // half a second back: both sides
  }

  private async more(): Promise<void> {
    const answer = await this.fetch(this.at);
    if (!answer) return;
    const raw = new Uint8Array(await answer.arrayBuffer());
    const n = Math.floor(raw.length / 2);
    if (!n || this.over) return;
    this.at += 2 * n;
    const buffer = this.context.createBuffer(2, n, RATE);
    for (const [channel, side] of (["caller", "agent"] as const).entries()) {
      const samples = buffer.getChannelData(channel);
      if (this.side === "both" || this.side === side) for (let i = 0; i < n; i++) samples[i] = LAW[raw[2 * i + channel]!]!;
    }
    const source = this.context.createBufferSource();
    source.buffer = buffer;
    source.connect(this.context.destination);
    const now = this.context.currentTime;
    if (this.until < now) this.until = now + 0.15;
    source.start(this.until);
    this.until += n / RATE;
  }

  /** None where the recording has nothing new. */
  private async fetch(from: number, to?: number): Promise<Response | null> {
    const answer = await fetch(address(call(this.id, "/recording")), {
      headers: { Range: `bytes=${from}-${to ?? ""}` }, credentials: "same-origin", cache: "no-store",
    });
    if (answer.status === 416) return null;
    if (answer.ok) return answer;
    const told = (await answer.json().catch(() => null)) as { detail?: string; errors?: { fix: string }[] } | null;
    throw new Problem(answer.status, `HTTP ${answer.status}`, [told?.detail, told?.errors?.[0]?.fix].filter(Boolean).join("; "), []);
  }
}
