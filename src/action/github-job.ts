/** Owns the end of a job with `cache: github`: whether anything may be saved, and what is told of it. */

import type { Composed } from "../compose.ts";
import type { Finding } from "../domain/finding.ts";
import type { Trust } from "../domain/job.ts";
import type { JobMemory } from "../engine/post.ts";
import { log } from "./console.ts";
import type { Context } from "./context.ts";
import { readRecord } from "./github-record.ts";
import { saveGithub } from "./github-save.ts";

/** To be called when nobody writes into the cache's folder any more. */
export async function keepGithub(
  context: Context,
  trust: Trust,
  { world, storeNames }: Composed,
  memory: JobMemory,
  signal: AbortSignal,
): Promise<readonly Finding[]> {
  if (context.job.cache.kind !== "github" || trust.kind !== "write") return [];
  const record = await readRecord(context.folder);
  if (!record || !world.nix) return [];
  const notices = await saveGithub(
    {
      record,
      nix: world.nix,
      targets: memory.targets,
      storeNames: { begin: memory.storeNames, end: await storeNames() },
    },
    { ...context, log },
    signal,
  );
  return notices.map((message) => ({ kind: "notice", level: "notice", message }));
}
