/** Time: now, waiting that can be interrupted, and when GitHub ends the job. */

import { existsSync, watch } from "node:fs";
import { stat } from "node:fs/promises";
import { dirname } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import type { Clock, JobEnd, Log, WorkState } from "../domain/ports.ts";
import { topOf } from "./disk.ts";
import { type Environment, isHosted } from "./environment.ts";

export const clock: Clock = {
  // Never backwards: whoever sets the machine's clock back would hold up every deadline by as much.
  now: () => Math.round(performance.timeOrigin + performance.now()),
  sleep: async (milliseconds, signal) => {
    await wait(milliseconds, undefined, { signal }).catch((error) => {
      // The run's own reason, not the timer's: it is what the user is told.
      signal.throwIfAborted();
      throw error;
    });
  },
};

export interface AwaitedFile extends Disposable {
  readonly there: Promise<void>;
}

/**
 * Waits for a file. Where the machine can watch no more folders (inotify has a limit for each user,
 * which shared machines reach) it is asked for every `pause` milliseconds instead.
 */
export function awaitFile(path: string, pause: number): AwaitedFile {
  const ends: (() => void)[] = [];
  const there = new Promise<void>((resolve) => {
    const look = () => {
      if (existsSync(path)) resolve();
    };
    const ask = () => {
      const timer = setInterval(look, pause);
      ends.push(() => clearInterval(timer));
    };
    try {
      const watcher = watch(dirname(path));
      watcher.on("change", look);
      watcher.on("error", ask);
      ends.push(() => watcher.close());
    } catch {
      ask();
    }
    look();
  });
  return {
    there,
    [Symbol.dispose]: () => {
      for (const end of ends) end();
    },
  };
}

/** Milliseconds between two lines: seldom enough for a log, and often enough to be believed alive. */
const PACE = 10_000;

/** `words` makes a line of how far it is after so many seconds; what ends before the first is not told. */
export function steadyWatch<Words>(
  print: (line: Words) => void,
  words: (what: string, state: WorkState, seconds: number) => Words,
  pace = PACE,
): NonNullable<Log["watch"]> {
  return (what, state) => {
    const begun = performance.now();
    const timer = setInterval(() => {
      print(words(what, state(), (performance.now() - begun) / 1000));
    }, pace);
    // A process that has nothing else to do is not kept alive to say so.
    timer.unref();
    return { [Symbol.dispose]: () => clearInterval(timer) };
  };
}

interface Window {
  readonly signal: AbortSignal;
  readonly opened: number;
  readonly timer: NodeJS.Timeout;
  readonly controller: AbortController;
  /** Rejects the tasks under way. */
  readonly waiting: Set<(reason: unknown) => void>;
}

/**
 * A timer, a controller and a listener for each of 100,000 questions cost more than the questions.
 * Every task gets at least `milliseconds`, and at most a tenth more.
 */
export class Deadlines {
  private readonly milliseconds: number;
  private readonly late: () => Error;
  private current: Window | undefined;

  constructor(milliseconds: number, late: () => Error) {
    this.milliseconds = milliseconds;
    this.late = late;
  }

  /** Rejects when `signal` is aborted or time is up, even where `task` does not mind its signal. */
  run<T>(signal: AbortSignal, task: (signal: AbortSignal) => Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      signal.throwIfAborted();
      const window = this.windowFor(signal);
      const { waiting, timer } = window;
      waiting.add(reject);
      // Only a task under way keeps the process alive.
      if (waiting.size === 1) timer.ref();
      const leave = () => {
        waiting.delete(reject);
        if (waiting.size > 0) return;
        timer.unref();
        if (window !== this.current) clearTimeout(timer);
      };
      task(window.controller.signal).then(
        (value) => {
          leave();
          resolve(value);
        },
        (error) => {
          leave();
          reject(error);
        },
      );
    });
  }

  private windowFor(signal: AbortSignal): Window {
    const now = performance.now();
    const { current, milliseconds } = this;
    const length = milliseconds / 10;
    if (current?.signal === signal && now - current.opened < length) return current;
    if (current?.waiting.size === 0) clearTimeout(current.timer);
    const controller = new AbortController();
    const waiting: Window["waiting"] = new Set();
    const end = (reason: unknown) => {
      clearTimeout(timer);
      if (this.current?.controller === controller) this.current = undefined;
      controller.abort(reason);
      for (const reject of waiting) reject(reason);
    };
    const timer = setTimeout(() => end(this.late()), milliseconds + length);
    signal.addEventListener("abort", () => end(signal.reason), { once: true });
    this.current = { signal, opened: now, timer, controller, waiting };
    return this.current;
  }
}

/** GitHub's own bound on a job of a hosted runner. */
const HOSTED_MINUTES = 360;

/**
 * When GitHub ends the job: by `timeout-minutes` in its workflow file, else by its own bound on hosted runners. A job
 * begins when its event file is written.
 */
export async function jobEnd(
  workspace: string,
  environment: Environment,
): Promise<JobEnd | undefined> {
  const { GITHUB_JOB: job = "", GITHUB_EVENT_PATH: event = "" } = environment;
  const file = /^[^/]+\/[^/]+\/(\.github\/workflows\/[^/@]+)@/.exec(
    environment["GITHUB_WORKFLOW_REF"] ?? "",
  )?.[1];
  if (job === "" || file === undefined) return undefined;
  const begun = await stat(event).then(
    ({ mtimeMs }) => mtimeMs,
    () => undefined,
  );
  if (begun === undefined) return undefined;
  const { writtenTimeout } = await import("./workflow-files.ts");
  const written = await writtenTimeout(await topOf(workspace), file, job);
  if (written === undefined) return undefined;
  const minutes = written === "" && isHosted(environment) ? HOSTED_MINUTES : Number(written);
  // An expression is known to GitHub alone.
  if (!(minutes > 0)) return undefined;
  const why =
    written === ""
      ? "GitHub's bound on hosted jobs"
      : `timeout-minutes of the job ${job} in ${file}`;
  return { at: begun + minutes * 60_000, minutes, why };
}
