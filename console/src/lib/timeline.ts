/**
 * Draws a call on its true time axis: voices, then the lanes carrier, bridge, provider and tools with every message.
 *
 * Only what lies between `from` and `to` is looked at, so the cost is that of the screen and not of the call.
 */
import type { Ladder, LadderMessage } from "./api";
import { clock, ms } from "./format";
import type { Outline } from "./peaks";

export type View = { from: number; to: number };
export type Hit = { x: number; y0: number; y1: number; n: number };
export type Look = Record<
  "ink" | "soft" | "faint" | "line" | "strong" | "panel" | "sunk" | "accent" | "caller" | "agent" | "tool" | "heard" | "unheard" | "focus",
  string
>;

const AXIS = 22;
const WAVE = 46;
const WORDS = 17;
const GAP = 74;
const FRAME_MS = 20;
const CROWDED = 5; // pixels a message
const GAIN = 1.8; // speech peaks well below the full scale
export const Y = {
  caller: AXIS + WAVE / 2 + 2,
  callerWords: AXIS + WAVE + 14,
  agent: AXIS + WAVE + WORDS + WAVE / 2 + 6,
  agentWords: AXIS + 2 * WAVE + WORDS + 18,
  carrier: AXIS + 2 * WAVE + 2 * WORDS + 26,
  bridge: AXIS + 2 * WAVE + 2 * WORDS + 26 + GAP,
  provider: AXIS + 2 * WAVE + 2 * WORDS + 26 + 2 * GAP,
  tools: AXIS + 2 * WAVE + 2 * WORDS + 26 + 2 * GAP + 26,
};
export const height = (ladder: Ladder): number => (ladder.tool_runs.length ? Y.tools + 18 : Y.provider + 16);
const ENDS: Record<LadderMessage["channel"], [number, number]> = {
  from_carrier: [Y.carrier, Y.bridge], to_carrier: [Y.bridge, Y.carrier],
  from_provider: [Y.provider, Y.bridge], to_provider: [Y.bridge, Y.provider],
};
export const LANES: [string, number][] = [
  ["caller", Y.caller], ["agent", Y.agent], ["carrier", Y.carrier], ["bridge", Y.bridge], ["provider", Y.provider],
];
const FONT = '11px system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif';
const STEPS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 3e4, 6e4, 12e4, 3e5, 6e5, 18e5, 36e5];

export function look(): Look {
  const style = getComputedStyle(document.documentElement);
  const names = ["ink", "soft", "faint", "line", "strong", "panel", "sunk", "accent", "caller", "agent", "tool", "heard", "unheard", "focus"] as const;
  return Object.fromEntries(names.map((name) => [name, style.getPropertyValue(`--${name}`).trim()])) as Look;
}

/** The first of a sorted list that is not before `at`. */
export function firstAt<T extends { at_ms: number }>(list: T[], at: number): number {
  let low = 0;
  let high = list.length;
  while (low < high) {
    const mid = (low + high) >> 1;
    if (list[mid]!.at_ms < at) low = mid + 1;
    else high = mid;
  }
  return low;
}

export class Painter {
  hits: Hit[] = [];
  private x = (at: number): number => ((at - this.view.from) / (this.view.to - this.view.from)) * this.width;
  private view: View = { from: 0, to: 1 };
  private guilty: Set<number>;

  constructor(private ctx: CanvasRenderingContext2D, private ladder: Ladder, private outline: Outline | null, private look: Look, private width: number) {
    this.guilty = new Set(ladder.guilty.map((one) => one.n));
  }

  draw(view: View, selected: number): void {
    this.view = view;
    this.hits = [];
    const { ctx } = this;
    ctx.font = FONT;
    ctx.textBaseline = "alphabetic";
    ctx.lineWidth = 1;
    ctx.clearRect(0, 0, this.width, height(this.ladder));
    this.axis();
    this.spans();
    this.waves();
    this.lanes();
    this.milestones();
    this.deadlines();
    this.notes(selected);
    this.figures(selected);
    this.messages(selected);
    this.bargeIns();
    this.replies();
    this.tools();
  }

