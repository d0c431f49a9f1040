/** Owns what main and post share of `cache: github`: its folder, its client, and main's record for post. */

import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import * as z from "zod/mini";
import type { Log } from "../domain/ports.ts";
import { writeWhole } from "../host/atomic.ts";
import { readIfThere } from "../host/disk.ts";
import type { Environment } from "../host/environment.ts";
import type { GithubClientOptions } from "./github-client.ts";

export interface GithubCache {
  readonly environment: Environment;
  /** A folder of ours in the runner's temporary folder. */
  readonly folder: string;
  readonly log: Log;
  /** Where the client differs from the one of the bundle: in tests. */
  readonly client?: Partial<GithubClientOptions>;
}

/** The folder that is our cache while the job runs, in the layout of Nix's own binary caches. */
export function githubDirectory(folder: string): string {
  return join(folder, "github", "cache");
}

export async function clientOptions({ environment, folder, client }: GithubCache) {
  const directory = join(folder, "github");
  await mkdir(directory, { recursive: true });
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
  /** The targets' derivations; absent where not all are known, since a memo answered for them. */
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
