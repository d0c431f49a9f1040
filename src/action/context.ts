/** What the runner tells of the job: event, workspace, folders. */

import { constants } from "node:fs";
import { access, lstat, readFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describeError, UserError } from "../domain/errors.ts";
import type { Trust } from "../domain/job.ts";
import { MAY } from "../engine/step.ts";
import { makeFolder } from "../host/atomic.ts";
import type { Environment } from "../host/environment.ts";
import { parseInputs, type Request, readInputs } from "./inputs.ts";
import { isStrange, trustOf } from "./trust.ts";

/** Our folder, and which use of it is this step's. */
export interface Place {
  /** What all uses in a job share, in the runner's temporary folder. */
  readonly sharedFolder: string;
  /** Which use of the action in this job it is: `1`, `2`, … */
  readonly use: string;
}

export interface Context extends Request, Place {
  readonly environment: Environment;
  readonly workspace: string;
  /** This use's own, below it. */
  readonly folder: string;
  /** The folder that `cache: github` is while the job runs. */
  readonly githubDirectory: string;
  readonly event: string | undefined;
}

export async function readContext(environment: Environment, place: Place): Promise<Context> {
  const request = parseInputs(readInputs(environment));
  const folder = folderOf(place);
  const eventPath = environment["GITHUB_EVENT_PATH"];
  return {
    ...request,
    ...place,
    environment,
    workspace: join(environment["GITHUB_WORKSPACE"] || process.cwd(), request.workingDirectory),
    folder,
    githubDirectory: githubDirectory(folder),
    event: eventPath ? await readFile(eventPath, "utf8").catch(() => undefined) : undefined,
  };
}

export function folderOf({ sharedFolder, use }: Place): string {
  return join(sharedFolder, use);
}

/** The number of a use. */
export const USE = /^[1-9]\d{0,5}$/;

/** The folder that is our cache while the job runs, in the layout of Nix's own binary caches. */
export function githubDirectory(folder: string): string {
  return join(folder, "github", "cache");
}

/** In the order of choice; the second one for where a job of another user left the first behind. */
export function foldersIn(environment: Environment): readonly [string, ...string[]] {
  const temporary = environment["RUNNER_TEMP"];
  const ours = `nix-cache-preflight-${process.getuid?.() ?? "user"}`;
  // Without a runner (act) it is a place that all users share.
  if (!temporary) return [join(tmpdir(), ours)];
  return [join(temporary, "nix-cache-preflight"), join(temporary, ours)];
}

/** Throws a UserError where there is no folder to have it in. */
export async function ourFolder(environment: Environment): Promise<string> {
  const folders = foldersIn(environment);
  let why: unknown;
  for (const folder of folders) {
    try {
      await makeOurs(folder);
      return folder;
    } catch (error) {
      why ??= error;
    }
  }
  throw new UserError("NCP-359", `${folders[0]} cannot be used: ${describeError(why)}`, {
    hint: "this step keeps its own files there: remove what is in its place, or set RUNNER_TEMP to a folder of this user",
  });
}

/** What lies in it decides what is pushed: nobody else may have made it. */
async function makeOurs(folder: string): Promise<void> {
  await makeFolder(folder);
  const stats = await lstat(folder);
  if (!stats.isDirectory()) throw new Error("it is no folder");
  const user = process.getuid?.();
  if (user !== undefined && stats.uid !== user) {
    throw new Error(`it belongs to the user with the number ${stats.uid}`);
  }
  await access(folder, constants.W_OK | constants.X_OK);
}

/** What the job fetches and builds stays until its end: post removes the folder. */
export function rootsOf({ folder, job }: Pick<Context, "folder" | "job">): {
  readonly rootsFolder?: string;
} {
  return MAY[job.mode].has("substitute") ? { rootsFolder: join(folder, ROOTS) } : {};
}

/** Below the folder of each use. */
const ROOTS = "gc-roots";

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
