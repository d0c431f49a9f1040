/** Starts, watches and ends the process that pushes while the job runs, and is what runs in it. */

import { spawn } from "node:child_process";
import { writeFileSync } from "node:fs";
import { appendFile, open, readFile, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { setTimeout as wait } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import * as z from "zod/mini";
import type { PushProgress } from "../domain/cache.ts";
import { describeError } from "../domain/errors.ts";
import { codeOf } from "../domain/job.ts";
import { withoutCredentials } from "../domain/location.ts";
import type { Log } from "../domain/ports.ts";
import type { StorePath } from "../domain/store-path.ts";
import { maySendAtOnce } from "../engine/step.ts";
import { writeWhole } from "../host/atomic.ts";
import { awaitFile, clock } from "../host/clock.ts";
import { childEnvironment, type Environment } from "../host/environment.ts";
import { endProcesses, identityOf, isRunning, type ProcessIdentity } from "../host/processes.ts";
import { plainLine } from "../report/page.ts";
import { isDebugging, traceJob, world } from "./console.ts";
import { contextTrust, type Place, readContext } from "./context.ts";

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
  /** Why the cache is sent nothing more, where it failed them all. */
  ended: join(folder, "push.ended"),
  /** Who it is, written by itself: also a main that died then left word of it. */
  identity: join(folder, "push.json"),
  /** Written last: without it, it did not end by itself. */
  done: join(folder, "push.done"),
});

/** What it is started with, over its standard input: no secret in arguments or environment. */
export interface BackgroundRequest extends Place {
  readonly environment: Environment;
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

/** Starts it detached, so that it outlives this step; where it did not start, that is said, and post does its work. */
export async function startBackground(
  request: BackgroundRequest,
  folder: string,
  log: Pick<Log, "info">,
  program = new URL("watch.js", import.meta.url),
): Promise<ProcessIdentity | undefined> {
  try {
    return await start(request, folder, program);
  } catch (error) {
    log.info(`nothing is pushed before the end of the job: ${describeError(error)}`);
    return undefined;
  }
}

async function start(
  request: BackgroundRequest,
  folder: string,
  program: URL,
): Promise<ProcessIdentity> {
  const paths = files(folder);
  for (const path of [paths.stop, paths.done, paths.pushed, paths.ended])
    await rm(path, { force: true });
  const log = await open(paths.log, "w", 0o600);
  try {
    const child = spawn(process.execPath, [fileURLToPath(program)], {
      detached: true,
      stdio: ["pipe", log.fd, log.fd],
      env: {
        ...childEnvironment(request.environment),
        // By this the runner finds what a job left running, and ends it.
        RUNNER_TRACKING_ID: request.environment["RUNNER_TRACKING_ID"] ?? "",
      } as NodeJS.ProcessEnv,
    });
    const { stdin, pid } = child;
    await new Promise<void>((resolve, reject) => {
      child.on("error", reject);
      // It ended before it had read all: post hears why.
      stdin?.on("error", () => resolve());
      stdin?.end(JSON.stringify(request), () => resolve());
    });
    child.unref();
    const identity = pid === undefined ? undefined : await identityOf(pid);
    if (!identity) throw new Error((await lastWords(paths.log)) ?? "the process ended at once");
    return identity;
  } finally {
    await log.close();
  }
}

export interface BackgroundEnd {
  /** `early`: it was killed, or failed; what it left is post's to push. */
  readonly how: "finished" | "early" | "too slow";
  readonly pushed: readonly PushProgress[];
  /** Its last words, where it ended early and left any. */
  readonly why: string | undefined;
  /** Why the cache is sent nothing more; undefined where it took what it was sent. */
  readonly ended: string | undefined;
}

/** Asks whatever watches this folder to finish, and does not wait: whose process it is, nobody says. */
export async function stopBackground(folder: string): Promise<void> {
  await writeFile(files(folder).stop, "").catch(() => undefined);
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
    ended: await readFile(paths.ended, "utf8").catch(() => undefined),
    why: how === "early" ? await lastWords(paths.log) : undefined,
  });
  // Where the folder is not ours any more it cannot be asked.
  const asked = await writeWhole(paths.stop, "").then(
    () => true,
    () => false,
  );
  // Not the clock on the wall: one that is set back would make this wait for hours.
  const until = performance.now() + (asked ? patience.budget : 0);
  while ((await isRunning(watcher)) && performance.now() < until) {
    if (await exists(paths.done)) break;
    await clock.sleep(POLL, signal);
  }
  const done = await exists(paths.done);
  if (!done && (await isRunning(watcher))) {
    await endProcesses([watcher], patience.grace);
    return end("too slow");
  }
  return end(done ? "finished" : "early");
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
  const lines = (await readFile(log, "utf8").catch(() => "")).split("\n");
  return lines.flatMap((line) => (line.startsWith(TRACED) ? [line.slice(TRACED.length)] : []));
}

