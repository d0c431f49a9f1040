/** The disk space plan: the bytes and inodes a run needs, on the file systems it really writes to. */

import type { CacheFolder } from "../../domain/cache.ts";
import { describeError } from "../../domain/errors.ts";
import { floorOf } from "../../domain/job.ts";
import type { Disk, FileSystem, NixSetup } from "../../domain/ports.ts";
import { formatBytes } from "../../domain/size.ts";
import type { StorePath } from "../../domain/store-path.ts";
import type { Facts } from "../survey/facts.ts";
import { type BuildSums, type Estimate, inodesFor, sumsOf } from "./estimate.ts";

export interface Need {
  readonly what:
    | "store"
    | "build outputs"
    | "build directory"
    | "staging"
    | "our cache"
    | "workspace";
  readonly directory: string;
  readonly bytes: number;
  readonly inodes: number;
  /** Of these bytes, those that rest on the rule alone. */
  readonly guessedBytes: number;
  /** Whether anything is put there at all, however little is known of it. */
  readonly writes: "something" | "nothing";
}

export interface SpaceOnFileSystem {
  readonly fileSystem: FileSystem;
  /** Of all that the run writes to. */
  readonly largest: Pick<FileSystem, "totalBytes">;
  readonly needs: readonly Need[];
  readonly bytesNeeded: number;
  readonly bytesGuessed: number;
  /** What reclaiming is to free there. */
  readonly bytesFreed: number;
  /** What is free when the run has taken what it needs; may be negative. */
  readonly bytesAfter: number;
  readonly inodesNeeded: number;
  /** Undefined where the file system makes inodes as it needs them. */
  readonly inodesAfter: number | undefined;
}

/** What a run brings onto the machine. */
export interface Load {
  /** NarSize of what is fetched. */
  readonly fetchBytes: number;
  readonly fetchPaths: number;
  /** What is fetched as it comes over the wire. */
  readonly downloadBytes: number;
  readonly builds: readonly Estimate[];
}

export interface DiskSpace {
  readonly fileSystems: readonly SpaceOnFileSystem[];
  readonly needs: readonly Need[];
  /** By directory. */
  readonly places: ReadonlyMap<string, FileSystem>;
  readonly load: Load;
  readonly notices: readonly string[];
}

export interface Directories {
  /** Undefined without Nix. */
  readonly setup: Pick<NixSetup, "realStoreDir" | "buildsAtOnce"> | undefined;
  readonly buildDir: string;
  readonly workspace: string;
  /** Where NARs lie on their way into the store, and the most that lies there at once. */
  readonly staging: { readonly directory: string; readonly bytes: number } | undefined;
  /** Our own cache, where it is a folder of the job's and this run pushes into it. */
  readonly cache: CacheFolder | undefined;
}

/** Bytes the store grows by when `paths` are fetched: their NarSize, which narinfo states. */
export function bytesToFetch(facts: Facts, paths: Iterable<StorePath>): number {
  let bytes = 0;
  for (const path of paths) {
    const answer = facts.answers.get(path);
    bytes += answer?.served?.narInfo.narSize ?? 0;
  }
  return bytes;
}

/** The same as they come over the wire, compressed. */
export function bytesToDownload(facts: Facts, paths: Iterable<StorePath>): number {
  let bytes = 0;
  for (const path of paths) {
    const answer = facts.answers.get(path);
    const narInfo = answer?.served?.narInfo;
    bytes += narInfo?.fileSize ?? narInfo?.narSize ?? 0;
  }
  return bytes;
}

/** What a NAR takes of what it holds, compressed. Nobody knows before; it is a guess. */
const COMPRESSED = 0.5;

/** What the load needs, and where. */
export function needsOf(load: Load, directories: Directories): Need[] {
  return needsFor(load, sumsOf(load.builds, buildsAtOnce(directories)), directories);
}

export function buildsAtOnce({ setup }: Directories): number {
  return setup?.buildsAtOnce ?? 1;
}

/** The same, of builds that were added up. */
export function needsFor(
  load: Omit<Load, "builds">,
  builds: BuildSums,
  { setup, buildDir, workspace, staging, cache }: Directories,
): Need[] {
  const needs: Need[] = [];
  const outputs = builds.outputBytes;
  if (setup) {
    const { realStoreDir } = setup;
    const building = total(builds.largest.bytes);
    needs.push(
      {
        what: "store",
        directory: realStoreDir,
        bytes: load.fetchBytes,
        inodes: load.fetchPaths + inodesFor(load.fetchBytes),
        guessedBytes: 0,
        writes: something(load.fetchPaths + load.fetchBytes),
      },
      {
        what: "build outputs",
        directory: realStoreDir,
        bytes: outputs,
        inodes: inodesFor(outputs),
        guessedBytes: outputs - builds.knownOutputBytes,
        writes: something(builds.count),
      },
      {
        what: "build directory",
        directory: buildDir,
        bytes: building,
        inodes: total(builds.largest.inodes),
        guessedBytes: building - total(builds.largest.knownBytes),
        writes: something(builds.count),
      },
    );
  }
  if (staging) {
    const bytes = Math.min(staging.bytes, load.downloadBytes);
    needs.push({
      what: "staging",
      directory: staging.directory,
      bytes,
      inodes: 2 * load.fetchPaths,
      guessedBytes: 0,
      writes: something(load.fetchPaths),
    });
  }
  if (cache && outputs > 0) {
    const nars = Math.round(outputs * COMPRESSED);
    // An archive of all of it is written beside it before it is sent.
    const bytes = 2 * nars + cache.archived;
    needs.push({
      what: "our cache",
      directory: cache.directory,
      bytes,
      inodes: 2 * builds.count,
      guessedBytes: bytes,
      writes: "something",
    });
  }
  needs.push({
    what: "workspace",
    directory: workspace,
    bytes: 0,
    inodes: 0,
    guessedBytes: 0,
    writes: "nothing",
  });
  return needs;
}

