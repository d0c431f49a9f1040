/** Owns counting a push: how much of each NAR was read, and how long each path took. */

import type { PushProgress } from "../../domain/cache.ts";
import type { PathInfo } from "../../domain/narinfo.ts";
import type { Clock } from "../../domain/ports.ts";
import type { StorePath } from "../../domain/store-path.ts";
import type { PushedPath } from "../outcome.ts";
import { Meter } from "./meter.ts";
import type { PushListener } from "./push.ts";

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
