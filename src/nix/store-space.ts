/** What takes the space of this machine's store: the largest paths, the roots that hold each, and by which way. */

import {
  type HeldPath,
  isDerivationPath,
  parseStorePath,
  type StorePath,
  storePathFromBaseName,
} from "../domain/store-path.ts";
import { DEADLINES, type NixCommand } from "./command.ts";
import type { StoreFolders } from "./garbage.ts";
import { pathInfos, storeNames, validPaths } from "./store.ts";

/** Roots that are named of each path. */
const ROOTS_MOST = 100;

/** The `most` largest valid paths, the largest first. */
export async function largestPaths(
  nix: NixCommand,
  { storeDir, realStoreDir }: StoreFolders,
  most: number,
  signal: AbortSignal,
): Promise<readonly HeldPath[]> {
  const names = [...(await storeNames(realStoreDir))];
  const paths = names.flatMap((name) => {
    const path = storePathFromBaseName(name, storeDir);
    return path && !isDerivationPath(path) ? [path] : [];
  });
  const infos = await pathInfos(nix, storeDir, [...(await validPaths(nix, paths, signal))], signal);
  const roots = await rootsOf(nix, storeDir, signal);
  const referrers = new Map<StorePath, StorePath[]>();
  for (const { storePath, references } of infos.values()) {
    for (const one of references) {
      const above = referrers.get(one);
      if (above) above.push(storePath);
      else referrers.set(one, [storePath]);
    }
  }
  return [...infos.values()]
    .sort((a, b) => b.narSize - a.narSize || (a.storePath < b.storePath ? -1 : 1))
    .slice(0, most)
    .map(({ storePath, narSize }) => ({
      path: storePath,
      bytes: narSize,
      ...held(storePath, referrers, roots),
    }));
}

/** Upwards from the path: the first root that is met is the nearest. */
function held(
  path: StorePath,
  referrers: ReadonlyMap<StorePath, readonly StorePath[]>,
  roots: ReadonlyMap<StorePath, readonly string[]>,
): Pick<HeldPath, "holders" | "way"> {
  const below = new Map<StorePath, StorePath | undefined>([[path, undefined]]);
  const holders: string[] = [];
  let nearest: StorePath | undefined;
  // A Map goes on over what is added while it is read: that is the queue.
  for (const at of below.keys()) {
    const own = roots.get(at) ?? [];
    if (own.length > 0) nearest ??= at;
    if (holders.length < ROOTS_MOST) holders.push(...own);
    for (const one of referrers.get(at) ?? []) if (!below.has(one)) below.set(one, at);
  }
  const way: StorePath[] = [];
  for (let at = nearest; at !== undefined; at = below.get(at)) way.push(at);
  return { holders: holders.slice(0, ROOTS_MOST), way };
}

/** `nix-store --gc --print-roots` deletes nothing: `/home/me/result -> /nix/store/…`. */
async function rootsOf(
  nix: NixCommand,
  storeDir: string,
  signal: AbortSignal,
): Promise<Map<StorePath, string[]>> {
  const options = { signal, deadline: DEADLINES.evaluate };
  const text = await nix.run("nix-store", ["--gc", "--print-roots"], options);
  const roots = new Map<StorePath, string[]>();
  for (const line of text.split("\n")) {
    const at = line.lastIndexOf(" -> ");
    const path = at < 0 ? undefined : parseStorePath(line.slice(at + 4).trim(), storeDir);
    if (!path) continue;
    // Newer Nix writes it in quotes.
    const root = line.slice(0, at).replace(/^"(.*)"$/, "$1");
    roots.set(path, [...(roots.get(path) ?? []), root]);
  }
  return roots;
}
