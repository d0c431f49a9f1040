/** Owns the seal on main's record: post believes only what its own main said, of the same run. */

import { createHash, createHmac, timingSafeEqual } from "node:crypto";
import type { Context } from "./context.ts";

export interface Seal {
  of(text: string): string;
  isGood(seal: string, text: string): boolean;
}

/**
 * Keyed with what this step is given and the job's other steps are not: its token, its signing key,
 * or the runner's own token for GitHub's cache. Without any of them the seal is a plain checksum:
 * then whoever can forge it can write to the cache just as well (a folder, an agent's ssh key).
 * Bound to the run, the cache and our folder: a record of another run, or one that would send the
 * token to another cache, does not fit.
 */
export function sealFor({ secrets, environment, job, folder }: SealContext): Seal {
  const key = secrets.token ?? secrets.signingKey ?? environment["ACTIONS_RUNTIME_TOKEN"];
  const bound = JSON.stringify([
    job.cacheName,
    folder,
    ...["GITHUB_REPOSITORY", "GITHUB_RUN_ID", "GITHUB_RUN_ATTEMPT", "GITHUB_JOB"].map(
      (name) => environment[name] ?? "",
    ),
  ]);
  const digest = (text: string) =>
    (key ? createHmac("sha256", key) : createHash("sha256")).update(bound).update(text).digest();
  return {
    of: (text) => digest(text).toString("hex"),
    isGood: (seal, text) => {
      const given = Buffer.from(seal, "hex");
      const right = digest(text);
      return given.length === right.length && timingSafeEqual(given, right);
    },
  };
}

export type SealContext = Pick<Context, "secrets" | "environment" | "folder"> & {
  readonly job: Pick<Context["job"], "cacheName">;
};
