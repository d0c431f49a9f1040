/** Our folder in the runner's temporary folder: a use's own one, its end, and what other jobs left there. */

import { mkdir, readdir, readFile, rm, rmdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Environment } from "../host/environment.ts";
import { endLeftBackground } from "./background-push.ts";
import { folderIn } from "./context.ts";
import { parseUse } from "./state.ts";

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
 * filled, are not written over. What other jobs left is ended and taken away.
 */
export async function beginUse(environment: Environment): Promise<string> {
  const shared = folderIn(environment);
  await mkdir(shared, { recursive: true });
  // A folder for temporary files that all users share is not the job's own to clean.
  if (environment["RUNNER_TEMP"]) await endOtherJobs(shared, ownerOf(environment));
  for (let use = 1; ; use++) {
    const folder = join(shared, String(use));
    try {
      await mkdir(folder);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
      continue;
    }
    await writeFile(join(folder, OWNER), ownerOf(environment), { mode: 0o600 });
    return String(use);
  }
}

async function endOtherJobs(shared: string, owner: string): Promise<void> {
  for (const name of await readdir(shared)) {
    if (parseUse(name) === undefined) continue;
    const folder = join(shared, name);
    const theirs = await readFile(join(folder, OWNER), "utf8").catch(() => "");
    if (theirs === owner) continue;
    await endLeftBackground(folder);
    await removeFolder(folder);
  }
}

/**
 * The end of a use: nothing of it stays, neither configuration nor credentials. Where nobody says which use
 * it is, no credentials of any stay.
 */
export async function endUse(environment: Environment, use: string | undefined): Promise<void> {
  const shared = folderIn(environment);
  if (use === undefined) {
    for (const name of await readdir(shared).catch(() => [])) {
      const files = await readdir(join(shared, name)).catch(() => []);
      // Also what a killed run left of it half written.
      for (const file of files)
        if (file.startsWith("netrc")) await rm(join(shared, name, file), { force: true });
    }
    return;
  }
  await removeFolder(join(shared, use));
  // Only the last one finds it empty.
  await rmdir(shared).catch(() => undefined);
}

/** What a process of another user's put there stays, and fails nothing. */
async function removeFolder(folder: string): Promise<void> {
  await rm(folder, { recursive: true, force: true, maxRetries: 3 }).catch(() => undefined);
}
