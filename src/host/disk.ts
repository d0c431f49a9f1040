/** Owns free space: which file system a path is on and what is left there. */

import { statfsSync } from "node:fs";
import { readFile, stat, statfs } from "node:fs/promises";
import { dirname, resolve } from "node:path";
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
