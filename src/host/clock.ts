/** Owns time: now, and waiting that can be interrupted. */

import { setTimeout as wait } from "node:timers/promises";
import type { Clock } from "../domain/ports.ts";

export const clock: Clock = {
  // Never backwards: whoever sets the machine's clock back would hold up every deadline by as much.
  now: () => Math.round(performance.timeOrigin + performance.now()),
  sleep: async (milliseconds, signal) => {
    await wait(milliseconds, undefined, { signal }).catch((error) => {
      // The run's own reason, not the timer's: it is what the user is told.
      signal.throwIfAborted();
      throw error;
    });
  },
};
