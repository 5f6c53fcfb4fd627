// What is drawn over time: a bounded number of samples, and rates of counters that may begin anew.

export interface Sample {
  /** Seconds since 1970. */
  at: number;
  values: Record<string, number>;
}

/** The newest samples, at most so many. */
export class Ring {
  #samples: Sample[] = [];

  constructor(readonly room: number) {}

  push(sample: Sample): void {
    const last = this.#samples.at(-1);
    if (last && sample.at <= last.at) return;
    this.#samples.push(sample);
    if (this.#samples.length > this.room) this.#samples.shift();
  }

  get samples(): readonly Sample[] {
    return this.#samples;
  }

  get times(): number[] {
    return this.#samples.map(({ at }) => at);
  }

  /** A gauge at each sample. */
  gauge(name: string): (number | null)[] {
    return this.#samples.map(({ values }) => values[name] ?? null);
  }

  /** What a counter rose by per second since the sample before; null at the first, and where it begins anew. */
  rate(name: string): (number | null)[] {
    return this.#samples.map(({ at, values }, index) => {
      const before = this.#samples[index - 1];
      const now = values[name];
      const then = before?.values[name];
      if (before === undefined || now === undefined || then === undefined || now < then) return null;
      return (now - then) / (at - before.at);
    });
  }
}

/** What a counter rose by in the last so many seconds, as far as there are samples. */
export function rise(ring: Ring, name: string, seconds: number): number {
  const last = ring.samples.at(-1);
  if (!last) return 0;
  const first = ring.samples.find(({ at }) => at >= last.at - seconds);
  const now = last.values[name] ?? 0;
  const then = first?.values[name] ?? now;
  return now < then ? now : now - then;
}
