/** Starts, watches and ends the process that pushes while the job runs, and is what runs in it. */

import { spawn } from "node:child_process";
import { existsSync, watch as watchFolder, writeFileSync } from "node:fs";
import { appendFile, open, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { setTimeout as wait } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import * as z from "zod/mini";
import { compose } from "../compose.ts";
import type { PushProgress } from "../domain/cache.ts";
import { describeError } from "../domain/errors.ts";
import { codeOf } from "../domain/job.ts";
import { withoutCredentials } from "../domain/location.ts";
import type { Log } from "../domain/ports.ts";
import type { StorePath } from "../domain/store-path.ts";
import { maySendAtOnce, watch } from "../engine/background-push.ts";
import { writeWhole } from "../host/atomic.ts";
import { isMissing, readIfThere } from "../host/disk.ts";
import { childEnvironment, type Environment } from "../host/environment.ts";
import { identityOf, isRunning, type ProcessIdentity } from "../host/processes.ts";
import { plainLine } from "../report/page.ts";
import { isDebugging, traceJob } from "./console.ts";
import { contextTrust, readContext } from "./context.ts";

/** Milliseconds that post waits for it to finish what it is pushing. */
export const BUDGET = 10 * 60_000;
/** Where asking who a process is takes a process, it is asked less often. */
const POLL = process.platform === "linux" ? 20 : 500;
/** Milliseconds between asking it to end and ending it. */
const GRACE = 5_000;

/** Its files, all in the action's folder. */
export const files = (folder: string) => ({
  log: join(folder, "push.log"),
  /** One JSON line for each path that it pushed. */
  pushed: join(folder, "pushed.jsonl"),
  stop: join(folder, "push.stop"),
  /** Who it is, written by itself: also a main that died then left word of it. */
  identity: join(folder, "push.json"),
  /** Why the cache is sent nothing more, where it failed them all. */
  ended: join(folder, "push.ended"),
  /** Written last: without it, it did not end by itself. */
  done: join(folder, "push.done"),
});

/** What it is started with, over its standard input: no secret in arguments or environment. */
export interface BackgroundRequest {
  readonly environment: Environment;
  /** Which use of the action in this job it works for. */
  readonly use: string;
  readonly storeNames: readonly string[];
  /** What the job's work descends from, where the machine is not its alone. */
  readonly origin: readonly StorePath[] | undefined;
  /** Who runs the job's steps, where that can be seen: when it is gone, so is the job. */
  readonly runner: ProcessIdentity | undefined;
}

/** The process that runs the job's steps; in a container it is outside, and cannot be seen. */
export async function runnerOfJob(): Promise<ProcessIdentity | undefined> {
  return process.ppid > 1 ? identityOf(process.ppid) : undefined;
}

/** Starts it detached, so that it outlives this step; undefined where it did not start. */
export async function startBackground(
  request: BackgroundRequest,
  folder: string,
): Promise<ProcessIdentity | undefined> {
  const paths = files(folder);
  for (const path of [paths.stop, paths.done, paths.pushed, paths.ended])
    await rm(path, { force: true });
  const log = await open(paths.log, "w", 0o600);
  try {
    const child = spawn(
      process.execPath,
      [fileURLToPath(new URL("background-push.js", import.meta.url))],
      {
        detached: true,
        stdio: ["pipe", log.fd, log.fd],
        env: {
          ...childEnvironment(request.environment),
          // By this the runner finds what a job left running, and ends it.
          RUNNER_TRACKING_ID: request.environment["RUNNER_TRACKING_ID"] ?? "",
        } as NodeJS.ProcessEnv,
      },
    );
    child.on("error", () => undefined);
    const { stdin } = child;
    await new Promise<void>((resolve) => {
      stdin?.on("error", () => resolve());
      stdin?.end(JSON.stringify(request), () => resolve());
    });
    child.unref();
    return child.pid === undefined ? undefined : await identityOf(child.pid);
  } finally {
    await log.close();
  }
}

export interface BackgroundEnd {
  /** `early`: it was killed, or failed; what it left is post's to push. */
  readonly how: "finished" | "early" | "too slow";
  readonly pushed: readonly PushProgress[];
  /** Why the cache is sent nothing more; undefined where it took what it was sent. */
  readonly ended: string | undefined;
}

const Identity = z.object({ pid: z.int().check(z.positive()), began: z.string() });

/** The process that works in this folder, by its own word: where main left none that can be believed. */
export async function leftBackground(folder: string): Promise<ProcessIdentity | undefined> {
  try {
    return Identity.parse(JSON.parse((await readIfThere(files(folder).identity)) ?? ""));
  } catch {
    return undefined;
  }
}

/** Ends what works in a folder of which nobody will ask any more: one that has begun, and one that will. */
export async function endLeftBackground(folder: string): Promise<void> {
  await writeFile(files(folder).stop, "").catch(() => undefined);
  const left = await leftBackground(folder);
  if (left && (await isRunning(left))) await endProcess(left, GRACE);
}

/** Asks it to finish and waits, at most the budget; then it is ended. */
export async function endBackground(
  watcher: ProcessIdentity,
  folder: string,
  signal: AbortSignal,
  patience = { budget: BUDGET, grace: GRACE },
): Promise<BackgroundEnd> {
  const paths = files(folder);
  const end = async (how: BackgroundEnd["how"]): Promise<BackgroundEnd> => ({
    how,
    pushed: await readPushed(paths.pushed),
    ended: await readIfThere(paths.ended),
  });
  await writeWhole(paths.stop, "");
  // Not the clock on the wall: one that is set back would make this wait for hours.
  const until = performance.now() + patience.budget;
  while ((await isRunning(watcher)) && performance.now() < until) {
    if (await exists(paths.done)) break;
    await wait(POLL, undefined, { signal });
  }
  const done = await exists(paths.done);
  if (!done && (await isRunning(watcher))) {
    await endProcess(watcher, patience.grace);
    return end("too slow");
  }
  return end(done ? "finished" : "early");
}

async function endProcess(process_: ProcessIdentity, grace: number): Promise<void> {
  process.kill(process_.pid, "SIGTERM");
  for (
    const end = performance.now() + grace;
    (await isRunning(process_)) && performance.now() < end;
  )
    await wait(POLL);
  if (await isRunning(process_)) process.kill(process_.pid, "SIGKILL");
}

/** Begins the lines of its log that are post's to show where the job is debugged. */
const TRACED = "trace: ";
const LOG_MOST = 16 * 1024 * 1024;

/** What its debug trace said; any step of the job may have written there, so it is plain text. */
export async function backgroundTrace(folder: string): Promise<string[]> {
  const { log } = files(folder);
  const bytes = await stat(log).then(
    ({ size }) => size,
    () => 0,
  );
  if (bytes > LOG_MOST) return [`${log} is too long to be shown`];
  const lines = ((await readIfThere(log)) ?? "").split("\n");
  return lines.flatMap((line) => (line.startsWith(TRACED) ? [line.slice(TRACED.length)] : []));
}

async function exists(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch (error) {
    if (isMissing(error)) return false;
    throw error;
  }
}

async function readPushed(file: string): Promise<PushProgress[]> {
  const lines = ((await readIfThere(file)) ?? "").split("\n");
  return lines.flatMap((line) => {
    try {
      const { path, bytes } = JSON.parse(line) as { path: string; bytes: number };
      return [{ path: path as StorePath, bytes }];
    } catch {
      return []; // its last line may be half written
    }
  });
}

/** Milliseconds after which it ends whatever happens: a job may last six hours. */
const LONGEST = 6 * 3_600_000;
const PAUSE = 3_000;

export async function background(): Promise<void> {
  const request = JSON.parse(await text(process.stdin)) as BackgroundRequest;
  const context = await readContext(request.environment, request.use);
  const paths = files(context.folder);
  const log: Log = {
    group: (title) => console.log(title),
    endGroup: () => undefined,
    info: (line) => console.log(withoutCredentials(line)),
    debug: (line) => {
      if (isDebugging(context.environment)) console.log(`${TRACED}${plainLine(line)}`);
    },
  };
  // Not made anew: a folder that is gone is a job that is over.
  await writeFile(paths.identity, JSON.stringify(await identityOf(process.pid)), { mode: 0o600 });
  using _trace = traceJob(context, log);
  const controller = new AbortController();
  // Post's file ends the rest between two looks: the end of a job is not to wait for a timer.
  const watcher = watchFolder(context.folder);
  const woken = new Promise<void>((resolve) =>
    watcher.on("change", () => {
      if (existsSync(paths.stop)) resolve();
    }),
  );
  process.once("SIGTERM", () => controller.abort(new Error("ended by post")));
  const timer = setTimeout(() => controller.abort(new Error("the job is too long")), LONGEST);
  try {
    const { signal } = controller;
    const trust = contextTrust(context);
    const { platform } = process;
    const code = codeOf(trust);
    await using composed = await compose({ ...context, code, platform, log, signal });
    if (!maySendAtOnce(context.job, trust, composed.world)) return;
    const inode = (path: string) =>
      stat(path).then(
        ({ ino }) => ino,
        () => undefined,
      );
    const folder = await inode(context.folder);
    await watch(
      {
        job: context.job,
        world: composed.world,
        since: new Set(request.storeNames),
        origin: request.origin,
        // The runner empties the folder when the job is over, even where post never came; one that
        // empties nothing ends itself.
        isOver: async () => {
          const now = await inode(context.folder);
          if (now === undefined || now !== folder) return true;
          if (request.runner && !(await isRunning(request.runner))) return true;
          return (await inode(paths.stop)) !== undefined;
        },
        rest: async (resting) => {
          await Promise.race([wait(PAUSE, undefined, { signal: resting }), woken]);
        },
        progress: (done) => {
          appendFile(paths.pushed, `${JSON.stringify(done)}\n`).catch(() => undefined);
        },
        ended: (why) => writeFileSync(paths.ended, why, { mode: 0o600 }),
      },
      signal,
    );
    // Into the folder as it is: made anew, it would keep other watchers waiting for its end.
    await writeFile(paths.done, "");
  } catch (error) {
    log.info(describeError(error));
    process.exitCode = 1;
  } finally {
    clearTimeout(timer);
    watcher.close();
  }
}
