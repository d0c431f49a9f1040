/** Owns what a folder takes: bytes on disk and inodes, without following a link or leaving its file system. */

import { lstat, readdir } from "node:fs/promises";
import { join } from "node:path";

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
