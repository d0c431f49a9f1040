/** Owns setting a pin: written once, then read back until the cache shows it. */

import type { Can, Pin } from "../../domain/cache.ts";
import { UserError } from "../../domain/errors.ts";
import type { Clock } from "../../domain/ports.ts";

/**
 * `deadline`: milliseconds the pin has to become visible in the list.
 * `set`: written, and not to be read back from this cache. Throws where it is
 * not what was asked for.
 */
export async function setPin(
  cache: Can<"pin">,
  pin: Pin,
  deadline: number,
  clock: Clock,
  signal: AbortSignal,
): Promise<"confirmed" | "set"> {
  await cache.pin(pin, signal);
  const until = clock.now() + deadline;
  for (let pause = 250; ; pause = Math.min(pause * 2, 5_000)) {
    const pins = await cache.pins?.(signal);
    if (pins === undefined) return "set";
    const stored = pins.find(({ name }) => name === pin.name);
    if (stored?.storePath === pin.storePath) return "confirmed";
    if (clock.now() + pause > until) {
      throw new UserError(
        "NCP-307",
        `read back for ${deadline / 1000} s, it is on ${stored?.storePath ?? "nothing"}`,
      );
    }
    await clock.sleep(pause * (0.5 + Math.random() / 2), signal);
  }
}
