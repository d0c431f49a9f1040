/**
 * A push into a store that only Nix speaks to: paths are laid into a `file://` cache here,
 * hashed and signed, and Nix copies them from there, references first.
 */

import { mkdtemp, rm } from "node:fs/promises";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import type { CacheClient, PushProgress, RemoteStore } from "../../domain/cache.ts";
import { asError, UserError } from "../../domain/errors.ts";
import { dependencies, type PathInfo } from "../../domain/narinfo.ts";
import type { SigningKey } from "../../domain/signature.ts";
import { baseName, type StorePath } from "../../domain/store-path.ts";
import { makeFolder } from "../../host/atomic.ts";
import { writableFileCache } from "../file/file.ts";
import { referencesFirst } from "../nar-file.ts";

export interface StorePushOptions {
  readonly store: RemoteStore;
  readonly storeDir: string;
  /** Where a batch lies on its way; gone when it is through. */
  readonly folder: string;
  readonly signingKey: SigningKey | undefined;
}

/** Bytes of NARs in one batch, unless one path alone has more; and paths. */
const BATCH_BYTES = 512 * 1024 * 1024;
const BATCH_PATHS = 500;

/** Nix signs nothing on this way, and is told no key: what it copies is signed already. */
export function storePush(options: StorePushOptions): NonNullable<CacheClient["push"]> {
  return async (paths, nar, progress, signal) => {
    const failed = new Map<StorePath, Error>();
    const pushed: PushProgress[] = [];
    for (const batch of batchesOf(referencesFirst(paths))) {
      const wanted = withoutOrphans(batch, failed);
      if (wanted.length === 0) continue;
      const result = await sendBatch(options, wanted, nar, signal);
      for (const [path, error] of result.failed) failed.set(path, error);
      for (const info of wanted) {
        if (result.failed.has(info.storePath)) continue;
        const done = { path: info.storePath, bytes: info.narSize };
        pushed.push(done);
        progress(done);
      }
    }
    return { pushed, failed };
  };
}

function batchesOf(paths: readonly PathInfo[]): PathInfo[][] {
  const batches: PathInfo[][] = [];
  let bytes = 0;
  for (const info of paths) {
    const last = batches.at(-1);
    bytes += info.narSize;
    if (last && bytes <= BATCH_BYTES && last.length < BATCH_PATHS) last.push(info);
    else {
      batches.push([info]);
      bytes = info.narSize;
    }
  }
  return batches;
}

/** What refers to a path that did not arrive cannot be valid there. */
function withoutOrphans(batch: readonly PathInfo[], failed: Map<StorePath, Error>): PathInfo[] {
  return batch.filter((info) => {
    const lost = dependencies(info).find((reference) => failed.has(reference));
    if (lost === undefined) return true;
    const why = new UserError("NCP-310", `its reference ${baseName(lost)} was not pushed`, {
      cause: failed.get(lost),
    });
    failed.set(info.storePath, why);
    return false;
  });
}

async function sendBatch(
  { store, storeDir, folder, signingKey }: StorePushOptions,
  batch: readonly PathInfo[],
  nar: Parameters<NonNullable<CacheClient["push"]>>[1],
  signal: AbortSignal,
): Promise<{ readonly failed: ReadonlyMap<StorePath, Error> }> {
  await makeFolder(folder);
  const directory = await mkdtemp(join(folder, "store-push-"));
  try {
    const staged = writableFileCache({
      name: "what is on its way",
      directory,
      storeDir,
      policy: { kind: "by location" },
      compression: "none",
      signingKey,
    });
    if (!staged.push) throw new Error("a file cache that is written to can push");
    const laid = await staged.push(batch, nar, () => undefined, signal);
    const failed = new Map(laid.failed);
    const paths = batch.flatMap(({ storePath }) => (failed.has(storePath) ? [] : [storePath]));
    if (paths.length === 0) return { failed };
    try {
      await store.receive(`${pathToFileURL(directory).href}?trusted=1`, paths, signal);
    } catch (error) {
      signal.throwIfAborted();
      // It stops at the first that fails; what came before it is there.
      const there = await store.query(paths, signal).catch(() => undefined);
      for (const path of paths) if (!there?.has(path)) failed.set(path, asError(error));
    }
    return { failed };
  } finally {
    await rm(directory, { recursive: true, force: true, maxRetries: 5 });
  }
}
