/** What the step does at the end of the job: it reads main's record, ends the background push, and pushes. */

import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import * as core from "@actions/core";
import { count, formatBytes, formatSeconds } from "../domain/size.ts";
import { runPost } from "../engine/post.ts";
import { type Environment, processEnvironment } from "../host/environment.ts";
import type { ProcessIdentity } from "../host/processes.ts";
import { annotations } from "../report/annotations.ts";
import { postSummary } from "../report/summary.ts";
import { doneWords } from "../report/words.ts";
import {
  type BackgroundEnd,
  BUDGET,
  backgroundTrace,
  endBackground,
  stopBackground,
} from "./background-push.ts";
import {
  annotate,
  conclude,
  guarded,
  isDebugging,
  log,
  mask,
  traceJob,
  world,
  writeSummary,
} from "./console.ts";
import { type Context, contextTrust, folderIn, ROOTS, readContext } from "./context.ts";
import { keepGithub } from "./github-save.ts";
import { loadState, STATE, sealFor, useOf } from "./state.ts";
import { lowerTrust } from "./trust.ts";

export function post(): Promise<void> {
  return guarded(async (signal) => {
    const environment = processEnvironment();
    try {
      await endJob(environment, signal);
    } finally {
      await removeRoots(environment);
      await removeNetrc(environment);
    }
  });
}

async function endJob(environment: Environment, signal: AbortSignal): Promise<void> {
  const text = core.getState(STATE);
  if (text === "") return log.info("nix-cache-preflight: main left nothing to do");
  // A record that names no use is damaged, and is refused below.
  const context = await readContext(environment, useOf(text) ?? "0");
  mask(context);
  using _trace = traceJob(context);
  const state = await loadState(text, sealFor(context));
  if (!state) return refuseRecord(context);
  const trust = lowerTrust(state.trust, contextTrust(context));
  const { pushed: ahead, ended = state.memory.pushEnded } =
    state.watcher === undefined
      ? { pushed: [] }
      : await endWatcher(state.watcher, context.folder, signal);
  if (isDebugging(environment)) {
    for (const line of await backgroundTrace(context.folder)) log.debug(`background push: ${line}`);
  }
  const { compose } = await world();
  await using composed = await compose({
    ...context,
    platform: process.platform,
    log,
    signal,
  });
  const { job } = context;
  const done = await runPost(
    job,
    trust,
    composed.world,
    { ...state.memory, pushEnded: ended },
    signal,
  );
  const { outcome, withheld } = done;
  await writeSummary(postSummary(done, ahead, trust.why, composed.world.own?.page));
  for (const { target, paths } of withheld) {
    log.info(`read-only (${trust.why}): would have pushed ${target}, ${paths.length} paths`);
  }
  log.info(doneWords(outcome).join(", ") || "nothing new to push");
  const kept = await keepGithub(context, trust, composed, state.memory, signal);
  for (const annotation of annotations([...outcome.findings, ...kept])) annotate(annotation);
  conclude(outcome.findings);
}

/** Loud where it costs somebody a push: a step of the job has no business there. */
async function refuseRecord(context: Context): Promise<void> {
  await stopBackground(context.folder);
  const message = "main's record is damaged or was changed since; nothing is pushed";
  if (contextTrust(context).kind === "read-only")
    return log.info(`nix-cache-preflight: ${message}`);
  const hint = "a step of this job wrote over it, or the inputs cache and token are not main's";
  annotate({ level: "warning", title: "NCP-450", message: `${message}\n${hint}` });
}

/** What the job fetched and built is the store's again, to be collected when nobody else needs it. */
async function removeRoots(environment: Environment): Promise<void> {
  const folder = folderIn(environment);
  const use = useOf(core.getState(STATE));
  if (use !== undefined) await rm(join(folder, use, ROOTS), { recursive: true, force: true });
}

/** Whatever post came to: Nix needs the tokens in it no longer. */
async function removeNetrc(environment: Environment): Promise<void> {
  const folder = folderIn(environment);
  const names = await readdir(folder).catch(() => []);
  if (!names.some((name) => name.startsWith("netrc"))) return;
  const { forgetNetrc } = await world();
  await forgetNetrc(folder, environment);
}

async function endWatcher(
  watcher: ProcessIdentity,
  folder: string,
  signal: AbortSignal,
): Promise<Pick<BackgroundEnd, "pushed" | "ended">> {
  const { how, pushed, ended } = await endBackground(watcher, folder, signal);
  const bytes = pushed.reduce((sum, one) => sum + one.bytes, 0);
  if (pushed.length > 0) {
    log.info(`pushed while the job ran: ${count(pushed.length, "path")} (${formatBytes(bytes)})`);
  }
  if (how === "finished") return { pushed, ended };
  const why =
    how === "early" ? "ended early" : `was not done within ${formatSeconds(BUDGET / 1000)}`;
  log.info(`the background push ${why}; what is left is pushed now`);
  return { pushed, ended };
}
