/** Owns fetching ahead: batches staged on this disk, each taken in by Nix while the next is on its way. */

import { describeError } from "../../domain/errors.ts";
import type { Log, Nix, Progress, Stageable, Staging } from "../../domain/ports.ts";
import { count } from "../../domain/size.ts";
import type { StorePath } from "../../domain/store-path.ts";

export interface FetchAhead {
  readonly staging: Staging;
  readonly nix: Pick<Nix, "importFrom">;
  readonly log: Log;
  readonly told: (progress: Progress) => void;
}

/**
 * Bytes a path has on average, from which on staging does not pay: there it is unpacking that takes
 * the time, and Nix unpacks while it downloads (docs/adr/0006).
 */
const LARGE_ON_AVERAGE = 1024 * 1024;

/**
 * Paths in a batch: while Nix takes in one of them, the next is on its way. The first is small, so that
 * Nix begins soon, and each is twice the one before, since every one is a process of Nix's.
 */
const FIRST_BATCH = 256;
const BATCH_MOST = 1_000;

/** Two batches lie on the disk at once: one that is taken in and one that is on its way. */
function batchesOf(members: readonly Stageable[], { bytes }: Staging): Stageable[][] {
  const all = members.reduce((sum, member) => sum + sizeOf(member), 0);
  // Not every Nix can read a bucket, nor has its daemon our credentials.
  const onlyOurs = members.some(({ cache }) => cache.substituter.url.startsWith("s3:"));
  if (all > members.length * LARGE_ON_AVERAGE && !onlyOurs) return [];
  const batches: Stageable[][] = [];
  let batch: Stageable[] = [];
  let size = 0;
  for (const member of members) {
    const mine = sizeOf(member);
    // What is too large, and all that follows it in order, is left to Nix.
    if (mine > bytes / 2) break;
    const most = Math.min(BATCH_MOST, FIRST_BATCH * 2 ** batches.length);
    if (batch.length >= most || size + mine > bytes / 2) {
      batches.push(batch);
      batch = [];
      size = 0;
    }
    batch.push(member);
    size += mine;
  }
  if (batch.length > 0) batches.push(batch);
  return batches;
}

/** Bytes it takes on the way: as compressed, else no more than unpacked. */
function sizeOf({ narInfo }: Pick<Stageable, "narInfo">): number {
  return narInfo.fileSize ?? narInfo.narSize;
}

/** Adds to `here` what Nix has taken in. A failure is logged and ends it: the rest comes the plain way. */
export async function fetchAhead(
  { staging, nix, log, told }: FetchAhead,
  members: readonly Stageable[],
  here: Set<StorePath>,
  signal: AbortSignal,
): Promise<void> {
  const batches = batchesOf(members, staging);
  const held: { readonly staged: AsyncDisposable; readonly bytes: number }[] = [];
  const remove = async (staged: AsyncDisposable | undefined) => {
    try {
      await staged?.[Symbol.asyncDispose]();
    } catch (error) {
      log.debug(`a staging folder stays: ${describeError(error)}`);
    }
  };
  /**
   * What was taken in stays until its room is needed: ext4 gives no inode out again for some seconds
   * and looks past every one of them for each new file, so that removing slows down what Nix writes.
   */
  const makeRoom = async (bytes: number) => {
    while (bytes + sum(held) > staging.bytes && held.length > 0) {
      await remove(held.shift()?.staged);
    }
  };
  const stage = (index: number, underWay = 0) => {
    const batch = batches[index];
    if (!batch) return undefined;
    const bytes = batch.reduce((all, member) => all + sizeOf(member), 0);
    const made = makeRoom(bytes + underWay).then(() => staging.stage(batch, signal));
    // Awaited below; until then nobody else hears of its failure.
    made.catch(() => undefined);
    return { made, bytes, batch };
  };
  let index = 0;
  let next = stage(index);
  try {
    while (next) {
      const { made, bytes, batch } = next;
      const staged = await made;
      index++;
      next = stage(index, bytes);
      const trouble = await nix
        .importFrom(staged.url, staged.paths, signal)
        .finally(() => held.push({ staged, bytes }));
      if (trouble !== undefined) throw new Error(trouble);
      for (const path of staged.paths) {
        here.add(path);
        told({ path, state: "done", bytes: 0 });
      }
      if (staged.paths.length < batch.length) throw new Error("not all was there");
    }
  } catch (error) {
    signal.throwIfAborted();
    // What was taken in stays; the rest comes the plain way.
    log.info(
      `fetching ahead ended early, after ${count(here.size, "path")}: ${describeError(error)}`,
    );
  } finally {
    await remove(await next?.made.catch(() => undefined));
    for (const { staged } of held) await remove(staged);
  }
}

function sum(sizes: readonly { readonly bytes: number }[]): number {
  return sizes.reduce((all, { bytes }) => all + bytes, 0);
}