function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}

const PushedLine = z.object({
  path: z.string().check(z.regex(/^\/[^\s"]{1,400}$/)),
  bytes: z.number().check(z.nonnegative()),
});

/** A step of the job may have written anything there, and its last line may be half written. */
async function readPushed(file: string): Promise<PushProgress[]> {
  const text = await readFile(file, "utf8").catch(() => "");
  return text.split("\n").flatMap((line) => {
    try {
      const { path, bytes } = PushedLine.parse(JSON.parse(line));
      return [{ path: path as StorePath, bytes }];
    } catch {
      return [];
    }
  });
}

const WORDS_MOST = 300;

/** What it said last, its own or Node's word of an error. */
async function lastWords(file: string): Promise<string | undefined> {
  const text = await readFile(file, "utf8").catch(() => "");
  const lines = text.split("\n").filter((line) => line.trim() !== "" && !line.startsWith(TRACED));
  const error = lines.findLast((line) => /^\w*Error\b/.test(line));
  return (error ?? lines.at(-1))?.slice(0, WORDS_MOST);
}

/** Milliseconds after which it ends whatever happens: a job may last six hours. */
const LONGEST = 6 * 3_600_000;
const PAUSE = 3_000;

export async function background(): Promise<void> {
  const controller = new AbortController();
  process.once("SIGTERM", () => controller.abort(new Error("ended by post")));
  const timer = setTimeout(() => controller.abort(new Error("the job is too long")), LONGEST);
  try {
    const request = JSON.parse(await text(process.stdin)) as BackgroundRequest;
    const context = await readContext(request.environment, request);
    const paths = files(context.folder);
    // Not made anew: a folder that is gone is a job that is over.
    await writeFile(paths.identity, JSON.stringify(await identityOf(process.pid)), { mode: 0o600 });
    const trust = contextTrust(context);
    const log: Log = {
      ...LOG,
      debug: (line) => {
        if (isDebugging(context.environment)) console.log(`${TRACED}${plainLine(line)}`);
      },
    };
    using _trace = traceJob(context, log);
    // Post's file ends the rest between two looks: the end of a job is not to wait for a timer.
    using stop = awaitFile(paths.stop, PAUSE / 10);
    const { signal } = controller;
    const [{ compose }, { watch }] = await Promise.all([
      world(),
      import("../engine/background-push.ts"),
    ]);
    await using composed = await compose({
      ...context,
      // Of the checkout it needs nothing, and a step may take that away.
      workspace: context.folder,
      needs: "store",
      code: codeOf(trust),
      platform: process.platform,
      log,
      signal,
    });
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
          await Promise.race([wait(PAUSE, undefined, { signal: resting }), stop.there]);
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
    // Post reads the last line.
    LOG.info(describeError(error));
    process.exitCode = 1;
  } finally {
    clearTimeout(timer);
  }
}

const LOG: Log = {
  group: (title) => console.log(title),
  endGroup: () => undefined,
  info: (line) => console.log(withoutCredentials(line)),
  debug: () => undefined,
};
