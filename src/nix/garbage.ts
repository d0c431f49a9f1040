/** Garbage in the store: how much there is beside what a plan needs, and collecting so much of it. */

import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { isDerivationPath, parseStorePath, type StorePath } from "../domain/store-path.ts";
import { disk } from "../host/disk.ts";
import { DEADLINES, type NixCommand } from "./command.ts";
import { closureOf, pathInfos, validPaths } from "./store.ts";

export interface StoreFolders {
  readonly storeDir: string;
  readonly realStoreDir: string;
}

/** NarSize of what nothing keeps alive and `keep` does not refer to, in bytes. */
export async function garbageBytes(
  nix: NixCommand,
  { storeDir }: StoreFolders,
  keep: readonly StorePath[],
  signal: AbortSignal,
): Promise<number> {
  const text = await nix.run("nix-store", ["--gc", "--print-dead"], {
    signal,
    deadline: DEADLINES.evaluate,
  });
  // Lock files and what a build left half done stand there, too.
  const dead = text.split("\n").flatMap((line) => parseStorePath(line, storeDir) ?? []);
  const needed = await closureOf(nix, storeDir, [...(await validPaths(nix, keep, signal))], signal);
  const valid = await validPaths(
    nix,
    dead.filter((path) => !needed.has(path)),
    signal,
  );
  const infos = await pathInfos(nix, storeDir, [...valid], signal);
  return [...infos.values()].reduce((sum, { narSize }) => sum + narSize, 0);
}

/** Paths to a process: an argument list may hold 128 kB. */
const AT_ONCE = 1_000;

/**
 * Has Nix delete garbage until `bytes` are freed. What `keep` refers to is rooted meanwhile, in a
 * folder of ours below `folder`. Bytes that the store's file system has more than before.
 */
export async function collect(
  nix: NixCommand,
  { realStoreDir }: StoreFolders,
  keep: readonly StorePath[],
  bytes: number,
  folder: string,
  signal: AbortSignal,
): Promise<number> {
  const roots = join(folder, `gc-roots-${process.pid}`);
  const options = { signal, deadline: DEADLINES.evaluate };
  await mkdir(roots, { recursive: true });
  try {
    const valid = [...(await validPaths(nix, keep, signal))];
    const outputs = valid.filter((path) => !isDerivationPath(path));
    const derivations = valid.filter(isDerivationPath);
    for (let at = 0; at < outputs.length; at += AT_ONCE) {
      const some = outputs.slice(at, at + AT_ONCE);
      // They are valid: nothing is fetched or built for it.
      const args = ["--realise", "--add-root", join(roots, `path-${at}`), "--indirect", ...some];
      await nix.run("nix-store", args, options);
    }
    for (let at = 0; at < derivations.length; at += AT_ONCE) {
      const some = derivations.slice(at, at + AT_ONCE);
      const root = ["--add-root", join(roots, `drv-${at}`), "--indirect"];
      await nix.run("nix-instantiate", [...root, "-E", asDerivations(some)], options);
    }
    const before = await disk.fileSystem(realStoreDir);
    await nix.run("nix-store", ["--gc", "--max-freed", String(Math.ceil(bytes))], options);
    const after = await disk.fileSystem(realStoreDir);
    return Math.max(0, after.freeBytes - before.freeBytes);
  } finally {
    await rm(roots, { recursive: true, force: true });
  }
}

/** `nix-store --realise` would build a derivation; what an expression gives is only rooted. */
function asDerivations(paths: readonly StorePath[]): string {
  const list = paths.map((path) => `"${path}"`).join(" ");
  return `map (p: { type = "derivation"; name = "x"; system = "x"; drvPath = p; outPath = p; outputName = "out"; }) [ ${list} ]`;
}
