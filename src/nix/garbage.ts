/** Garbage in the store: how much there is, collecting so much of it, and what a run keeps from it. */

import { rm } from "node:fs/promises";
import { join } from "node:path";
import { describeError } from "../domain/errors.ts";
import type { Log } from "../domain/ports.ts";
import { isDerivationPath, parseStorePath, type StorePath } from "../domain/store-path.ts";
import { makeFolder } from "../host/atomic.ts";
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
  await makeFolder(roots);
  try {
    await root(nix, [...(await validPaths(nix, keep, signal))], join(roots, "keep"), signal);
    const before = await disk.fileSystem(realStoreDir);
    await nix.run("nix-store", ["--gc", "--max-freed", String(Math.ceil(bytes))], options);
    const after = await disk.fileSystem(realStoreDir);
    return Math.max(0, after.freeBytes - before.freeBytes);
  } finally {
    await rm(roots, { recursive: true, force: true });
  }
}

/** A Nix that begins by collecting would take the very paths that it is to root. */
const NO_COLLECTING = ["--option", "min-free", "0"];

/** Roots valid paths by links whose names begin with `prefix`; they end with the links. */
async function root(
  nix: NixCommand,
  valid: readonly StorePath[],
  prefix: string,
  signal: AbortSignal,
): Promise<void> {
  const options = { signal, deadline: DEADLINES.evaluate };
  const outputs = valid.filter((path) => !isDerivationPath(path));
  const derivations = valid.filter(isDerivationPath);
  for (let at = 0; at < outputs.length; at += AT_ONCE) {
    const some = outputs.slice(at, at + AT_ONCE);
    // They are valid: nothing is fetched or built for it.
    const link = ["--add-root", `${prefix}-path-${at}`, "--indirect"];
    await nix.run("nix-store", ["--realise", ...NO_COLLECTING, ...link, ...some], options);
  }
  for (let at = 0; at < derivations.length; at += AT_ONCE) {
    const some = derivations.slice(at, at + AT_ONCE);
    const link = ["--add-root", `${prefix}-drv-${at}`, "--indirect"];
    const args = [...NO_COLLECTING, ...link, "-E", asDerivations(some)];
    await nix.run("nix-instantiate", args, options);
  }
}

/**
 * What a run has evaluated, fetched and built, kept from Nix's own collection (`min-free`) by links
 * in a folder of ours, until that folder is removed.
 */
export class Roots {
  private readonly nix: NixCommand;
  private readonly log: Pick<Log, "debug">;
  /** Undefined: nothing is kept. */
  private readonly folder: string | undefined;
  private readonly waiting = new Set<StorePath>();
  private readonly kept = new Set<StorePath>();
  private turn: Promise<void> = Promise.resolve();
  private batches = 0;

  constructor(nix: NixCommand, folder: string | undefined, log: Pick<Log, "debug">) {
    this.nix = nix;
    this.folder = folder;
    this.log = log;
  }

  /** Rooted by the next `hold`: nothing is lost before something is written to the store. */
  add(paths: Iterable<StorePath>): void {
    if (this.folder === undefined) return;
    for (const path of paths) if (!this.kept.has(path)) this.waiting.add(path);
  }

  /** Whatever of them is valid; where it cannot be rooted, the run goes on as it did without. */
  hold(paths: Iterable<StorePath>, signal: AbortSignal): Promise<void> {
    this.add(paths);
    this.turn = this.turn.then(() => this.holdAll(signal));
    return this.turn;
  }

  private async holdAll(signal: AbortSignal): Promise<void> {
    const { folder, waiting, kept } = this;
    if (folder === undefined || waiting.size === 0) return;
    const paths = [...waiting];
    waiting.clear();
    try {
      await makeFolder(folder);
      const valid = [...(await validPaths(this.nix, paths, signal))];
      await root(this.nix, valid, join(folder, String(++this.batches)), signal);
      for (const path of valid) kept.add(path);
    } catch (error) {
      signal.throwIfAborted();
      this.log.debug(`paths are not rooted: ${describeError(error)}`);
    }
  }
}

/** `nix-store --realise` would build a derivation; what an expression gives is only rooted. */
function asDerivations(paths: readonly StorePath[]): string {
  const list = paths.map((path) => `"${path}"`).join(" ");
  return `map (p: { type = "derivation"; name = "x"; system = "x"; drvPath = p; outPath = p; outputName = "out"; }) [ ${list} ]`;
}
