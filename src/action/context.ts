/** What the runner tells of the job: event, workspace, folders. */

import { mkdir, readFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Trust } from "../domain/job.ts";
import { MAY } from "../engine/step.ts";
import type { Environment } from "../host/environment.ts";
import { githubDirectory } from "./github-restore.ts";
import { parseInputs, type Request, readInputs } from "./inputs.ts";
import { isStrange, trustOf } from "./trust.ts";

export interface Context extends Request {
  readonly environment: Environment;
  readonly workspace: string;
  /** Which use of the action in this job it is: `1`, `2`, … */
  readonly use: string;
  /** What all uses in a job share, in the runner's temporary folder. */
  readonly sharedFolder: string;
  /** This use's own, below it. */
  readonly folder: string;
  /** The folder that `cache: github` is while the job runs. */
  readonly githubDirectory: string;
  readonly event: string | undefined;
}

export async function readContext(environment: Environment, use: string): Promise<Context> {
  const request = parseInputs(readInputs(environment));
  const sharedFolder = folderIn(environment);
  const folder = join(sharedFolder, use);
  const eventPath = environment["GITHUB_EVENT_PATH"];
  return {
    ...request,
    environment,
    workspace: join(environment["GITHUB_WORKSPACE"] || process.cwd(), request.workingDirectory),
    use,
    sharedFolder,
    folder,
    githubDirectory: githubDirectory(folder),
    event: eventPath ? await readFile(eventPath, "utf8").catch(() => undefined) : undefined,
  };
}

/**
 * A use of its own for this step: what another one left for its post, and a cache that another one
 * filled, are not written over.
 */
export async function beginUse(environment: Environment): Promise<string> {
  const shared = folderIn(environment);
  await mkdir(shared, { recursive: true });
  for (let use = 1; ; use++) {
    try {
      await mkdir(join(shared, String(use)));
      return String(use);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
    }
  }
}

/** Our folder in the runner's temporary folder. */
export function folderIn(environment: Environment): string {
  return join(environment["RUNNER_TEMP"] || tmpdir(), "nix-cache-preflight");
}

/** What the job fetches and builds stays until its end: post removes the folder. */
export function rootsOf({ folder, job }: Pick<Context, "folder" | "job">): {
  readonly rootsFolder?: string;
} {
  return MAY[job.mode].has("substitute") ? { rootsFolder: join(folder, ROOTS) } : {};
}

/** Below the folder of each use. */
export const ROOTS = "gc-roots";

/** A check changes nothing, and what a stranger wrote builds nothing before it is known what it is. */
export function buildsToEvaluate({
  environment,
  event,
  trust,
  job,
}: Context): "allowed" | "forbidden" {
  const eventName = environment["GITHUB_EVENT_NAME"] ?? "";
  const strange = isStrange({ asked: trust, eventName, event });
  return MAY[job.mode].has("substitute") && !strange ? "allowed" : "forbidden";
}

/** Asked in main and again in post, where main's own, sealed answer may only lower it. */
export function contextTrust(context: Context): Trust {
  const { environment, job, secrets } = context;
  return trustOf({
    eventName: environment["GITHUB_EVENT_NAME"] ?? "",
    event: context.event,
    ref: environment["GITHUB_REF"] ?? "",
    asked: context.trust,
    cache: job.cache,
    token: secrets.token === undefined ? "absent" : "given",
    cacheMode: environment["ACTIONS_CACHE_MODE"],
  });
}
