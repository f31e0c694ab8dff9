/** A call to an agent from this page: the ticket, the stream of docs/talk.md, and the sound on both sides of it. */
import { BASE, post, type Schemas } from "../api";
import { fromBase64, toBase64 } from "./law";
import { openMicrophone, Sound, type FromWorklet } from "./sound";

export type News =
  | { kind: "talking"; call: string; rate: number }
  | { kind: "said"; who: "caller" | "agent"; text: string }
  | { kind: "cut" } // the agent was interrupted
  | { kind: "levels"; caller: number; agent: number }
  | { kind: "deaf" } // the microphone was taken away
  | { kind: "over"; why: string };

type FromServer =
  | { event: "media"; audio: string }
  | { event: "mark"; name: string }
  | { event: "clear" }
  | { event: "said"; who: "caller" | "agent"; text: string };

export const NO_SOCKET = "The stream could not be opened. A proxy between this browser and the server must pass WebSockets on (docs/console.md).";

const CUT = "The connection was cut. What was said until then is on record; call again when the network or the server is back.";
const MOST_WAITING = 16_000; // bytes, a good second: what is said while nothing gets through is old when something does
const GOODBYE_MS = 2000;

export class Talk {
  private sound: Sound | null = null;
  private socket: WebSocket | null = null;
  private seq = 0;
  private over = false;

  constructor(private readonly told: (news: News) => void) {}

  /** Throws a SoundError or a Problem. `microphone`: null to write only. */
  async begin(agent: string, microphone: string | null): Promise<void> {
    const stream = microphone === null ? null : await openMicrophone(microphone);
    try {
      this.sound = await Sound.open(stream, (what) => this.heard(what));
      const ticket = await post<Schemas["Ticket"]>("talk", { agent });
      if (!this.over) this.open(ticket);
    } catch (error) {
      for (const track of stream?.getTracks() ?? []) track.stop();
      this.sound?.close();
      this.sound = null;
      throw error;
    }
  }

  private open(ticket: Schemas["Ticket"]): void {
    const url = new URL(`..${ticket.path}`, BASE);
    url.protocol = url.protocol.replace("http", "ws");
    const socket = (this.socket = new WebSocket(url));
    let opened = false;
    socket.onopen = () => {
      opened = true;
      const rate = this.sound?.rate ?? 0;
      this.send({
        event: "start", callId: ticket.call, ticket: ticket.ticket, version: 1, agent: ticket.agent, client: "browser",
        audio: { encoding: "PCMU", rate: 8000 }, deviceRate: rate,
      });
      this.told({ kind: "talking", call: ticket.call, rate });
    };
    socket.onmessage = (event: MessageEvent<string>) => this.came(JSON.parse(event.data) as FromServer);
    socket.onclose = (event) => this.end(event.code === 1000 || event.code === 1001 ? "" : event.reason || (opened ? CUT : NO_SOCKET));
  }

  private came(message: FromServer): void {
    if (message.event === "media") this.sound?.tell({ kind: "play", lane: 0, audio: fromBase64(message.audio) });
    else if (message.event === "mark") this.sound?.tell({ kind: "mark", name: message.name });
    else if (message.event === "said") this.told({ kind: "said", who: message.who, text: message.text });
    else {
      this.sound?.tell({ kind: "clear", lane: 0 });
      this.told({ kind: "cut" });
    }
  }

  private heard(what: FromWorklet): void {
    if (what.kind === "levels" || what.kind === "deaf") this.told(what);
    else if (what.kind === "frame") {
      if (this.talking && this.socket!.bufferedAmount < MOST_WAITING) this.send({ event: "media", seq: ++this.seq, audio: toBase64(what.audio) });
    } else for (const name of what.names) this.send({ event: "mark", name, ...(what.flushed ? { flushed: true } : {}) });
  }

  private get talking(): boolean {
    return this.socket?.readyState === WebSocket.OPEN;
  }

  private send(message: object): void {
    if (this.talking) this.socket!.send(JSON.stringify(message));
  }

  press(digit: string): void {
    this.send({ event: "dtmf", digit });
  }

  write(text: string): void {
    this.send({ event: "text", text });
  }

  mute(on: boolean): void {
    this.sound?.tell({ kind: "mute", on });
  }

  hangUp(): void {
    this.send({ event: "stop" });
    if (!this.talking) this.end("");
    else setTimeout(() => this.end(""), GOODBYE_MS); // a server that cannot be reached says no goodbye
  }

  private end(why: string): void {
    if (this.over) return;
    this.over = true;
    this.sound?.close();
    this.socket?.close();
    this.told({ kind: "over", why });
  }
}
