/** A place in GitHub's cache for what a run leaves beside the paths of its cache, whatever kind that is. */

import { createHash } from "node:crypto";
import { readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { type GithubClientOptions, restoreEntries, saveEntry } from "../caches/github/client.ts";
import { restoreNotice, saveNotice } from "../caches/github/trouble.ts";
import type { RecordStore } from "../domain/evaluation-record.ts";
import { makeFolder, writeWhole } from "../host/atomic.ts";
import { clientOptions, type GithubCache } from "./github-restore.ts";
import { runOf } from "./github-save.ts";

/** Nothing is gained by waiting longer for what can be done anew. */
const DEADLINES = { answer: 8_000, stall: 15_000, whole: 60_000 };

/** Of the folder that is archived: its name is part of the entry's version. */
const FOLDER = "evaluation";
const FILE = "record";

/**
 * Undefined where this job has no such cache. An entry can never be changed: each that is written has a
 * key of its own, and the newest is read, first of all of a job with these targets.
 */
export function githubRecords(
  cache: GithubCache,
  targets: readonly string[],
): RecordStore | undefined {
  const { environment } = cache;
  const token = environment["ACTIONS_RUNTIME_TOKEN"];
  const service = environment["ACTIONS_RESULTS_URL"] ?? environment["ACTIONS_CACHE_URL"];
  if (!token || !service || process.platform === "win32") return undefined;
  const mine = createHash("sha256").update(targets.join("\n")).digest("hex").slice(0, 8);
  return {
    async read(key, signal) {
      const options = await optionsOf(cache);
      const folder = join(options.directory, FOLDER);
      const prefixes = [`${key}-${mine}-`, `${key}-`];
      const entry = { folder: FOLDER, key: prefixes[0] ?? key, restoreKeys: prefixes };
      try {
        const { keys, trouble } = await restoreEntries([entry], options, signal);
        if (trouble) throw new Error(restoreNotice(trouble, "nothing"));
        return keys[0] === undefined ? undefined : await readFile(join(folder, FILE));
      } finally {
        await rm(folder, { recursive: true, force: true });
      }
    },
    async write(key, content, signal) {
      const options = await optionsOf(cache);
      const folder = join(options.directory, FOLDER);
      await makeFolder(folder);
      try {
        await writeWhole(join(folder, FILE), content);
        const entry = { folder: FOLDER, key: `${key}-${mine}-${runOf(environment)}` };
        const trouble = await saveEntry(entry, options, signal);
        if (trouble && trouble.kind !== "race") throw new Error(saveNotice(entry.key, trouble));
      } finally {
        await rm(folder, { recursive: true, force: true });
      }
    },
  };
}

/** A folder of its own: the client empties its temporary one behind each call, and the cache has another. */
async function optionsOf(cache: GithubCache): Promise<GithubClientOptions> {
  const options = await clientOptions({ ...cache, folder: join(cache.folder, "evaluation") });
  return { ...options, deadlines: DEADLINES };
}
