/** Owns looking after what is in our cache: what is verified without a push before it. Pure. */

import type { BinaryCache, StoredPin } from "../../domain/cache.ts";
import type { StorePath } from "../../domain/store-path.ts";
import type { Step } from "../step.ts";
import type { Survey } from "../survey.ts";

/** Looks after what was pushed, and after `pins`, and nothing else: what never was is not lost. */
export function lookAfter(
  survey: Survey,
  own: BinaryCache | undefined,
  pins: readonly StoredPin[],
): Step[] {
  const reachable = survey.tiers.some(
    ({ role, state }) => role === "own" && state.kind === "reachable",
  );
  if (!own || !reachable) return [];
  const roots = new Map<string, readonly StorePath[]>();
  for (const { name, outputs, pinName } of survey.targets) {
    if (!outputs || outputs.length === 0) continue;
    const known = outputs.some((path) => {
      const answer = survey.facts.answers.get(path);
      return answer?.own ?? answer?.gone ?? answer?.refused;
    });
    const pinned = pins.some((pin) => pin.name === pinName && outputs.includes(pin.storePath));
    if (known || pinned) roots.set(name, outputs);
  }
  const looked = new Set([...roots.values()].flat());
  for (const { name, storePath } of pins) {
    if (!looked.has(storePath)) roots.set(`pin ${name}`, [storePath]);
  }
  return [...roots].map(([target, paths]) => ({
    do: "verify" as const,
    cache: own,
    roots: { target, paths },
    onTrouble: "tell" as const,
  }));
}
