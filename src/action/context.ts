/** What the runner tells of the job: event, workspace, folders. */

import { readFile } from "node:fs/promises";
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
  /** This use's own, in the runner's temporary folder. */
  readonly folder: string;
  /** The folder that `cache: github` is while the job runs. */
  readonly githubDirectory: string;
  readonly event: string | undefined;
}

export async function readContext(environment: Environment, use: string): Promise<Context> {
  const request = parseInputs(readInputs(environment));
  const folder = join(folderIn(environment), use);
  const eventPath = environment["GITHUB_EVENT_PATH"];
  return {
    ...request,
    environment,
    workspace: environment["GITHUB_WORKSPACE"] || process.cwd(),
    use,
    folder,
    githubDirectory: githubDirectory(folder),
    event: eventPath ? await readFile(eventPath, "utf8").catch(() => undefined) : undefined,
  };
}

/** Our folder in the runner's temporary folder. */
export function folderIn(environment: Environment): string {
  return join(environment["RUNNER_TEMP"] || tmpdir(), "nix-cache-preflight");
}

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