  private axis(): void {
    const { ctx, view } = this;
    const a_pixel = (view.to - view.from) / this.width;
    const step = STEPS.find((one) => one / a_pixel >= 84) ?? STEPS.at(-1)!;
    const digits = step >= 1000 ? 0 : step >= 100 ? 1 : step >= 10 ? 2 : 3;
    ctx.fillStyle = this.look.faint;
    ctx.strokeStyle = this.look.line;
    ctx.beginPath();
    for (let at = Math.ceil(view.from / step) * step; at <= view.to; at += step) {
      if (at < 0) continue;
      const x = Math.round(this.x(at)) + 0.5;
      ctx.moveTo(x, 16);
      ctx.lineTo(x, height(this.ladder));
      const text = clock(at, digits);
      if (x + 3 + ctx.measureText(text).width < this.width) ctx.fillText(text, x + 3, 12);
    }
    ctx.stroke();
    const end = this.x(this.ladder.length_ms);
    ctx.fillStyle = this.look.sunk;
    if (end < this.width) ctx.fillRect(Math.max(0, end), 16, this.width - end, height(this.ladder));
    const begin = this.x(0);
    if (begin > 0) ctx.fillRect(0, 16, begin, height(this.ladder));
  }

  private waves(): void {
    const { ctx, outline } = this;
    if (!outline) return;
    const columns = outline.columns(this.view.from, (this.view.to - this.view.from) / this.width, this.width);
    for (const [side, y, colour] of [[0, Y.caller, this.look.caller], [2, Y.agent, this.look.agent]] as const) {
      ctx.fillStyle = colour;
      for (let x = 0; x < this.width; x++) {
        const low = columns[x * 4 + side]!;
        const high = columns[x * 4 + side + 1]!;
        if (high - low < 0.004) continue;
        const top = y - Math.min(1, high * GAIN) * (WAVE / 2);
        ctx.fillRect(x, top, 1, Math.max(1, (Math.min(1, high * GAIN) - Math.max(-1, low * GAIN)) * (WAVE / 2)));
      }
    }
  }

  /** Who spoke when; of the agent's what was heard is a bar, what was made and never heard an outline with strokes. */
  private spans(): void {
    const { ctx } = this;
    const right = { caller: -1e9, agent: -1e9 };
    for (const span of this.ladder.spans) {
      if (span.to_ms < this.view.from || span.from_ms > this.view.to || span.kind === "tool" || span.kind === "generated") continue;
      const [x0, x1] = [this.x(span.from_ms), Math.max(this.x(span.to_ms), this.x(span.from_ms) + 2)];
      const side = span.kind === "caller" ? "caller" : "agent";
      const y = side === "caller" ? Y.caller : Y.agent;
      ctx.globalAlpha = 0.1;
      ctx.fillStyle = this.look[side];
      ctx.fillRect(x0, y - WAVE / 2, x1 - x0, WAVE);
      ctx.globalAlpha = 1;
      if (span.kind === "unheard") this.hatch(x0, x1, y);
      ctx.fillStyle = span.kind === "unheard" ? this.look.unheard : this.look[side];
      ctx.fillRect(x0, y + WAVE / 2, x1 - x0, 2);
      const at = Math.max(x0, 2, right[side]);
      // What was never heard would have been heard while the next answer was.
      const next = span.kind === "unheard" ? this.ladder.spans.find((one) => one.kind === "heard" && one.from_ms > span.from_ms) : undefined;
      const text = fitted(ctx, span.text, Math.min(x1, next ? this.x(next.from_ms) : x1) - at - 6);
      if (text) {
        ctx.fillStyle = span.kind === "unheard" ? this.look.faint : this.look.ink;
        const base = side === "caller" ? Y.callerWords : Y.agentWords;
        ctx.fillText(text, at, base);
        const wide = ctx.measureText(text).width;
        if (span.kind === "unheard") ctx.fillRect(at, base - 4, wide, 1);
        right[side] = at + wide + 6;
      }
    }
  }

  private hatch(x0: number, x1: number, y: number): void {
    const { ctx } = this;
    ctx.save();
    ctx.beginPath();
    ctx.rect(x0, y - WAVE / 2, x1 - x0, WAVE);
    ctx.clip();
    ctx.strokeStyle = this.look.unheard;
    ctx.beginPath();
    for (let x = Math.max(x0, -WAVE) - (Math.max(x0, -WAVE) % 7) - WAVE; x < Math.min(x1, this.width + WAVE); x += 7) {
      ctx.moveTo(x, y + WAVE / 2);
      ctx.lineTo(x + WAVE, y - WAVE / 2);
    }
    ctx.stroke();
    ctx.restore();
  }

