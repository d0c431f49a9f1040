/** Owns the background process's run: the same context, the same trust, until post says stop. */

import { existsSync, watch as watchFolder } from "node:fs";
import { appendFile, stat, writeFile } from "node:fs/promises";
import { text } from "node:stream/consumers";
import { setTimeout as wait } from "node:timers/promises";
import { compose } from "../compose.ts";
import { describeError } from "../domain/errors.ts";
import type { Log } from "../domain/ports.ts";
import { maySendAtOnce, watch } from "../engine/watch.ts";
import { type BackgroundRequest, files } from "./background.ts";
import { contextTrust, readContext } from "./context.ts";

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
    info: (line) => console.log(line),
    debug: () => undefined,
  };
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
    await using composed = await compose({ ...context, platform: process.platform, log, signal });
    if (!maySendAtOnce(context.job, contextTrust(context), composed.world)) return;
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
        // The runner empties the folder when the job is over, even where post never came.
        isOver: async () => {
          const now = await inode(context.folder);
          return now === undefined || now !== folder || (await inode(paths.stop)) !== undefined;
        },
        rest: async (resting) => {
          await Promise.race([wait(PAUSE, undefined, { signal: resting }), woken]);
        },
        progress: (done) => {
          appendFile(paths.pushed, `${JSON.stringify(done)}\n`).catch(() => undefined);
        },
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
