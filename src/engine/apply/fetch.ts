/** Fetches: what caches far away serve is staged on this disk first, the rest is left to Nix. */

import { needsCredentials } from "../../domain/cache.ts";
import { describeError } from "../../domain/errors.ts";
import type { Code } from "../../domain/job.ts";
import { dependencies } from "../../domain/narinfo.ts";
import type { Log, Nix, Progress, Stageable, Staging, World } from "../../domain/ports.ts";
import { count } from "../../domain/size.ts";
import type { StorePath } from "../../domain/store-path.ts";
import type { Lookup } from "../survey/lookup.ts";
import type { Meter } from "./meter.ts";

/** Has Nix fetch `paths`; those it could not get are returned with the reason. */
export async function fetchPaths(
  world: World,
  nix: Nix,
  lookup: Lookup,
  paths: readonly StorePath[],
  signal: AbortSignal,
  meter?: Meter,
): Promise<ReadonlyMap<StorePath, string>> {
  const members = await inOrder(lookup, paths);
  const sizes = new Map(members.map(({ path, narSize }) => [path, narSize]));
  const told = ({ path, state, bytes }: Progress) => {
    if (state === "done") meter?.finish(path, sizes.get(path) ?? bytes);
    else meter?.at(path, bytes);
  };
  const here = new Set<StorePath>();
  if (world.staging) {
    const stageable = members.flatMap((member) => member.stageable ?? []);
    await fetchAhead(
      { staging: world.staging, nix, log: world.log, told, code: world.code },
      stageable,
      here,
      signal,
    );
  }
  const rest = members.filter(({ path }) => !here.has(path));
  if (rest.length === 0) return new Map();
  // Whatever others refer to comes along with them.
  const below = new Set(rest.flatMap(({ references }) => references));
  const tops = rest.flatMap(({ path }) => (below.has(path) ? [] : [path]));
  const failed = await nix.substitute(tops, signal, told);
  if (failed.size === 0) return failed;
  const valid = await nix.valid(
    rest.map(({ path }) => path),
    signal,
  );
  const [why = "Nix could not fetch it"] = failed.values();
  return new Map(
    rest.flatMap(({ path }): [StorePath, string][] =>
      valid.has(path) ? [] : [[path, failed.get(path) ?? why]],
    ),
  );
}

interface Member {
  readonly path: StorePath;
  readonly references: readonly StorePath[];
  readonly narSize: number;
  /** Undefined where Nix has to fetch it itself. */
  readonly stageable: Stageable | undefined;
}

/** References first: a path can be taken in only where what it refers to is valid. */
async function inOrder(lookup: Lookup, paths: readonly StorePath[]): Promise<Member[]> {
  const members = new Map<StorePath, Member>();
  await Promise.all(
    paths.map(async (path) => {
      const { served } = await lookup.ask(path);
      const cache = served && lookup.cacheOf(served);
      members.set(path, {
        path,
        references: served ? dependencies(served.narInfo) : [],
        narSize: served?.narInfo.narSize ?? 0,
        stageable:
          served && cache && cache.staging !== "never" && served.narInfo.signatures.length > 0
            ? { narInfo: served.narInfo, cache }
            : undefined,
      });
    }),
  );
  const ordered = new Set<Member>();
  const visited = new Set<StorePath>();
  for (const path of paths) {
    const stack: StorePath[] = [path];
    for (let top = stack.at(-1); top !== undefined; top = stack.at(-1)) {
      const member = members.get(top);
      const first = visited.has(top);
      visited.add(top);
      const next = member && !first ? member.references.filter((one) => !visited.has(one)) : [];
      if (next.length > 0) stack.push(...next);
      else {
        stack.pop();
        if (member) ordered.add(member);
      }
    }
  }
  return withoutDependents([...ordered]);
}

/** What refers to a path that is not staged cannot be taken in before Nix has fetched that one. */
function withoutDependents(ordered: readonly Member[]): Member[] {
  const left = new Set<StorePath>();
  return ordered.map((member) => {
    const { path, references, stageable } = member;
    if (stageable && !references.some((reference) => left.has(reference))) return member;
    left.add(path);
    return { ...member, stageable: undefined };
  });
}

export interface FetchAhead {
  readonly staging: Staging;
  readonly nix: Pick<Nix, "importFrom">;
  readonly log: Log;
  readonly told: (progress: Progress) => void;
  readonly code: Code;
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
function batchesOf(members: readonly Stageable[], { bytes }: Staging, code: Code): Stageable[][] {
  const all = members.reduce((sum, member) => sum + sizeOf(member), 0);
  // Not every Nix can read a bucket, nor has its daemon our credentials.
  const onlyOurs = members.some(
    ({ cache }) => cache.staging === "needed" || (code === "strange" && needsCredentials(cache)),
  );
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
async function fetchAhead(
  { staging, nix, log, told, code }: FetchAhead,
  members: readonly Stageable[],
  here: Set<StorePath>,
  signal: AbortSignal,
): Promise<void> {
  const batches = batchesOf(members, staging, code);
  const held: { readonly staged: AsyncDisposable; readonly bytes: number }[] = [];
  const remove = async (staged: AsyncDisposable | undefined) => {
    try {
      await staged?.[Symbol.asyncDispose]();
    } catch (error) {
      log.debug(`a temporary folder stays: ${describeError(error)}`);
    }
  };
  /**
   * What was taken in stays until its space is needed: ext4 gives no inode out again for some seconds
   * and looks past every one of them for each new file, so that removing slows down what Nix writes.
   */
  const freeSpace = async (bytes: number) => {
    while (bytes + sum(held) > staging.bytes && held.length > 0) {
      await remove(held.shift()?.staged);
    }
  };
  const stage = (index: number, underWay = 0) => {
    const batch = batches[index];
    if (!batch) return undefined;
    const bytes = batch.reduce((all, member) => all + sizeOf(member), 0);
    const made = freeSpace(bytes + underWay).then(() => staging.stage(batch, signal));
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
        .importFrom(staged.url, staged.paths, topsOf(batch), signal)
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

/** Those that no other one refers to. */
function topsOf(batch: readonly Stageable[]): StorePath[] {
  const below = new Set(batch.flatMap(({ narInfo }) => dependencies(narInfo)));
  return batch.flatMap(({ narInfo: { storePath } }) => (below.has(storePath) ? [] : [storePath]));
}

function sum(sizes: readonly { readonly bytes: number }[]): number {
  return sizes.reduce((all, { bytes }) => all + bytes, 0);
}
