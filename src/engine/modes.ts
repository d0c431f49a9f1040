/** Owns what a mode is: which steps a plan may hold, and nothing more. */

import type { Mode } from "../domain/job.ts";
import type { Step } from "./step.ts";

/** Which steps a mode's plan may hold. */
export const MAY: Readonly<Record<Mode, ReadonlySet<Step["do"]>>> = {
  check: new Set(),
  prefetch: new Set(["reclaim", "configure", "substitute"]),
  warm: new Set(["reclaim", "configure", "substitute", "build", "push", "verify", "pin"]),
  audit: new Set(["verify", "audit"]),
};

/** What the end of the job may hold: what the job itself built. */
export const MAY_IN_POST: Readonly<Record<Mode, ReadonlySet<Step["do"]>>> = {
  check: new Set(),
  prefetch: new Set(["push", "verify", "pin"]),
  warm: new Set(["push", "verify", "pin"]),
  audit: new Set(),
};