function something(amount: number): Need["writes"] {
  return amount > 0 ? "something" : "nothing";
}

function total(sizes: readonly number[]): number {
  return sizes.reduce((sum, size) => sum + size, 0);
}

/** Needs on their file systems; one whose file system could not be asked is on none. */
export function onFileSystems(
  needs: readonly Need[],
  places: ReadonlyMap<string, FileSystem>,
  freed: ReadonlyMap<string, number> = new Map(),
): SpaceOnFileSystem[] {
  const byId = new Map<string, { fileSystem: FileSystem; needs: Need[] }>();
  for (const need of needs) {
    const fileSystem = places.get(need.directory);
    if (!fileSystem) continue;
    const entry = byId.get(fileSystem.id);
    if (entry) entry.needs.push(need);
    else byId.set(fileSystem.id, { fileSystem, needs: [need] });
  }
  const sizes = [...byId.values()].map(({ fileSystem }) => fileSystem.totalBytes);
  const largest = { totalBytes: Math.max(0, ...sizes) };
  return [...byId.values()].map(({ fileSystem, needs: on }) => {
    const sum = (what: "bytes" | "guessedBytes" | "inodes") =>
      on.reduce((all, need) => all + need[what], 0);
    const bytesNeeded = sum("bytes");
    const inodesNeeded = sum("inodes");
    const bytesFreed = freed.get(fileSystem.id) ?? 0;
    const { freeBytes, freeInodes } = fileSystem;
    return {
      fileSystem,
      largest,
      needs: on,
      bytesNeeded,
      bytesGuessed: sum("guessedBytes"),
      bytesFreed,
      bytesAfter: freeBytes + bytesFreed - bytesNeeded,
      inodesNeeded,
      inodesAfter: freeInodes === undefined ? undefined : freeInodes - inodesNeeded,
    };
  });
}

/** Asks each directory's file system; one that cannot be asked is a notice. */
export async function measureDiskSpace(
  disk: Disk,
  directories: Directories,
  load: Load,
): Promise<DiskSpace> {
  const needs = needsOf(load, directories);
  const places = new Map<string, FileSystem>();
  const notices: string[] = [];
  const asked = new Set<string>();
  for (const { what, directory } of needs) {
    if (asked.has(directory)) continue;
    asked.add(directory);
    try {
      places.set(directory, await disk.fileSystem(directory));
    } catch (error) {
      notices.push(`the file system of the ${what} cannot be asked: ${describeError(error)}`);
    }
  }
  return { fileSystems: onFileSystems(needs, places), needs, places, load, notices };
}

/** Other needs in the same places. */
export function spaceFor(
  { fileSystems, places }: DiskSpace,
  needs: readonly Need[],
): SpaceOnFileSystem[] {
  const freed = new Map(fileSystems.map((one) => [one.fileSystem.id, one.bytesFreed]));
  return onFileSystems(needs, places, freed);
}

/** `downloads 2.1 GB, build outputs 1.1 GB`; what takes nothing is not named. */
export function usesWords(needs: readonly Need[]): string {
  const words = needs.flatMap(({ what, bytes }) => {
    if (bytes === 0) return [];
    return [`${what === "staging" ? "downloads on their way" : what} ${formatBytes(bytes)}`];
  });
  return words.length === 0 ? "nothing" : words.join(", ");
}

/** Fewer inodes than this must never be left: nobody says a number for them. */
const INODES_LEFT = 1_000;

/** What is to stay free there. */
export function floorOn({ fileSystem, largest }: SpaceOnFileSystem, minFree: number): number {
  return floorOf(fileSystem.totalBytes, largest, minFree);
}

/**
 * Bytes lacking there for `minFree` to stay free; those that only the rule asks for left out or in.
 * Where the run puts nothing, nothing lacks.
 */
export function lackOn(
  one: SpaceOnFileSystem,
  minFree: number,
  guesses: "with guesses" | "known alone",
): number {
  const { bytesAfter, bytesGuessed } = one;
  if (one.needs.every(({ writes }) => writes === "nothing")) return 0;
  const after = guesses === "with guesses" ? bytesAfter : bytesAfter + bytesGuessed;
  return Math.max(0, floorOn(one, minFree) - after);
}

export function lacksInodes({ inodesNeeded, inodesAfter }: SpaceOnFileSystem): boolean {
  return inodesNeeded > 0 && inodesAfter !== undefined && inodesAfter < INODES_LEFT;
}

/** Whether what is known, guesses left out, has its space. */
export function fits(fileSystems: readonly SpaceOnFileSystem[], minFree: number): boolean {
  return fileSystems.every((one) => lackOn(one, minFree, "known alone") === 0 && !lacksInodes(one));
}
