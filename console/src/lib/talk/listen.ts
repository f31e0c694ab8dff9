/**
 * Hear a call that runs, as it goes by, recorded or not. The agent's audio is ahead of real time and waits here, as it
 * does at the caller's; what a barge-in clears there is cleared here.
 */
import { BASE, call, post, Problem, type Schemas } from "../api";
import { fromBase64 } from "./law";
import { NO_SOCKET } from "./session";
import { Sound, type Lane } from "./sound";

export type Side = "both" | "caller" | "agent";
type FromServer = { event: "media"; who: "caller" | "agent"; audio: string } | { event: "clear" | "lost" } | { event: "private"; on: boolean };

export class Listener {
  private sound: Sound | null = null;
  private socket: WebSocket | null = null;
  private over = false;
  private heard: Side = "both";

  /** `kept`: nothing is passed on just now, for keys are pressed or somebody asked for it. */
  constructor(id: string, private readonly failed: (why: string) => void, private readonly kept: (on: boolean) => void) {
    this.begin(id).catch((error: unknown) => {
      if (this.over) return;
      this.stop();
      this.failed(error instanceof Problem ? [error.message, error.fix].filter(Boolean).join(". ") : "this browser has no sound for the page");
    });
  }

  get side(): Side {
    return this.heard;
  }

  set side(side: Side) {
    this.heard = side;
    for (const [lane, who] of [[0, "agent"], [1, "caller"]] as const)
      this.sound?.tell({ kind: "gain", lane, gain: side === "both" || side === who ? 1 : 0 });
  }

  stop(): void {
    this.over = true;
    this.socket?.close();
    this.sound?.close();
    this.sound = null;
  }

  private async begin(id: string): Promise<void> {
    const sound = await Sound.open(null, () => undefined);
    if (this.over) return sound.close();
    this.sound = sound;
    this.side = this.heard;
    const ticket = await post<Schemas["Ticket"]>(call(id, "/listen"));
    if (this.over) return;
    const url = new URL(`..${ticket.path}`, BASE);
    url.protocol = url.protocol.replace("http", "ws");
    const socket = (this.socket = new WebSocket(url));
    let opened = false;
    socket.onopen = () => {
      opened = true;
      socket.send(JSON.stringify({ event: "start", ticket: ticket.ticket }));
    };
    socket.onmessage = (event: MessageEvent<string>) => this.came(JSON.parse(event.data) as FromServer);
    socket.onclose = (event) => {
      if (this.over) return;
      this.stop();
      this.failed(event.reason || (opened ? "the line was cut" : NO_SOCKET));
    };
  }

  private came(message: FromServer): void {
    const lane = (who: string): Lane => (who === "agent" ? 0 : 1);
    if (message.event === "media") this.sound?.tell({ kind: "play", lane: lane(message.who), audio: fromBase64(message.audio) });
    else if (message.event === "private") this.kept(message.on);
    else if (message.event === "clear") this.sound?.tell({ kind: "clear", lane: 0 });
  }
}
