/** What the step does: the run, its report, and what it leaves for post. */

import { mkdir } from "node:fs/promises";
import { delimiter, join } from "node:path";
import * as core from "@actions/core";
import { describeError } from "../domain/errors.ts";
import { codeOf } from "../domain/job.ts";
import type { StorePath } from "../domain/store-path.ts";
import { maySendAtOnce } from "../engine/background-push.ts";
import { type Run, run } from "../engine/run.ts";
import { silentSubstituters } from "../engine/survey/substituters.ts";
import type { Survey } from "../engine/survey.ts";
import { writeWhole } from "../host/atomic.ts";
import { isHosted, takeEnvironment } from "../host/environment.ts";
import { folderOf } from "../host/programs.ts";
import { annotations } from "../report/annotations.ts";
import { allFindings, jsonReport, outputValues } from "../report/json.ts";
import { summary } from "../report/summary.ts";
import { textReport } from "../report/text.ts";
import { closing } from "../report/words.ts";
import { runnerOfJob, startBackground } from "./background-push.ts";
import {
  annotate,
  conclude,
  guarded,
  hide,
  log,
  mask,
  redacted,
  traceJob,
  world,
  writeSummary,
} from "./console.ts";
import { buildsToEvaluate, type Context, contextTrust, readContext } from "./context.ts";
import { derivationsOf, restoreGithub, writeRecord } from "./github-restore.ts";
import { hasNix, installNix, RELEASE } from "./install-nix.ts";
import { beginUse } from "./job-folder.ts";
import { firstState, STATE, saveState, sealFor } from "./state.ts";

export function main(): Promise<void> {
  return guarded(async (signal) => {
    const environment = takeEnvironment();
    const use = await beginUse(environment);
    core.saveState(STATE, firstState(use));
    const given = await readContext(environment, use);
    mask(given);
    using _trace = traceJob(given);
    const trust = contextTrust(given);
    // Known now, whatever becomes of the rest.
    core.setOutput("read-only", String(trust.kind === "read-only"));
    const { job } = given;
    log.info(
      `nix-cache-preflight: ${job.mode}, cache ${job.cacheName}, ${trust.kind} (${trust.why})`,
    );
    const context = await withNix(given, signal);
    const restoring = restoreGithub(
      job,
      context.workspace,
      { ...context, log, signingKey: context.secrets.signingKey },
      signal,
    );
    // Awaited below: until then another failure may be first.
    restoring.catch(() => undefined);
    const { compose } = await world();
    await using composed = await compose({
      ...context,
      code: codeOf(trust),
      hide,
      laterSteps: {
        file: join(context.folder, "nix.conf"),
        setVariable: (name, value) => core.exportVariable(name, value),
      },
      platform: process.platform,
      log,
      signal,
      buildsToEvaluate: buildsToEvaluate(context),
    });
    const storeNames = await composed.storeNames();
    const { record, notices, findings } = await restoring;
    const restored = { ...composed.world, notices: [...composed.world.notices, ...notices] };
    const ran = await run(job, trust, restored, signal);
    const outcome = { ...ran.outcome, findings: [...findings, ...ran.outcome.findings] };
    const done = { ...ran, outcome };
    await tell(done, context);
    if (record) {
      const derivations = derivationsOf(done.survey);
      await writeRecord({ ...record, ...(derivations ? { derivations } : {}) }, context.folder);
    }
    const targets = done.survey.targets.flatMap(({ name, outputs, pinName }) =>
      outputs ? [{ name: redacted(name), outputs, pinName }] : [],
    );
    const origin = isHosted(environment) ? undefined : originOf(done.survey);
    const { own } = composed.world;
    const ended = own?.pushEnded?.();
    // Asked already: it says so where it never answered, or stopped.
    const isThere = await own?.describe(signal).then(
      () => true,
      () => false,
    );
    const silent = [...silentSubstituters(done.survey), ...(own && !isThere ? [own.name] : [])];
    // A cache that hangs, or fails whatever it is sent, does no better in the background.
    const watcher =
      isThere && !ended && maySendAtOnce(job, trust, composed.world)
        ? await startBackground(
            {
              environment: context.environment,
              use: context.use,
              // What this step built, it has dealt with itself.
              storeNames: [...(await composed.storeNames())],
              origin,
              runner: await runnerOfJob(),
            },
            context.folder,
          )
        : undefined;
    core.saveState(
      STATE,
      await saveState(
        {
          use: context.use,
          trust,
          memory: { targets, storeNames, origin, silent, pushEnded: ended && describeError(ended) },
          watcher,
          programs: folderOf("nix-store", context.environment["PATH"] ?? ""),
        },
        context.folder,
        sealFor(context),
      ),
    );
    conclude(allFindings(done));
  });
}

/** The targets' derivations and results. */
function originOf({ targets }: Survey): StorePath[] {
  const paths = targets.flatMap(({ wanted, outputs }) => [
    ...(wanted?.kind === "derivation" ? [wanted.drvPath] : []),
    ...(outputs ?? []),
  ]);
  return [...new Set(paths)];
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

async function tell(done: Run, { folder }: Context): Promise<void> {
  const reportPath = join(folder, "report.json");
  await writeWhole(reportPath, redacted(`${JSON.stringify(jsonReport(done), null, 2)}\n`));
  for (const [name, value] of Object.entries(outputValues(done, reportPath))) {
    core.setOutput(name, redacted(value));
  }
  for (const line of textReport(done)) log.info(line);
  for (const annotation of annotations(allFindings(done))) annotate(annotation);
  await writeSummary(summary(done));
  log.info(closing(done));
}
