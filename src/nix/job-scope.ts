/** Owns telling what this job built from what others built meanwhile, where jobs share a store. */

import { readdir, readlink } from "node:fs/promises";
import { join, resolve, sep } from "node:path";
import { mapLimited } from "../domain/limit.ts";
import { isDerivationPath, parseStorePath, type StorePath } from "../domain/store-path.ts";
import type { NixCommand } from "./command.ts";
import { pathInfos, requisites, validPaths } from "./store.ts";

export interface JobScope {
  readonly command: NixCommand;
  readonly storeDir: string;
  /** Nix's state, where it keeps its roots. */
  readonly stateDir: string;
  /** The job's own folders: a result that is linked there is the job's. */
  readonly folders: readonly string[];
}

/**
 * Those of `built` that are among `origin`, or were made by a derivation that is there or below one there,
 * or below what is linked in the job's folders. Whose another path is, nobody can tell.
 */
export async function descending(
  scope: JobScope,
  built: readonly StorePath[],
  origin: readonly StorePath[],
  signal: AbortSignal,
): Promise<StorePath[]> {
  const { command, storeDir } = scope;
  if (built.length === 0) return [];
  const wanted = new Set([...origin, ...(await linkedResults(scope))]);
  const there = [...(await validPaths(command, [...wanted], signal))];
  const results = there.filter((path) => !isDerivationPath(path));
  const known = await pathInfos(command, storeDir, [...new Set([...results, ...built])], signal);
  const derivers = results.flatMap((path) => known.get(path)?.deriver ?? []);
  const roots = [
    ...there.filter(isDerivationPath),
    ...(await validPaths(command, derivers, signal)),
  ];
  const ours = new Set([...derivers, ...(await requisites(command, roots, signal))]);
  return built.filter((path) => {
    const deriver = known.get(path)?.deriver;
    return wanted.has(path) || (deriver !== undefined && ours.has(deriver));
  });
}

/** `nix build` leaves links, and Nix a list of them. */
async function linkedResults({ stateDir, storeDir, folders }: JobScope): Promise<StorePath[]> {
  const list = join(stateDir, "gcroots", "auto");
  const inside = folders.map((folder) => `${resolve(folder)}${sep}`);
  const names = await readdir(list).catch(() => []);
  const found = await mapLimited(names, 16, async (name) => {
    const link = await readlink(join(list, name)).catch(() => "");
    if (!inside.some((folder) => link.startsWith(folder))) return undefined;
    const path = await readlink(link).catch(() => "");
    return parseStorePath(path, storeDir);
  });
  return found.filter((path) => path !== undefined);
}
