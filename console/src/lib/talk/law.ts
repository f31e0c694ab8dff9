/** G.711 µ-law (PCMU): 8 bits a sample, as phone lines and every wire of ours have it. Samples are -1 to 1. */

const BIAS = 0x84;
const CLIP = 32635;

/** ITU-T G.711: what each code stands for. */
export const LEVELS = Float32Array.from({ length: 256 }, (_, at) => {
  const code = ~at & 0xff;
  const size = (((code & 0x0f) << 3) + BIAS) << ((code & 0x70) >> 4);
  return ((code & 0x80 ? -1 : 1) * (size - BIAS)) / 32768;
});

export function encode(samples: Float32Array): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(samples.length);
  for (let n = 0; n < samples.length; n++) {
    const value = Math.round(samples[n]! * 32768);
    const size = Math.min(Math.abs(value), CLIP) + BIAS;
    const exponent = 24 - Math.clz32(size); // 0x84 is 0
    out[n] = ~((value < 0 ? 0x80 : 0) | (exponent << 4) | ((size >> (exponent + 3)) & 0x0f)) & 0xff;
  }
  return out;
}

export function decode(codes: Uint8Array): Float32Array {
  return Float32Array.from(codes, (code) => LEVELS[code]!);
}

export function fromBase64(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(atob(text), (char) => char.charCodeAt(0));
}

export function toBase64(bytes: Uint8Array): string {
  return btoa(String.fromCharCode(...bytes));
}
