/** Owns saying that a cache was hard to get answers from: a run that took longer tells why. */

import type { Finding } from "../../domain/finding.ts";
import type { World } from "../../domain/ports.ts";
import { strainWords } from "../../domain/strain.ts";
import type { SurveyedTier } from "./tiers.ts";

/** Of caches that are there: who is left out has a word of its own. */
export function strainFindings(
  { own, tiers }: Pick<World, "own" | "tiers">,
  surveyed: readonly Pick<SurveyedTier, "name" | "state">[],
): Finding[] {
  const there = new Set(
    surveyed.flatMap(({ name, state }) => (state.kind === "reachable" ? [name] : [])),
  );
  const caches = [...(own ? [own] : []), ...tiers].filter(({ name }) => there.has(name));
  return caches.flatMap((cache): Finding[] => {
    const strain = cache.strain?.();
    const words = strain && strainWords(strain);
    if (words === undefined) return [];
    const message = `${cache.name} was hard to get answers from: ${words}`;
    const hint = "nothing is left out for it; the run took longer";
    return [{ kind: "tier", level: "notice", message, hint }];
  });
}