  private lanes(): void {
    const { ctx } = this;
    ctx.strokeStyle = this.look.strong;
    ctx.beginPath();
    for (const y of [Y.carrier, Y.bridge, Y.provider]) {
      ctx.moveTo(0, y + 0.5);
      ctx.lineTo(this.width, y + 0.5);
    }
    ctx.stroke();
  }

  private messages(selected: number): void {
    const { ctx, ladder, view } = this;
    const rows = new Map<number, number[]>(); // of each gap: where each row of labels ends
    const drawn = new Set<string>();
    const shown: LadderMessage[] = [];
    const last: LadderMessage[] = [];
    const named: (() => void)[] = [];
    for (let i = firstAt(ladder.messages, view.from); i < ladder.messages.length; i++) {
      const message = ladder.messages[i]!;
      if (message.at_ms > view.to) break;
      (message.n === selected || this.guilty.has(message.n) ? last : shown).push(message);
    }
    const crowded = shown.length > this.width / CROWDED; // names would only be noise
    // The guilty ones get their names first, then the others as far as there is room.
    for (const message of [...last, ...shown]) {
      const x = Math.round(this.x(message.at_ms)) + 0.5;
      const [from, to] = ENDS[message.channel];
      const key = `${message.channel}${Math.floor(x / 2)}`;
      const special = message.n === selected || this.guilty.has(message.n);
      if (!special && drawn.has(key)) continue;
      drawn.add(key);
      this.hits.push({ x, y0: Math.min(from, to), y1: Math.max(from, to), n: message.n });
      ctx.strokeStyle = ctx.fillStyle = this.guilty.has(message.n) ? this.look.accent : message.n === selected ? this.look.focus : this.look.soft;
      ctx.lineWidth = special ? 2 : 1;
      arrow(ctx, x, from, to);
      if (special || !crowded) named.push(() => this.label(message, x, Math.min(from, to), rows, special));
    }
    ctx.lineWidth = 1;
    named.forEach((label) => label()); // over the lines
  }

  private label(message: LadderMessage, x: number, top: number, rows: Map<number, number[]>, special: boolean): void {
    const { ctx } = this;
    const ends = rows.get(top) ?? rows.set(top, [-1e9, -1e9, -1e9, -1e9]).get(top)!;
    const text = message.type;
    const wide = ctx.measureText(text).width;
    const left = x + wide + 6 > this.width && x - wide - 4 > 0 ? x - wide - 4 : x + 4;
    const row = special ? 0 : ends.findIndex((end) => end < left - 6);
    if (row < 0 || (special && ends[0]! > left)) return;
    ends[row] = left + wide + 4;
    const y = top + 20 + row * 15;
    ctx.fillStyle = this.look.panel;
    ctx.globalAlpha = 0.85;
    ctx.fillRect(left - 1, y - 10, wide + 2, 13);
    ctx.globalAlpha = 1;
    ctx.fillStyle = this.guilty.has(message.n) ? this.look.accent : this.look.ink;
    ctx.fillText(text, left, y);
  }

  private notes(selected: number): void {
    const { ctx, ladder, view } = this;
    let before = -1e9;
    for (let i = firstAt(ladder.notes, view.from); i < ladder.notes.length && ladder.notes[i]!.at_ms <= view.to; i++) {
      const note = ladder.notes[i]!;
      const x = this.x(note.at_ms);
      const special = this.guilty.has(note.n) || note.n === selected;
      if (!special && x - before < 3) continue;
      before = x;
      const size = special ? 6 : 3.5;
      ctx.fillStyle = this.guilty.has(note.n) ? this.look.accent : note.n === selected ? this.look.focus : this.look.soft;
      ctx.beginPath();
      ctx.moveTo(x, Y.bridge - size);
      ctx.lineTo(x + size, Y.bridge);
      ctx.lineTo(x, Y.bridge + size);
      ctx.lineTo(x - size, Y.bridge);
      ctx.fill();
      this.hits.push({ x, y0: Y.bridge - 6, y1: Y.bridge + 6, n: note.n });
    }
  }

