/** The start of `cache: github`: its folder is filled from GitHub's cache, and a record is left for post. */

import { rm } from "node:fs/promises";
import { join } from "node:path";
import * as z from "zod/mini";
import { type GithubClientOptions, restoreEntries } from "../caches/github/client.ts";
import { takeIn } from "../caches/github/content.ts";
import { isLayer, type Layer, layersOf } from "../caches/github/layers.ts";
import { restoreNotice } from "../caches/github/trouble.ts";
import { describeError } from "../domain/errors.ts";
import type { Finding } from "../domain/finding.ts";
import type { Job } from "../domain/job.ts";
import type { Log } from "../domain/ports.ts";
import { parseSigningKey } from "../domain/signature.ts";
import { count } from "../domain/size.ts";
import type { Survey } from "../engine/survey.ts";
import { makeFolder, writeWhole } from "../host/atomic.ts";
import { readIfThere } from "../host/disk.ts";
import type { Environment } from "../host/environment.ts";
import { hashKeyFiles } from "../host/key-files.ts";
import { githubDirectory } from "./context.ts";

export interface GithubCache {
  readonly environment: Environment;
  /** A folder of ours in the runner's temporary folder. */
  readonly folder: string;
  readonly log: Log;
  /** Where there is one, only what it signed is believed. */
  readonly signingKey?: string | undefined;
  /** Where the client differs from the one of the bundle: in tests. */
  readonly client?: Partial<GithubClientOptions>;
}

export async function clientOptions({ environment, folder, client }: GithubCache) {
  const directory = join(folder, "github");
  await makeFolder(directory);
  return { environment, directory, ...client } satisfies GithubClientOptions;
}

const RecordFile = z.object({
  version: z.literal(1),
  layers: z.array(
    z.object({
      kind: z.enum(["shared", "own"]),
      folder: z.string().check(z.regex(/^[0-9a-z_-]+$/)),
      key: z.string(),
      /** What is in the layer itself; absent where there is no such entry, or only one like it. */
      holds: z.optional(z.array(z.string())),
    }),
  ),
  /** Hash parts of every path that was restored, from whichever entry. */
  restored: z.array(z.string()),
  /** The targets' derivations; absent where not all are known, since an evaluation record answered for them. */
  derivations: z.optional(z.array(z.string())),
});

/** What main has to tell post of the cache. */
export type GithubRecord = z.infer<typeof RecordFile>;

const fileIn = (folder: string) => join(folder, "github.json");

export async function writeRecord(record: GithubRecord, folder: string): Promise<void> {
  await writeWhole(fileIn(folder), JSON.stringify(record), 0o600);
}

/** Undefined where main left none, or a damaged one: then nothing is saved. */
export async function readRecord(folder: string): Promise<GithubRecord | undefined> {
  try {
    return RecordFile.parse(JSON.parse((await readIfThere(fileIn(folder))) ?? ""));
  } catch {
    return undefined;
  }
}

export interface RestoredCache {
  /** Undefined where the job has another cache, or where nothing could be done at all. */
  readonly record: GithubRecord | undefined;
  readonly notices: readonly string[];
  /** Of what no run of ours would have saved. */
  readonly findings: readonly Finding[];
}

/** Never throws but for the signal: a cache that cannot be restored is an empty one, and a notice. */
export async function restoreGithub(
  job: Job,
  workspace: string,
  cache: GithubCache,
  signal: AbortSignal,
): Promise<RestoredCache> {
  // On Windows there is no Nix to use it.
  if (job.cache?.keeper !== "GitHub" || process.platform === "win32") {
    return { record: undefined, notices: [], findings: [] };
  }
  try {
    return await restoreLayers(await layersFor(job, workspace, cache), cache, signal);
  } catch (error) {
    signal.throwIfAborted();
    const trouble = { kind: "failed", detail: describeError(error) } as const;
    return { record: undefined, notices: [restoreNotice(trouble, "nothing")], findings: [] };
  }
}

async function layersFor(job: Job, workspace: string, { environment }: GithubCache) {
  return layersOf({
    job,
    keyFiles: await hashKeyFiles(workspace, job.keyFiles),
    platform: process.platform,
    arch: process.arch,
    storeDir: storeDirOf(environment),
  });
}

function storeDirOf(environment: Environment): string {
  return environment["NIX_STORE_DIR"] || "/nix/store";
}

async function restoreLayers(
  layers: readonly Layer[],
  cache: GithubCache,
  signal: AbortSignal,
): Promise<RestoredCache> {
  const options = await clientOptions(cache);
  const { keys, trouble } = await restoreEntries(layers, options, signal);
  const restored = new Set<string>();
  const contradicting: string[] = [];
  let unsigned = 0;
  const storeDir = storeDirOf(cache.environment);
  const { signingKey } = cache;
  const signer = signingKey ? parseSigningKey(signingKey).publicKey : undefined;
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
    const came = await takeIn(place, githubDirectory(cache.folder), storeDir, signer);
    const { held } = came;
    contradicting.push(...came.contradicting);
    unsigned += came.unsigned;
    for (const name of held) restored.add(name);
    taken.push({ kind, folder, key, ...(isLayer(layer, found) ? { holds: [...held] } : {}) });
    cache.log.info(`github: ${count(held.size, "path")} restored from ${found}`);
  }
  const notice = trouble && restoreNotice(trouble, restored.size > 0 ? "a part" : "nothing");
  const isForeign = trouble?.kind === "foreign";
  return {
    record: { version: 1, layers: taken, restored: [...restored] },
    notices: notice && !isForeign ? [notice] : [],
    findings: [
      ...(notice && isForeign ? [foreign(notice)] : []),
      ...(contradicting.length > 0 ? [foreign(contradiction(contradicting))] : []),
      ...(unsigned > 0 ? [foreign(unbelieved(unsigned))] : []),
    ],
  };
}

function contradiction(names: readonly string[]): string {
  const [first] = names;
  const more = names.length > 1 ? ` and ${count(names.length - 1, "more path")}` : "";
  return `github: ${first}${more} came again with other sums than an earlier layer's, and ${names.length > 1 ? "are" : "is"} not used`;
}

function unbelieved(paths: number): string {
  return `github: ${count(paths, "path")} restored without a signature of the signing-key, and not used: they count as absent`;
}

function foreign(message: string): Finding {
  return {
    kind: "cache",
    level: "warning",
    code: "NCP-454",
    message,
    hint: "was it saved before there was a signing-key? Else find out which workflow may write to this branch's Actions cache (audit does), and delete the entry",
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
