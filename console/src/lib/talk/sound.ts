/** Microphone and speakers of this machine, at whatever rate they have; on our side PCMU in frames of 20 ms. */
import worklet from "./worklet.ts?worker&url";

/** Lanes: 0 the agent, 1 the caller; who talks hears only the agent, who listens in hears both. */
export type Lane = 0 | 1;
export type ToWorklet =
  | { kind: "play"; lane: Lane; audio: Uint8Array }
  | { kind: "mark"; name: string }
  | { kind: "clear"; lane: Lane }
  | { kind: "gain"; lane: Lane; gain: number }
  | { kind: "mute"; on: boolean }
  | { kind: "end" };
export type FromWorklet =
  | { kind: "frame"; audio: Uint8Array<ArrayBuffer> }
  | { kind: "marks"; names: string[]; flushed: boolean }
  | { kind: "levels"; caller: number; agent: number }
  | { kind: "deaf" }; // said by this file: the microphone was taken away

export interface Device {
  id: string;
  name: string;
}

/** Why there is no sound, in words for whoever sits before the screen. */
export class SoundError extends Error {}

export async function microphones(): Promise<Device[]> {
  const all = (await navigator.mediaDevices?.enumerateDevices()) ?? [];
  return all.filter((one) => one.kind === "audioinput" && one.deviceId).map((one, n) => ({ id: one.deviceId, name: one.label || `microphone ${n + 1}` }));
}

export async function openMicrophone(id: string): Promise<MediaStream> {
  if (!navigator.mediaDevices) throw new SoundError("This page has no microphone: browsers give one to https and to localhost only.");
  try {
    return await navigator.mediaDevices.getUserMedia({
      audio: {
        echoCancellation: true, noiseSuppression: true, autoGainControl: true, channelCount: 1,
        ...(id ? { deviceId: { exact: id } } : {}),
      },
    });
  } catch (error) {
    const name = error instanceof DOMException ? error.name : "";
    if (name === "NotAllowedError") throw new SoundError("The browser was told not to give this page the microphone. Allow it beside the address, or write instead.");
    if (name === "NotFoundError" || name === "OverconstrainedError") throw new SoundError("There is no such microphone. Plug one in or choose another, or write instead.");
    throw new SoundError(`The microphone cannot be opened${name ? ` (${name})` : ""}. Another program may hold it.`);
  }
}

export class Sound {
  private constructor(
    private readonly context: AudioContext,
    private readonly node: AudioWorkletNode,
    private readonly microphone: MediaStream | null,
  ) {}

  static async open(microphone: MediaStream | null, told: (what: FromWorklet) => void): Promise<Sound> {
    const context = new AudioContext({ latencyHint: "interactive" });
    await context.audioWorklet.addModule(worklet);
    const node = new AudioWorkletNode(context, "talk", { numberOfInputs: 1, numberOfOutputs: 1, outputChannelCount: [1] });
    // What the sound card still holds is not heard yet.
    const late = () => (context.outputLatency || context.baseLatency || 0) * 1000;
    node.port.onmessage = (event: MessageEvent<FromWorklet>) => {
      const what = event.data;
      if (what.kind === "marks" && !what.flushed) setTimeout(() => told(what), late());
      else told(what);
    };
    for (const track of microphone?.getTracks() ?? []) track.onended = () => told({ kind: "deaf" });
    if (microphone) context.createMediaStreamSource(microphone).connect(node);
    node.connect(context.destination);
    await context.resume();
    return new Sound(context, node, microphone);
  }

  get rate(): number {
    return this.context.sampleRate;
  }

  tell(what: ToWorklet): void {
    this.node.port.postMessage(what);
  }

  close(): void {
    this.tell({ kind: "end" });
    for (const track of this.microphone?.getTracks() ?? []) track.stop();
    void this.context.close();
  }
}
