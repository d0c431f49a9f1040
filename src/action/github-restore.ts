/** Owns the beginning of `cache: github`: entries restored into a folder, before anything asks for it. */

import { rm } from "node:fs/promises";
import { join } from "node:path";
import { describeError } from "../domain/errors.ts";
import type { Job } from "../domain/job.ts";
import { count } from "../domain/size.ts";
import type { Survey } from "../engine/survey.ts";
import { hashKeyFiles } from "../host/key-files.ts";
import { restoreEntries } from "./github-client.ts";
import { takeIn } from "./github-content.ts";
import { isLayer, type Layer, layersOf } from "./github-layers.ts";
import {
  clientOptions,
  type GithubCache,
  type GithubRecord,
  githubDirectory,
} from "./github-record.ts";
import { restoreNotice } from "./github-trouble.ts";

export interface RestoredCache {
  /** Undefined where the job has another cache, or where nothing could be done at all. */
  readonly record: GithubRecord | undefined;
  readonly notices: readonly string[];
}

/** Never throws but for the signal: a cache that cannot be restored is an empty one, and a notice. */
export async function restoreGithub(
  job: Job,
  workspace: string,
  cache: GithubCache,
  signal: AbortSignal,
): Promise<RestoredCache> {
  // On Windows there is no Nix to use it.
  if (job.cache.kind !== "github" || process.platform === "win32") {
    return { record: undefined, notices: [] };
  }
  try {
    return await restoreLayers(await layersFor(job, workspace, cache), cache, signal);
  } catch (error) {
    signal.throwIfAborted();
    const trouble = { kind: "failed", detail: describeError(error) } as const;
    return { record: undefined, notices: [restoreNotice(trouble, "nothing")] };
  }
}

async function layersFor(job: Job, workspace: string, { environment }: GithubCache) {
  return layersOf({
    job,
    keyFiles: await hashKeyFiles(workspace, job.keyFiles),
    platform: process.platform,
    arch: process.arch,
    storeDir: environment["NIX_STORE_DIR"] || "/nix/store",
  });
}

async function restoreLayers(
  layers: readonly Layer[],
  cache: GithubCache,
  signal: AbortSignal,
): Promise<RestoredCache> {
  const options = await clientOptions(cache);
  const { keys, trouble } = await restoreEntries(layers, options, signal);
  const restored = new Set<string>();
  const taken: GithubRecord["layers"] = [];
  for (const [index, layer] of layers.entries()) {
    const { kind, folder, key } = layer;
    const found = keys[index];
    const place = join(options.directory, folder);
    if (found === undefined) {
      // Half of an entry, where the client was ended in the middle.
      await rm(place, { recursive: true, force: true });
      taken.push({ kind, folder, key });
      continue;
    }
    const held = await takeIn(place, githubDirectory(cache.folder));
    for (const name of held) restored.add(name);
    taken.push({ kind, folder, key, ...(isLayer(layer, found) ? { holds: [...held] } : {}) });
    cache.log.info(`github: ${count(held.size, "path")} restored from ${found}`);
  }
  return {
    record: { version: 1, layers: taken, restored: [...restored] },
    notices: trouble ? [restoreNotice(trouble, restored.size > 0 ? "a part" : "nothing")] : [],
  };
}

/** The targets' derivations: what they reach is kept. Undefined where one of them is not known. */
export function derivationsOf({ targets }: Pick<Survey, "targets">): string[] | undefined {
  const found: string[] = [];
  for (const { wanted } of targets) {
    if (wanted?.kind === "derivation") found.push(wanted.drvPath);
    else if (wanted?.kind !== "path") return undefined;
  }
  return found;
}