  /** Proof in a line of figures: no arrow has it, so it has a place of its own on the bridge's lane. */
  private figures(selected: number): void {
    const { ctx } = this;
    for (const one of this.ladder.guilty) {
      const x = Math.round(this.x(one.at_ms)) + 0.5;
      if (one.kind === "msg" || one.kind === "note" || x < -20 || x > this.width + 20) continue;
      ctx.fillStyle = this.look.accent;
      ctx.fillRect(x - 5, Y.bridge - 5, 10, 10);
      if (one.n === selected) {
        ctx.strokeStyle = this.look.focus;
        ctx.lineWidth = 2;
        ctx.strokeRect(x - 8, Y.bridge - 8, 16, 16);
        ctx.lineWidth = 1;
      }
      this.hits.push({ x, y0: Y.bridge - 9, y1: Y.bridge + 9, n: one.n });
    }
  }

  private milestones(): void {
    const { ctx, view } = this;
    ctx.strokeStyle = this.look.strong;
    ctx.beginPath();
    for (const one of this.ladder.milestones) {
      if (one.at_ms < view.from || one.at_ms > view.to) continue;
      const x = Math.round(this.x(one.at_ms)) + 0.5;
      ctx.moveTo(x, Y.bridge - 9);
      ctx.lineTo(x, Y.bridge + 9);
      this.hits.push({ x, y0: Y.bridge - 9, y1: Y.bridge + 9, n: one.n });
    }
    ctx.stroke();
  }

  private bargeIns(): void {
    const { ctx } = this;
    const all = this.ladder.barge_ins;
    for (const [n, one] of all.entries()) {
      const x = Math.round(this.x(one.at_ms)) + 0.5;
      if (x < -200 || x > this.width + 200) continue;
      const room = Math.min(this.width, n + 1 < all.length ? this.x(all[n + 1]!.at_ms) : this.width) - x - 6;
      ctx.strokeStyle = ctx.fillStyle = this.look.accent;
      ctx.setLineDash([3, 3]);
      ctx.beginPath();
      ctx.moveTo(x, 16);
      ctx.lineTo(x, room < 24 && all.length > 1 ? AXIS + 6 : Y.carrier); // many of them are a row of ticks
      ctx.stroke();
      ctx.setLineDash([]);
      const text = `barge-in${one.spoke_ms === null ? "" : `, cleared ${ms(one.at_ms - one.spoke_ms)} after the first sound`}`;
      ctx.fillText(fitted(ctx, text, room), x + 4, Y.agent - WAVE / 2 + 10);
      this.hits.push({ x, y0: AXIS, y1: Y.carrier, n: one.n });
    }
  }

  /** From the caller's last sound to the answer's first: a bracket with its time. */
  private replies(): void {
    const { ctx } = this;
    for (const one of this.ladder.replies) {
      const [x0, x1] = [this.x(one.at_ms - one.ms), this.x(one.at_ms)];
      if (x1 < 0 || x0 > this.width || x1 - x0 < 1.5) continue;
      const text = ms(one.ms);
      const wide = ctx.measureText(text).width;
      ctx.strokeStyle = this.look.soft;
      const y = Y.callerWords + 5.5;
      ctx.beginPath();
      ctx.moveTo(x0, y - 4);
      ctx.lineTo(x0, y);
      ctx.lineTo(x1, y);
      ctx.lineTo(x1, y + 4);
      ctx.stroke();
      if (wide + 4 < x1 - x0) {
        ctx.fillStyle = this.look.panel;
        ctx.fillRect((x0 + x1 - wide) / 2 - 2, y - 6, wide + 4, 12);
        ctx.fillStyle = this.look.ink;
        ctx.fillText(text, (x0 + x1 - wide) / 2, y + 4);
      } else if (this.view.to - this.view.from < 60_000) {
        ctx.fillStyle = this.look.ink;
        ctx.fillText(text, Math.min(x1 + 4, this.width - wide - 2), y + 2);
      }
    }
  }

  /** What was waited for: missed a flag with its words; met a thin bracket on its leg's side, named where there is room. */
  private deadlines(): void {
    const { ctx } = this;
    for (const one of this.ladder.deadlines) {
      if (one.met) {
        this.met(one);
        continue;
      }
      const x = Math.round(this.x(one.at_ms)) + 0.5;
      if (x < -160 || x > this.width) continue;
      const begin = this.x(one.at_ms - (one.waited_ms ?? 0));
      ctx.strokeStyle = ctx.fillStyle = this.look.accent;
      ctx.beginPath();
      ctx.moveTo(begin, Y.bridge - 12.5);
      ctx.lineTo(x, Y.bridge - 12.5);
      ctx.moveTo(x, Y.bridge - 16);
      ctx.lineTo(x, Y.bridge + 8);
      ctx.stroke();
      const text = `${one.name} missed${one.waited_ms === null ? "" : ` after ${ms(one.waited_ms)}`}`;
      const wide = ctx.measureText(text).width;
      const left = x + 4 + wide > this.width ? x - wide - 4 : x + 4;
      ctx.fillText(text, left, Y.bridge + 17);
      this.hits.push({ x, y0: Y.bridge - 14, y1: Y.bridge + 14, n: one.n });
    }
  }

