/** What waits to be played, and the marks in their places. Positions are samples since the beginning. */
export class Queue {
  private parts: Float32Array[] = [];
  private begun = 0; // samples of the first part that were played
  private marks: { name: string; at: number }[] = [];
  private added = 0;
  private played = 0;

  add(samples: Float32Array): void {
    if (!samples.length) return;
    this.parts.push(samples);
    this.added += samples.length;
  }

  mark(name: string): void {
    this.marks.push({ name, at: this.added });
  }

  /** Forget what waits; the names of the marks that were not reached. */
  clear(): string[] {
    const names = this.marks.map((mark) => mark.name);
    this.parts = [];
    this.marks = [];
    this.begun = 0;
    this.played = this.added;
    return names;
  }

  get waiting(): number {
    return this.added - this.played;
  }

  /** Add the next samples to `out`; the names of the marks that were reached. */
  take(out: Float32Array, gain: number): string[] {
    let at = 0;
    while (at < out.length && this.parts.length) {
      const part = this.parts[0]!;
      const n = Math.min(out.length - at, part.length - this.begun);
      for (let i = 0; i < n; i++) out[at + i]! += part[this.begun + i]! * gain;
      at += n;
      this.begun += n;
      this.played += n;
      if (this.begun === part.length) {
        this.parts.shift();
        this.begun = 0;
      }
    }
    let reached = 0;
    while (reached < this.marks.length && this.marks[reached]!.at <= this.played) reached++;
    return this.marks.splice(0, reached).map((mark) => mark.name);
  }
}
