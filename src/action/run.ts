/** Owns the two halves of the action, main and post, and the one catch around each. */

import { mkdir } from "node:fs/promises";
import { delimiter, join } from "node:path";
import * as core from "@actions/core";
import { describeError, UserError } from "../domain/errors.ts";
import type { Finding } from "../domain/finding.ts";
import { count, formatBytes, formatSeconds } from "../domain/size.ts";
import { runPost } from "../engine/post.ts";
import { type Run, run } from "../engine/run.ts";
import { maySendAtOnce } from "../engine/watch.ts";
import { writeWhole } from "../host/atomic.ts";
import { processEnvironment } from "../host/environment.ts";
import { annotations } from "../report/annotations.ts";
import { allFindings, jsonReport, outputValues } from "../report/json.ts";
import { postSummary, summary } from "../report/summary.ts";
import { textReport } from "../report/text.ts";
import { closing, doneWords } from "../report/words.ts";
import { BUDGET, endBackground, startBackground } from "./background.ts";
import { annotate, log } from "./console.ts";
import { type Context, contextTrust, readContext } from "./context.ts";
import { keepGithub } from "./github-job.ts";
import { writeRecord } from "./github-record.ts";
import { derivationsOf, restoreGithub } from "./github-restore.ts";
import { hasNix, installNix, RELEASE } from "./install-nix.ts";
import { loadState, STATE, saveState } from "./state.ts";

export function main(): Promise<void> {
  return guarded(async (signal) => {
    const given = await readContext(processEnvironment());
    mask(given);
    const trust = contextTrust(given);
    const { job } = given;
    log.info(
      `nix-cache-preflight: ${job.mode}, cache ${job.cacheName}, ${trust.kind} (${trust.why})`,
    );
    const context = await withNix(given, signal);
    const restoring = restoreGithub(job, context.workspace, { ...context, log }, signal);
    // Awaited below: until then another failure may be first.
    restoring.catch(() => undefined);
    const { compose } = await world();
    await using composed = await compose({
      ...context,
      platform: process.platform,
      log,
      signal,
    });
    const storeNames = await composed.storeNames();
    const { record, notices } = await restoring;
    const restored = { ...composed.world, notices: [...composed.world.notices, ...notices] };
    const done = await run(job, trust, restored, signal);
    await tell(done, context);
    if (record) {
      const derivations = derivationsOf(done.survey);
      await writeRecord({ ...record, ...(derivations ? { derivations } : {}) }, context.folder);
    }
    const targets = done.survey.targets.flatMap(({ name, outputs, pinName }) =>
      outputs ? [{ name, outputs, pinName }] : [],
    );
    const watcher = maySendAtOnce(job, trust, composed.world)
      ? await startBackground(
          {
            environment: context.environment,
            // What this step built, it has dealt with itself.
            storeNames: [...(await composed.storeNames())],
          },
          context.folder,
        )
      : undefined;
    core.saveState(
      STATE,
      await saveState({ memory: { targets, storeNames }, watcher }, context.folder),
    );
    conclude(allFindings(done));
  });
}

export function post(): Promise<void> {
  return guarded(async (signal) => {
    const text = core.getState(STATE);
    if (text === "") return log.info("nix-cache-preflight: main left nothing to do");
    const context = await readContext(processEnvironment());
    mask(context);
    const state = await loadState(text);
    if (!state) return log.info("nix-cache-preflight: main's record is damaged; nothing is pushed");
    if (state.watcher !== undefined) await endWatcher(state.watcher, context.folder, signal);
    const { compose } = await world();
    await using composed = await compose({
      ...context,
      platform: process.platform,
      log,
      signal,
    });
    const trust = contextTrust(context);
    const { job } = context;
    const done = await runPost(job, trust, composed.world, state.memory, signal);
    const { outcome, withheld } = done;
    const url = composed.world.own?.substituter.url;
    const tier = url === undefined ? undefined : { url, role: "own" as const };
    await writeSummary(postSummary(done, trust.why, { own: job.cache, tier }));
    for (const { target, paths } of withheld) {
      log.info(`read-only (${trust.why}): would have pushed ${target}, ${paths.length} paths`);
    }
    log.info(doneWords(outcome).join(", ") || "nothing new to push");
    const kept = await keepGithub(context, trust, composed, state.memory, signal);
    for (const annotation of annotations([...outcome.findings, ...kept])) annotate(annotation);
    conclude(outcome.findings);
  });
}

