/** Owns how much memory the process lets garbage take before it is collected. */

import { setFlagsFromString } from "node:v8";

/**
 * Keeps V8's space for new objects as small as it is. It grows to 96 MB where many requests are under
 * way, with 13 MB of it alive: 10,000 paths pushed took 270 MB so, and 170 MB without, in the same time.
 * The flag is read each time that space could grow, and so may be set late.
 */
export function keepGarbageSmall(): void {
  setFlagsFromString("--semi-space-growth-factor=1");
}
