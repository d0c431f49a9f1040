/** Owns counting long work as it goes: paths and bytes, done and in all. */

import type { WorkState } from "../../domain/ports.ts";
import { derivationName, type StorePath } from "../../domain/store-path.ts";

/** So many names of what is under way are kept; a line has no room for more. */
const NAMES = 3;

export class Meter {
  private readonly unit: string;
  private inAll: number | undefined;
  private bytesInAll: number | undefined;
  private readonly underWay = new Map<StorePath, number>();
  private readonly done = new Set<StorePath>();
  private bytesDone = 0;

  /** Undefined: not known before it is done. */
  constructor(unit: string, inAll?: number, bytesInAll?: number) {
    this.unit = unit;
    this.inAll = inAll;
    this.bytesInAll = bytesInAll;
  }

  expect(inAll: number, bytesInAll: number): void {
    this.inAll = inAll;
    this.bytesInAll = bytesInAll;
  }

  /** So many bytes of a path so far; what begins again is counted from its beginning. */
  at(path: StorePath, bytes: number): void {
    if (!this.done.has(path)) this.underWay.set(path, bytes);
  }

  finish(path: StorePath, bytes: number): void {
    this.underWay.delete(path);
    if (this.done.has(path)) return;
    this.done.add(path);
    this.bytesDone += bytes;
  }

  readonly state = (): WorkState => {
    let bytes = this.bytesDone;
    for (const some of this.underWay.values()) bytes += some;
    return {
      unit: this.unit,
      done: this.done.size,
      inAll: this.inAll,
      // A size may be stated too small; more than all is never done.
      bytes: Math.min(bytes, this.bytesInAll ?? bytes),
      bytesInAll: this.bytesInAll,
      now: [...this.underWay.keys()].slice(0, NAMES).map(derivationName),
    };
  };
}
