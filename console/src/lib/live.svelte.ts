/**
 * The calls that run, as the live stream tells of them.
 *
 * Who, where and what was said is state that pages show; how loud it is comes ten times a second for every call, so
 * it goes past Svelte straight to the meters that are on the screen.
 */
import { address, type Live } from "./api";

export type Event = { type: string; call?: string; id?: string } & Record<string, any>;
type Meter = (caller: number | null, agent: number | null) => void;

const BACK_MS = [500, 1000, 2000, 5000];
const ENDED_KEPT = 12;
const SILENT_MS = 6000; // without a message where levels came ten times a second: nothing gets through
const STUCK_MS = 10_000; // a network that comes back does not always take up what was asked meanwhile

export type Ended = Live & { ended: { seconds: number; why: string; wanted: boolean }; verdict?: string; findings?: string[] };

class Stream {
  calls = $state<Record<string, Live>>({});
  ended = $state<Ended[]>([]);
  state = $state<"connecting" | "open" | "away">("connecting");
  lost = $state(0);
  received = { events: 0, bytes: 0 }; // for whoever measures

  private socket: WebSocket | null = null;
  private reading: AbortController | null = null;
  private last = "";
  private tries = 0;
  private wanted = false;
  private meters = new Map<string, Set<Meter>>();
  private listeners = new Set<(event: Event) => void>();
  private flowing = false; // levels came last
  private asked_at = 0;
  private looking: ReturnType<typeof setInterval> | undefined;

  start(): void {
    this.wanted = true;
    this.looking ??= setInterval(() => this.look(), 2000);
    if (!this.socket && !this.reading) this.connect();
  }

  stop(): void {
    this.wanted = false;
    clearInterval(this.looking);
    this.looking = undefined;
    this.socket?.close();
    this.reading?.abort();
  }

