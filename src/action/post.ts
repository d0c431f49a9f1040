/** What the step does at the end of the job: it reads main's record, ends the background push, and pushes. */

import { constants } from "node:fs";
import { access, mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import * as core from "@actions/core";
import type { PushProgress } from "../domain/cache.ts";
import { byCause, byImportance } from "../domain/finding.ts";
import { codeOf, type Trust } from "../domain/job.ts";
import { count, formatBytes, formatSeconds } from "../domain/size.ts";
import type { Outcome } from "../engine/outcome.ts";
import type { PostRun } from "../engine/post.ts";
import { type Environment, secretOf, takeEnvironment } from "../host/environment.ts";
import type { ProcessIdentity } from "../host/processes.ts";
import { annotations } from "../report/annotations.ts";
import type { PostPage } from "../report/post-page.ts";
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
  spared,
  traceJob,
  world,
  writeSummary,
} from "./console.ts";
import { type Context, contextTrust, foldersIn, type Place, readContext } from "./context.ts";
import { keepGithub } from "./github-save.ts";
import { endLeftBackground, endUse, leftBackground } from "./job-folder.ts";
import { loadState, placeIn, STATE, type StepState, sealFor } from "./state.ts";
import { lowerTrust } from "./trust.ts";

/** What acts at the end and tells of it: loaded where there is an end to deal with, while Nix is asked. */
async function ending() {
  const [engine, result, page, text] = await Promise.all([
    import("../engine/post.ts"),
    import("../engine/result.ts"),
    import("../report/post-page.ts"),
    import("../report/text.ts"),
  ]);
  return { ...engine, ...result, ...page, ...text };
}

export function post(): Promise<void> {
  return guarded(async (signal) => {
    const environment = takeEnvironment();
    const text = core.getState(STATE);
    const place = placeIn(text);
    try {
      if (text === "") log.info("nix-cache-preflight: main left nothing to do");
      else await endJob(text, place, environment, signal);
    } finally {
      await endUse(place, environment);
    }
  });
}

async function endJob(
  text: string,
  place: Place | undefined,
  environment: Environment,
  signal: AbortSignal,
): Promise<void> {
  const begun = performance.now();
  // A record that names no place is damaged, and is refused below.
  const [sharedFolder] = foldersIn(environment);
  const given = await readContext(environment, place ?? { sharedFolder, use: "0" });
  mask(given);
  using _trace = traceJob(given);
  const state = await loadState(text, sealFor(given));
  if (!state) return await refuseRecord(given);
  const trust = lowerTrust(state.trust, contextTrust(given));
  if (codeOf(trust) === "strange" && secretOf(given.secrets, environment) !== undefined) {
    return await endStrange(state, trust, given);
  }
  const context = { ...given, environment: withPrograms(environment, state) };
  const { pushed: ahead, ended = state.memory.pushEnded } = await endWatcher(
    state.watcher,
    context.folder,
    signal,
  );
  if (isDebugging(environment)) {
    for (const line of await backgroundTrace(context.folder)) log.debug(`background push: ${line}`);
  }
  const { compose } = await world();
  // What was built is in the store: nothing here needs the checkout, which a step may have removed.
  await using scratch = await scratchIn(context.folder);
  await using composed = await compose({
    ...context,
    folder: scratch.folder,
    workspace: scratch.folder,
    needs: "store",
    code: codeOf(trust),
    platform: process.platform,
    log,
    signal,
    // Where that fails, whoever waits for it hears of it.
    meanwhile: () => void ending().catch(() => undefined),
  });
  const { endOf, fresh, linesOf, postLastLine, postSummary, runPost } = await ending();
  const { job } = context;
  const memory = { ...state.memory, pushEnded: ended };
  const done = await runPost(job, trust, composed.world, memory, signal);
  const { how, findings: ofSaving } = await keepGithub(
    context,
    trust,
    composed,
    state.memory,
    signal,
  );
  const told = [...done.outcome.findings, ...ofSaving];
  const outcome = { ...(how === "lost" ? withoutPush(done, ahead) : done.outcome), findings: told };
  const page: PostPage = {
    done: { ...done, outcome },
    ahead: how === "lost" ? [] : ahead,
    cacheName: job.cacheName,
    seconds: (performance.now() - begun) / 1000,
    told: new Set(state.told ?? []),
  };
  for (const { target, paths } of done.withheld) {
    log.info(
      `read-only (${trust.why}): would have pushed ${target}, ${count(paths.length, "path")}`,
    );
  }
  const findings = byImportance(byCause(outcome.findings));
  for (const line of linesOf(findings)) log.info(line);
  for (const annotation of annotations(fresh(findings, page.told))) annotate(annotation);
  await writeSummary(postSummary(page, context.summary));
  const { checks = [] } = state;
  if (checks.length > 0) {
    const change = async () => {
      const { changeCheckRuns } = await import("./check-runs.ts");
      await changeCheckRuns(context, trust, checks, page.done, signal);
    };
    await spared("check runs were not changed", change, signal);
  }
  log.info(postLastLine(page));
  conclude(endOf(outcome.findings));
}

