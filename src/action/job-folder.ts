/** Our folder in the runner's temporary folder: a use's own one, its end, and what other jobs left there. */

import { mkdir, readdir, readFile, rm, rmdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import * as z from "zod/mini";
import type { Environment } from "../host/environment.ts";
import { endProcesses, type ProcessIdentity } from "../host/processes.ts";
import { files, stopBackground } from "./background-push.ts";
import { folderOf, foldersIn, ourFolder, type Place, USE } from "./context.ts";

/** Whose folder it is: runners that empty nothing hand it on to the next job. */
const OWNER = "job.json";

/** The runner gives each job a mark of its own; where it does not, the run's number has to do. */
const MARKS = [
  "RUNNER_TRACKING_ID",
  "GITHUB_REPOSITORY",
  "GITHUB_RUN_ID",
  "GITHUB_RUN_ATTEMPT",
  "GITHUB_JOB",
];

function ownerOf(environment: Environment): string {
  return JSON.stringify(MARKS.map((name) => environment[name] ?? ""));
}

/**
 * A use of its own for this step: what another one of this job left for its post, and a cache that it
 * filled, are not written over. What other jobs left is ended and taken away. Throws a UserError.
 */
export async function beginUse(environment: Environment): Promise<Place> {
  const sharedFolder = await ourFolder(environment);
  // A folder for temporary files that all users share is not the job's own to clean.
  if (environment["RUNNER_TEMP"]) await endOtherJobs(sharedFolder, ownerOf(environment));
  for (let use = 1; ; use++) {
    const place = { sharedFolder, use: String(use) };
    try {
      await mkdir(folderOf(place));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
      continue;
    }
    await writeFile(join(folderOf(place), OWNER), ownerOf(environment), { mode: 0o600 });
    return place;
  }
}

async function endOtherJobs(shared: string, owner: string): Promise<void> {
  for (const name of await readdir(shared)) {
    if (!USE.test(name)) continue;
    const folder = join(shared, name);
    const theirs = await readFile(join(folder, OWNER), "utf8").catch(() => "");
    if (theirs === owner) continue;
    await endLeftBackground(folder);
    await removeFolder(folder);
  }
}

/**
 * The end of a use: nothing of it stays, neither configuration nor credentials, and what the job fetched
 * and built is the store's again. Where nobody says which use it is, no credentials of any stay.
 */
export async function endUse(place: Place | undefined, environment: Environment): Promise<void> {
  if (place === undefined) {
    for (const shared of foldersIn(environment)) await forgetNetrcs(shared);
    return;
  }
  await removeFolder(folderOf(place));
  // Only the last one finds it empty.
  await rmdir(place.sharedFolder).catch(() => undefined);
}

/** Also what a killed run left of them half written. */
async function forgetNetrcs(shared: string): Promise<void> {
  for (const name of await readdir(shared).catch(() => [])) {
    const files = await readdir(join(shared, name)).catch(() => []);
    for (const file of files)
      if (file.startsWith("netrc")) await rm(join(shared, name, file), { force: true });
  }
}

const Identity = z.object({ pid: z.int().check(z.positive()), began: z.string() });

/** The process that works in this folder, by its own word: where main left none that can be believed. */
export async function leftBackground(folder: string): Promise<ProcessIdentity | undefined> {
  try {
    return Identity.parse(JSON.parse(await readFile(files(folder).identity, "utf8")));
  } catch {
    return undefined;
  }
}

/** Ends what works in a folder of which nobody will ask any more: one that has begun, and one that will. */
export async function endLeftBackground(folder: string): Promise<void> {
  await stopBackground(folder);
  const left = await leftBackground(folder);
  if (left) await endProcesses([left]);
}

/** What a process of another user's put there stays, and fails nothing. */
async function removeFolder(folder: string): Promise<void> {
  await rm(folder, { recursive: true, force: true, maxRetries: 3 }).catch(() => undefined);
}
