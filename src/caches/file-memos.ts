/** Owns memos beside a `file://` cache: a file each, the oldest removed. */

import { readdir, readFile, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import type { MemoStore } from "../domain/memo.ts";
import { writeWhole } from "../host/atomic.ts";
import { isMissing } from "../host/disk.ts";

/** A branch or two, a few sets of targets each. */
const KEPT = 20;

/** A memo's key is a hash; a record with a name of its own is rewritten in place and stays. */
function isMemo(name: string): boolean {
  return !name.endsWith(".json");
}

export function fileMemos(directory: string): MemoStore {
  const folder = join(directory, "memos");
  return {
    async read(key) {
      try {
        return await readFile(join(folder, key));
      } catch (error) {
        if (isMissing(error)) return undefined;
        throw error;
      }
    },
    async write(key, content) {
      await writeWhole(join(folder, key), content);
      const files = await Promise.all(
        (await readdir(folder)).filter(isMemo).map(async (name) => {
          const { mtimeMs } = await stat(join(folder, name));
          return { name, mtimeMs };
        }),
      );
      files.sort((a, b) => b.mtimeMs - a.mtimeMs);
      for (const { name } of files.slice(KEPT)) await rm(join(folder, name), { force: true });
    },
  };
}