  private met(one: Ladder["deadlines"][number]): void {
    const { ctx } = this;
    const [x0, x1] = [this.x(one.at_ms - (one.waited_ms ?? 0)), this.x(one.at_ms)];
    if (x1 < 0 || x0 > this.width || x1 - x0 < 3) return;
    const away = one.leg === "provider" ? 1 : -1;
    const y = Y.bridge + 13.5 * away;
    ctx.strokeStyle = this.look.strong;
    ctx.beginPath();
    ctx.moveTo(x0, y - 3 * away);
    ctx.lineTo(x0, y);
    ctx.lineTo(x1, y);
    ctx.lineTo(x1, y - 3 * away);
    ctx.stroke();
    this.hits.push({ x: x1, y0: y - 4, y1: y + 4, n: one.n });
    const text = `${one.name} ${ms(one.waited_ms)}`;
    const wide = ctx.measureText(text).width;
    if (wide + 12 > x1 - x0) return;
    const left = (Math.max(x0, 0) + Math.min(x1, this.width) - wide) / 2;
    ctx.fillStyle = this.look.panel;
    ctx.fillRect(left - 3, y - 6, wide + 6, 12);
    ctx.fillStyle = this.look.faint;
    ctx.fillText(text, left, y + 4);
  }

  private tools(): void {
    const { ctx } = this;
    let right = -1e9; // of the words before
    for (const run of this.ladder.tool_runs) {
      const [x0, x1] = [this.x(run.at_ms), this.x(run.at_ms + (run.ms ?? 0))];
      if (x1 < 0 || x0 > this.width) continue;
      const bad = run.outcome !== "ok";
      ctx.fillStyle = bad ? this.look.accent : this.look.tool;
      ctx.fillRect(x0, Y.tools - 6, Math.max(3, x1 - x0), 6);
      const text = `${run.name} ${run.ms === null ? "no end" : ms(run.ms)}${bad && run.outcome ? `, ${run.outcome}` : ""}`;
      const left = Math.max(2, Math.min(x0, this.width - ctx.measureText(text).width - 2));
      if (left < right) continue;
      ctx.fillText(text, left, Y.tools + 11);
      right = left + ctx.measureText(text).width + 8;
    }
  }
}

/**
 * How long at most the agent was audible when playback had been cleared; null where the record does not say. What was
 * heard is known to a frame beyond the way to the carrier, and of that way the marks tell no more than there and back.
 */
export function audibleAfter(ladder: Ladder, one: Ladder["barge_ins"][number]): number | null {
  const heard = ladder.spans.find((span) => span.kind === "heard" && span.item === one.item);
  const trip = ladder.marks.round_trip_ms;
  return heard && typeof trip === "number" ? Math.max(0, heard.to_ms - one.at_ms) + trip + FRAME_MS : null;
}

function arrow(ctx: CanvasRenderingContext2D, x: number, from: number, to: number): void {
  const way = to > from ? -1 : 1;
  ctx.beginPath();
  ctx.moveTo(x, from);
  ctx.lineTo(x, to);
  ctx.stroke();
  ctx.beginPath();
  ctx.moveTo(x, to);
  ctx.lineTo(x - 3.5, to + 7 * way);
  ctx.lineTo(x + 3.5, to + 7 * way);
  ctx.fill();
}

/** As much of a text as there is room for. */
function fitted(ctx: CanvasRenderingContext2D, text: string, room: number): string {
  if (!text || room < 14) return "";
  if (ctx.measureText(text).width <= room) return text;
  const share = Math.floor((text.length * room) / ctx.measureText(text).width);
  for (let n = Math.min(text.length - 1, share + 2); n > 1; n--)
    if (ctx.measureText(`${text.slice(0, n)}…`).width <= room) return `${text.slice(0, n).trimEnd()}…`;
  return "";
}
