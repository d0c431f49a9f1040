/** Gathers questions that are cheaper together: while some are under way, the next ones wait for each other. */

import type { StorePath } from "../domain/store-path.ts";

export interface BatchOptions<V> {
  /** Batches under way at once. */
  readonly parallel: number;
  /** Questions in one batch. */
  readonly most: number;
  /** Rejects for all of the batch. Whoever has no answer in the map gets `absent`. */
  readonly answer: (
    paths: readonly StorePath[],
    signal: AbortSignal,
  ) => Promise<ReadonlyMap<StorePath, V>>;
  readonly absent: V;
}

interface Waiting<V> {
  readonly signal: AbortSignal;
  readonly settle: ((value: V) => void)[];
  readonly fail: ((error: unknown) => void)[];
}

export class Batch<V> {
  private readonly options: BatchOptions<V>;
  private waiting = new Map<StorePath, Waiting<V>>();
  private underWay = 0;
  private planned = false;

  constructor(options: BatchOptions<V>) {
    this.options = options;
  }

  ask(path: StorePath, signal: AbortSignal): Promise<V> {
    this.plan();
    return new Promise((settle, fail) => {
      const others = this.waiting.get(path);
      if (others) {
        others.settle.push(settle);
        others.fail.push(fail);
      } else this.waiting.set(path, { signal, settle: [settle], fail: [fail] });
    });
  }

  /** At the end of this turn of the event loop: what is asked side by side goes together. */
  private plan(): void {
    if (this.planned || this.underWay >= this.options.parallel) return;
    this.planned = true;
    setImmediate(() => {
      this.planned = false;
      while (this.waiting.size > 0 && this.underWay < this.options.parallel) this.send();
    });
  }

  private send(): void {
    const taken = new Map([...this.waiting].slice(0, this.options.most));
    for (const path of taken.keys()) this.waiting.delete(path);
    const [first] = taken.values();
    if (!first) return;
    this.underWay++;
    this.options
      .answer([...taken.keys()], first.signal)
      .then(
        (answers) => {
          for (const [path, { settle }] of taken) {
            const value = answers.get(path) ?? this.options.absent;
            for (const one of settle) one(value);
          }
        },
        (error) => {
          for (const { fail } of taken.values()) for (const one of fail) one(error);
        },
      )
      .finally(() => {
        this.underWay--;
        if (this.waiting.size > 0) this.plan();
      });
  }
}
