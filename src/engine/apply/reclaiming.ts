/** Frees disk space: each step only where space still lacks, and what it really gave. */

import type { Finding } from "../../domain/finding.ts";
import type { Nix, World } from "../../domain/ports.ts";
import { formatBytes } from "../../domain/size.ts";
import type { Reclaimed } from "../outcome.ts";
import { type Reclaim, reclaimWords, type WantedSpace } from "../step.ts";

/** Throws where it cannot be done. */
export async function carryOut(
  reclaim: Reclaim,
  world: World,
  nix: Nix,
  signal: AbortSignal,
): Promise<Reclaimed> {
  const { reclaimer } = world;
  if (!reclaimer) throw new Error("there is nothing to reclaim from");
  const what = reclaimWords(reclaim);
  switch (reclaim.kind) {
    case "build directory":
      await reclaimer.makeBuildDirectory(reclaim.to, signal);
      // On a machine that stays, the next job would be told to build in a folder that is gone.
      nix.buildIn(reclaim.to, reclaimer.machine === "hosted" ? "later steps too" : "this run");
      return { what, bytes: undefined };
    case "tool folder": {
      const { path, wanted } = reclaim;
      const free = () => world.disk.freeNow(wanted.directory)?.freeBytes;
      const before = free();
      if (isThere(wanted, before))
        return { what: `${path} is left: space lacks no more`, bytes: 0 };
      await reclaimer.remove(path, signal);
      const after = free();
      const known = before !== undefined && after !== undefined;
      return { what, bytes: known ? Math.max(0, after - before) : undefined };
    }
    case "garbage": {
      const free = world.disk.freeNow(reclaim.wanted.directory)?.freeBytes;
      if (isThere(reclaim.wanted, free)) {
        return { what: "garbage is left: space lacks no more", bytes: 0 };
      }
      return { what, bytes: await nix.collect(reclaim.keep, reclaim.bytes, signal) };
    }
    default:
      return reclaim satisfies never;
  }
}

function isThere({ bytes }: WantedSpace, free: number | undefined): boolean {
  return free !== undefined && free >= bytes;
}

/** What was deleted may have freed less than it took: links to the same file, snapshots, other writers. */
export function lackAfter(
  { wanted }: { readonly wanted: WantedSpace },
  world: World,
): Finding | undefined {
  const free = world.disk.freeNow(wanted.directory)?.freeBytes;
  if (free === undefined || isThere(wanted, free)) return undefined;
  return {
    kind: "disk",
    level: "warning",
    code: "NCP-408",
    message: `after reclaiming ${formatBytes(free)} is free in ${wanted.directory}, and ${formatBytes(wanted.bytes)} was to be`,
    hint: "the run goes on with the space there is",
  };
}
