/** The end of `cache: github`: what is new is saved, without what nobody reaches any more. */

import { join } from "node:path";
import { saveEntry } from "../caches/github/client.ts";
import { contentOf, layOut, namesIn, reachedFrom } from "../caches/github/content.ts";
import { newKey } from "../caches/github/layers.ts";
import { saveNotice, type Trouble } from "../caches/github/trouble.ts";
import type { Composed } from "../compose.ts";
import { describeError } from "../domain/errors.ts";
import type { Finding } from "../domain/finding.ts";
import type { Job, Trust } from "../domain/job.ts";
import type { NarInfo } from "../domain/narinfo.ts";
import type { Nix } from "../domain/ports.ts";
import { count, formatBytes } from "../domain/size.ts";
import { baseName, hashPart, type StorePath } from "../domain/store-path.ts";
import type { JobMemory } from "../engine/post.ts";
import type { Environment } from "../host/environment.ts";
import { log } from "./console.ts";
import { type Context, githubDirectory } from "./context.ts";
import {
  clientOptions,
  type GithubCache,
  type GithubRecord,
  readRecord,
} from "./github-restore.ts";

export interface SaveRequest {
  readonly record: GithubRecord;
  readonly nix: Nix;
  readonly targets: readonly { readonly outputs: readonly StorePath[] }[];
  /** Names that were in the store folder when the job began, and those that are there now. */
  readonly storeNames: { readonly begin: ReadonlySet<string>; readonly end: ReadonlySet<string> };
}

type Saving = GithubCache & { readonly job: Pick<Job, "onPushFailure"> };

/** What became of what the job pushed: it lies in a folder that goes with the job. */
export interface Kept {
  readonly how: "kept" | "lost";
  readonly findings: readonly Finding[];
}

const KEPT: Kept = { how: "kept", findings: [] };

/** Never throws but for the signal; what could not be saved is told in what it returns. */
async function saveGithub(request: SaveRequest, cache: Saving, signal: AbortSignal): Promise<Kept> {
  try {
    return await saveLayers(request, cache, signal);
  } catch (error) {
    signal.throwIfAborted();
    const trouble = { kind: "failed", detail: describeError(error) } as const;
    return { how: "lost", findings: saveFindings("what is new", trouble, cache) };
  }
}

async function saveLayers(request: SaveRequest, cache: Saving, signal: AbortSignal): Promise<Kept> {
  const { record, nix } = request;
  const { folder, log, environment } = cache;
  const directory = githubDirectory(folder);
  const restored = new Set(record.restored);
  const isNew = ({ storePath }: NarInfo) => !restored.has(hashPart(storePath));
  // Names alone tell of most runs that there is nothing to save.
  if ([...(await namesIn(directory))].every((name) => restored.has(name))) return KEPT;
  const content = await contentOf(directory, nix.setup.storeDir);
  const reached = await reach(request, content, signal);
  const wanted = [...content.values()].filter(({ storePath }) => reached.has(storePath));
  if (!wanted.some(isNew)) return KEPT;
  const dropped = content.size - wanted.length;
  if (dropped > 0) log.info(`github: ${count(dropped, "path")} not kept: no target reaches them`);

  const options = await clientOptions(cache);
  const shared = record.layers.flatMap(({ kind, holds }) =>
    kind === "shared" ? (holds ?? []) : [],
  );
  let rest = without(wanted, shared);
  const told: Finding[] = [];
  let how: Kept["how"] = "kept";
  for (const layer of record.layers) {
    const due = layer.kind === "shared" ? layer.holds === undefined : rest.some(isNew);
    if (!due || rest.length === 0) continue;
    const bytes = await layOut(join(options.directory, layer.folder), directory, rest);
    const key = newKey(layer, runOf(environment), rest.map(hashOf));
    const trouble = await saveEntry({ folder: layer.folder, key }, options, signal);
    if (!trouble) {
      log.info(`github: ${key} saved: ${count(rest.length, "path")} (${formatBytes(bytes)})`);
      rest = [];
      continue;
    }
    told.push(...saveFindings(key, trouble, cache));
    if (trouble.kind === "race") continue;
    // What is refused for one entry is refused for the next one too.
    how = "lost";
    break;
  }
  return { how, findings: told };
}

/** Expected where the event or the runner has no such cache, and of no harm where somebody else saved it. */
const EXPECTED: ReadonlySet<Trouble["kind"]> = new Set(["race", "denied", "mode", "unavailable"]);

function saveFindings(key: string, trouble: Trouble, { job }: Saving): Finding[] {
  const isExpected = EXPECTED.has(trouble.kind);
  if (job.onPushFailure === "ignore" && !isExpected) return [];
  const level = job.onPushFailure === "error" ? "error" : "warning";
  return [
    {
      kind: "push",
      level: isExpected ? "notice" : level,
      cause: "github save",
      title: "GitHub's cache did not keep what this job built",
      message: saveNotice(key, trouble),
    },
  ];
}

/**
 * What the targets reach, at run time and by their derivations, and what this job built or fetched.
 * Where not all derivations are known, everything is kept.
 */
async function reach(
  { record, nix, targets, storeNames }: SaveRequest,
  content: ReadonlyMap<StorePath, NarInfo>,
  signal: AbortSignal,
): Promise<ReadonlySet<StorePath>> {
  const { derivations } = record;
  if (!derivations) return new Set(content.keys());
  const valid = await nix.valid(derivations as StorePath[], signal);
  const recipes = await nix.closure([...valid], signal);
  const names = new Set([...recipes.keys()].map(baseName));
  const outputs = new Set(targets.flatMap((target) => target.outputs));
  const { begin, end } = storeNames;
  return reachedFrom(content, (path, deriver) => {
    const name = baseName(path);
    const usedHere = end.has(name) && !begin.has(name);
    return usedHere || outputs.has(path) || names.has(name) || names.has(deriver ?? "");
  });
}

function without(wanted: readonly NarInfo[], names: readonly string[]): NarInfo[] {
  const held = new Set(names);
  return wanted.filter((narInfo) => !held.has(hashOf(narInfo)));
}

function hashOf({ storePath }: NarInfo): string {
  return hashPart(storePath);
}

/** Tells entries of equal content apart: the newest one is restored, and none can be written again. */
export function runOf(environment: Environment): string {
  const attempt = environment["GITHUB_RUN_ATTEMPT"] || "1";
  return `${environment["GITHUB_RUN_ID"] || Date.now()}.${attempt}`;
}

/** To be called when nobody writes into the cache's folder any more. */
export async function keepGithub(
  context: Context,
  trust: Trust,
  { world, storeNames }: Composed,
  memory: JobMemory,
  signal: AbortSignal,
): Promise<Kept> {
  if (context.job.cache?.keeper !== "GitHub" || trust.kind !== "write") return KEPT;
  const record = await readRecord(context.folder);
  if (!record || !world.nix) return KEPT;
  return saveGithub(
    {
      record,
      nix: world.nix,
      targets: memory.targets,
      storeNames: { begin: memory.storeNames, end: await storeNames() },
    },
    { ...context, log },
    signal,
  );
}
