/** Owns carrying out relief, and seeing what it brought. */

import type { Nix, World } from "../../domain/ports.ts";
import type { Reclaimed } from "../outcome.ts";
import { type Reclaim, reclaimWords } from "../step.ts";

/** Throws where it cannot be done. */
export async function carryOut(
  reclaim: Reclaim,
  world: World,
  nix: Nix,
  signal: AbortSignal,
): Promise<Reclaimed> {
  const { relief } = world;
  if (!relief) throw new Error("there is nothing to take relief from");
  const what = reclaimWords(reclaim);
  switch (reclaim.kind) {
    case "build directory":
      await relief.makeBuildDirectory(reclaim.to, signal);
      // On a machine that stays, the next job would be told to build in a folder that is gone.
      nix.buildIn(reclaim.to, relief.machine === "hosted" ? "later steps too" : "this run");
      return { what, bytes: undefined };
    case "tool folder":
      await relief.remove(reclaim.path, signal);
      return { what, bytes: reclaim.bytes };
    case "garbage":
      return { what, bytes: await nix.collect(reclaim.keep, reclaim.bytes, signal) };
    default:
      return reclaim satisfies never;
  }
}