/** What was pushed into a folder that goes with the job is in no cache, nor are the targets. */
function withoutPush({ outcome, targets }: PostRun, ahead: readonly PushProgress[]): Outcome {
  const lost = [...ahead, ...outcome.pushed].map(({ path }) => path);
  const unpushed = [...outcome.unpushed, ...lost];
  return { ...outcome, pushed: [], unpushed, notPushed: targets, verified: [], pinned: [] };
}

/** Nix as main found it, whatever a step put before it since. */
function withPrograms(environment: Environment, { programs }: StepState): Environment {
  if (programs === undefined) return environment;
  const path = [programs, environment["PATH"] ?? ""].join(delimiter);
  return { ...environment, PATH: path };
}

/**
 * After strange code: no request and no process, since a step may have left a proxy, a program of Nix's
 * name or a library for them, and what this process was started with can be read.
 */
async function endStrange(state: StepState, { why }: Trust, context: Context): Promise<void> {
  const store = context.environment["NIX_STORE_DIR"] || "/nix/store";
  const names = await readdir(store).catch(() => []);
  const fresh = names.filter(
    (name) => !state.memory.storeNames.has(name) && /^[0-9a-z]{32}-.*(?<!\.drv)$/.test(name),
  );
  const what =
    fresh.length === 0
      ? "nothing new to push"
      : `${count(fresh.length, "path")} of the store ${fresh.length === 1 ? "is" : "are"} new since; this run would have pushed what the job built of it`;
  log.info(`read-only (${why}): ${what}`);
}

interface Scratch extends AsyncDisposable {
  readonly folder: string;
}

/** Where post writes what only it needs: our folder, or one of its own where a step took that away. */
async function scratchIn(folder: string): Promise<Scratch> {
  const usable = await access(folder, constants.W_OK | constants.X_OK).then(
    () => true,
    () => false,
  );
  if (usable) return { folder, [Symbol.asyncDispose]: async () => undefined };
  const own = await mkdtemp(join(tmpdir(), "nix-cache-preflight-post-"));
  return {
    folder: own,
    [Symbol.asyncDispose]: () => rm(own, { recursive: true, force: true }),
  };
}

/** Loud where it costs somebody a push: a step of the job has no business there. */
async function refuseRecord(context: Context): Promise<void> {
  await endLeftBackground(context.folder);
  const message = "main's record is damaged or was changed since; nothing is pushed";
  if (contextTrust(context).kind === "read-only")
    return log.info(`nix-cache-preflight: ${message}`);
  const hint = "a step of this job wrote over it, or the inputs cache and token are not main's";
  annotate({
    level: "warning",
    title: "Nothing is pushed at the end of this job",
    message: `${message} (NCP-450)\n${hint}`,
  });
}

async function endWatcher(
  known: ProcessIdentity | undefined,
  folder: string,
  signal: AbortSignal,
): Promise<Partial<Pick<BackgroundEnd, "ended">> & Pick<BackgroundEnd, "pushed">> {
  // A main that was killed may have started one, and did not live to say so: it did.
  const watcher = known ?? (await leftBackground(folder));
  if (watcher === undefined) {
    await stopBackground(folder);
    return { pushed: [] };
  }
  const { how, pushed, ended, why } = await endBackground(watcher, folder, signal);
  const bytes = pushed.reduce((sum, one) => sum + one.bytes, 0);
  if (pushed.length > 0) {
    log.info(`pushed while the job ran: ${count(pushed.length, "path")} (${formatBytes(bytes)})`);
  }
  if (how === "finished") return { pushed, ended };
  const end =
    how === "early"
      ? `ended early${why ? ` (${why})` : ""}`
      : `was not done within ${formatSeconds(BUDGET / 1000)}`;
  log.info(`the background push ${end}; what is left is pushed now`);
  return { pushed, ended };
}
