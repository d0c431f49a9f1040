/** Owns saying that a cache was hard to get answers from: a run that took longer tells why. */

import type { Finding } from "../domain/finding.ts";
import type { World } from "../domain/ports.ts";
import { strainWords } from "../domain/strain.ts";

export function strainFindings({ own, tiers }: Pick<World, "own" | "tiers">): Finding[] {
  return [...(own ? [own] : []), ...tiers].flatMap((cache): Finding[] => {
    const strain = cache.strain?.();
    const words = strain && strainWords(strain);
    if (words === undefined) return [];
    const message = `${cache.name} was hard to get answers from: ${words}`;
    const hint = "nothing is left out for it; the run took longer";
    return [{ kind: "tier", level: "notice", message, hint }];
  });
}