/** Where the job asks for it and the runner has none, Nix is installed first. */
async function withNix(context: Context, signal: AbortSignal): Promise<Context> {
  const { environment, folder, job } = context;
  const { platform, arch } = process;
  if (job.installNix !== "install" || platform === "win32" || (await hasNix(environment))) {
    return context;
  }
  await mkdir(folder, { recursive: true });
  const folders = await installNix({
    release: RELEASE,
    environment,
    platform,
    arch,
    folder,
    log,
    signal,
  });
  for (const one of folders) core.addPath(one);
  const path = [...folders, environment["PATH"] ?? ""].join(delimiter);
  return { ...context, environment: { ...environment, PATH: path } };
}

async function endWatcher(pid: number, folder: string, signal: AbortSignal): Promise<void> {
  const { how, pushed } = await endBackground(pid, folder, signal);
  const bytes = pushed.reduce((sum, one) => sum + one.bytes, 0);
  if (pushed.length > 0) {
    log.info(`pushed while the job ran: ${count(pushed.length, "path")} (${formatBytes(bytes)})`);
  }
  if (how === "finished") return;
  const why =
    how === "early" ? "ended early" : `was not done within ${formatSeconds(BUDGET / 1000)}`;
  log.info(`the background push ${why}; what is left is pushed now`);
}

/** Loaded behind the first line: a wrong input is told without it, and sooner. */
function world(): Promise<typeof import("../compose.ts")> {
  return import("../compose.ts");
}

/** Before anything is printed: the runner then takes them out of every line. */
function mask({ secrets }: Context): void {
  for (const secret of [secrets.token, secrets.signingKey]) if (secret) core.setSecret(secret);
  // The base64 part alone is just as secret as the key with its name.
  const bare = secrets.signingKey?.split(":")[1];
  if (bare) core.setSecret(bare);
}

async function tell(done: Run, { folder }: Context): Promise<void> {
  const reportPath = join(folder, "report.json");
  await writeWhole(reportPath, `${JSON.stringify(jsonReport(done), null, 2)}\n`);
  for (const [name, value] of Object.entries(outputValues(done, reportPath))) {
    core.setOutput(name, value);
  }
  for (const line of textReport(done)) log.info(line);
  for (const annotation of annotations(allFindings(done))) annotate(annotation);
  await writeSummary(summary(done));
  log.info(closing(done));
}

async function writeSummary(text: string): Promise<void> {
  if (text === "") return;
  await core.summary
    .addRaw(text)
    .write()
    .catch((error) => log.info(`the job summary was not written: ${describeError(error)}`));
}

function conclude(findings: readonly Finding[]): void {
  if (findings.some(({ level }) => level === "error")) process.exitCode = core.ExitCode.Failure;
}

/** An error a user can act on is told in its own words; any other one is ours, with its stack. */
async function guarded(task: (signal: AbortSignal) => Promise<void>): Promise<void> {
  const controller = new AbortController();
  const interrupt = (name: NodeJS.Signals) => {
    controller.abort(
      new UserError("NCP-501", `interrupted by ${name}`, {
        hint: "what was finished is kept; running it again goes on from there",
      }),
    );
  };
  process.once("SIGINT", interrupt);
  process.once("SIGTERM", interrupt);
  try {
    await task(controller.signal);
  } catch (error) {
    // What was begun beside it is ended too.
    controller.abort(error);
    if (error instanceof UserError) {
      const hint = error.hint ? `\n${error.hint}` : "";
      annotate({ level: "error", title: error.code, message: `${describeError(error)}${hint}` });
    } else {
      const stack = error instanceof Error ? (error.stack ?? error.message) : String(error);
      annotate({ level: "error", title: "A fault of nix-cache-preflight", message: stack });
    }
    process.exitCode = core.ExitCode.Failure;
  } finally {
    process.off("SIGINT", interrupt);
    process.off("SIGTERM", interrupt);
  }
}