  /** Hear of every event; returns how to stop. */
  on(listener: (event: Event) => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  /** An element's meters; a Svelte action. */
  meter = (node: HTMLElement, call: string): { update(call: string): void; destroy(): void } => {
    const bars = node.querySelectorAll<HTMLElement>("[data-side]");
    const show: Meter = (caller, agent) => {
      for (const bar of bars) {
        const level = bar.dataset.side === "caller" ? caller : agent;
        bar.style.transform = `scaleX(${level === null ? 0 : Math.max(0, Math.min(1, 1 + level / 60))})`;
      }
    };
    let now = call;
    const enter = (name: string) => (this.meters.get(name) ?? this.meters.set(name, new Set()).get(name)!).add(show);
    const leave = (name: string) => {
      const those = this.meters.get(name);
      those?.delete(show);
      if (those?.size === 0) this.meters.delete(name);
    };
    enter(now);
    return {
      update: (name) => { if (name !== now) { leave(now); enter((now = name)); } },
      destroy: () => leave(now),
    };
  };

  private connect(): void {
    const url = address("live", { levels: 10, after: this.last });
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    this.asked_at = performance.now();
    const socket = (this.socket = new WebSocket(url));
    let opened = false;
    socket.onopen = () => (opened = true);
    socket.onmessage = (message: MessageEvent<string>) => this.came(message.data);
    socket.onclose = () => {
      this.socket = null;
      if (opened || !this.wanted) this.again();
      else void this.read(); // a proxy between may not pass WebSockets on: the same events by plain HTTP
    };
  }

  /** The stream as Server-Sent Events. Not an EventSource, which would have to know every event's name. */
  private async read(): Promise<void> {
    const reading = (this.reading = new AbortController());
    try {
      const answer = await fetch(address("live", { levels: 10, after: this.last }), { signal: reading.signal, headers: { Accept: "text/event-stream" } });
      const reader = answer.ok ? answer.body!.pipeThrough(new TextDecoderStream()).getReader() : null;
      let rest = "";
      for (let got = await reader?.read(); got && !got.done; got = await reader!.read()) {
        const lines = (rest + got.value).split("\n");
        rest = lines.pop()!;
        for (const line of lines) if (line.startsWith("data: ")) this.came(line.slice(6));
      }
    } catch (error) {
      if (!(error instanceof TypeError) && !reading.signal.aborted) throw error; // a TypeError: the network
    }
    this.reading = null;
    this.again();
  }

  /** A network that is gone without a word closes nothing. */
  private look(): void {
    const now = performance.now(), socket = this.socket;
    const silent = this.state === "open" && this.flowing && now - this.heard_at > SILENT_MS;
    const stuck = socket?.readyState === WebSocket.CONNECTING && now - this.asked_at > STUCK_MS;
    if (!silent && !stuck) return;
    if (!socket) return this.reading?.abort();
    socket.onmessage = socket.onclose = null;
    socket.close();
    this.socket = null;
    this.again();
  }

  private again(): void {
    this.state = "away";
    if (this.wanted) setTimeout(() => this.wanted && !this.socket && !this.reading && this.connect(), BACK_MS[Math.min(this.tries++, 3)]);
  }

  /** When something came last, on the clock of performance.now(); levels come ten times a second while a call runs. */
  heard_at = 0;

  private came(data: string): void {
    this.heard_at = performance.now();
    this.received.events++;
    this.received.bytes += data.length;
    this.take(JSON.parse(data) as Event);
  }

  private take(event: Event): void {
    if (event.id) this.last = event.id;
    this.flowing = event.type === "levels";
    if (event.type === "levels") {
      for (const [call, [caller, agent]] of Object.entries(event.levels as Record<string, [number | null, number | null]>))
        this.meters.get(call)?.forEach((show) => show(caller, agent));
      return;
    }
    if (event.type === "hello") {
      this.state = "open";
      this.tries = 0;
      this.calls = Object.fromEntries((event.calls as Live[]).map((one) => [one.call, one]));
    } else if (event.type === "lost") this.lost += event.events ?? 1;
    else if (event.type === "call.started" && event.call) this.calls[event.call] = begun(event);
    else if (event.type === "verdict") {
      const over = this.ended.find((one) => one.record === event.record);
      if (over) Object.assign(over, { verdict: event.verdict, findings: event.findings ?? [] });
    } else if (event.call && this.calls[event.call]) this.change(this.calls[event.call]!, event);
    this.listeners.forEach((listener) => listener(event));
  }

  private change(call: Live, event: Event): void {
    switch (event.type) {
      case "call.ended": {
        const over = { ...$state.snapshot(call), ended: { seconds: event.seconds, why: event.why, wanted: event.wanted } };
        this.ended = [over as Ended, ...this.ended].slice(0, ENDED_KEPT);
        delete this.calls[call.call];
        break;
      }
      case "state": call.state = event.state; break;
      case "speaking":
        if (event.who === "caller") call.caller_speaks = event.on;
        else call.agent_speaks = event.on;
        break;
      case "latency": if (event.what === "reply") call.reply_ms = event.ms; break;
      case "barge-in": call.barge_ins++; break;
      case "spend": call.usd = event.usd; call.cost_unknown = event.unknown; break;
      case "stands": call.stands = { verdict: event.verdict, findings: event.findings, because: event.because, judged_at: event.judged_at }; break;
      case "trouble": call.troubles = [...call.troubles, trouble(event)].slice(-20); break;
      case "tool":
        call.tools = event.state === "called" ? [...call.tools, event.name] : without(call.tools, event.name);
        break;
      case "transcript": said(call, event); break;
    }
  }
}

function begun(event: Event): Live {
  const { type: _, id: __, ...call } = event;
  return call as unknown as Live;
}

const trouble = (event: Event): string => (event.what === "deadline.missed" ? `${event.what}: ${event.data?.name}` : event.what);

function without(names: string[], name: string): string[] {
  const at = names.indexOf(name);
  return at < 0 ? names : names.toSpliced(at, 1);
}

function said(call: Live, event: Event): void {
  const { who, item, text } = event as unknown as Live["partials"][number];
  const partials = call.partials.filter((one) => one.item !== item);
  if (!event.final) {
    call.partials = [...partials, { who, item, text }];
    return;
  }
  call.partials = partials;
  const old = call.turns.find((one) => item && one.item === item);
  if (old) old.text = text;
  else call.turns = [...call.turns, { who, item, text, at_s: event.at_s }].slice(-40);
}

export const live = new Stream();
