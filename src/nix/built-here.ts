/** Owns what this job built: new names in the store that Nix says it made itself. */

import { readdir } from "node:fs/promises";
import { isDerivationPath, type StorePath, storePathFromBaseName } from "../domain/store-path.ts";
import { DEADLINES, type NixCommand } from "./command.ts";
import { validPaths } from "./store.ts";

/** The names in the store folder: what a job starts from. */
export async function storeNames(realStoreDir: string): Promise<Set<string>> {
  return new Set(await readdir(realStoreDir).catch(() => []));
}

/**
 * Valid paths that were not there at `since` and that Nix marks `ultimate`, built on this machine
 * and trusted for that. With nothing new this is one directory read.
 */
export async function builtHere(
  nix: NixCommand,
  store: { readonly storeDir: string; readonly realStoreDir: string },
  since: ReadonlySet<string>,
  signal: AbortSignal,
): Promise<StorePath[]> {
  const fresh: StorePath[] = [];
  for (const name of await storeNames(store.realStoreDir)) {
    if (since.has(name)) continue;
    const path = storePathFromBaseName(name, store.storeDir);
    if (path && !isDerivationPath(path) && !/\.(lock|chroot|check)$/.test(path)) fresh.push(path);
  }
  if (fresh.length === 0) return [];
  const valid = [...(await validPaths(nix, fresh, signal))];
  const built: StorePath[] = [];
  for (let at = 0; at < valid.length; at += 1_000) {
    const text = await nix.run("nix", ["path-info", "--sigs", ...valid.slice(at, at + 1_000)], {
      signal,
      deadline: DEADLINES.query,
    });
    for (const line of text.split("\n")) {
      // The path is padded with spaces to a column, then come a tab and the marks.
      const [path = "", marks = ""] = line.split("\t");
      if (marks.split(/\s+/).includes("ultimate")) built.push(path.trim() as StorePath);
    }
  }
  return built;
}
