/** Counts long work as it goes: paths and bytes, done and in all. */

import type { PushProgress } from "../../domain/cache.ts";
import type { PathInfo } from "../../domain/narinfo.ts";
import type { Clock, WorkState } from "../../domain/ports.ts";
import { derivationName, type StorePath } from "../../domain/store-path.ts";
import type { PushedPath } from "../outcome.ts";
import type { PushListener } from "./push.ts";

/** So many names of what is under way are kept; a line has no space for more. */
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

export class PushMeter implements PushListener {
  private readonly meter = new Meter("path");
  private readonly clock: Clock;
  private readonly sizes = new Map<StorePath, number>();
  private readonly begun = new Map<StorePath, number>();
  readonly state = this.meter.state;

  constructor(clock: Clock) {
    this.clock = clock;
  }

  sending(paths: readonly PathInfo[]): void {
    let bytes = 0;
    for (const { storePath, narSize } of paths) {
      this.sizes.set(storePath, narSize);
      bytes += narSize;
    }
    this.meter.expect(paths.length, bytes);
  }

  read(path: StorePath, bytes: number): void {
    // A second attempt reads it anew, and the time is that of both.
    if (!this.begun.has(path)) this.begun.set(path, this.clock.now());
    this.meter.at(path, bytes);
  }

  finish(done: PushProgress): PushedPath {
    this.meter.finish(done.path, this.sizes.get(done.path) ?? 0);
    const begun = this.begun.get(done.path);
    return {
      ...done,
      seconds: begun === undefined ? undefined : (this.clock.now() - begun) / 1000,
    };
  }
}
