/** Owns noticing that a transfer stands still: the client says each second how far it is, and waits for ever. */

import type { Transfer } from "./github-log.ts";

export class StallWatch {
  private readonly after: number;
  private readonly stalled: () => void;
  private timer: NodeJS.Timeout | undefined;
  /** Transfers under way by direction and size; several entries come side by side. */
  private readonly underWay = new Map<string, number>();

  /** `stalled` is called once no transfer has moved for `after` milliseconds. */
  constructor(after: number, stalled: () => void) {
    this.after = after;
    this.stalled = stalled;
  }

  read({ direction, bytes, of }: Transfer): void {
    const key = `${direction} ${of}`;
    const before = this.underWay.get(key);
    if (before === bytes) return;
    // What was received is unpacked now, which says nothing; what was sent waits for its answer.
    if (bytes === of && direction === "received") this.underWay.delete(key);
    else this.underWay.set(key, bytes);
    this.restart();
  }

  /** The service was asked something else: what was being sent has arrived. */
  sent(): void {
    for (const key of this.underWay.keys()) if (key.startsWith("sent ")) this.underWay.delete(key);
    this.restart();
  }

  end(): void {
    clearTimeout(this.timer);
  }

  private restart(): void {
    clearTimeout(this.timer);
    this.timer = this.underWay.size > 0 ? setTimeout(this.stalled, this.after) : undefined;
  }
}
