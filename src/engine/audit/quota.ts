/** Owns the quota view: the bytes that pinned closures take in our cache, the largest first. */

import { mapLimited } from "../../domain/limit.ts";
import { dependencies } from "../../domain/narinfo.ts";
import { count, formatBytes } from "../../domain/size.ts";
import type { StorePath } from "../../domain/store-path.ts";
import type { Lookup } from "../survey/lookup.ts";
import { type AuditRequest, type Check, type PinSizes, rule } from "./check.ts";

const PARALLEL = 64;
/** Of the quota: from here on the next release may be one too many. */
const NEAR = 0.8;

/** Only what our own cache holds counts: what an upstream passes on takes none of our room. */
export async function measurePins(
  lookup: Lookup,
  pins: readonly { readonly name: string; readonly storePath: StorePath }[],
): Promise<PinSizes> {
  const sizes = new Map<StorePath, number>();
  const references = new Map<StorePath, readonly StorePath[]>();
  let complete: PinSizes["complete"] = "complete";
  for (let wave = pins.map(({ storePath }) => storePath); wave.length > 0; ) {
    const fresh = [...new Set(wave)].filter((path) => !references.has(path));
    const next: StorePath[] = [];
    await mapLimited(fresh, PARALLEL, async (path) => {
      const { own, upstream, unknown } = await lookup.ask(path);
      const served = own ?? upstream;
      if (!served && unknown) complete = "at least";
      const below = served ? dependencies(served.narInfo) : [];
      references.set(path, below);
      if (own) sizes.set(path, own.narInfo.fileSize ?? own.narInfo.narSize);
      next.push(...below);
    });
    wave = next;
  }
  const measured = pins.map(({ name, storePath }) => {
    const paths = closureOf(storePath, references);
    const held = [...paths].filter((path) => sizes.has(path));
    return { name, paths: held.length, bytes: sum(held.map((path) => sizes.get(path) ?? 0)) };
  });
  return {
    pins: measured.sort((a, b) => b.bytes - a.bytes || (a.name < b.name ? -1 : 1)),
    bytes: sum(sizes.values()),
    complete,
  };
}

function closureOf(
  root: StorePath,
  references: ReadonlyMap<StorePath, readonly StorePath[]>,
): Set<StorePath> {
  const seen = new Set([root]);
  const stack = [root];
  for (let path = stack.pop(); path !== undefined; path = stack.pop()) {
    for (const one of references.get(path) ?? []) {
      if (seen.has(one)) continue;
      seen.add(one);
      stack.push(one);
    }
  }
  return seen;
}

function sum(values: Iterable<number>): number {
  let total = 0;
  for (const value of values) total += value;
  return total;
}

export function quotaChecks({ job, sizes }: AuditRequest): Check[] {
  if (!sizes) return [];
  const { quota } = job;
  const least = sizes.complete === "complete" ? "" : "at least ";
  const take = sizes.pins.length === 1 ? "takes" : "take";
  const taken = `${count(sizes.pins.length, "pin")} ${take} ${least}${formatBytes(sizes.bytes)}`;
  if (quota === undefined) return rule("quota", "NCP-607", taken, []);
  const of = `${taken} of ${formatBytes(quota)}`;
  if (sizes.bytes < quota * NEAR) return rule("quota", "NCP-607", of, []);
  const largest = sizes.pins
    .slice(0, 3)
    .map(({ name, bytes }) => `${name} ${formatBytes(bytes)}`)
    .join(", ");
  return rule("quota", "NCP-607", of, [
    {
      status: sizes.bytes > quota ? "fail" : "warn",
      message: `${of}; the largest: ${largest}`,
      mend: "remove a pin, keep fewer revisions with pin-keep, or buy room; then say so in quota",
    },
  ]);
}
