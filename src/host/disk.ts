/** Free disk space: which file system a path is on and what is left there. */

import { type StatsFs, statfsSync, statSync } from "node:fs";
import { lstat, readdir, readFile, stat, statfs } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { UserError } from "../domain/errors.ts";
import type { Disk, FileSystem } from "../domain/ports.ts";

export const disk: Disk = {
  freeNow(path) {
    try {
      return sizeOf(statfsSync(path));
    } catch {
      return undefined;
    }
  },

  async fileSystem(path: string): Promise<FileSystem> {
    const existing = await nearestExisting(resolve(path));
    const [{ dev }, fs] = await Promise.all([stat(existing), statfs(existing)]);
    return {
      id: poolOf(dev, existing),
      mountPoint: await mountPoint(existing, dev),
      ...sizeOf(fs),
      // btrfs and zfs have no fixed number of inodes and say 0.
      freeInodes: fs.files === 0 ? undefined : fs.ffree,
      totalInodes: fs.files === 0 ? undefined : fs.files,
    };
  },
};

function sizeOf({ bavail, blocks, bsize }: StatsFs) {
  return { freeBytes: bavail * bsize, totalBytes: blocks * bsize };
}

interface Known {
  readonly device: number;
  /** A path on it. */
  readonly path: string;
  /** The device that stands for its pool. */
  readonly id: string;
}

/** Those that were asked about. */
let known: readonly Known[] = [];

/**
 * Volumes of an APFS container, subvolumes of btrfs, an overlay and what its upper layer lies on, sets
 * of a zpool: several devices that take from one space. They give the same numbers at the same moment.
 */
function poolOf(device: number, path: string): string {
  // A number is given anew when what had it is unmounted.
  known = known.filter((one) => deviceOf(one.path) === one.device);
  const same = known.find((one) => one.device === device);
  if (same) return same.id;
  const id = known.find((one) => sharePool(path, one.path))?.id ?? String(device);
  known = [...known, { device, path, id }];
  return id;
}

function deviceOf(path: string): number | undefined {
  try {
    return statSync(path).dev;
  } catch {
    return undefined;
  }
}

/** Others write meanwhile. */
const POOL_SLACK = 1_000_000;
/** Source: linux/magic.h, and zfs's own. */
const [TMPFS, RAMFS, ZFS] = [0x01021994, 0x858458f6, 0x2fc12fc1];

function sharePool(one: string, other: string): boolean {
  try {
    const [a, b] = [statfsSync(one), statfsSync(other)];
    // Each has what it was given; that two were given the same is usual.
    if ([a, b].every(({ type }) => type === TMPFS || type === RAMFS)) return false;
    const [sizeA, sizeB] = [sizeOf(a), sizeOf(b)];
    const near = Math.abs(sizeA.freeBytes - sizeB.freeBytes) <= POOL_SLACK;
    // What a set of a zpool gives as its size is what it holds and what is free.
    const both = a.type === ZFS && b.type === ZFS;
    return near && (both || sizeA.totalBytes === sizeB.totalBytes);
  } catch {
    return false;
  }
}

/** Whether deleting there gives nothing back: what lies there belongs to the image of a container. */
export function isOverlay(path: string): boolean {
  try {
    return statfsSync(path).type === OVERLAY;
  } catch {
    return false;
  }
}

const OVERLAY = 0x794c7630;

async function nearestExisting(path: string): Promise<string> {
  for (let at = path; ; at = dirname(at)) {
    try {
      await stat(at);
      return at;
    } catch (error) {
      if (at === dirname(at)) throw error;
    }
  }
}

/** The topmost directory with the same device; a bind mount within one device is not told apart. */
async function mountPoint(path: string, dev: number): Promise<string> {
  for (let at = path; ; at = dirname(at)) {
    if (at === "/") return at;
    const above = await stat(dirname(at));
    if (above.dev !== dev) return at;
  }
}

/**
 * A file's text, or undefined when there is none. Throws a UserError for what is neither file nor
 * folder: a link of a pull request may lead to a device without an end, or to a pipe without a word.
 */
export async function readIfThere(path: string): Promise<string | undefined> {
  try {
    const stats = await stat(path);
    if (!stats.isFile() && !stats.isDirectory()) {
      throw new UserError("NCP-359", `${path} is no regular file, and is not read`, {
        hint: "put a file in its place",
      });
    }
    return await readFile(path, "utf8");
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

export function isMissing(error: unknown): boolean {
  const code = (error as NodeJS.ErrnoException | undefined)?.code;
  return code === "ENOENT" || code === "ENOTDIR";
}

export interface FolderSize {
  readonly bytes: number;
  readonly inodes: number;
  /** Whether all of it could be seen. */
  readonly seen: "whole" | "in part";
}

const BLOCK = 512;
/** Entries looked at side by side. */
const PARALLEL = 64;

/** What goes away while it is looked at is not counted; nothing is thrown but for the signal. */
export async function folderSize(path: string, signal: AbortSignal): Promise<FolderSize> {
  let bytes = 0;
  let inodes = 0;
  let seen: FolderSize["seen"] = "whole";
  const top = await lstat(path).catch(() => undefined);
  if (!top) return { bytes, inodes, seen: "in part" };
  const stack: string[] = [];
  const look = async (at: string) => {
    const stats = await lstat(at).catch(() => undefined);
    if (!stats || stats.dev !== top.dev) return;
    bytes += stats.blocks * BLOCK;
    inodes++;
    if (stats.isDirectory()) stack.push(at);
  };
  await look(path);
  for (let folder = stack.pop(); folder !== undefined; folder = stack.pop()) {
    signal.throwIfAborted();
    const at = folder;
    const names = await readdir(at).catch((error: NodeJS.ErrnoException) => {
      if (error.code === "EACCES" || error.code === "EPERM") seen = "in part";
      return [];
    });
    for (let from = 0; from < names.length; from += PARALLEL) {
      await Promise.all(names.slice(from, from + PARALLEL).map((name) => look(join(at, name))));
    }
  }
  return { bytes, inodes, seen };
}

/** Where `.github` and git are: on the command line the working folder may be below. */
export async function topOf(workspace: string): Promise<string> {
  for (let at = workspace; ; at = dirname(at)) {
    if ((await readIfThere(join(at, ".git", "HEAD"))) !== undefined) return at;
    if (at === dirname(at)) return workspace;
  }
}
