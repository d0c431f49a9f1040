/** Free disk space: which file system a path is on and what is left there. */

import { statfsSync } from "node:fs";
import { lstat, readdir, readFile, stat, statfs } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import type { Disk, FileSystem } from "../domain/ports.ts";

export const disk: Disk = {
  freeNow(path) {
    try {
      const { bavail, bsize } = statfsSync(path);
      return bavail * bsize;
    } catch {
      return undefined;
    }
  },

  async fileSystem(path: string): Promise<FileSystem> {
    const existing = await nearestExisting(resolve(path));
    const [{ dev }, fs] = await Promise.all([stat(existing), statfs(existing)]);
    return {
      id: String(dev),
      mountPoint: await mountPoint(existing, dev),
      freeBytes: fs.bavail * fs.bsize,
      totalBytes: fs.blocks * fs.bsize,
      // btrfs and zfs have no fixed number of inodes and say 0.
      freeInodes: fs.files === 0 ? undefined : fs.ffree,
      totalInodes: fs.files === 0 ? undefined : fs.files,
    };
  },
};

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

/** A file's text, or undefined when there is none. */
export async function readIfThere(path: string): Promise<string | undefined> {
  try {
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
